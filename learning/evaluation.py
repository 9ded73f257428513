"""How good P(fill within the horizon) is on rows that are later than all training, beside what is simpler.

A row counts where its outcome at its horizon is known, weighted by the inverse probability of not having been censored
(labels.censoring_weights). Just dropping the censored rows would leave too many fills, and calling them misses too few.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from learning.dataset import Dataset
from learning.logistic import Floats, fit_logistic, sigmoid

_CLIP = 1e-3
_CALIBRATION_BINS = 10
_TABLE_PRIOR_ROWS = 10.0  # a table's cell with few rows leans on the overall rate


class Metrics(msgspec.Struct, frozen=True):
    """`calibration_error`: mean distance of predicted and realised over ten bins of equal weight."""

    log_loss: float
    brier: float
    auc: float
    calibration_error: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    rows: int  # with a known outcome
    censored: int
    fill_rate: float
    model: Metrics
    constant: Metrics
    venue_table: Metrics
    logistic: Metrics

    @property
    def beats_baselines(self) -> bool:
        """Whether log-loss and Brier are below those of the constant and of the table per venue."""
        simple = (self.constant, self.venue_table)
        return all(self.model.log_loss < b.log_loss and self.model.brier < b.brier for b in simple)


def evaluate(probability: Floats, held_out: Dataset, earlier: Dataset) -> Evaluation:
    """`probability` of the `held_out` rows, beside baselines that learned from the `earlier` rows."""
    return judge(probability, baselines(earlier, held_out), held_out.filled, held_out.weights())


def baselines(earlier: Dataset, rows: Dataset) -> dict[str, Floats]:
    """P(fill) of `rows` by what is simpler than the model."""
    return {
        "constant": constant(earlier, rows),
        "venue_table": venue_table(earlier, rows),
        "logistic": logistic(earlier, rows),
    }


def judge(probability: Floats, simpler: dict[str, Floats], filled: NDArray[np.bool_], weights: Floats) -> Evaluation:
    """A model beside what is simpler, on the same rows; those of weight 0 have no known outcome."""
    known = weights > 0
    return Evaluation(
        rows=int(known.sum()),
        censored=int((~known).sum()),
        fill_rate=float(np.average(filled[known], weights=weights[known])),
        **{
            name: metrics(p[known], filled[known], weights[known])
            for name, p in {"model": probability, **simpler}.items()
        },
    )


def metrics(probability: Floats, filled: NDArray[np.bool_], weights: Floats) -> Metrics:
    """Weighted means over rows with known outcomes; NaN for the AUC where all of them are the same."""
    p = np.clip(probability, _CLIP, 1.0 - _CLIP)
    return Metrics(
        log_loss=float(np.average(-np.where(filled, np.log(p), np.log1p(-p)), weights=weights)),
        brier=float(np.average((p - filled) ** 2, weights=weights)),
        auc=auc(p, filled, weights),
        calibration_error=calibration_error(p, filled, weights),
    )


def constant(earlier: Dataset, rows: Dataset) -> Floats:
    """The overall fill rate."""
    return np.full(len(rows), np.average(earlier.filled, weights=earlier.weights()))


def venue_table(earlier: Dataset, rows: Dataset) -> Floats:
    """The fill rate of each row's venue."""
    weights = earlier.weights()
    overall = float(np.average(earlier.filled, weights=weights))
    rates = {}
    for venue in np.unique(earlier.venue):
        of_venue = weights * (earlier.venue == venue)
        filled = (of_venue * earlier.filled).sum() + _TABLE_PRIOR_ROWS * overall
        rates[str(venue)] = filled / (of_venue.sum() + _TABLE_PRIOR_ROWS)
    return np.array([rates.get(str(venue), overall) for venue in rows.venue])


def logistic(earlier: Dataset, rows: Dataset) -> Floats:
    """A logistic regression on the features, the horizon and each pair of venue and action."""
    pairs = np.unique(_pairs(earlier))
    mean, scale = _moments(_numbers(earlier))
    design = _logistic_design(earlier, pairs, mean, scale)
    coefficients = fit_logistic(design, earlier.filled, earlier.weights(), np.zeros(design.shape[1]), ridge=1.0)
    return sigmoid(_logistic_design(rows, pairs, mean, scale) @ coefficients)


def _pairs(rows: Dataset) -> NDArray[np.str_]:
    return np.char.add(np.char.add(rows.venue, " "), rows.action)


def _numbers(rows: Dataset) -> Floats:
    return np.concatenate([rows.features, np.log1p(rows.horizon_ns / 1e9)[:, None]], axis=1).astype(np.float64)


def _moments(numbers: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, numbers, 0.0).sum(axis=0) / count
    variance = np.where(known, (numbers - mean) ** 2, 0.0).sum(axis=0) / count
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)


def _logistic_design(rows: Dataset, pairs: NDArray[np.str_], mean: Floats, scale: Floats) -> Floats:
    # Five deviations at most, so that one wild value doesn't bend the line; a missing value is an average one.
    standard = np.clip(np.nan_to_num((_numbers(rows) - mean) / scale, nan=0.0), -5.0, 5.0)
    return np.concatenate([np.ones((len(rows), 1)), standard, _pairs(rows)[:, None] == pairs], axis=1)


def auc(p: Floats, filled: NDArray[np.bool_], weights: Floats) -> float:
    """P(a filled row scores above an unfilled one), ties counting half."""
    _, score = np.unique(p, return_inverse=True)
    hits = np.bincount(score, weights * filled)
    misses = np.bincount(score, weights * ~filled)
    if not hits.sum() or not misses.sum():
        return float("nan")
    below = np.cumsum(misses) - misses
    return float((hits * (below + misses / 2)).sum() / (hits.sum() * misses.sum()))


def calibration_error(p: Floats, filled: NDArray[np.bool_], weights: Floats) -> float:
    # Equal predictions stay together, so that a constant has a single bin.
    scores, score = np.unique(p, return_inverse=True)
    weight = np.bincount(score, weights)
    share = (np.cumsum(weight) - weight / 2) / weight.sum()
    group = np.minimum((share * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    predicted = np.bincount(group, weight * scores)
    realised = np.bincount(group, np.bincount(score, weights * filled))
    return float(np.abs(predicted - realised).sum() / weight.sum())
