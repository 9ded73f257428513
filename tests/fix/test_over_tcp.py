"""The conformance scripts once more, with sockets of the loopback between the peer and the session.

The session sits in an endpoint that `fix.tcp` carries; the peer is a plain stream. Time is the script's: the carrier's
clock stands still until the script lets it go on. Nothing sleeps: what a side has written, the other is waited for to
read.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fix import tcp
from fix.endpoint import Link, Output
from fix.events import Disconnect, Event, Outgoing
from fix.framing import Framer
from fix.message import parse
from fix.messages import Typed
from fix.session import Session
from tests.fix.scripting import SCRIPTS, Script, runs_of

TIMEOUT_S = 10
LOOPBACK = ("127.0.0.1", 0)
# What can't be said over sockets: the words "hold" and "release" look between two writes of one input.
OVER_TCP = [script for script in SCRIPTS if "\nhold" not in script.read_text()]
RUNS = [(script, *run) for script in OVER_TCP for run in runs_of(script)]


def test_few_scripts_stay_behind() -> None:
    assert {script.stem for script in SCRIPTS} - {script.stem for script in OVER_TCP} == {
        "8_a_replay_in_bursts_keeps_the_order",
        "8_replays_are_bounded",
    }


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.mark.parametrize(("script", "begin_string", "role"), RUNS, ids=lambda value: getattr(value, "stem", value))
def test_script(script: Path, begin_string: str, role: str, runner: asyncio.Runner) -> None:
    over_tcp = ScriptOverTcp(begin_string, role, runner)
    try:
        over_tcp.run(script.read_text())
    finally:
        over_tcp.close()


class ScriptOverTcp(Script):
    def __init__(self, begin_string: str, role: str, runner: asyncio.Runner) -> None:
        super().__init__(begin_string, role, byte_by_byte=False)
        self._runner = runner
        self._far: Far | None = None

    @property
    def session(self) -> "Far":  # type: ignore[override]
        if self._far is None:
            self._far = Far(super().session, self._runner)
        return self._far

    def close(self) -> None:
        if self._far is not None:
            self._far.close()


class Far:
    """A session at the other end of a connection, with the methods that a script calls."""

    def __init__(self, session: Session, runner: asyncio.Runner) -> None:
        self._near = session
        self._now_ns = 0
        self._runner = runner
        self._endpoint = OneSession(session)
        self._carrier: tcp.Carrier | None = None
        self._server: asyncio.Server | None = None
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._read = 0
        self._framer = Framer(1 << 20)

    def _do(self, work: Coroutine[Any, Any, None], now_ns: int) -> None:
        self._now_ns = now_ns

        async def in_time() -> None:
            async with asyncio.timeout(TIMEOUT_S):
                await work
                await self._settle()

        self._runner.run(in_time())

    async def _settle(self) -> None:
        """All that the session said has come, and its connection has closed if it closes it."""
        endpoint = self._endpoint
        while (missing := endpoint.written - self._read) > 0:
            data = await self._streams[-1][0].readexactly(missing)
            self._read += len(data)
            self._framer.feed(data)
        if endpoint.closing:
            reader, writer = self._streams[-1]
            assert await reader.read() == b""
            writer.close()
            await self._lost()

    async def _lost(self) -> None:
        assert self._carrier is not None
        await self._endpoint.until(lambda: not self._endpoint.link)
        self._carrier.stop_connecting("peer")  # a script says when to connect again

    def close(self) -> None:
        async def closing() -> None:
            for _, writer in self._streams:
                writer.close()
            if self._carrier is not None:
                await self._carrier.close()
            if self._server is not None:
                self._server.close()

        self._runner.run(closing())

    # --- what a script calls ---

    def connected(self, now_ns: int) -> None:
        self._do(self._connect(), now_ns)

    async def _connect(self) -> None:
        endpoint, is_acceptor = self._endpoint, self._near.config.role == "acceptor"
        if self._carrier is None:
            listeners = {"peer": LOOPBACK} if is_acceptor else {}
            self._carrier = await tcp.serve(endpoint, listeners, {}, clock=lambda: self._now_ns)
        opened = endpoint.opened
        if is_acceptor:
            self._streams.append(await asyncio.open_connection(*self._carrier.addresses["peer"]))
            await endpoint.until(lambda: endpoint.opened > opened)
            return
        if self._server is None:
            self._server = await asyncio.start_server(lambda *streams: self._streams.append(streams), *LOOPBACK)
        count = len(self._streams)
        self._carrier.connect("peer", self._server.sockets[0].getsockname()[:2])
        await endpoint.until(lambda: endpoint.opened > opened)
        while len(self._streams) == count:
            await asyncio.sleep(0)

    def disconnected(self, now_ns: int) -> None:
        self._do(self._disconnect(), now_ns)

    async def _disconnect(self) -> None:
        if self._endpoint.link:
            self._streams[-1][1].close()
            await self._lost()
        self._endpoint.release()

    def receive(self, data: bytes, now_ns: int) -> None:
        async def write() -> None:
            endpoint, due = self._endpoint, self._endpoint.received + len(data)
            self._streams[-1][1].write(data)
            await endpoint.until(lambda: endpoint.received == due or not endpoint.link)

        self._do(write(), now_ns)

    def timer(self, now_ns: int) -> None:
        async def fire() -> None:
            assert self._carrier is not None
            self._carrier._fire()  # as the loop does, in a time that passes by itself

        self._do(fire(), now_ns)

    def send(self, typed: Typed, now_ns: int) -> None:
        self._near.send(typed, now_ns)
        self._say(now_ns)

    def logout(self, text: str, now_ns: int) -> None:
        self._near.logout(text, now_ns)
        self._say(now_ns)

    def _say(self, now_ns: int) -> None:
        async def say() -> None:
            if self._carrier is not None:
                self._carrier.perform(self._endpoint.work(now_ns))

        self._do(say(), now_ns)

    def next_timer_ns(self) -> int | None:
        return self._near.next_timer_ns()

    def next_event(self, now_ns: int) -> Event | None:
        return self._endpoint.events.pop(0) if self._endpoint.events else None

    def take_outbox(self) -> list[Outgoing]:
        raw = self._framer.next_frame()
        if raw is None:
            return []
        message = parse(raw)
        return [Outgoing(message.msg_seq_num, message.msg_type, raw, message.poss_dup)]


class OneSession:
    """An endpoint that notes what happens; `link` 0 while there is none."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.link: Link = 0
        self.closing = False
        self.opened = 0  # connections so far
        self.received = self.written = 0
        self.events: list[Event] = []
        self._after_the_end: list[Event] = []  # for a script, the end of a connection that we closed comes later
        self._changed = asyncio.Event()

    async def until(self, what: Any) -> None:
        while not what():
            self._changed.clear()
            await self._changed.wait()

    def release(self) -> None:
        self.events += self._after_the_end
        self._after_the_end.clear()

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self.link, self.closing = link, False
        self.opened += 1
        self.session.connected(now_ns)
        return self.work(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        self.received += len(data)
        self.session.receive(data, now_ns)
        return self.work(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        closing, self.link, self.closing = self.closing, 0, False
        before, self.events = self.events, []
        self.session.disconnected(now_ns)
        self.work(now_ns)
        happened, self.events = self.events, before
        self._after_the_end += happened
        if not closing:
            self.release()
        return Output()

    def timer(self, now_ns: int) -> Output:
        self.session.timer(now_ns)
        return self.work(now_ns)

    def next_timer_ns(self) -> int | None:
        return self.session.next_timer_ns()

    def work(self, now_ns: int) -> Output:
        while (event := self.session.next_event(now_ns)) is not None:
            self.events.append(event)
            self.closing = self.closing or isinstance(event, Disconnect)
        data = b"".join([outgoing.raw for outgoing in self.session.take_outbox()]) if self.link else b""
        self.written += len(data)
        self._changed.set()
        return Output([(self.link, data)] if data else [], [self.link] if self.closing and self.link else [])
