"""What the orders cost and how the venues did, from the facts alone, in one pass.

Costs are in bps, share-weighted over all fills, and positive where we did worse than the reference: the mid when the
parent arrived, or the volume-weighted price of the market while the parent was worked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from domain.facts import (
    AnyFact,
    ChildFilled,
    ChildRiskRejected,
    ChildSubmitted,
    LatencyMeasured,
    ParentAccepted,
    ParentDone,
    ParentRejected,
    ParentReplaced,
)
from domain.prices import bps
from learning.labels import ChildLife, ChildLives, Label, censoring_weights


class VenueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`predicted` and `realised` are P(a fill within the horizon) over the same children: those whose outcome is known.

    Both are weighted for the `censored` ones (labels.censoring_weights), and None where no outcome is known.
    """

    kind: str
    children: int
    sent: int  # shares
    shares: int  # filled
    fill_rate: float  # filled shares of sent shares
    predicted: float | None
    realised: float | None
    censored: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Slippage and latency are None where nothing filled or was measured."""

    parents: int  # accepted
    parents_rejected: int
    children: int
    fills: int
    shares_ordered: int  # of accepted parents, as last replaced
    shares_filled: int
    risk_rejects: int  # of parents and of children
    venues: dict[str, VenueSummary]
    slippage_arrival_bps: float | None
    slippage_vwap_bps: float | None
    latency_p50_us: float | None  # order in to first child out
    latency_p99_us: float | None


class _Parent:
    """What is kept of a parent while the facts go by."""

    def __init__(self, accepted: ParentAccepted) -> None:
        self.accepted = accepted
        self.order_qty = accepted.order_qty
        self.filled_qty = 0
        self.notional_px = 0
        self.done: ParentDone | None = None

    def cost_bps(self, reference_px: float) -> float:
        return self.accepted.side.sign * bps(self.notional_px / self.filled_qty - reference_px, reference_px)

    @property
    def arrival_px(self) -> float:
        return self.accepted.arrival_mid2_px / 2

    @property
    def vwap_px(self) -> float:
        """Of the market from acceptance to the end; 0.0 while it is open or where nothing traded."""
        if self.done is None or self.done.tape_qty <= self.accepted.tape_qty:
            return 0.0
        notional_px = self.done.tape_notional_px - self.accepted.tape_notional_px
        return notional_px / (self.done.tape_qty - self.accepted.tape_qty)


def summary(facts: Iterable[AnyFact], kinds: Mapping[str, str]) -> Summary:
    """The figures of one journal; `kinds` says what kind each venue is, in the order in which they are to be listed."""
    lives = ChildLives()
    parents: dict[str, _Parent] = {}
    parent_of: dict[str, str] = {}
    latencies_us: list[float] = []
    fills = risk_rejects = parents_rejected = 0
    for fact in facts:
        lives.apply(fact)
        match fact:
            case ParentAccepted():
                parents[fact.parent_id] = _Parent(fact)
            case ParentRejected():
                parents_rejected += 1
                risk_rejects += bool(fact.limit)
            case ParentReplaced():
                parents[fact.parent_id].order_qty = fact.order_qty
            case ParentDone():
                parents[fact.parent_id].done = fact
            case ChildSubmitted():
                parent_of[fact.child_id] = fact.parent_id
            case ChildFilled():
                fills += 1
                parent = parents[parent_of[fact.child_id]]
                parent.filled_qty += fact.last_qty
                parent.notional_px += fact.last_qty * fact.last_px
            case ChildRiskRejected():
                risk_rejects += 1
            case LatencyMeasured():
                latencies_us.append(fact.order_in_to_child_out_ns / 1e3)
    filled = [parent for parent in parents.values() if parent.filled_qty]
    venues = _venues(lives, kinds)
    return Summary(
        parents=len(parents),
        parents_rejected=parents_rejected,
        children=sum(venue.children for venue in venues.values()),
        fills=fills,
        shares_ordered=sum(parent.order_qty for parent in parents.values()),
        shares_filled=sum(parent.filled_qty for parent in filled),
        risk_rejects=risk_rejects,
        venues=venues,
        slippage_arrival_bps=_mean(
            [(parent.cost_bps(parent.arrival_px), parent.filled_qty) for parent in filled if parent.arrival_px]
        ),
        slippage_vwap_bps=_mean(
            [(parent.cost_bps(parent.vwap_px), parent.filled_qty) for parent in filled if parent.vwap_px]
        ),
        latency_p50_us=float(np.percentile(latencies_us, 50)) if latencies_us else None,
        latency_p99_us=float(np.percentile(latencies_us, 99)) if latencies_us else None,
    )


def _venues(lives: ChildLives, kinds: Mapping[str, str]) -> dict[str, VenueSummary]:
    children: dict[str, list[tuple[ChildLife, Label]]] = defaultdict(list)
    for life, label in lives.labelled():
        children[life.submitted.venue].append((life, label))
    return {
        venue: _venue(kinds.get(venue, ""), children[venue])
        for venue in [*kinds, *sorted(children.keys() - kinds.keys())]
    }


def _venue(kind: str, children: list[tuple[ChildLife, Label]]) -> VenueSummary:
    weights = censoring_weights(
        np.array([label.settled_ns for _, label in children], dtype=np.int64),
        np.array([label.known for _, label in children], dtype=np.bool_),
        np.array([life.submitted.horizon_ns == 0 for life, _ in children], dtype=np.bool_),
    )
    recorded = [
        (life.candidate, label, float(weight))
        for (life, label), weight in zip(children, weights, strict=True)
        if life.candidate is not None
    ]
    sent = sum(life.submitted.order_qty for life, _ in children)
    shares = sum(life.filled_qty for life, _ in children)
    return VenueSummary(
        kind=kind,
        children=len(children),
        sent=sent,
        shares=shares,
        fill_rate=shares / sent if sent else 0.0,
        predicted=_mean([(candidate.fill_probability, weight) for candidate, _, weight in recorded]),
        realised=_mean([(float(label.filled), weight) for _, label, weight in recorded]),
        censored=sum(not label.known for _, label in children),
    )


def _mean(weighted: list[tuple[float, float]]) -> float | None:
    weight = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / weight if weight else None
