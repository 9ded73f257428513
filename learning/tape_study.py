"""How well the fills of hypothetical joins can be told beforehand, on a stretch of a recorded day later than training.

The model lives through the day as it would in a desk's own use. Every quarter of an hour it is trained anew on all
joins whose outcome was known an embargo before; boosted trees and a logistic regression with bent lines are each
other's correction, as trees miss what is smooth and lines miss what depends on something else. Every five minutes their
blend is fitted on their own past predictions, none of which had seen its outcome, the recent ones counting most: this
weighs the two and puts the level right where the day changes. A prediction at t so depends on nothing that was not
known at t.

Beside it stand baselines that learn once, from the rows before the test, and the model as it was at the test's start.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from learning.evaluation import Metrics, metrics
from learning.logistic import Floats, fit_logistic, sigmoid
from learning.tape_features import FEATURES
from learning.tape_joins import Join

_S = 1_000_000_000
EMBARGO_NS = 60 * _S
REFIT_NS = 900 * _S
BLEND_NS = 300 * _S
TEST_SHARE = 0.3  # of the tape's time, where nobody says from when to test
MIN_ROWS = 200
_WARM_UP_NS = 1800 * _S  # of the tape, before the first model whose predictions the blend learns from

# Joins of the same seconds tell the same story: large leaves, few columns a tree, slow steps.
_TREES = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": 64,
    "max_depth": 3,
    "eta": 0.04,
    "min_child_weight": 20,
    "reg_lambda": 20,
    "subsample": 0.6,
    "colsample_bytree": 0.15,
    "nthread": 1,
}
_ROUNDS = 150
_SEEDS = (1, 2, 3)
_RIDGE = 100.0
_BENDS, _BENDS_RIDGE = 3, 400.0
_BLEND_START = np.array([0.6, 0.4, 0.0])  # log-odds of the trees, log-odds of the regression, level
_BLEND_RIDGE = 200.0
_BLEND_HALF_LIFE_NS = 3600 * _S
_TABLE = ("spread_ticks", "queue_ahead", "imbalance")
_TABLE_PARTS = 4
_TABLE_PRIOR_ROWS = 10.0


class TapeTooShort(ValueError):  # noqa: N818 - says what the tape is
    """Too few joins before or after the start of the test; the text says how many."""


class TapeEvaluation(msgspec.Struct, frozen=True):
    """`model_at_start` is the model without what it learned during the test."""

    test_from_s: float
    rows_train: int
    rows_test: int
    model: Metrics
    model_at_start: Metrics
    logistic: Metrics
    table: Metrics
    constant: Metrics


@dataclass(frozen=True)
class TapeRows:
    """Joins as columns, by time: `features` float64 [rows, FEATURES], `filled` within the horizon."""

    features: Floats
    filled: NDArray[np.bool_]
    at_ns: NDArray[np.int64]

    @classmethod
    def of(cls, joins: Iterable[Join]) -> "TapeRows":
        listed = list(joins)
        return cls(
            np.array([join.features for join in listed], dtype=np.float64).reshape(len(listed), len(FEATURES)),
            np.array([join.filled for join in listed], dtype=np.bool_),
            np.array([join.at_ns for join in listed], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.at_ns)

    def take(self, rows: NDArray[np.bool_]) -> "TapeRows":
        return TapeRows(self.features[rows], self.filled[rows], self.at_ns[rows])

    def default_test_from_ns(self) -> int:
        """The last TEST_SHARE of the time is for the test; TapeTooShort without rows."""
        if not len(self):
            raise TapeTooShort("no order could have joined the touch, expected at least minutes of a two-sided book")
        first_ns, last_ns = int(self.at_ns[0]), int(self.at_ns[-1])
        return last_ns - int((last_ns - first_ns) * TEST_SHARE)


def study(
    rows: TapeRows, horizon_ns: int, test_from_ns: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> TapeEvaluation:
    """Trains on what is known an embargo before `test_from_ns` and judges the joins from there on.

    TapeTooShort where one of the two has too few rows. `progress` is told the models that are fitted and all of them.
    """
    test = rows.at_ns >= test_from_ns
    train = _known_at(rows, horizon_ns, test_from_ns - EMBARGO_NS)
    for part, name in ((train, "before"), (test, "from")):
        filled = int(rows.filled[part].sum())
        if part.sum() < MIN_ROWS or not 0 < filled < part.sum():
            raise TapeTooShort(
                f"{int(part.sum())} joins {name} {test_from_ns / _S:g} s, {filled} of them filled; "
                f"expected at least {MIN_ROWS}, some filled and some not"
            )
    online, at_start = walk_forward(rows, horizon_ns, test_from_ns, progress)
    learned, judged = rows.take(train), rows.take(test)

    def score(probability: Floats) -> Metrics:
        return metrics(probability, judged.filled, np.ones(len(judged)))

    return TapeEvaluation(
        test_from_s=test_from_ns / _S,
        rows_train=len(learned),
        rows_test=len(judged),
        model=score(online[test]),
        model_at_start=score(at_start[test]),
        logistic=score(sigmoid(Line(learned)(judged.features))),
        table=score(table(learned, judged)),
        constant=score(np.full(len(judged), learned.filled.mean())),
    )


def walk_forward(
    rows: TapeRows, horizon_ns: int, test_from_ns: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Floats, Floats]:
    """P(fill) of every row from `test_from_ns` on, NaN before: by the model as it learns on, and as it was then."""
    first_ns, end_ns = int(rows.at_ns[0]), int(rows.at_ns[-1]) + 1
    before = max((test_from_ns - first_ns - _WARM_UP_NS) // REFIT_NS, 0)
    starts_ns = range(test_from_ns - before * REFIT_NS, end_ns, REFIT_NS)
    margins = np.full((len(rows), 2), np.nan)
    margins_at_start = margins
    for done, start_ns in enumerate(starts_ns):
        known = rows.take(_known_at(rows, horizon_ns, start_ns - EMBARGO_NS))
        later = rows.at_ns >= start_ns
        # A stretch of nothing but fills, or of none, teaches nothing: the rows stay without a prediction.
        if 0 < known.filled.sum() < len(known):
            trees, line = Trees(known), Line(known, _BENDS_RIDGE, _BENDS)
            block = later if start_ns == test_from_ns else later & (rows.at_ns < start_ns + REFIT_NS)
            margins[block] = np.stack([part(rows.features[block]) for part in (trees, line)], axis=1)
            if start_ns == test_from_ns:
                margins_at_start = margins.copy()
        progress(done + 1, len(starts_ns))
    online, at_start = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for start_ns in range(test_from_ns, end_ns, BLEND_NS):
        weights = _blend(margins, rows, horizon_ns, start_ns)
        block = (rows.at_ns >= start_ns) & (rows.at_ns < start_ns + BLEND_NS)
        online[block] = sigmoid(_blend_design(margins[block]) @ weights)
    later = rows.at_ns >= test_from_ns
    weights = _blend(margins_at_start, rows, horizon_ns, test_from_ns)
    at_start[later] = sigmoid(_blend_design(margins_at_start[later]) @ weights)
    return online, at_start


class Trees:
    """Boosted trees of several seeds; called with features it gives the mean of their log-odds."""

    def __init__(self, rows: TapeRows) -> None:
        data = xgboost.DMatrix(rows.features, label=rows.filled, nthread=1)
        self._boosters = [xgboost.train({**_TREES, "seed": seed}, data, _ROUNDS) for seed in _SEEDS]

    def __call__(self, features: Floats) -> Floats:
        data = xgboost.DMatrix(features, nthread=1)
        margins = [booster.predict(data, output_margin=True) for booster in self._boosters]
        mean: Floats = np.mean(margins, axis=0, dtype=np.float64)
        return mean


class Line:
    """A logistic regression with a ridge on standardised features; called with features it gives log-odds.

    With `bends` each feature's line may bend so many times, at quantiles of the rows.
    """

    def __init__(self, rows: TapeRows, ridge: float = _RIDGE, bends: int = 0) -> None:
        self._mean, scale = rows.features.mean(axis=0), rows.features.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        self._bends_at = np.quantile(rows.features, np.arange(1, bends + 1) / (bends + 1), axis=0)
        design = self._design(rows.features)
        rate = rows.filled.mean()
        start = np.zeros(design.shape[1])
        start[0] = np.log(rate / (1.0 - rate))
        self._coefficients = fit_logistic(design, rows.filled, np.ones(len(rows)), start, ridge)

    def __call__(self, features: Floats) -> Floats:
        return self._design(features) @ self._coefficients

    def _design(self, features: Floats) -> Floats:
        beyond = [np.maximum(features - at, 0.0) / self._scale for at in self._bends_at]
        columns = np.concatenate([(features - self._mean) / self._scale, *beyond], axis=1)
        # Five deviations at most, so that one wild value doesn't bend the line.
        return np.concatenate([np.ones((len(features), 1)), np.clip(columns, -5.0, 5.0)], axis=1)


def table(earlier: TapeRows, rows: TapeRows) -> Floats:
    """The fill rate of each row's cell of 4 x 4 x 4: quarters of the earlier spreads, queues and imbalances."""
    cells = [np.zeros(len(part), dtype=np.int64) for part in (earlier, rows)]
    for name in _TABLE:
        column = FEATURES.index(name)
        edges = np.quantile(earlier.features[:, column], np.arange(1, _TABLE_PARTS) / _TABLE_PARTS)
        for cell, part in zip(cells, (earlier, rows), strict=True):
            cell *= _TABLE_PARTS
            cell += np.searchsorted(edges, part.features[:, column])
    size = _TABLE_PARTS ** len(_TABLE)
    filled = np.bincount(cells[0], earlier.filled, minlength=size) + _TABLE_PRIOR_ROWS * earlier.filled.mean()
    rates: Floats = filled / (np.bincount(cells[0], minlength=size) + _TABLE_PRIOR_ROWS)
    return rates[cells[1]]


def _known_at(rows: TapeRows, horizon_ns: int, now_ns: int) -> NDArray[np.bool_]:
    # A fill is known earlier than its horizon's end, a miss only then: waiting for both keeps the rate what it is.
    known: NDArray[np.bool_] = rows.at_ns + horizon_ns <= now_ns
    return known


def _blend(margins: Floats, rows: TapeRows, horizon_ns: int, now_ns: int) -> Floats:
    """Coefficients that suited the predictions whose outcome is known now, the recent ones counting most."""
    predicted = _known_at(rows, horizon_ns, now_ns) & np.isfinite(margins).all(axis=1)
    recency = 0.5 ** ((now_ns - rows.at_ns[predicted]) / _BLEND_HALF_LIFE_NS)
    design = _blend_design(margins[predicted])
    return fit_logistic(design, rows.filled[predicted], recency, _BLEND_START, _BLEND_RIDGE)


def _blend_design(margins: Floats) -> Floats:
    return np.concatenate([margins, np.ones((len(margins), 1))], axis=1)
