"""`fairlead train --archive`: a model of what the archive holds, judged day by day, once or again every so often.

What an earlier run has judged is not judged again, and a run that finds nothing new makes no model. A first model that
beats what is simpler serves; a later one has to prove itself beside the champion (`fairlead models promote`).
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from learning import archive
from learning.archive_rows import day_text
from learning.registry import FoldCache, is_served, models, register, set_champion
from learning.training import Boost, NotEnoughData, TrainedModel, TrainingConfig
from learning.training_days import train_days
from router.features import FEATURES, schema_hash
from router.model import ModelRefused
from service.config import ServiceConfig
from service.examples import daemon_config
from service.model_report import html
from service.replay import code_version
from service.training import TRAINS, evaluation_table, what_next

Clock = Callable[[], float]  # seconds
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def period_s(text: str) -> int:
    """Of such as 30m, 6h or 1d."""
    return int(text[:-1]) * _UNITS_S[text[-1:]]


def train_archive(
    place: Path,
    registry: Path,
    config: ServiceConfig,
    settings: TrainingConfig,
    console: Console,
    since: str = "",
    engine: str = "xgboost",
) -> TrainedModel | None:
    """The model, registered; None if the last one of the same data is there. Errors of the archive, NotEnoughData."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    kinds = {venue.name: venue.kind.value for venue in config.venues}
    schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
    with Progress(*columns, console=console) as bars:
        days = [day for day in archive.days(place) if day >= since]
        reading = bars.add_task(f"read {len(days)} days", total=1)
        rows = archive.dataset(place, FEATURES, schema, days)
        bars.update(reading, completed=1)
        if not len(rows):
            raise NotEnoughData(f"no orders with features of schema {schema} in {place}, {rows.left_out} with others")
        data_hash, version = rows.data_hash(), code_version(TRAINS)
        for known in models(registry):
            record = known.record
            if (
                record is not None
                and (record.data_hash, record.config, record.version) == (data_hash, settings, version)
                and record.engine == engine
            ):
                console.print(f"nothing new since model {known.model_id}", soft_wrap=True)
                return None
        working = bars.add_task("judge", total=None)
        with _boosting(engine, place) as boost:
            trained = train_days(
                rows,
                settings,
                kinds,
                FoldCache(registry),
                day_text,
                lambda what, done, total: bars.update(working, description=what, completed=done, total=total),
                version,
                boost,
                engine,
            )
    register(registry, trained, time.time_ns(), html(trained.model_id, trained.record))
    return trained


@contextmanager
def _boosting(engine: str, place: Path) -> Iterator[Boost | None]:
    """What learns the trees: None is XGBoost in this process."""
    if engine == "xgboost":
        yield None
        return
    from learning.spark import SparkBoost, session

    spark = session()
    try:
        yield SparkBoost(spark, place.resolve())
    finally:
        spark.stop()


def run_once(args: argparse.Namespace, console: Console) -> int:
    """0 with a new model or nothing new, 1 if there is too little or it does not beat what is simpler."""
    try:
        trained = train_archive(
            args.archive,
            args.models,
            daemon_config(args.config),
            TrainingConfig(seed=args.seed),
            console,
            args.since,
            args.engine,
        )
    except NotEnoughData as short:
        console.print(f"not enough outcomes: {short}")
        return 1
    if trained is None:
        return 0
    console.print(evaluation_table(trained.model_id, trained.evaluation))
    console.print(f"report: {args.models / trained.model_id / 'report.html'}", soft_wrap=True)
    if not trained.evaluation.beats_baselines:
        console.print("It does not beat the constant and the table per venue: registered, but not serving.")
        return 1
    if not is_served(args.models, trained.metadata.schema_hash):
        set_champion(args.models, trained.model_id)
    console.print(what_next(args.models, trained.model_id))
    return 0


def main(args: argparse.Namespace) -> int:
    """`fairlead train --archive`: as of `run_once`; with --every it goes on until it is stopped."""
    console = Console()
    if not args.every:
        return run_once(args, console)

    def once() -> None:
        try:
            run_once(args, console)
        except (archive.ArchiveError, ModelRefused, OSError) as error:  # next time it may be another matter
            console.print(str(error), soft_wrap=True, highlight=False)

    repeat(period_s(args.every), once, time.monotonic, time.sleep)
    return 0


def repeat(period_s: float, once: Callable[[], object], clock: Clock, sleep: Callable[[float], object]) -> None:
    """`once` a period, from now on until something is raised; a run that took longer is followed at once by the next.

    The starts stay on the grid of the first one, so that a job of the night does not wander into the day.
    """
    due_s = clock()
    while True:
        once()
        due_s = max(due_s + period_s, clock())
        while (left_s := due_s - clock()) > 0:
            sleep(left_s)
