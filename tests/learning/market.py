"""Children of a made-up market whose fill probabilities are known, so that a test can say what a model should find.

Resting orders fill after an exponential time at a rate that depends on the queue ahead and the imbalance; immediate
ones fill with a probability that depends on the displayed size. Parents are cut off at random by their clients.
"""

from dataclasses import dataclass

import numpy as np

from learning.dataset import Dataset

NAMES = ("fill_prior", "venue_index", "immediate", "queue", "imbalance", "size", "noise")
SCHEMA = "5c4e3a"
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Drawn:
    rows: Dataset
    truth: np.ndarray  # P(fill within the horizon)


def draw(count: int, seed: int, censoring_per_s: float = 0.05, spread: float = 1.0, horizons_s=(3.0, 10.0)) -> Drawn:
    """`count` children, four a parent; `spread` 0 makes every resting order and every immediate one the same."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(NAMES))).astype(np.float32)
    venue = rng.integers(0, 4, count)
    immediate = rng.random(count) < 0.3
    features[:, 0], features[:, 1], features[:, 2] = 0.3, venue, immediate
    queue, imbalance, size = features[:, 3], features[:, 4], features[:, 5]
    features[rng.random(count) < 0.05, 6] = np.nan
    rate = np.exp(-2.0 + spread * (-0.8 * queue + 0.8 * imbalance + 0.1 * venue))
    take = 1 / (1 + np.exp(-(0.5 + spread * 1.5 * size)))
    horizon_s = np.where(immediate, 0.0, rng.choice(horizons_s, count))
    fill_s = np.where(immediate, np.where(rng.random(count) < take, 0.0, np.inf), rng.exponential(1 / rate))
    cut_s = np.where(immediate, np.inf, rng.exponential(1 / max(censoring_per_s, 1e-9), count))
    filled = fill_s <= np.minimum(cut_s, horizon_s)
    cut = ~filled & (cut_s < horizon_s)
    time_ns = (np.where(filled, fill_s, np.minimum(cut_s, horizon_s)) * SECOND).astype(np.int64)
    rows = Dataset(
        feature_names=NAMES,
        schema_hash=SCHEMA,
        features=features,
        time_ns=time_ns,
        filled=filled,
        known=~cut,
        settled_ns=time_ns,
        horizon_ns=(horizon_s * SECOND).astype(np.int64),
        at_ns=np.arange(count) * (SECOND // 2),
        filled_fraction=filled.astype(np.float64),
        predicted=np.full(count, 0.3),
        markout_bps=np.where(filled, 0.5 - imbalance + rng.normal(size=count), np.nan),
        venue=np.char.add("V", venue.astype(np.str_)),
        action=np.where(immediate, "take", "post"),
        symbol=np.full(count, "ABC"),
        child_id=np.char.add("C", np.arange(count).astype(np.str_)),
        parent_id=np.char.add("P", (np.arange(count) // 4).astype(np.str_)),
    )
    return Drawn(rows, np.where(immediate, take, 1 - np.exp(-rate * horizon_s)))
