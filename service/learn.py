"""fairlead learn: what can be learned from recorded market days, beside what simpler models would have said.

`learn tape` asks of a day's tape which hypothetical orders at the touch would have filled, and how well that could be
told beforehand. The tape's format and the study don't know each other; they meet here.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from learning.tape_events import TouchEvent, TouchKind
from learning.tape_joins import joins
from learning.tape_study import TapeEvaluation, TapeRows, study
from simulators.lobster import TapeKind, TapeRow
from simulators.tape_files import open_tape

_S = 1_000_000_000
_SHOWN_EVERY = 1000  # rows of a tape between two moves of the bar
_KINDS = {
    TapeKind.SUBMITTED: TouchKind.SUBMITTED,
    TapeKind.REDUCED: TouchKind.CANCELED,
    TapeKind.DELETED: TouchKind.CANCELED,
    TapeKind.EXECUTED: TouchKind.EXECUTED,
    TapeKind.EXECUTED_HIDDEN: TouchKind.EXECUTED_HIDDEN,
    TapeKind.CROSSED: TouchKind.OTHER,
    TapeKind.HALTED: TouchKind.HALTED,
}
_TRADING_RESUMES = 1  # price of a halt message


def touch_events(rows: Iterable[TapeRow]) -> Iterator[TouchEvent]:
    """The best level of each row."""
    for row in rows:
        kind = _KINDS[row.kind]
        if kind is TouchKind.HALTED and row.px == _TRADING_RESUMES:
            kind = TouchKind.RESUMED
        bid_px, bid_qty = row.bids[0] if row.bids else (0, 0)
        ask_px, ask_qty = row.asks[0] if row.asks else (0, 0)
        yield TouchEvent(row.time_ns, kind, row.order_id, row.qty, row.px, row.side, bid_px, bid_qty, ask_px, ask_qty)


def as_json(evaluation: TapeEvaluation) -> bytes:
    return msgspec.json.format(msgspec.json.encode(evaluation)) + b"\n"


def as_table(evaluation: TapeEvaluation) -> Table:
    """Lower is better but for the AUC."""
    table = Table(
        title=f"Joins at the touch: {evaluation.rows_train:,} before, {evaluation.rows_test:,} judged from "
        f"{evaluation.test_from_s:g} s on",
        title_justify="left",
    )
    table.add_column("P(fill) by")
    for name in ("log-loss", "Brier", "AUC", "calibration error"):
        table.add_column(name, justify="right")
    for name, figures in (
        ("model, learning on", evaluation.model),
        ("model as it was at the start", evaluation.model_at_start),
        ("logistic regression", evaluation.logistic),
        ("table of spread, queue and imbalance", evaluation.table),
        ("constant", evaluation.constant),
    ):
        table.add_row(
            name,
            f"{figures.log_loss:.4f}",
            f"{figures.brier:.4f}",
            f"{figures.auc:.3f}",
            f"{figures.calibration_error:.3f}",
        )
    return table


def tape(messages: Path, book: Path, horizon_ns: int, test_from_ns: int | None, console: Console) -> TapeEvaluation:
    """Reads, joins, trains and judges; TapeError for a bad line, TapeTooShort for too little to learn from."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        reading = bars.add_task(f"read {messages.name}", total=None)

        def counted(events: Iterable[TouchEvent]) -> Iterator[TouchEvent]:
            count = 0
            for count, event in enumerate(events, 1):
                if count % _SHOWN_EVERY == 0:
                    bars.update(reading, completed=count)
                yield event
            bars.update(reading, completed=count, total=count)

        rows = TapeRows.of(joins(counted(touch_events(open_tape(messages, book))), horizon_ns))
        if test_from_ns is None:
            test_from_ns = rows.default_test_from_ns()
        fitting = bars.add_task(f"learn from {len(rows):,} joins", total=None)
        return study(
            rows, horizon_ns, test_from_ns, lambda done, total: bars.update(fitting, completed=done, total=total)
        )


def main(args: argparse.Namespace) -> int:
    """`fairlead learn tape`: prints the table and writes the JSON; errors as of `tape`."""
    console = Console()
    test_from_ns = None if args.test_from is None else round(args.test_from * _S)
    evaluation = tape(args.tape, args.book, round(args.horizon * _S), test_from_ns, console)
    if args.json:
        args.json.write_bytes(as_json(evaluation))
    console.print(as_table(evaluation))
    return 0
