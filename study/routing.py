"""Does learned routing pay? `make study-routing`: the same simulated days under four rankings, and what each cost.

A model is trained first, on days whose seeds no judged day has: half of them worked on the prior, half with the model
of that first half, both with a part of the decisions left to chance. Then each judged day is worked four times. What
is done is kept under a hash of all that it depends on, so an interrupted study goes on where it was.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from learning.archive_rows import day_text
from learning.dataset import Dataset, dataset
from learning.registry import FoldCache, register
from learning.training import TrainingConfig, train
from learning.training_days import train_days
from router.features import FEATURES, schema_hash
from router.model import FillModel, OnnxModel, PriorModel
from router.statistics import VenueStatistics
from service.config import decisive
from service.examples import daemon_config, simulators_config
from service.model_report import html as model_page
from service.node import VERSION
from service.replay import code_version
from service.training import EXPLORATION
from study import routing_day
from study.routing_day import REGIMES, Day, DayResult, play, run_day
from study.routing_figures import Study, study_of
from study.routing_page import html, markdown

TRAINING_DAYS = 96
TRAINING_SEED = 1_000_000  # and up; the judged days have 1, 2, ...
SETTINGS = TrainingConfig(rounds=60, max_depth=4, min_child_weight=20.0, embargo_s=0.0)
WORK = Path("var/study-routing")
JSON_FILE = Path("study/routing.json")
PAGE_FILE = Path("study/routing.html")
README = Path("README.md")
BEGIN, END = "<!-- study/routing.json -->", "<!-- end of study/routing.json -->"


def days(count: int, first_seed: int, first_number: int = 0) -> list[Day]:
    """`count` days, the regimes in turn."""
    regimes = list(REGIMES)
    return [Day(regimes[n % len(regimes)], first_number + n, first_seed + n) for n in range(count)]


def prior() -> PriorModel:
    return PriorModel(FEATURES.index("fill_prior"), _schema())


def _schema() -> str:
    return schema_hash([venue.name for venue in daemon_config().venues if venue.enabled])


# --- what the worker processes do ---


def _model(path: str) -> FillModel:
    return OnnxModel.load(Path(path), _schema()) if path else prior()


def _explore(day: Day, path: str, statistics: VenueStatistics) -> Dataset:
    """The training rows of a day."""
    simulation, _ = play(day, "learned", _model(path), statistics, EXPLORATION)
    rows = dataset(simulation.facts, FEATURES)
    # Each day is a run of its own whose ids begin anew.
    return _renamed(rows, f"{day.number}/")


def _renamed(rows: Dataset, prefix: str) -> Dataset:
    columns = {field.name: getattr(rows, field.name) for field in fields(rows)}
    names = {name: np.char.add(prefix, columns[name]) for name in ("child_id", "parent_id")}
    return Dataset(**(columns | names))


def _judge(day: Day, path: str, statistics: VenueStatistics) -> DayResult:
    return run_day(day, _model(path), statistics)


# --- the study ---


def key(parts: Iterable[object]) -> str:
    """Names all that a result depends on, the code included."""
    digest = hashlib.sha256(code_version().encode())
    day = Path(routing_day.__file__)
    for source in (day, *sorted((day.parents[1] / "simulators").glob("*.py"))):
        digest.update(source.read_bytes())
    for part in (decisive(daemon_config()), repr(simulators_config()), *map(repr, parts)):
        digest.update(part.encode())
    return digest.hexdigest()[:16]


def _each(
    work: Callable[..., Any], given: list[Day], arguments: tuple[Any, ...], workers: int, bars: Progress, text: str
) -> Iterable[tuple[Day, Any]]:
    """(day, result) of each day, as they are done."""
    bar = bars.add_task(text, total=len(given))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = {pool.submit(work, day, *arguments): day for day in given}
        for done in as_completed(waiting):
            bars.advance(bar)
            yield waiting[done], done.result()


def together(parts: Iterable[Dataset]) -> Dataset:
    """The rows of several days, in the order of time."""
    ordered = sorted(parts, key=lambda rows: int(rows.at_ns[0]))
    first = ordered[0]
    columns: dict[str, Any] = {}
    for field in fields(first):
        values = [getattr(rows, field.name) for rows in ordered]
        columns[field.name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]
    return Dataset(**columns)


def trained(place: Path, workers: int, bars: Progress) -> tuple[str, VenueStatistics]:
    """The path of the model and what the router's statistics are after a day of each regime with it."""
    model_file, rounds = place / "model", days(TRAINING_DAYS, TRAINING_SEED)
    kinds = {venue.name: venue.kind.value for venue in daemon_config().venues}
    if model_file.exists():
        path = model_file.read_text()
    else:
        half = len(rounds) // 2
        explored = _each(_explore, rounds[:half], ("", VenueStatistics()), workers, bars, "explore on the prior")
        rows = [found for _, found in explored]
        first = train(together(rows), SETTINGS)
        path = str(place / register(place, first, time.time_ns()))
        explored = _each(_explore, rounds[half:], (path, VenueStatistics()), workers, bars, "explore with a model")
        rows += [found for _, found in explored]
        bar = bars.add_task("train", total=None)
        made = train_days(
            together(rows), SETTINGS, kinds, FoldCache(place), day_text,
            lambda what, done, total: bars.update(bar, description=what, completed=done, total=total),
            VERSION,
        )  # fmt: skip
        path = str(place / register(place, made, time.time_ns(), model_page(made.model_id, made.record)))
        model_file.write_text(path)
    statistics = VenueStatistics()
    for day in days(len(REGIMES), TRAINING_SEED + TRAINING_DAYS, TRAINING_DAYS):
        simulation, _ = play(day, "learned", _model(path), statistics)
        statistics = simulation.node.state.statistics
        statistics.forget_resting()
    return path, statistics


