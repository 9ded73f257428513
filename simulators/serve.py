"""The simulated venues as a process: real clock, sockets, files, signals.

Two things must survive a crash and are therefore written before the bytes that they belong to leave: the sequence
numbers and reports of the order sessions, and the ledger of executions. Market data starts anew with each process.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
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
from simulators.scenario import Scenario
from simulators.tape import TapeMarket
from simulators.tape_files import open_tape
from simulators.witness import failures

_PIECE_NS = 20_000_000  # of the market's time at most at once, when it is behind
_LOGOUT_LOOKS, _LOGOUT_LOOK_S = 20, 0.05  # how long the clients have for their Logout(5)

log = structlog.get_logger()


class LedgeredExchange:
    """An exchange whose executions are in the ledger's file before the reports of them are handed on."""

    def __init__(self, exchange: Exchange, path: Path) -> None:
        self.exchange = exchange
        self.lag = Lag()
        self._last_ns = 0  # the market's time
        self._served_from: tuple[int, float, int] | None = (
            None  # our time, the processor's, events, at the first client
        )
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        return self._recorded(self.exchange.connected(link, port, self._market_ns(now_ns)))

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        return self._recorded(self.exchange.receive(link, data, self._market_ns(now_ns)))

    def disconnected(self, link: Link, now_ns: int) -> Output:
        return self._recorded(self.exchange.disconnected(link, self._market_ns(now_ns)))

    def timer(self, now_ns: int) -> Output:
        return self._recorded(self.exchange.timer(self._market_ns(now_ns)))

    def next_timer_ns(self) -> int | None:
        return self.exchange.next_timer_ns()

    def close(self) -> None:
        os.close(self._file)

    def account(self, now_ns: int) -> dict[str, float]:
        """How it went while somebody was connected: how late, how many events, how much of a processor."""
        if self._served_from is None:
            return {}
        since_ns, cpu_s, events = self._served_from
        seconds = max((now_ns - since_ns) / 1e9, 1e-9)
        return {
            "seconds": round(seconds, 1),
            "events_per_second": round((self.exchange.floor.events - events) / seconds),
            "cpu_share": round((time.process_time() - cpu_s) / seconds, 3),
            **{f"lag_{name}": value for name, value in self.lag.lateness()._asdict().items()},
        }

    def _market_ns(self, now_ns: int) -> int:
        """The time for the market: ours, unless it is behind. Then it catches up in pieces, so that a market which
        can't keep up still hears its clients, says so, and can be stopped."""
        due_ns = self.exchange.next_timer_ns()
        if due_ns is None or due_ns > now_ns:
            self._last_ns = now_ns
            return now_ns
        self._watch(due_ns, now_ns)
        self._last_ns = max(self._last_ns, min(now_ns, due_ns + _PIECE_NS))
        return self._last_ns

    def _watch(self, due_ns: int, now_ns: int) -> None:
        """How late what is due next is; as soon as somebody has been there to be late for."""
        if self._served_from is None:
            return
        late_ns = self.lag.observe(now_ns - due_ns, now_ns)
        if late_ns:
            log.warning("simulators_behind", worst_ms=late_ns // 1_000_000, p99_ms=self.lag.lateness().p99_ms)
        elif late_ns is not None:
            log.info("simulators_caught_up")

    def _recorded(self, output: Output) -> Output:
        if self._served_from is None and self.exchange.is_connected:
            self._served_from = (self._last_ns, time.process_time(), self.exchange.floor.events)
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
    scenario: Scenario | None = None,
) -> list[str]:
    """Serves until `stop` is set, then logs out; `ready` gets the address of each venue once all of them listen.

    What the venues find not to be as a scenario expects is given back, in words.
    """
    now_ns = time.time_ns()
    endpoint = open_exchange(config, now_ns)
    if scenario is not None:
        endpoint.exchange.inject(scenario.faults, config.seed, now_ns)
    try:
        server = await tcp.serve(endpoint, config.listeners(), {})
        ready(server.addresses)
        await stop.wait()
        if account := endpoint.account(server.now_ns()):
            log.info("simulators_served", **account)
        server.perform(endpoint.exchange.logout("the venues are closing", server.now_ns()))
        for _ in range(_LOGOUT_LOOKS):
            if not endpoint.exchange.is_connected:
                break
            await asyncio.sleep(_LOGOUT_LOOK_S)
        await server.close()
    finally:
        endpoint.close()
    return list(failures(endpoint.exchange.floor, scenario.expect, now_ns)) if scenario is not None else []


def run(config: SimulatorsConfig, scenario: Scenario | None = None) -> int:
    """Serves until SIGTERM or SIGINT; the exit status: 1 if it could not start or go on, or if a scenario failed."""
    faults: list[str] = []
    unmet: list[str] = []

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            faults.append(f"{context['message']}: {context.get('exception')!r}")
            stop.set()

        # A market that can't go on (a bad line of a tape, say) must not leave venues standing that no longer move.
        loop.set_exception_handler(fail)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        unmet.extend(await serve(config, stop, _ready, scenario))

    try:
        uvloop.run(main())
    except (OSError, ValueError) as error:
        faults.append(str(error))
    for text in faults:
        log.error("simulators_failed", text=text)
    for text in unmet:
        log.error("scenario_failed", text=text)
    if scenario is not None and not faults and not unmet:
        log.info("scenario_passed", title=scenario.title)
    log.info("simulators_stopped")
    return 1 if faults or unmet else 0


def _ready(addresses: dict[str, tuple[str, int]]) -> None:
    log.info("simulators_ready", addresses={name: f"{host}:{port}" for name, (host, port) in addresses.items()})
