"""`fairlead market`: the facts of simulated markets and of real tapes side by side, by the same code; and a simulated
day as a tape, for tools that know nothing of this one."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, track

from service.command import NARROWEST
from simulators import presets
from simulators.export import LobsterExport
from simulators.facts import measure
from simulators.impact import impact
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.recording import record_market, record_tape
from simulators.report import Source, html, table
from simulators.tape_files import open_tape

SECOND_NS = 1_000_000_000
OPEN_NS = 34_200 * SECOND_NS  # 9:30 after midnight
SESSION_S = 23_400
STEP_S = 60
PAIRS = 24  # of twin runs


def simulated(name: str, config: MarketConfig, days: int, seed: int, bars: Progress) -> Source:
    task = bars.add_task(f"{name}: {days} day{'s' * (days > 1)} and {PAIRS} twin runs", total=days + PAIRS)

    def passed(day: int) -> Callable[[int], None]:
        return lambda second: bars.update(task, completed=day + second / SESSION_S)

    recordings = [record_market(config, seed + day, SESSION_S, OPEN_NS, passed(day)) for day in range(days)]
    lit_qty = sum(recording.lit_qty for recording in recordings) / len(recordings)
    lot_qty = config.symbols[0].lot_qty
    mean_qty = sum(recording.trade_qty.mean() for recording in recordings) / len(recordings)
    child_qty = max(round(mean_qty / lot_qty), 1) * lot_qty
    moved = impact(config, PAIRS, seed, lit_qty / SESSION_S, child_qty, lambda: bars.advance(task))
    measured = measure(name, recordings)
    facts = msgspec.structs.replace(measured.facts, impact_exponent=moved.exponent)
    return Source(replace(measured, facts=facts), moved)


def real(messages: Path, book: Path) -> Source:
    """ValueError for a file that is no tape: `TapeError` for a bad line."""
    return Source(measure(messages.name.split("_message")[0], [record_tape(open_tape(messages, book))]), None)


def report(args: argparse.Namespace) -> int:
    """`fairlead market report`: 0, whatever the facts say; they are there to be read."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    configs = {name: presets.load(name) for name in args.preset}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bars:
        sources = [simulated(name, config, args.days, args.seed, bars) for name, config in configs.items()]
        sources += [real(messages, book) for messages, book in zip(args.tape, args.book, strict=True)]
    console.print(table(sources))
    if args.json:
        facts = {source.measured.name: source.measured.facts for source in sources}
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(facts)) + b"\n")
    if args.html:
        args.html.write_text(html(sources), "utf-8")
    return 0


def export(args: argparse.Namespace) -> int:
    """`fairlead market export`: 0, with a simulated day in two files."""
    config = presets.load(args.preset)
    market = Market(config, args.seed, OPEN_NS - config.opening_ns)
    market.advance(OPEN_NS)
    books = market.references[config.symbols[0].symbol].books
    with args.tape.open("w", encoding="ascii") as messages, args.book.open("w", encoding="ascii") as book:
        LobsterExport(books, args.levels, OPEN_NS, messages.write, book.write)
        for second in track(range(STEP_S, SESSION_S + 1, STEP_S), f"{args.preset}, a day"):
            market.advance(OPEN_NS + second * SECOND_NS)
    return 0
