"""Carries the simulated EMS over a socket. Small and its own: the witness must not share the product's transport."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from simulators.client import Ems, Output

RECONNECT_S = 0.2
_LOOK_S = 0.02  # how often `until` and the EMS's timers are looked at when nothing arrives
_LOGOUT_S = 2.0
_READ_BYTES = 65536


async def run_ems(
    ems: Ems, host: str, port: int, until: Callable[[], bool], *, clock: Callable[[], int] = time.time_ns
) -> None:
    """Connects, and again whenever the connection is lost, until `until()` holds; then logs out."""
    link = 0
    while not until():
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(RECONNECT_S)
            continue
        link += 1
        try:
            await _converse(ems, link, reader, writer, until, clock)
        except OSError:
            pass  # the connection is gone; the session finds out what was lost with it at the next logon
        finally:
            ems.disconnected(link, clock())
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not until():
            await asyncio.sleep(RECONNECT_S)


async def _converse(
    ems: Ems,
    link: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    until: Callable[[], bool],
    clock: Callable[[], int],
) -> None:
    reading: asyncio.Task[bytes] | None = None
    give_up_ns = 0
    is_open = await _perform(ems.connected(link, "ems", clock()), writer)
    try:
        while is_open:
            if until():
                if not give_up_ns:
                    give_up_ns = clock() + int(_LOGOUT_S * 1e9)
                    await _perform(ems.logout(clock()), writer)
                if not ems.session.is_logged_on or clock() > give_up_ns:
                    return
            if reading is None:
                reading = asyncio.ensure_future(reader.read(_READ_BYTES))
            timer_ns = ems.next_timer_ns()
            wait_s = _LOOK_S if timer_ns is None else min(_LOOK_S, max(0.0, (timer_ns - clock()) / 1e9))
            await asyncio.wait((reading,), timeout=wait_s)
            if reading.done():
                data = reading.result()
                reading = None
                if not data:
                    return
                is_open = await _perform(ems.receive(link, data, clock()), writer)
            timer_ns = ems.next_timer_ns()
            if is_open and timer_ns is not None and timer_ns <= clock():
                is_open = await _perform(ems.timer(clock()), writer)
    finally:
        if reading is not None:
            reading.cancel()


async def _perform(output: Output, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection stays open."""
    for _, raw in output.writes:
        writer.write(raw)
    await writer.drain()
    return not output.closes
