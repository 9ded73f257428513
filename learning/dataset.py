"""Facts into training rows: one row for each child, with the features exactly as the model was served them.

Nothing is computed again here, so training can't see other features than the router did. A row belongs to a parent,
and all that splits rows keeps the rows of a parent together: they share the market and the client's intention.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.facts import AnyFact
from learning.labels import ChildLives, censoring_weights
from router.model import HazardBins

Floats = NDArray[np.float64]

MARKOUT_NS = 10_000_000_000  # long enough for the price to go where the filler knew, short enough to be its doing


@dataclass(frozen=True)
class Dataset:
    """Columns of equal length, ordered by `at_ns`; `features` is float32 [rows, feature_names]."""

    feature_names: tuple[str, ...]
    schema_hash: str
    features: NDArray[np.float32]
    time_ns: NDArray[np.int64]  # since submission: of the first fill, or until when there was none
    filled: NDArray[np.bool_]
    known: NDArray[np.bool_]  # whether the outcome at the horizon is known
    settled_ns: NDArray[np.int64]  # since submission: when that became known, or when it was cut off
    horizon_ns: NDArray[np.int64]  # 0: immediate
    at_ns: NDArray[np.int64]
    filled_fraction: Floats  # of the child's quantity
    predicted: Floats  # P(fill within the horizon) when it was decided
    markout_bps: Floats  # of its fills, after MARKOUT_NS; NaN where it did not fill or nobody could say
    venue: NDArray[np.str_]
    action: NDArray[np.str_]
    symbol: NDArray[np.str_]
    child_id: NDArray[np.str_]
    parent_id: NDArray[np.str_]
    left_out: int = 0  # children without a decision record, or with features of another schema

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def immediate(self) -> NDArray[np.bool_]:
        immediate: NDArray[np.bool_] = self.horizon_ns == 0
        return immediate

    def take(self, rows: NDArray[Any]) -> "Dataset":
        """The rows of a mask or of indices."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return Dataset(**{k: v[rows] if isinstance(v, np.ndarray) else v for k, v in columns.items()})

    def data_hash(self) -> str:
        """SHA-256 of all that training sees."""
        digest = hashlib.sha256(repr((self.feature_names, self.schema_hash)).encode())
        for column in (
            self.features,
            self.time_ns,
            self.filled,
            self.known,
            self.settled_ns,
            self.horizon_ns,
            self.at_ns,
            self.markout_bps,
        ):
            digest.update(np.ascontiguousarray(column).tobytes())
        for names in (self.venue, self.action, self.parent_id):
            digest.update("\0".join(names).encode())
        return digest.hexdigest()

    def weights(self) -> Floats:
        """What each row counts where only known outcomes can be judged; see labels.censoring_weights."""
        return censoring_weights(self.settled_ns, self.known, self.immediate)

    def within(self, horizon_ns: int) -> "Dataset":
        """The rows that were to rest longer than `horizon_ns`, as they would be had they been left that long only."""
        longer = self.take(self.horizon_ns > horizon_ns)
        return replace(
            longer,
            filled=longer.filled & (longer.time_ns <= horizon_ns),
            known=longer.known | (longer.settled_ns >= horizon_ns),
            time_ns=np.minimum(longer.time_ns, horizon_ns),
            settled_ns=np.minimum(longer.settled_ns, horizon_ns),
            horizon_ns=np.full(len(longer), horizon_ns),
        )

    def hazard_targets(self, bins: HazardBins) -> tuple[Floats, Floats]:
        """`(events, exposure)`, float64 [rows, bins]: in which bin a row filled, and what share of each bin it was at
        risk for.

        A row is at risk from its submission to its fill or censoring. In the bin of the fill it counts for the whole
        share that it was going to be watched for, not just until the fill: the hazard is that of the bin.
        """
        watched_ns = np.where(self.known, np.maximum(self.horizon_ns, bins.first_edge_ns), self.time_ns)
        exposure = bins.exposure(watched_ns)
        events = np.zeros_like(exposure)
        filled_in = bins.index(self.time_ns)
        rows = np.flatnonzero(self.filled)
        events[rows, filled_in[rows]] = 1.0
        exposure[self.filled[:, None] & (np.arange(bins.count) > filled_in[:, None])] = 0.0
        return events, exposure


def dataset(facts: Iterable[AnyFact], feature_names: tuple[str, ...]) -> Dataset:
    """The rows of all children in `facts`, one journal or several one after the other.

    Only rows of the last decision's schema are taken; ValueError where that has other features than `feature_names`.
    """
    lives = ChildLives()
    for fact in facts:
        lives.apply(fact)
    labelled = [(life, label, life.candidate) for life, label in lives.labelled()]
    # An order for an auction went where the client said: there was nothing to predict, and no features.
    decided = [(life, label, c) for life, label, c in labelled if c is not None and life.features]
    schema_hash = decided[-1][0].schema_hash if decided else ""
    rows = [row for row in decided if row[0].schema_hash == schema_hash]
    rows.sort(key=lambda row: row[0].submitted.at_ns)
    children = [life.submitted for life, _, _ in rows]
    return Dataset(
        feature_names=feature_names,
        schema_hash=schema_hash,
        features=_features([life.features for life, _, _ in rows], len(feature_names)),
        time_ns=np.array([label.time_ns for _, label, _ in rows], dtype=np.int64),
        filled=np.array([label.filled for _, label, _ in rows], dtype=np.bool_),
        known=np.array([label.known for _, label, _ in rows], dtype=np.bool_),
        settled_ns=np.array([label.settled_ns for _, label, _ in rows], dtype=np.int64),
        horizon_ns=np.array([child.horizon_ns for child in children], dtype=np.int64),
        at_ns=np.array([child.at_ns for child in children], dtype=np.int64),
        filled_fraction=np.array([life.counted_qty / life.submitted.order_qty for life, _, _ in rows]),
        predicted=np.array([candidate.fill_probability for _, _, candidate in rows]),
        markout_bps=np.array([life.markout_bps(MARKOUT_NS) for life, _, _ in rows]),
        venue=np.array([child.venue for child in children], dtype=np.str_),
        action=np.array([child.action.value for child in children], dtype=np.str_),
        symbol=np.array([child.symbol for child in children], dtype=np.str_),
        child_id=np.array([child.child_id for child in children], dtype=np.str_),
        parent_id=np.array([child.parent_id for child in children], dtype=np.str_),
        left_out=len(labelled) - len(rows),
    )


def _features(served: list[bytes], width: int) -> NDArray[np.float32]:
    for row in served:
        if len(row) != 4 * width:
            raise ValueError(f"a decision has {len(row) / 4:g} features of a candidate, expected {width}")
    return np.frombuffer(b"".join(served), dtype="<f4").astype(np.float32).reshape(len(served), width)
