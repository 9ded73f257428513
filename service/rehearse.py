"""`fairlead rehearse`: simulated days in virtual time, as the journals that a daemon would have written.

The same node, sessions and market as over sockets, a working day after the other. A day is some sittings with hours
between them, each with a market, orders and a journal of its own: what is learned from one and judged on the next is
apart by more than any feature remembers. Part of the decisions is left to chance, as in the first training, so that
there is something to be learned from.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.command import CommandError
from service.config import ServiceConfig
from service.examples import daemon_config, simulators_config
from service.journal import Journal
from service.node import Node
from service.simulation import SECOND_NS, Recorder
from service.training import produce
from simulators.config import SimulatorsConfig

SITTINGS = tuple(time(hour, 30, tzinfo=UTC) for hour in (14, 16, 18, 20))


class JournalRecorder(Recorder):
    """A node whose batches are in a journal, as the runtime writes them."""

    def __init__(self, node: Node, journal: Journal) -> None:
        super().__init__(node)
        self._journal = journal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = super().__getattr__(name)
        if name == "next_timer_ns":
            return method

        def called(*args: Any) -> Any:
            output = method(*args)
            if output.facts:
                self._journal.append(output.facts)
            return output

        return called


def rehearse(
    place: Path, begins: datetime, parents: int, seed: int, config: ServiceConfig, simulators: SimulatorsConfig
) -> Path:
    """The journal of one sitting with so many orders, `place`/DAY-TIME/journal."""
    settings = msgspec.structs.replace(config.service, record_market_data=True)
    path = place / f"{begins:%Y-%m-%d-%H%M}" / "journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(path)
    produce(
        msgspec.structs.replace(config, service=settings),
        simulators.market(),
        simulators.latency_ns(),
        parents,
        seed,
        start_ns=int(begins.timestamp()) * SECOND_NS,
        endpoint=lambda node: JournalRecorder(node, journal),
    )
    journal.close()
    return path


def main(args: argparse.Namespace) -> int:
    """0, with a journal for each sitting."""
    config, simulators = daemon_config(args.config), simulators_config(args.simulators)
    days = (args.since + timedelta(days=number) for number in count())
    working = islice((day for day in days if day.weekday() < 5), args.days)
    sittings = [datetime.combine(day, begins) for day in working for begins in SITTINGS]
    if args.out.exists():
        raise CommandError(f"fairlead rehearse: {args.out} is there already")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console()) as bars:
        bar = bars.add_task("rehearse (virtual time)", total=len(sittings))
        for number, begins in enumerate(sittings):
            parents = args.parents // len(SITTINGS)
            path = rehearse(args.out, begins, parents, args.seed * 1000 + number, config, simulators)
            bars.update(bar, completed=number + 1)
            bars.console.print(str(path), soft_wrap=True, highlight=False)
    return 0
