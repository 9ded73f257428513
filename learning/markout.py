"""The second head: which markout to expect of a fill, in bps, positive where the price then went against us.

A venue that fills us when we are about to be wrong is not a good venue, and when that is can be told in part from the
same features as the fill itself: where the book leans, who has been taking, how long a quote stands. A markout is
mostly noise, some bps around a mean of some tenths, so the trees are few, flat and shrunk, extreme moves count as large
ones only, and the head is kept only where it beats the mean of each venue and action on later fills.
"""

import msgspec
import numpy as np
import xgboost

from learning.dataset import Dataset, Floats

_TABLE_PRIOR_ROWS = 50.0  # a cell with few fills leans on the mean of all


class MarkoutConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rounds: int = 30
    max_depth: int = 3
    eta: float = 0.1
    min_child_weight: float = 30.0
    reg_lambda: float = 30.0
    subsample: float = 0.7
    clip_bps: float = 20.0
    min_rows: int = 300  # fills with a markout, to learn from; and a quarter of that to see whether it has


class MarkoutScore(msgspec.Struct, frozen=True, kw_only=True):
    """Mean squared errors in bps^2 on later fills, clipped as in training; `model` None without the head."""

    rows: int
    mean_bps: float
    model: float | None
    table: float
    constant: float


def fit(first: Dataset, second: Dataset, config: MarkoutConfig, seed: int, nthread: int) -> xgboost.Booster | None:
    """A booster of the fills among the `first` rows, None where it doesn't beat the table on those of the `second`."""
    filled, later = _marked(first), _marked(second)
    if len(filled) < config.min_rows or len(later) < config.min_rows // 4:
        return None
    target = _target(filled, config.clip_bps)
    parameters = {
        "tree_method": "hist",
        "base_score": float(target.mean()),
        "max_depth": config.max_depth,
        "eta": config.eta,
        "min_child_weight": config.min_child_weight,
        "reg_lambda": config.reg_lambda,
        "subsample": config.subsample,
        "seed": seed,
        "nthread": nthread,
    }
    data = xgboost.DMatrix(filled.features, label=target, nthread=nthread)
    booster = xgboost.train(parameters, data, config.rounds)
    found = score(booster.inplace_predict(later.features).astype(np.float64), later, first, config)
    return booster if found is not None and found.model is not None and found.model < found.table else None


def table(earlier: Dataset, rows: Dataset, config: MarkoutConfig | None = None) -> Floats:
    """The mean markout of each row's venue and action, shrunk towards that of all."""
    filled = _marked(earlier)
    target = _target(filled, (config or MarkoutConfig()).clip_bps)
    overall = float(target.mean()) if len(target) else 0.0
    pairs = list(zip(filled.venue.tolist(), filled.action.tolist(), strict=True))
    means = {}
    for pair in set(pairs):
        of_pair = target[[other == pair for other in pairs]]
        means[pair] = (of_pair.sum() + _TABLE_PRIOR_ROWS * overall) / (len(of_pair) + _TABLE_PRIOR_ROWS)
    return np.array([means.get(pair, overall) for pair in zip(rows.venue.tolist(), rows.action.tolist(), strict=True)])


def score(
    predicted: Floats | None, rows: Dataset, earlier: Dataset, config: MarkoutConfig | None = None
) -> MarkoutScore | None:
    """`predicted` (of all `rows`) on those that filled, beside tables of the `earlier` ones; None without any fill."""
    config = config or MarkoutConfig()
    marked = np.isfinite(rows.markout_bps)
    known = _marked(earlier)
    if not marked.any() or not len(known):
        return None
    target = _target(rows.take(marked), config.clip_bps)
    mean_bps = float(_target(known, config.clip_bps).mean())
    return MarkoutScore(
        rows=len(target),
        mean_bps=float(target.mean()),
        model=None if predicted is None else float(np.mean((predicted[marked] - target) ** 2)),
        table=float(np.mean((table(earlier, rows, config)[marked] - target) ** 2)),
        constant=float(np.mean((mean_bps - target) ** 2)),
    )


def _marked(rows: Dataset) -> Dataset:
    return rows.take(np.isfinite(rows.markout_bps))


def _target(rows: Dataset, clip_bps: float) -> Floats:
    return np.clip(rows.markout_bps, -clip_bps, clip_bps)
