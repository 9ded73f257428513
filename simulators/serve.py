"""The simulated venues as a process: real clock, sockets, files, signals.

Two things must survive a crash and are therefore written before the bytes that they belong to leave: the sequence
numbers and reports of the order sessions, and the ledger of executions. Market data starts anew with each process.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop

from fix import tcp
from fix.endpoint import Link, Output
from fix.store import FileStore, MemoryStore, Store
from simulators.config import SimulatorsConfig
from simulators.exchange import Exchange
from simulators.lag import Lag
from simulators.ledger import to_lines
from simulators.market import Market
from simulators.scenario import Fault
from simulators.tape import TapeMarket
from simulators.tape_files import open_tape

_LOGOUT_LOOKS, _LOGOUT_LOOK_S = 20, 0.05  # how long the clients have for their Logout(5)

log = structlog.get_logger()


class LedgeredExchange:
    """An exchange whose executions are in the ledger's file before the reports of them are handed on."""

    def __init__(self, exchange: Exchange, path: Path) -> None:
        self.exchange = exchange
        self.lag = Lag()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        return self._recorded(self.exchange.connected(link, port, now_ns))

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        return self._recorded(self.exchange.receive(link, data, now_ns))

    def disconnected(self, link: Link, now_ns: int) -> Output:
        return self._recorded(self.exchange.disconnected(link, now_ns))

    def timer(self, now_ns: int) -> Output:
        due_ns = self.exchange.next_timer_ns() if self.exchange.is_connected else None  # late for whom?
        late_ns = self.lag.observe(now_ns - due_ns, now_ns) if due_ns is not None else None
        if late_ns:
            log.warning("simulators_behind", worst_ms=late_ns // 1_000_000)
        elif late_ns is not None:
            log.info("simulators_caught_up")
        return self._recorded(self.exchange.timer(now_ns))

    def next_timer_ns(self) -> int | None:
        return self.exchange.next_timer_ns()

    def close(self) -> None:
        os.close(self._file)

    def _recorded(self, output: Output) -> Output:
        entries = self.exchange.ledger
        if entries:
            os.write(self._file, to_lines(entries))
            entries.clear()
        return output


def open_exchange(config: SimulatorsConfig, now_ns: int) -> LedgeredExchange:
    """The exchange of a config, with its files in `data_dir`; OSError or, for what a tape says, ValueError."""
    directory = Path(config.data_dir)
    directory.mkdir(parents=True, exist_ok=True)

    def open_store(session: str) -> Store:
        return FileStore(directory / "sessions" / session) if session in config.venues else MemoryStore()

    exchange = Exchange(
        _market(config, now_ns),
        counterparty=config.counterparty,
        latency_ns=config.latency_ns(),
        open_store=open_store,
        now_ns=now_ns,
    )
    return LedgeredExchange(exchange, config.ledger_path)


def _market(config: SimulatorsConfig, now_ns: int) -> Market:
    tape = config.tape
    if tape is None:
        return Market(config.market(), config.seed, now_ns)
    rows = open_tape(Path(tape.messages), Path(tape.book))
    return TapeMarket(
        config.market(),
        config.seed,
        now_ns,
        symbol=tape.symbol,
        rows=rows,
        from_ns=tape.from_ns,
        speed=tape.speed,
    )


async def serve(
    config: SimulatorsConfig,
    stop: asyncio.Event,
    ready: Callable[[dict[str, tuple[str, int]]], None],
    faults: Sequence[Fault] = (),
) -> None:
    """Serves until `stop` is set, then logs out; `ready` gets the address of each venue once all of them listen."""
    now_ns = time.time_ns()
    endpoint = open_exchange(config, now_ns)
    if faults:
        endpoint.exchange.inject(faults, config.seed, now_ns)
    try:
        server = await tcp.serve(endpoint, config.listeners(), {})
        ready(server.addresses)
        await stop.wait()
        server.perform(endpoint.exchange.logout("the venues are closing", server.now_ns()))
        for _ in range(_LOGOUT_LOOKS):
            if not endpoint.exchange.is_connected:
                break
            await asyncio.sleep(_LOGOUT_LOOK_S)
        await server.close()
    finally:
        endpoint.close()


def run(config: SimulatorsConfig, faults: Sequence[Fault] = ()) -> int:
    """Serves until SIGTERM or SIGINT; the exit status: 1 if it could not start or go on."""
    failures: list[str] = []

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            failures.append(f"{context['message']}: {context.get('exception')!r}")
            stop.set()

        # A market that can't go on (a bad line of a tape, say) must not leave venues standing that no longer move.
        loop.set_exception_handler(fail)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(config, stop, _ready, faults)

    try:
        uvloop.run(main())
    except (OSError, ValueError) as error:
        failures.append(str(error))
    for text in failures:
        log.error("simulators_failed", text=text)
    log.info("simulators_stopped")
    return 1 if failures else 0


def _ready(addresses: dict[str, tuple[str, int]]) -> None:
    log.info("simulators_ready", addresses={name: f"{host}:{port}" for name, (host, port) in addresses.items()})
