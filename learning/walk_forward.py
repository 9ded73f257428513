"""What a way of training is worth: each day judged by a model of the days before it, all of those days together.

A day's orders are those of parents that began on it, and the training rows before it end so much earlier that neither
an outcome nor a feature reaches over (purging and embargo, Lopez de Prado 2018, chapter 7). The figures of all judged
days are pooled, with intervals that draw whole stretches of time, and beside them always what is simpler: a constant,
a table per venue and a logistic regression on the same features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from learning.archive_rows import DAY_NS
from learning.concordance import concordance
from learning.dataset import Dataset, Floats
from learning.evaluation import Metrics, auc, calibration_error, metrics
from learning.intervals import Interval, blocks, draws, interval, mean_interval

ALIKE_NS = 3_000_000_000  # resting orders are ranked by P(fill within this), whatever their own horizon
SLICED_BY = ("venue", "kind", "action", "symbol")
_DRAWS = 400
_FEW_DRAWS = 100  # of figures that need all rows sorted anew
_CURVE_BINS = 10
_FEW_ROWS = 30  # a slice with fewer known outcomes says nothing
_CLIP = 1e-3


class DayScore(msgspec.Struct, frozen=True, kw_only=True):
    """Log-loss of each predictor on one day."""

    day: str
    rows: int
    fill_rate: float
    log_loss: dict[str, float]


class SliceScore(msgspec.Struct, frozen=True, kw_only=True):
    sliced_by: str
    name: str
    rows: int
    fill_rate: float
    model: Metrics
    log_loss: dict[str, float]  # of what is simpler


class Point(msgspec.Struct, frozen=True):
    """Of a reliability curve: rows with about the same prediction, and the share of them that filled."""

    predicted: float
    realised: Interval
    rows: int


class KindsScore(msgspec.Struct, frozen=True, kw_only=True):
    """One model for all kinds of venue beside one for each, on the same orders.

    A kind with too few orders for a model of its own has the common one on both sides.
    """

    kinds: list[str]  # that had models of their own
    shared: float  # log-loss
    own: float
    shared_better_by: Interval

    @property
    def is_own_better(self) -> bool:
        """For sure: the interval is below 0."""
        return self.shared_better_by.high < 0


class WalkForward(msgspec.Struct, frozen=True, kw_only=True):
    embargo_s: float
    days: list[DayScore]
    intervals: dict[str, dict[str, Interval]]  # predictor -> measure -> interval
    better_by: dict[str, Interval]  # how much lower the model's log-loss is than that of each baseline
    concordance: dict[str, float]
    slices: list[SliceScore]
    reliability: dict[str, list[Point]]
    by_kind: KindsScore | None = None

    @property
    def beats(self) -> list[str]:
        """What the model is better than, with an interval that excludes 0."""
        return [name for name, found in self.better_by.items() if found.low > 0]


@dataclass(frozen=True)
class Fold:
    """One day: which rows judge, and which, all of them earlier, may be learned from."""

    day: int  # since 1970
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Rows with what each predictor said of them; `alike` is P(fill within ALIKE_NS)."""

    rows: Dataset
    weights: Floats
    probability: Mapping[str, Floats]
    alike: Mapping[str, Floats]


