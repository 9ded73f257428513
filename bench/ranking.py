"""Ten venues ranked: ONNX Runtime with all that makes a probability of it, against the booster's own prediction.

The booster gives only the margins, so the comparison is in its favour. Both take turns, so that both see the same
machine, and each call has other features, as in service: the same rows again and again are 5 us faster, because the
processor learns the branches of the trees by heart. A figure is the median over the rounds.
"""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns

import numpy as np
import xgboost

from learning.dataset import Dataset
from learning.registry import register
from learning.training import TrainingConfig, train
from router.model import NATIVE_FILE, OnnxModel

FEATURES = 28
VENUES = 10
ROUNDS = 200
CALLS = 20
_SECOND = 1_000_000_000


def figures() -> list[dict[str, str | float]]:
    with TemporaryDirectory() as registry:
        place = Path(registry) / register(Path(registry), train(_children(), TrainingConfig()), created_ns=0)
        model = OnnxModel.load(place, "bench")
        booster = xgboost.Booster(model_file=place / NATIVE_FILE)
        booster.set_param({"nthread": 1})  # more threads only get in each other's way on so few rows
    decisions = cycle(np.random.default_rng(1).normal(size=(64, VENUES, FEATURES)).astype(np.float32))
    horizons_ns = np.array([0, 0, 0, *[10 * _SECOND] * (VENUES - 3)], dtype=np.int64)
    served, native = _turns(
        lambda: model.predict(next(decisions), horizons_ns),
        lambda: booster.inplace_predict(next(decisions)),
    )
    return [{"name": "rank_10_venues", "value": served, "unit": "us", "vs": native, "ratio": round(native / served, 2)}]


def _turns(*calls: Callable[[], object]) -> list[float]:
    """Median microseconds of each call."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, times in zip(calls, taken, strict=True):
            began = perf_counter_ns()
            for _ in range(CALLS):
                call()
            times.append((perf_counter_ns() - began) / CALLS / 1e3)
    return [round(median(times), 1) for times in taken]


def _children() -> Dataset:
    """Children whose outcome depends on every feature, so that the trees are as deep as they may be."""
    rng = np.random.default_rng(0)
    count = 8_000
    features = rng.normal(size=(count, FEATURES)).astype(np.float32)
    rate = np.exp(features @ rng.normal(size=FEATURES) * 0.3 - 2.0)
    horizon_s = rng.choice([0.0, 10.0], count)
    fill_s = rng.exponential(1 / rate) * np.where(horizon_s > 0, 1.0, 0.05)
    filled = fill_s <= np.maximum(horizon_s, 0.25)
    time_ns = (np.where(filled, np.minimum(fill_s, horizon_s), horizon_s) * _SECOND).astype(np.int64)
    names = np.arange(count).astype(np.str_)
    return Dataset(
        feature_names=tuple(f"f{column}" for column in range(FEATURES)),
        schema_hash="bench",
        features=features,
        time_ns=time_ns,
        filled=filled,
        known=np.ones(count, dtype=np.bool_),
        settled_ns=time_ns,
        horizon_ns=(horizon_s * _SECOND).astype(np.int64),
        at_ns=np.arange(count) * _SECOND,
        filled_fraction=filled.astype(np.float64),
        predicted=np.full(count, 0.5),
        venue=rng.choice(["A", "B", "C"], count),
        action=np.where(horizon_s > 0, "post", "take"),
        symbol=np.full(count, "ABC"),
        child_id=names,
        parent_id=names,
    )
