"""What became of each child, in the form that survival training needs: filled when, or watched until when.

A child's life is watched from its submission to its horizon. The rules, in the order in which they are tried:

    it filled                                       filled at the first fill
    it was refused by the venue                     a miss, unfilled up to its horizon: choosing it got nothing (a last
                                                    look, a post-only order that would have crossed)
    immediate, ended without a fill                 a miss
    it was watched up to its horizon                a miss
    the venue ended it before, unasked              a miss, as a refusal
    we canceled it before its horizon, the venue    censored then: whether it would have filled is not known, and that
      expired it, its connection was lost, or       is no miss
      it is still open

A fill after the horizon that crossed our cancel on the wire counts as a fill at the horizon, because the shares were
ours by choosing this candidate. A child that was left to rest beyond its horizon was a miss by then, whatever follows.
Censoring is taken to be independent of the fill given the features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.facts import (
    AnyFact,
    CandidateRecord,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildSubmitted,
    ChildUncertain,
    DecisionMade,
    EpochStarted,
    MarkoutMeasured,
)
from router.markouts import markout_bps

# A cancel this much after the horizon did not end the child there: it had been left to rest.
LATE_NS = 1_000_000_000
# A decision's children leave with it, so only the last few decisions are looked up.
_DECISIONS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Label:
    """`time_ns` since submission: of the first fill if `filled`, else until when it is known not to have filled.

    `known`: whether the outcome at the horizon is known, which it is not for a censored child. `settled_ns` since
    submission: when the outcome became known or the child was censored.
    """

    time_ns: int
    filled: bool
    known: bool
    settled_ns: int


@dataclass(slots=True)
class Fill:
    """A fill as it counts now: `qty` is 0 after a bust. `markouts_bps` by nanoseconds after it, positive is a loss."""

    fact: ChildFilled
    qty: int
    px: int
    markouts_bps: dict[int, float]


class ChildLife:
    """What the facts said of one child so far."""

    def __init__(self, submitted: ChildSubmitted, decision: DecisionMade | None) -> None:
        self.submitted = submitted
        self.candidate: CandidateRecord | None = None  # None where the decision's record is not among the facts
        self.features = b""  # float32 little-endian, as served
        self.schema_hash = ""
        if decision is not None:
            self.candidate = decision.candidates[submitted.candidate]
            width = len(decision.features) // len(decision.candidates)
            self.features = decision.features[submitted.candidate * width : (submitted.candidate + 1) * width]
            self.schema_hash = decision.schema_hash
        self.filled_qty = 0
        self.fills: list[Fill] = []
        self._fill_of: dict[str, Fill] = {}  # ExecID(17) of a fill or of a correction of it
        self._first_fill_ns = 0
        self._cancel_asked = False
        self._rested_on = False
        self._uncertain_ns = 0
        self.ended: ChildRejected | ChildCanceled | ChildExpired | None = None
        self.last_fill_ns = 0

    def apply(self, fact: AnyFact) -> None:
        match fact:
            case ChildFilled():
                self.filled_qty += fact.last_qty
                self.last_fill_ns = fact.at_ns
                fill = self._fill_of[fact.exec_id] = Fill(fact, fact.last_qty, fact.last_px, {})
                self.fills.append(fill)
                if not self._first_fill_ns and not self._has_rested_on(fact.at_ns):
                    self._first_fill_ns = fact.at_ns
            case ChildCancelRequested():
                self._cancel_asked = True
                self._rested_on = fact.at_ns - self.submitted.at_ns > self.submitted.horizon_ns + LATE_NS
            case ChildCancelRejected():
                self._cancel_asked = False
            case ChildUncertain():
                self._uncertain_ns = self._uncertain_ns or fact.at_ns
            case ChildRejected() | ChildCanceled() | ChildExpired():
                self.ended = self.ended or fact
            case ChildFillBusted() | ChildFillCorrected() if fact.exec_ref_id in self._fill_of:
                # The label stays: the market did reach the order. What it was worth is another matter.
                fill = self._fill_of[fact.exec_id] = self._fill_of[fact.exec_ref_id]
                corrected = isinstance(fact, ChildFillCorrected)
                fill.qty, fill.px = (fact.last_qty, fact.last_px) if corrected else (0, fill.px)
            case MarkoutMeasured() if fact.mid2_px and fact.exec_id in self._fill_of:
                fill = self._fill_of[fact.exec_id]
                fill.markouts_bps[fact.after_ns] = markout_bps(self.submitted, fill.fact, fact.mid2_px)

    @property
    def counted_qty(self) -> int:
        """What is left of its fills after busts and corrections."""
        return sum(fill.qty for fill in self.fills)

    def markout_bps(self, after_ns: int) -> float:
        """Of its fills so long after each, weighted by shares; NaN where none was measured."""
        marked = [(fill.markouts_bps[after_ns], fill.qty) for fill in self.fills if after_ns in fill.markouts_bps]
        qty = sum(qty for _, qty in marked)
        return sum(bps * qty for bps, qty in marked) / qty if qty else float("nan")

    @property
    def ended_ns(self) -> int:
        """When its last share filled or the venue ended it; 0 while it is open."""
        if self.ended is not None:
            return max(self.ended.at_ns, self.last_fill_ns)
        return self.last_fill_ns if self.filled_qty >= self.submitted.order_qty else 0

    def _has_rested_on(self, at_ns: int) -> bool:
        """Whether it was beyond its horizon by then and had been left there on purpose."""
        horizon_ns = self.submitted.horizon_ns
        is_late = horizon_ns > 0 and at_ns - self.submitted.at_ns > horizon_ns
        return self._rested_on or (is_late and not self._cancel_asked and not self._uncertain_ns)

    def label(self, last_ns: int) -> Label:
        """Its label as of `last_ns`, the time of the last fact, by the rules above."""
        horizon_ns = self.submitted.horizon_ns
        submitted_ns = self.submitted.at_ns
        if self._first_fill_ns:
            time_ns = min(max(self._first_fill_ns - submitted_ns, 0), horizon_ns)
            return Label(time_ns, True, True, time_ns)
        end_ns = self._uncertain_ns or (self.ended.at_ns if self.ended else last_ns)
        watched_ns = max(min(end_ns - submitted_ns, horizon_ns), 0)
        unasked = isinstance(self.ended, ChildCanceled) and not self._cancel_asked and not self._uncertain_ns
        refused = isinstance(self.ended, ChildRejected) or unasked
        if horizon_ns == 0:
            return Label(0, False, self.ended is not None, 0)
        if refused or watched_ns == horizon_ns:
            return Label(horizon_ns, False, True, watched_ns)
        return Label(watched_ns, False, False, watched_ns)


class ChildLives:
    """Follows every child through a sequence of facts. A journal may follow another: ids start anew with each."""

    def __init__(self) -> None:
        self.last_ns = 0
        self._lives: dict[str, ChildLife] = {}
        self._of_earlier_journals: list[tuple[ChildLife, int]] = []
        self._decisions: dict[int, DecisionMade] = {}

    def apply(self, fact: AnyFact) -> None:
        match fact:
            case DecisionMade():
                self._decisions[fact.decision_id] = fact
                if len(self._decisions) > _DECISIONS_KEPT:
                    del self._decisions[next(iter(self._decisions))]
            case ChildSubmitted():
                self._lives[fact.child_id] = ChildLife(fact, self._decisions.get(fact.decision_id))
            case (
                ChildFilled()
                | ChildRejected()
                | ChildCanceled()
                | ChildExpired()
                | ChildCancelRequested()
                | ChildCancelRejected()
                | ChildUncertain()
                | ChildFillBusted()
                | ChildFillCorrected()
                | MarkoutMeasured()
            ):
                life = self._lives.get(fact.child_id)
                if life is not None:
                    life.apply(fact)
            case EpochStarted():
                self._of_earlier_journals += [(life, self.last_ns) for life in self._lives.values()]
                self._lives, self._decisions, self.last_ns = {}, {}, 0
        self.last_ns = max(self.last_ns, fact.at_ns)

    def of(self, child_id: str) -> ChildLife | None:
        """The child of this journal; None for one that was submitted before its first fact here."""
        return self._lives.get(child_id)

    def forget(self, child_id: str) -> None:
        """It is asked for no more, nor will it be among the labelled."""
        del self._lives[child_id]

    def labelled(self) -> Iterator[tuple[ChildLife, Label]]:
        """Every child with its label as of the end of its journal."""
        for life, last_ns in self._of_earlier_journals:
            yield life, life.label(last_ns)
        for life in self._lives.values():
            yield life, life.label(self.last_ns)


def censoring_weights(
    settled_ns: NDArray[np.int64], known: NDArray[np.bool_], immediate: NDArray[np.bool_], clip: float = 20.0
) -> NDArray[np.float64]:
    """Weights that let the rows with a known outcome stand for those whose outcome was cut off; 0 for the latter.

    Rows with a known outcome alone would show too many fills: a fill is known whenever it comes, a miss only where the
    child was left to its horizon. So a row counts 1 / P(not cut off before it was settled), with P by Kaplan and Meier
    over the resting orders (Graf et al. 1999, section 3). Immediate orders have their answer at once and count 1.
    """
    weights = np.where(immediate, 1.0, 0.0) * known
    resting = np.flatnonzero(~immediate)
    if not len(resting):
        return weights
    order = resting[
        np.lexsort((~known[resting], settled_ns[resting]))
    ]  # an outcome comes before a cut at the same time
    at_risk = np.arange(len(order), 0, -1)
    not_cut = np.cumprod(np.where(known[order], 1.0, 1.0 - 1.0 / at_risk))
    weights[order] = np.where(known[order], np.minimum(1.0 / np.maximum(not_cut, 1e-12), clip), 0.0)
    return weights
