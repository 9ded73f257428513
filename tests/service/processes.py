"""`fairlead` as a user runs it: processes with the example configs on free ports, an EMS on a socket, the logs."""

import asyncio
import json
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from service import config
from service.control import ask
from service.examples import DAEMON, SIMULATORS, simulators_config
from service.journal import read
from service.reconcile import Reconciliation, reconcile
from simulators.client import Ems, Plan
from simulators.client_session import EmsSession
from simulators.client_tcp import run_ems
from simulators.ledger import from_lines

HOST = "127.0.0.1"
TIMEOUT_S = 60.0  # of every wait; what is waited for takes about a second, on a machine that has nothing else to do
LOOK_S = 0.01


def free_ports(count: int) -> list[int]:
    bound = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in bound]
    for each in bound:
        each.close()
    return ports


class Installation:
    """A directory with the configs, the data and the processes of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.daemon_toml, self.simulators_toml = directory / "fairlead.toml", directory / "simulators.toml"
        self.models = directory / "models"
        daemon, venues = DAEMON.read_text(), SIMULATORS.read_text()
        *venue_ports, self.port = free_ports(8)
        for number, port in zip(range(9901, 9908), venue_ports, strict=True):
            daemon, venues = (text.replace(f"port = {number}", f"port = {port}") for text in (daemon, venues))
        for old, new in (
            ("port = 9878", f"port = {self.port}"),
            ('"var/fairlead"', json.dumps(str(directory / "data"))),
            ('"var/models"', json.dumps(str(self.models))),
        ):
            assert old in daemon
            daemon = daemon.replace(old, new)
        self.daemon_toml.write_text(daemon)
        self.simulators_toml.write_text(venues.replace('"var/simulators"', json.dumps(str(directory / "venues"))))

    @property
    def config(self) -> config.ServiceConfig:
        return config.load(self.daemon_toml)

    def change(self, old: str, new: str) -> None:
        text = self.daemon_toml.read_text()
        assert old in text
        self.daemon_toml.write_text(text.replace(old, new))

    def books(self, ems: dict[str, Ems]) -> Reconciliation:
        facts = [fact for batch in read(self.config.journal_path) for fact in batch]
        ledger = from_lines((self.directory / "venues" / "ledger.jsonl").read_bytes())
        return reconcile(facts, {name: client.orders.values() for name, client in ems.items()}, ledger)

    def daemon(self, *, max_file_bytes: int = -1) -> "Running":
        return Running("run", "--config", str(self.daemon_toml), max_file_bytes=max_file_bytes)

    def venues(self, scenario: Path | None = None) -> "Running":
        more = ("--scenario", str(scenario)) if scenario is not None else ()
        return Running("simulate", "--config", str(self.simulators_toml), *more)

    async def trading(self) -> None:
        """Until every venue is there and every symbol has a price."""

        def is_ready() -> bool:
            try:
                status = ask(self.config.control_path, {"command": "status"})["status"]
            except OSError:
                return False
            return len(status["venues_up"]) == len(self.config.venues) and len(status["priced"]) == 5

        await until(lambda: asyncio.to_thread(is_ready))


class Running:
    """`fairlead COMMAND ...` as a process; `log` grows line by line. Killed when the block is left, if it must."""

    def __init__(self, *arguments: str, max_file_bytes: int = -1) -> None:
        self._arguments = arguments
        self._max_file_bytes = max_file_bytes  # what it writes beyond fails, as on a full disk; -1: nothing does
        self.log: list[dict[str, Any]] = []
        self.plain: list[str] = []  # lines that are no JSON

    async def __aenter__(self) -> "Running":
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli", *self._arguments),
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
        )
        if self._max_file_bytes >= 0:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (self._max_file_bytes, self._max_file_bytes))
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.ended()

    async def _read(self) -> None:
        async for line in self.process.stdout:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.plain.append(line.decode())

    async def says(self, event: str, count: int = 1, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The `count`th line of that event, once it is there."""

        async def is_there() -> bool:
            assert self.process.returncode is None or len(self.of(event)) >= count, (self.log[-3:], self.plain)
            return len(self.of(event)) >= count

        await until(is_there, timeout_s)
        return self.of(event)[count - 1]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == event]

    async def ended(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit status; all that it wrote is in `log` then."""
        status = await asyncio.wait_for(self.process.wait(), timeout_s)
        await asyncio.wait_for(self._reading, TIMEOUT_S)
        return status

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.ended()


async def until(holds: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
    """Looks again and again, as a user would. `holds` may be a coroutine function."""
    async with asyncio.timeout(timeout_s):
        while True:
            result = holds()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def trading_systems(installation: Installation, plans: dict[str, Plan]) -> AsyncIterator[dict[str, Ems]]:
    """An EMS for each client, on its socket, connecting again whenever it is cut off; logged out at the end."""
    start_px = {symbol.symbol: symbol.start_px for symbol in simulators_config().market().symbols}
    ems = {}
    for client in installation.config.clients:
        session = EmsSession(client.begin_string, client.name, "FAIRLEAD")
        ems[client.name] = Ems(session, plans.get(client.name), start_px.__getitem__)
    over = False
    tasks = [asyncio.create_task(run_ems(client, HOST, installation.port, lambda: over)) for client in ems.values()]
    try:
        yield ems
    finally:
        over = True
        await asyncio.wait_for(asyncio.gather(*tasks), TIMEOUT_S)
