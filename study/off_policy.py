"""Whether the intervals of off-policy evaluation cover what a model truly costs: python -m study.off_policy --runs 100.

On each run a day is logged under one model, with the router's bounded exploration, and other models are evaluated on it
through the rows of the archive, as `fairlead learn off-policy` does. What they truly cost is the mean over many other
days on which they decide themselves. A 95% interval should cover that in at least 90% of the runs.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from html import escape
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from domain.fields import Action
from learning.decided import compared, read
from learning.off_policy import OffPolicy, TooDifferent, evaluate
from simulators.chart import Axis, Series, line_chart
from simulators.report import CSS
from study.off_policy_day import LOGGING, LOTS, POLICY, TARGET, Belief, blocks, day, rows

ESTIMATORS = ("ips", "snips", "doubly_robust")
_TRUE_DAYS_FROM = 1_000_000  # seeds of the days that tell the truth
TARGETS = {
    "knows venues and book": TARGET,
    "half of that, rests more": Belief("rests", 0.5, {Action.POST: 0.4}),
    "takes more": Belief(
        "takes",
        1.0,
        {Action.POST: -1.5, Action.IMPROVE: -1.5, Action.MID_PEG: -1.0, Action.TAKE: 1.0, Action.TAKE_QUOTE: 1.0},
    ),
    "hardly ever does the same": Belief("rests always", 0.5, {Action.POST: 1.2, Action.TAKE: -2.0}),
}


class Coverage(msgspec.Struct, frozen=True):
    """Of one estimator, over the runs in which there was an answer."""

    bias_bps: float
    error_bps: float  # standard deviation over the runs
    half_width_bps: float
    covered: float  # share of the runs


class Compared(msgspec.Struct, frozen=True):
    """`true_bps` with its standard error, over days that the model decided itself."""

    model: str
    true_bps: float | None  # None where there was no answer to compare with it
    true_error_bps: float | None
    answers: int
    refused: int
    effective: float | None
    unseen: float | None
    estimators: dict[str, Coverage]


class Study(msgspec.Struct, frozen=True):
    runs: int
    decisions: int  # a day
    true_days: int
    explored_share: float  # of the shares of the logged days, at most 0.02 of their notional
    logged_bps: float  # what the logging model costs itself
    models: list[Compared]


def true_cost(model: Belief, seed: int, decisions: int) -> tuple[float, float]:
    """Cost times shares and shares of a day that the model decided, where something could be tried."""
    found = read(rows(day(model, seed, decisions)), POLICY, LOTS)
    children = [child for one in found.decided for child in one.children]
    return sum(child.qty * child.cost_bps for child in children), sum(child.qty for child in children)


class Logged(msgspec.Struct, frozen=True):
    """A day of the logging model, and what its records say of each of the others; None where they differ too much."""

    explored_qty: int
    sent_qty: int
    cost: float  # bps times shares
    qty: int
    answers: dict[str, OffPolicy | None]


def logged_day(seed: int, decisions: int) -> Logged:
    tables = rows(day(LOGGING, seed, decisions))
    found = read(tables, POLICY, LOTS)
    children = [child for one in found.decided for child in one.children]
    block = blocks(np.array([one.at_ns for one in found.decided]))
    answers: dict[str, OffPolicy | None] = {}
    for name, model in TARGETS.items():
        try:
            answers[name] = evaluate(*compared(found.decided, model, POLICY, LOTS, block))
        except TooDifferent:
            answers[name] = None
    return Logged(
        sum(row["explored_qty"] for row in tables["decisions"]),
        sum(row["chosen_qty"] for row in tables["candidates"]),
        sum(child.qty * child.cost_bps for child in children),
        sum(child.qty for child in children),
        answers,
    )


def run(
    runs: int, decisions: int, true_days: int, jobs: int, console: Console
) -> tuple[Study, dict[str, list[OffPolicy]]]:
    models = []
    with Progress(console=console) as bars, ProcessPoolExecutor(jobs) as pool:
        logging = bars.add_task("days logged and compared", total=runs)
        days = list(bars.track(pool.map(partial(logged_day, decisions=decisions), range(runs)), task_id=logging))
        answers = {name: [found for one in days if (found := one.answers[name]) is not None] for name in TARGETS}
        living = bars.add_task("days of the other models' own", total=sum(map(bool, answers.values())) * true_days)
        seeds = range(_TRUE_DAYS_FROM, _TRUE_DAYS_FROM + true_days)
        for name, model in TARGETS.items():
            true = []
            if answers[name]:
                for one in pool.map(partial(true_cost, model, decisions=decisions), seeds):
                    true.append(one)
                    bars.advance(living)
            models.append(_compared(name, np.array(true), answers[name], runs - len(answers[name])))
    share = sum(one.explored_qty for one in days) / sum(one.sent_qty for one in days)
    logged_bps = sum(one.cost for one in days) / sum(one.qty for one in days)
    return Study(runs, decisions, true_days, share, logged_bps, models), answers


def _compared(name: str, true: np.ndarray, answers: list[OffPolicy], refused: int) -> Compared:
    if not answers:
        return Compared(name, None, None, 0, refused, None, None, {})
    true_bps = float(true[:, 0].sum() / true[:, 1].sum())
    error_bps = float(np.std(true[:, 0] / true[:, 1]) / np.sqrt(len(true)))
    coverage = {}
    for estimator in ESTIMATORS:
        found = [getattr(answer, estimator) for answer in answers]
        values = np.array([one.value for one in found])
        ends = np.array([(one.interval.low, one.interval.high) for one in found])
        covered = (ends[:, 0] <= true_bps) & (true_bps <= ends[:, 1])
        half = float((ends[:, 1] - ends[:, 0]).mean() / 2)
        bias, spread = float(values.mean() - true_bps), float(values.std())
        coverage[estimator] = Coverage(bias, spread, half, float(covered.mean()))
    effective, unseen = (float(np.mean([getattr(a, of) for a in answers])) for of in ("effective", "unseen"))
    return Compared(name, true_bps, error_bps, len(answers), refused, effective, unseen, coverage)


def as_table(study: Study) -> Table:
    table = Table(
        title=f"95% intervals over {study.runs} days of {study.decisions} decisions; {study.explored_share:.1%} of the "
        f"shares explored; logging costs {study.logged_bps:.3f} bps itself",
        title_justify="left",
    )
    for name in ("other model", "true bps", "estimator", "bias", "deviation", "half width", "covered", "refused"):
        table.add_column(name, justify="left" if name in ("other model", "estimator") else "right")
    for one in study.models:
        silent = f"{one.refused} of {study.runs}"
        for estimator, of in one.estimators.items():
            figures = f"{of.bias_bps:+.3f}", f"{of.error_bps:.3f}", f"{of.half_width_bps:.3f}", f"{of.covered:.0%}"
            true = f"{one.true_bps:.3f} ± {one.true_error_bps:.3f}"
            table.add_row(one.model, true, estimator, *figures, silent)
        if not one.estimators:
            table.add_row(one.model, *[""] * 6, silent)
    return table


def page(study: Study, answers: dict[str, list[OffPolicy]]) -> str:
    """The doubly robust interval of each run beside what is true."""
    parts = [f"<h1>Off-policy evaluation: {study.runs} simulated days</h1><main>"]
    for one in study.models:
        if one.true_bps is None:
            continue
        ordered = sorted((answer.doubly_robust for answer in answers[one.model]), key=lambda found: found.value)
        xs = list(range(1, len(ordered) + 1))
        series = [
            Series("low", xs, [found.interval.low for found in ordered], 1, dots=False),
            Series("estimate", xs, [found.value for found in ordered], 0),
            Series("high", xs, [found.interval.high for found in ordered], 1, dots=False),
            Series("true", [1, len(ordered)], [one.true_bps] * 2, 2, dots=False),
        ]
        chart = line_chart(series, Axis("run, by estimate"), Axis("cost, bps"))
        covered = one.estimators["doubly_robust"].covered
        parts.append(f"<figure><figcaption>{escape(one.model)}: {covered:.0%} cover</figcaption>{chart}</figure>")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Off-policy evaluation</title>'
    )
    body = "".join(parts) + "</main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}\n<style>{CSS}</style></head><body>{body}</body></html>\n'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m study.off_policy", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="days that are logged")
    parser.add_argument("--decisions", type=int, default=600, metavar="N", help="of a day")
    parser.add_argument("--true-days", type=int, default=150, metavar="N", help="of each other model's own")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures there")
    args = parser.parse_args()
    console = Console()
    study, answers = run(args.runs, args.decisions, args.true_days, args.jobs, console)
    console.width = max(console.width, 120)
    console.print(as_table(study))
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(study)) + b"\n")
    if args.html:
        args.html.write_text(page(study, answers))


if __name__ == "__main__":
    main()
