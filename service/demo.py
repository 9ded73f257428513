"""The demo: real processes on loopback, from a simulated EMS through the daemon to the simulated venues and back.

It trains a model where there is none, starts the venues and the daemon as processes of their own, plays an EMS with two
FIX sessions (FIX.4.4 and FIX.4.2), stops everything in order, and compares the books of all sides. Exit status 0 only
if they agree to the share.
"""

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from domain.facts import AnyFact, ChildFilled
from domain.instruments import Instrument
from learning.tca import summary
from learning.training import NotEnoughData, TrainingRecord
from router.model import ModelRefused, champion, read_metadata
from service.config import ServiceConfig
from service.config import load as load_config
from service.control import ask
from service.examples import DAEMON, SIMULATORS, daemon_config, simulators_config
from service.journal import read
from service.reconcile import reconcile
from service.runtime import load_model
from service.summary import as_json, as_tables
from service.training import bootstrap
from simulators.client import Ems, Plan, PlannedOrder, plan_parents
from simulators.client_session import EmsSession
from simulators.client_tcp import run_ems
from simulators.ledger import LedgerEntry, from_lines
from simulators.lobster import TapeError, TapeRow
from simulators.tape_files import open_tape

SECOND_NS = 1_000_000_000
HOST = "127.0.0.1"
TRAINING_PARENTS = 600
WARM_UP_S, ARRIVALS_S, LONGEST_TWAP_S, GRACE_S = 2, 30, 15, 6
READY_TIMEOUT_S, STOP_TIMEOUT_S, CLOSE_TIMEOUT_S = 30, 20, 10
NARROWEST = 110  # columns of the tables in a file or a pipe
TOO_LARGE_QTY = 1_000_000  # a slip of the finger, to show the risk gate


class DemoFailed(Exception):  # noqa: N818 - not a bug: something outside did not come up
    """Why the demo could not be played to its end, in words."""


@dataclass(frozen=True)
class Tape:
    """A recorded day to replay, and what its first row says."""

    symbol: str
    messages: Path
    book: Path
    mid_px: int


def main(args: argparse.Namespace) -> int:
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    directory = Path("var/demo")
    try:
        tape = _tape(args.tape, args.book) if args.tape else None
        record, model_id = _model(args.models, args.seed, console)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        paths = _write_configs(directory, args.models, args.seed, tape)
        config = load_config(paths["run"])
        ems = _play(config, paths, args.parents, args.seed, tape, console)
    except (DemoFailed, NotEnoughData, ModelRefused, TapeError) as error:
        console.print(f"[red]demo: {error}[/red]", highlight=False)
        return 1
    facts = [fact for batch in read(config.journal_path) for fact in batch]
    ledger = from_lines((directory / "simulators" / "ledger.jsonl").read_bytes())
    return _conclude(config, facts, ems, ledger, model_id, record, args.json, console)


def _conclude(
    config: ServiceConfig,
    facts: list[AnyFact],
    ems: Mapping[str, Ems],
    ledger: list[LedgerEntry],
    model_id: str,
    record: TrainingRecord,
    json_path: Path | None,
    console: Console,
) -> int:
    books = reconcile(facts, {name: client.orders.values() for name, client in ems.items()}, ledger)
    for name, client in ems.items():
        for text in client.violations:
            books.differ(0, f"{name}: {text}")
    costs = summary(facts, {venue.name: venue.kind.value for venue in config.venues})
    shares = {
        "EMS, from its reports": sum(order.cum_qty for client in ems.values() for order in client.orders.values()),
        "router, from its journal": sum(fact.last_qty for fact in facts if isinstance(fact, ChildFilled)),
        "venues, from their ledgers": sum(entry.qty for entry in ledger),
    }
    console.print(as_tables(costs, books, model_id, record, shares))
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(costs, books, model_id, record), indent=2) + "\n", "utf-8")
    orders = next(iter(ems.values())).orders
    if orders:
        console.print(f"Why it went where: fairlead explain {next(iter(orders))} --journal {config.journal_path}")
    return 0 if books.reconciled else 1


# --- the model ---


