"""`fairlead calibrate`: a market of ours that looks like a recorded day, as a preset of its own.

It prints the facts of the tape and of the market that was found side by side, how far their distributions are apart,
and each figure that was fitted with the statistic that it was fitted to.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.command import NARROWEST
from service.market import OPEN_NS
from simulators import presets
from simulators.calibration import Fit, fit
from simulators.facts import measure
from simulators.market_config import MarketConfig
from simulators.recording import Recording, record_market, record_tape
from simulators.report import Source, table
from simulators.tape_files import open_tape

_UNSEEN = 1000  # seeds beyond those of the fit, for the market that is shown beside the tape


def main(args: argparse.Namespace) -> int:
    """0 with a fit, however good it is; ValueError for a tape that is none or too short."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    days = [record_tape(open_tape(messages, book)) for messages, book in zip(args.tape, args.book, strict=True)]
    levels = min(next(open_tape(*pair)).levels for pair in zip(args.tape, args.book, strict=True))
    start = presets.load(args.start)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(f"{args.symbol}: rounds of the fit", total=args.rounds)
        found = fit(
            days, levels, start, args.symbol, seed=args.seed, rounds=args.rounds, progress=lambda: bars.advance(task)
        )
    console.print(table(_sources(args.symbol, days, found, args.seed + _UNSEEN)))
    console.print(_moments(found))
    text = to_toml(found.config, f"Fitted by `fairlead calibrate` to {', '.join(path.name for path in args.tape)}.")
    if args.out:
        args.out.write_text(text, "utf-8")
    else:
        print(text, end="")
    return 0


def to_toml(config: MarketConfig, comment: str) -> str:
    """A preset's file; every figure is written, so that a change of a default changes no market that was fitted."""
    lines = [f"# {comment}", "# Every figure is explained in simulators/market_config.py."]
    for name, entries in msgspec.to_builtins(config).items():
        several = isinstance(entries, list | tuple)
        for entry in entries if several else filter(None, [entries]):
            lines += ["", f"[[{name}]]" if several else f"[{name}]"]
            lines += [f"{key} = {_written(value)}" for key, value in entry.items() if value is not None]
    return "\n".join(lines) + "\n"


def _written(value: object) -> str:
    if isinstance(value, dict):
        parts = [f"{key} = {_written(part)}" for key, part in value.items() if part is not None]
        return f"{{ {', '.join(parts)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return msgspec.json.encode(value).decode()


def _sources(name: str, days: Sequence[Recording], found: Fit, seed: int) -> list[Source]:
    ours = [record_market(found.config, seed + number, found.seconds, OPEN_NS) for number in range(2)]
    return [Source(measure(f"{name}, tape", days), None), Source(measure(f"{name}, fitted", ours), None)]


def _moments(found: Fit) -> Table:
    shown = Table(title="What was fitted", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("statistic", "tape", "fitted", "ratio"):
        shown.add_column(heading, justify="left" if heading == "statistic" else "right")
    for field in fields(found.wanted):
        wanted, ours = getattr(found.wanted, field.name), getattr(found.found, field.name)
        shown.add_row(field.name, f"{wanted:.4g}", f"{ours:.4g}", f"{ours / wanted:.2f}" if wanted else "-")
    return shown