def study(judged: list[Day], workers: int, console: Console) -> tuple[str, list[DayResult]]:
    """The id of the model and the results of all days, those of an earlier run included."""
    place = WORK / key((SETTINGS, TRAINING_DAYS))
    place.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    results_file = place / "days.jsonl"
    decoder = msgspec.json.Decoder(DayResult)
    known = {}
    if results_file.exists():
        complete = results_file.read_bytes().split(b"\n")[:-1]  # a line that was cut off has no end
        known = {result.day: result for result in map(decoder.decode, complete)}
    with Progress(*columns, console=console) as bars, results_file.open("ab") as written:
        path, statistics = trained(place, workers, bars)
        missing = [day for day in judged if day not in known]
        for day, result in _each(_judge, missing, (path, statistics), workers, bars, "judge, four rankings a day"):
            known[day] = result
            written.write(msgspec.json.encode(result) + b"\n")
            written.flush()
    return Path(path).name, [known[day] for day in judged]


def write(study_: Study) -> None:
    """study/routing.json, the page beside it and the table in the README."""
    JSON_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(study_), indent=1) + b"\n")
    PAGE_FILE.write_text(html(study_), "utf-8")
    README.write_text(with_table(README.read_text("utf-8"), study_), "utf-8")


def with_table(text: str, study_: Study) -> str:
    """The README with the table of the study between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{markdown(study_)}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m study.routing", description=__doc__)
    parser.add_argument("--days", type=int, default=200, help="judged days, the regimes in turn; default %(default)s")
    parser.add_argument("--first-seed", type=int, default=1, help="of the judged days; default %(default)s")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    args = parser.parse_args()
    console = Console()
    model_id, results = study(days(args.days, args.first_seed, 10_000), args.workers, console)
    found = study_of(results, model_id, code_version(), routing_day.design() | {"training days": str(TRAINING_DAYS)})
    write(found)
    console.print(markdown(found))


if __name__ == "__main__":
    main()
