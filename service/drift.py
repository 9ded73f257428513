"""`fairlead archive drift`: whether the last archived day is like the days before, in features and venue by venue."""

import argparse
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from domain.fields import Action
from learning import archive
from learning.dataset import Dataset
from learning.drift import Reference
from learning.intervals import blocks
from learning.markout import table as markout_table
from router.features import FEATURES, schema_hash
from router.health import VenueMonitor
from service.command import NARROWEST
from service.examples import daemon_config

LEAST_DAYS = 3  # before the one that is looked at


def alarms(before: Dataset, last: Dataset) -> list[tuple[str, str]]:
    """(what, why) of everything on the `last` day that is not as it was `before`."""
    reference = Reference.of(before.features, blocks(before.at_ns, before.parent_id), len(last))
    found = [
        (f"feature {before.feature_names[column]}", f"{times:.1f} times its limit")
        for column, times in sorted(reference.drifted(last.features).items(), key=lambda item: -item[1])
    ]
    for venue in np.unique(last.venue).tolist():
        monitor = VenueMonitor()
        for _ in _played(monitor, before, venue, before):
            pass
        if alarm := next(filter(None, _played(monitor, last, venue, before)), ""):
            found.append((f"venue {venue}", f"{alarm}, after {monitor.orders} orders"))
    return found


def _played(monitor: VenueMonitor, rows: Dataset, venue: str, before: Dataset) -> Iterator[str]:
    """The alarm of the venue's monitor after each of its orders in `rows`, "" where there is none."""
    said_bps = markout_table(before, rows)
    for row in np.flatnonzero((rows.venue == venue) & rows.known).tolist():
        symbol, action, at_ns = str(rows.symbol[row]), Action(rows.action[row]), int(rows.at_ns[row])
        monitor.apply_order(symbol, action, float(rows.predicted[row]), bool(rows.filled[row]), at_ns)
        if np.isfinite(rows.markout_bps[row]):
            monitor.apply_markout(symbol, float(said_bps[row]), float(rows.markout_bps[row]), at_ns)
        yield monitor.alarm


def main(args: argparse.Namespace) -> int:
    """0 if nothing has drifted, 1 with a table of what has; ArchiveError where there are too few days."""
    config = daemon_config(args.config)
    schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
    days = archive.days(args.archive)
    if len(days) <= LEAST_DAYS:
        raise archive.ArchiveError(f"{args.archive}: {len(days)} days, expected more than {LEAST_DAYS} to compare with")
    before = archive.dataset(args.archive, FEATURES, schema, days[:-1])
    last = archive.dataset(args.archive, FEATURES, schema, days[-1:])
    if not len(before) or not len(last):
        raise archive.ArchiveError(f"{args.archive}: no orders with features of schema {schema} on one of the sides")
    found = alarms(before, last)
    if not found:
        print(f"{days[-1]}: {len(last)} orders, like those of the {len(days) - 1} days before")
        return 0
    table = Table(title=f"{days[-1]}: {len(last)} orders", title_justify="left", box=None)
    table.add_column("what has drifted")
    table.add_column("how")
    for what, why in found:
        table.add_row(what, why)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(table)
    return 1