def _model(models: Path, seed: int, console: Console) -> tuple[TrainingRecord, str]:
    """The champion; trained now if there is none that the daemon would take."""
    model, text = load_model(daemon_config(), models)
    if model.model_id == "prior":
        console.print(f"{text}. First the router learns from simulated orders, in virtual time.", highlight=False)
        trained = bootstrap(models, TRAINING_PARENTS, seed, console)
        if not trained.evaluation.beats_baselines:
            raise DemoFailed(f"model {trained.model_id} does not beat a constant and a table per venue")
        return trained.record, trained.model_id
    directory = champion(models)
    assert directory is not None  # it was just loaded
    return msgspec.json.decode(read_metadata(directory).training, type=TrainingRecord), model.model_id


# --- the tape ---


def _tape(messages: Path, book: Path) -> Tape:
    """Reads it once from end to end, so that a bad line is named before anything starts."""
    first: TapeRow | None = None
    for row in open_tape(messages, book):
        first = first or row
    if first is None:
        raise DemoFailed(f"{messages} has no rows")
    symbol = messages.name.partition("_")[0].upper()
    return Tape(symbol, messages.resolve(), book.resolve(), (first.asks[0][0] + first.bids[0][0]) // 2)


# --- the configs: the examples, with ports and places of this run ---


def _write_configs(directory: Path, models: Path, seed: int, tape: Tape | None) -> dict[str, Path]:
    ports = iter(_free_ports(8))
    daemon, venues = DAEMON.read_text("utf-8"), SIMULATORS.read_text("utf-8")
    for number in range(9901, 9908):
        port = next(ports)
        daemon = _replaced(daemon, f"port = {number}", f"port = {port}")
        venues = _replaced(venues, f"port = {number}", f"port = {port}")
    daemon = _replaced(daemon, "port = 9878", f"port = {next(ports)}")
    daemon = _replaced(daemon, '"var/fairlead"', json.dumps(str(directory / "fairlead")))
    daemon = _replaced(daemon, '"var/models"', json.dumps(str(models)))
    venues = _replaced(venues, '"var/simulators"', json.dumps(str(directory / "simulators")))
    venues = _replaced(venues, "\nseed = 1\n", f"\nseed = {seed}\n")
    if tape is not None:
        daemon += f'\n[[instruments]]\nsymbol = {json.dumps(tape.symbol)}\ntick = "0.01"\nadv = 5_000_000\n'
        venues += f"\n[symbols.{tape.symbol}]\nstart_px = {tape.mid_px}\n"
        venues += f"[tape]\nsymbol = {json.dumps(tape.symbol)}\n"
        venues += f"messages = {json.dumps(str(tape.messages))}\nbook = {json.dumps(str(tape.book))}\n"
    paths = {"run": directory / "fairlead.toml", "simulate": directory / "simulators.toml"}
    paths["run"].write_text(daemon, "utf-8")
    paths["simulate"].write_text(venues, "utf-8")
    return paths


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise DemoFailed(f"the example config no longer has {old.strip()!r}")
    return text.replace(old, new)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports


# --- the processes ---


@contextmanager
def _process(command: str, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`fairlead COMMAND --config CONFIG`, its log beside the config; stopped by SIGTERM, killed if it must."""
    with config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", command, "--config", str(config)], stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _check_alive(processes: Mapping[Path, subprocess.Popen[bytes]]) -> None:
    for config, process in processes.items():
        if process.poll() is not None:
            log = config.with_suffix(".log")
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise DemoFailed(f"the process of {config} ended with {process.returncode}: {''.join(last)} (see {log})")


def _play(
    config: ServiceConfig, paths: Mapping[str, Path], parents: int, seed: int, tape: Tape | None, console: Console
) -> dict[str, Ems]:
    """Venues, daemon and EMS from start to end; the EMS sessions with all that they know of their orders."""
    with _process("simulate", paths["simulate"]) as venues, _process("run", paths["run"]) as daemon:
        processes = {paths["simulate"]: venues, paths["run"]: daemon}
        symbols = [tape.symbol] if tape else [symbol.symbol for symbol in simulators_config().market().symbols]
        _await_ready(config, symbols, processes)
        ems = _ems(config, parents, seed, symbols, tape)
        asyncio.run(_trade(config, ems, parents, processes, console))
        daemon.terminate()
        if daemon.wait(STOP_TIMEOUT_S) != 0:
            _check_alive(processes)
    return ems


def _await_ready(config: ServiceConfig, symbols: list[str], processes: Mapping[Path, subprocess.Popen[bytes]]) -> None:
    """Until every venue is logged on and every symbol has a price."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    status: Mapping[str, list[str]] = {}
    while time.monotonic() < deadline:
        _check_alive(processes)
        try:
            status = ask(config.control_path, {"command": "status"})["status"]
        except OSError:
            status = {}
        if len(status.get("venues_up", ())) == len(config.venues) and set(symbols) <= set(status["priced"]):
            return
        time.sleep(0.1)
    raise DemoFailed(f"not ready after {READY_TIMEOUT_S} s: {dict(status)}")


# --- the EMS ---


def _ems(config: ServiceConfig, parents: int, seed: int, symbols: list[str], tape: Tape | None) -> dict[str, Ems]:
    """One session for each client of the config; the orders shared out among them."""
    market = simulators_config().market()
    start_px = {symbol.symbol: symbol.start_px for symbol in market.symbols}
    if tape is not None:
        start_px[tape.symbol] = tape.mid_px
    instruments = [item.instrument for item in config.instruments if item.symbol in symbols]
    start_ns = time.time_ns() + WARM_UP_S * SECOND_NS
    ems = {}
    for number, client in enumerate(config.clients):
        count = parents // len(config.clients) + (number < parents % len(config.clients))
        plan = _plan(count, seed * 1000 + number, instruments, start_ns, client.accounts[0], f"{client.name}-")
        session = EmsSession(client.begin_string, client.name, config.service.comp_id)
        ems[client.name] = Ems(session, plan, start_px.__getitem__)
    return ems


def _plan(count: int, seed: int, instruments: list[Instrument], start_ns: int, account: str, prefix: str) -> Plan:
    plan = plan_parents(
        count,
        seed,
        instruments,
        start_ns,
        ARRIVALS_S * SECOND_NS,
        account=account,
        prefix=prefix,
        longest_ns=LONGEST_TWAP_S * SECOND_NS,
    )
    if count > 1:
        large = next(number for number, (_, step) in enumerate(plan) if isinstance(step, PlannedOrder))
        at_ns, step = plan[large]
        plan[large] = (at_ns, msgspec.structs.replace(step, order_qty=TOO_LARGE_QTY))
    return plan


async def _trade(
    config: ServiceConfig,
    ems: Mapping[str, Ems],
    parents: int,
    processes: Mapping[Path, subprocess.Popen[bytes]],
    console: Console,
) -> None:
    """Plays the plans; what is open some seconds after the last order should have ended is cancelled."""
    ended = False
    tasks = [
        asyncio.create_task(run_ems(client, config.listen.host, config.listen.port, lambda: ended))
        for client in ems.values()
    ]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shares]:,} shares filled"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("orders done", total=parents, shares=0)
        begun = time.monotonic()
        closing = begun + WARM_UP_S + ARRIVALS_S + LONGEST_TWAP_S + GRACE_S
        cancelled = False
        while not all(client.done for client in ems.values()):
            await asyncio.sleep(0.1)
            _check_alive(processes)
            orders = [order for client in ems.values() for order in client.orders.values()]
            done = sum(order.is_final for order in orders)
            bars.update(bar, completed=done, shares=sum(order.cum_qty for order in orders))
            if time.monotonic() > closing and not cancelled:
                cancelled = True
                for client in ems.values():
                    client.cancel_open()
            if time.monotonic() > closing + CLOSE_TIMEOUT_S:
                open_ids = [order.cl_ord_id for order in orders if not order.is_final]
                raise DemoFailed(f"orders without an end: {', '.join(open_ids)}")
        bars.update(bar, completed=parents)
    ended = True
    await asyncio.gather(*tasks)
