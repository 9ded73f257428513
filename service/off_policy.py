"""`fairlead learn off-policy`: what another model would have cost on the decisions of an archive, and how sure that is.

What is estimated is each decision's own cost, given the state in which it was made. A model that decides otherwise also
leads its orders into other states; that is for a canary to show.
"""

import argparse
import re
from html import escape
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from learning import archive
from learning.archive import ArchiveError
from learning.decided import Read, compared, read
from learning.intervals import blocks
from learning.off_policy import Estimate, OffPolicy, TooDifferent, evaluate, mean
from router.features import FILL_PRIOR, schema_hash
from router.model import FillModel, ModelRefused, OnnxModel, PriorModel, valid_id
from service.command import NARROWEST, CommandError
from service.config import ServiceConfig
from service.examples import daemon_config
from simulators.report import CSS

_TABLES = ("decisions", "candidates", "children", "outcomes", "fills")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMES = {
    "logged": "as it was decided",
    "doubly_robust": "doubly robust",
    "snips": "inverse propensity, self-normalised",
    "ips": "inverse propensity",
}


class Answer(msgspec.Struct, frozen=True):
    """Costs in bps a share; `left_out`: why -> decisions. `refused` says why there is no `estimate`."""

    model: str
    days: list[str]
    decisions: int
    left_out: dict[str, int]
    logged: Estimate | None
    estimate: OffPolicy | None
    refused: str = ""


def answer(place: Path, model: FillModel, days: list[str], config: ServiceConfig) -> Answer:
    """ArchiveError where there is nothing to read."""
    tables = {table: [row for day in days for row in _rows(place, table, day)] for table in _TABLES}
    lots = {item.symbol: item.instrument.lot_qty for item in config.instruments}
    found = _comparable(read(tables, config.policy, lots), model.schema_hash)
    decided, left_out = found.decided, dict(found.left_out)
    children = [(child, one) for one in decided for child in one.children]
    if not children:
        return Answer(model.model_id, days, 0, left_out, None, None, "no decision in which something could be tried")
    block = blocks(np.array([one.at_ns for one in decided]), np.array([one.parent_id for one in decided]))
    sent, wanted = compared(decided, model, config.policy, lots, block)
    qty = np.array([child.qty for child, _ in children], dtype=np.float64)
    logged = mean(sent.cost, qty, sent.block)
    try:
        return Answer(model.model_id, days, len(decided), left_out, logged, evaluate(sent, wanted))
    except TooDifferent as refused:
        return Answer(model.model_id, days, len(decided), left_out, logged, None, str(refused))


def _rows(place: Path, table: str, day: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = archive.read_table(place, table, day).to_pylist()
    return rows


def _comparable(found: Read, schema: str) -> Read:
    kept = [one for one in found.decided if one.schema_hash == schema]
    if len(kept) < len(found.decided):
        found.left_out["other features than the model's"] = len(found.decided) - len(kept)
    return Read(kept, found.left_out)


def _model(named: str, registry: Path, config: ServiceConfig) -> FillModel:
    schema = schema_hash(venue.name for venue in config.venues if venue.enabled)
    if named == PriorModel.model_id:
        return PriorModel(FILL_PRIOR, schema)
    directory = registry / named if valid_id(named) else Path(named)
    if not directory.is_dir():
        raise ModelRefused(f"no model {named}: expected an id of {registry}, the path of a model, or prior")
    return OnnxModel.load(directory, schema)


def as_table(found: Answer) -> Table:
    table = Table(
        title=f"Model {found.model} on {found.decisions:,} decisions of {', '.join(found.days)}", title_justify="left"
    )
    table.add_column("estimate")
    for name in ("bps a share", "95% from", "to"):
        table.add_column(name, justify="right")
    for name, one in _estimates(found):
        table.add_row(name, f"{one.value:.3f}", f"{one.interval.low:.3f}", f"{one.interval.high:.3f}")
    return table


def _estimates(found: Answer) -> list[tuple[str, Estimate]]:
    held = {"logged": found.logged}
    if found.estimate is not None:
        held |= {name: getattr(found.estimate, name) for name in _NAMES if name != "logged"}
    return [(label, one) for name, label in _NAMES.items() if (one := held.get(name)) is not None]


def _notes(found: Answer) -> list[str]:
    notes = [f"left out: {count:,} decisions, {why}" for why, count in found.left_out.items()]
    if found.estimate is not None:
        of = found.estimate
        notes.append(
            f"{of.children:,} children are worth {of.effective:,.0f} of the model's own; "
            f"{of.unseen:.1%} of what it would send was hardly ever tried"
        )
    if found.refused:
        notes.append(f"no estimate: {found.refused}")
    return notes


def html(found: Answer) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{one.value:.3f}</td>"
        f"<td>{one.interval.low:.3f} to {one.interval.high:.3f}</td></tr>"
        for name, one in _estimates(found)
    )
    title = f"Model {escape(found.model)} on decisions that others made"
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(found))
    days = f"{found.decisions:,} decisions of {', '.join(map(escape, found.days))}"
    table = f"<table><tr><th>estimate</th><th>bps a share</th><th>95% interval</th></tr>{rows}</table>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = f"<h1>{title}</h1><p>{days}</p>{table}{notes}"
    return f'<!doctype html>\n<html lang="en"><head>{head}\n<style>{CSS}</style></head><body>{body}</body></html>\n'


def main(args: argparse.Namespace) -> int:
    """0 with an estimate, 1 where there is none."""
    config = daemon_config(args.config)
    known = archive.days(args.archive, "decisions")
    days = sorted(set(args.days)) or known[-1:]
    for day in days:
        if not _DAY.fullmatch(day):
            raise CommandError(f"fairlead learn off-policy: --days {day!r}, expected such as 2026-01-05")
        if day not in known:
            raise ArchiveError(f"{args.archive}: no decisions of {day}, there are those of {known[0]} to {known[-1]}")
    found = answer(args.archive, _model(args.model, args.models, config), days, config)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(as_table(found))
    for note in _notes(found):
        console.print(note)
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if args.html:
        args.html.write_text(html(found))
    return 0 if found.estimate is not None else 1
