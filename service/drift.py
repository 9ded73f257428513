"""`fairlead archive drift`: whether the last archived day is like the days before, in features and venue by venue."""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from learning import archive
from learning.dataset import MARKOUT_NS, Dataset
from learning.drift import Reference, VenueMonitor
from learning.intervals import blocks
from learning.markout import table as markout_table
from router.features import FEATURES, schema_hash
from service.command import NARROWEST
from service.examples import daemon_config

LEAST_DAYS = 3  # before the one that is looked at
_LEAST_MARKED = 30


def alarms(before: Dataset, last: Dataset) -> list[tuple[str, str]]:
    """(what, why) of everything on the `last` day that is not as it was `before`."""
    reference = Reference.of(before.features, blocks(before.at_ns, before.parent_id), len(last))
    found = [
        (f"feature {before.feature_names[column]}", f"{times:.1f} times its limit")
        for column, times in sorted(reference.drifted(last.features).items(), key=lambda item: -item[1])
    ]
    said_bps = markout_table(before, last)
    for venue in np.unique(last.venue).tolist():
        marked = before.markout_bps[(before.venue == venue) & np.isfinite(before.markout_bps)]
        if len(marked) < _LEAST_MARKED:
            continue
        marked_ns: dict[str, int] = {}
        monitor = VenueMonitor(max(float(marked.std()), 1e-6))
        for row in np.flatnonzero((last.venue == venue) & last.known).tolist():
            monitor.apply_order(float(last.predicted[row]), bool(last.filled[row]))
            # Markouts that overlap are of one and the same move, and would count it twice.
            at_ns, symbol = int(last.at_ns[row]), str(last.symbol[row])
            if np.isfinite(last.markout_bps[row]) and at_ns - marked_ns.get(symbol, -MARKOUT_NS) >= MARKOUT_NS:
                marked_ns[symbol] = at_ns
                monitor.apply_markout(float(said_bps[row]), float(last.markout_bps[row]))
            if monitor.alarm:
                found.append((f"venue {venue}", monitor.alarm))
                break
    return found


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