def folds(rows: Dataset, embargo_ns: int) -> list[Fold]:
    """Each day but the first, with the rows before it."""
    if not len(rows):
        return []
    _, parent = np.unique(rows.parent_id, return_inverse=True)
    started_ns = np.full(parent.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(started_ns, parent, rows.at_ns)
    day = started_ns[parent] // DAY_NS
    ends_ns = rows.at_ns + rows.horizon_ns
    found = []
    for number in np.unique(day)[1:]:
        test = day == number
        begins_ns = rows.at_ns[test].min()
        found.append(Fold(int(number), (day < number) & (ends_ns + embargo_ns <= begins_ns), test))
    return found


def alike(rows: Dataset) -> Dataset:
    """The rows as if each were to rest equally long, to rank them by how soon they fill."""
    return replace(rows, horizon_ns=np.full(len(rows), ALIKE_NS))


def pooled(parts: list[Judged], rows: Dataset) -> Judged:
    """All days together; `rows` are those of the parts, in their order."""

    def together(which: str) -> dict[str, Floats]:
        first = getattr(parts[0], which)
        return {name: np.concatenate([getattr(part, which)[name] for part in parts]) for name in first}

    weights = np.concatenate([part.weights for part in parts])
    return Judged(rows, weights, together("probability"), together("alike"))


def judge(judged: Judged, days: list[DayScore], kinds: Mapping[str, str], embargo_ns: int, seed: int) -> WalkForward:
    """The figures of all judged rows; `kinds` is the kind of each venue."""
    known = judged.weights > 0
    rows, weights = judged.rows.take(known), judged.weights[known]
    said = {name: np.clip(p[known], _CLIP, 1.0 - _CLIP) for name, p in judged.probability.items()}
    block = blocks(rows.at_ns, rows.parent_id)
    drawn = draws(block, _DRAWS, seed)
    losses = {name: _losses(p, rows.filled) for name, p in said.items()}
    return WalkForward(
        embargo_s=embargo_ns / 1e9,
        days=days,
        intervals={name: _intervals(p, rows.filled, weights, block, drawn) for name, p in said.items()},
        better_by={
            name: mean_interval(loss - losses["model"], weights, block, drawn)
            for name, loss in losses.items()
            if name != "model"
        },
        concordance=_concordances(judged),
        slices=_slices(rows, said, weights, kinds),
        reliability={name: curve(p, rows.filled, weights, block, drawn[:_FEW_DRAWS]) for name, p in said.items()},
    )


def compare_kinds(judged: Judged, own: Floats, kinds: set[str], seed: int) -> KindsScore:
    """`own` is what models of single kinds say of the judged rows."""
    known = judged.weights > 0
    rows, weights = judged.rows.take(known), judged.weights[known]
    losses = [_losses(np.clip(p[known], _CLIP, 1.0 - _CLIP), rows.filled) for p in (judged.probability["model"], own)]
    block = blocks(rows.at_ns, rows.parent_id)
    better = mean_interval(losses[1] - losses[0], weights, block, draws(block, _DRAWS, seed))
    shared, of_own = (float(np.average(loss, weights=weights)) for loss in losses)
    return KindsScore(kinds=sorted(kinds), shared=shared, own=of_own, shared_better_by=better)


def day_score(day: str, judged: Judged) -> DayScore:
    known = judged.weights > 0
    filled, weights = judged.rows.filled[known], judged.weights[known]
    return DayScore(
        day=day,
        rows=int(known.sum()),
        fill_rate=float(np.average(filled, weights=weights)),
        log_loss={name: metrics(p[known], filled, weights).log_loss for name, p in judged.probability.items()},
    )


def curve(
    p: Floats, filled: NDArray[np.bool_], weights: Floats, block: NDArray[np.intp], drawn: NDArray[np.int64]
) -> list[Point]:
    """The reliability curve: bins of about equal weight, each with the interval of its fill rate."""
    order = np.argsort(p, kind="stable")
    share = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    points = []
    for number in range(_CURVE_BINS):
        group = order[(share * _CURVE_BINS).astype(int) == number]
        if len(group):
            realised = mean_interval(filled[group].astype(np.float64), weights[group], block[group], drawn)
            points.append(Point(float(np.average(p[group], weights=weights[group])), realised, len(group)))
    return points


def _intervals(
    p: Floats, filled: NDArray[np.bool_], weights: Floats, block: NDArray[np.intp], drawn: NDArray[np.int64]
) -> dict[str, Interval]:
    few = drawn[:_FEW_DRAWS]
    return {
        "log_loss": mean_interval(_losses(p, filled), weights, block, drawn),
        "brier": mean_interval((p - filled) ** 2, weights, block, drawn),
        "auc": interval(lambda drawn_weights: auc(p, filled, drawn_weights), weights, block, few),
        "calibration_error": interval(lambda w: calibration_error(p, filled, w), weights, block, few),
    }


def _losses(p: Floats, filled: NDArray[np.bool_]) -> Floats:
    return -np.where(filled, np.log(p), np.log1p(-p))


def _concordances(judged: Judged) -> dict[str, float]:
    resting = ~judged.rows.immediate
    rows = judged.rows.take(resting)
    return {name: concordance(score[resting], rows.time_ns, rows.filled) for name, score in judged.alike.items()}


def _slices(rows: Dataset, said: Mapping[str, Floats], weights: Floats, kinds: Mapping[str, str]) -> list[SliceScore]:
    kind = np.array([kinds.get(venue, "?") for venue in rows.venue.tolist()], dtype=np.str_)
    columns = {"venue": rows.venue, "kind": kind, "action": rows.action, "symbol": rows.symbol}
    found = []
    for sliced_by in SLICED_BY:
        for name in np.unique(columns[sliced_by]).tolist():
            of = columns[sliced_by] == name
            if of.sum() < _FEW_ROWS:
                continue
            scores = {who: metrics(p[of], rows.filled[of], weights[of]) for who, p in said.items()}
            found.append(
                SliceScore(
                    sliced_by=sliced_by,
                    name=name,
                    rows=int(of.sum()),
                    fill_rate=float(np.average(rows.filled[of], weights=weights[of])),
                    model=scores["model"],
                    log_loss={who: score.log_loss for who, score in scores.items() if who != "model"},
                )
            )
    return found
