"""A model on trial beside the one that serves: how far it is trusted, what it has shown, and when it has to go.

    shadow      scores every decision, chooses none
    canary      serves 1, 5, 25, 50 and then all parents, chosen by a hash of their id that stays
    champion    serves all, and is the reference of the next one; the one before stays warm beside it

Both models score every decision as long as a trial lasts, so they are judged on the same orders. Everything here
follows from facts, so a recovery has the same trial with the same evidence. What makes a model go, whatever its stage:
calibration, loss beside the reference, the cost of its parents, markouts, errors, and time.

Whoever looks after every order finds something by chance in the end, so losses, costs and markouts are judged by bounds
that hold at all times (router.sequential). To go, a model has to be worse by the measure and surely worse at all; to go
on, it has to be surely not 5% worse in loss. Costs and markouts are compared within a stage, where both serve parents
of the same hours; from 100% on, where the reference serves none, with what it had at the stage before.
"""

import hashlib
from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from domain.facts import (
    ChildFilled,
    ChildSubmitted,
    DecisionMade,
    DecisionShadowed,
    MarkoutMeasured,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
    ParentAccepted,
)
from domain.orders import ChildOrder
from router.markouts import markout_bps
from router.sequential import RunningMean, lower_difference, reach

STEPS = (("shadow", 0.0), *(("canary", share) for share in (0.01, 0.05, 0.25, 0.5, 1.0)), ("champion", 1.0))
ORDERS = 2_000  # resolved, over which calibration is judged
LEAST_ORDERS = 500  # resolved, before loss is judged; and before a next stage, unless the config says otherwise
LEAST_PARENTS = 20  # of each, before costs are compared; of its own before a next stage of a canary, as above
LEAST_FILLS = 100  # of each model, before markouts are compared
MAX_CALIBRATION_ERROR = 0.08
MAX_LOSS_RATIO = 1.05
MAX_COST_BPS = 0.5
MAX_MARKOUT_BPS = 1.0
MAX_P99_NS = 2_000_000  # of the processor, for a prediction
_TIMES = 500
_MARKOUT_NS = 10_000_000_000
_BINS = 10
_CLIP = 1e-3
_CHANGES_KEPT = 100

Floats = NDArray[np.float64]


class Resolved(msgspec.Struct, frozen=True):
    """What both said of an order, and whether it filled."""

    candidate: float
    reference: float
    filled: bool


class Trial:
    """Changes only through `apply_*`. `model_id` is "" while there is none on trial."""

    def __init__(self) -> None:
        self.champion = ""  # as last told by facts, "" where none has said so
        self.changes: deque[ModelStaged | ModelRolledBack] = deque(maxlen=_CHANGES_KEPT)  # of all trials
        self.news = 0  # how much evidence there has been, of all trials
        self._begin("", "")

    def _begin(self, model_id: str, reference_id: str) -> None:
        self.model_id, self.reference_id = model_id, reference_id
        self.stage, self.share = "", 0.0
        self.resolved: deque[Resolved] = deque(maxlen=ORDERS)
        self.since_stage = 0  # orders resolved, and own parents begun, since the last stage
        self.own_parents = 0
        self._compare_anew()
        self.errors = 0
        self.times_ns: deque[int] = deque(maxlen=_TIMES)
        self._said: dict[int, list[tuple[float, float]]] = {}  # decision_id -> candidate's and reference's P(fill)
        self._open: dict[str, tuple[float, float]] = {}  # child_id -> the same
        self._parents: dict[str, bool] = {}  # parent_id -> whether the candidate serves it
        self._spent: dict[str, tuple[float, int]] = {}  # parent_id -> bps times shares, shares
        self._fees: dict[str, float] = {}  # child_id -> bps
        self._whose: dict[str, bool] = {}  # child_id -> as of its parent, until its fills are marked out

    def _compare_anew(self) -> None:
        self.costs = {True: RunningMean(), False: RunningMean()}  # of parents, bps; True: of the candidate
        self.markouts = {True: RunningMean(), False: RunningMean()}  # of fills, bps

    # --- what it decides ---

    def serves(self, parent_id: str) -> bool:
        """Whether the candidate serves this parent: the same answer for the parent's whole life at a stage.

        A parent that a lower share serves is served by every higher one.
        """
        if not self.share:
            return False
        digest = hashlib.blake2b(f"{self.model_id} {parent_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self.share * 2**64

    def next_step(self) -> tuple[str, float] | None:
        """Stage and share that follow, None behind the last."""
        if not self.stage:
            return STEPS[0]
        place = STEPS.index((self.stage, self.share)) + 1
        return STEPS[place] if place < len(STEPS) else None

    def missing(self, orders: int = LEAST_ORDERS, parents: int = LEAST_PARENTS) -> str:
        """What evidence the next stage still needs, "" where none; at least so many orders, and parents of its own."""
        if self.since_stage < orders:
            return f"{self.since_stage} of {orders} resolved orders at stage {self.stage} {self.share:.0%}"
        if self.stage == "canary" and self.own_parents < parents:
            return f"{self.own_parents} of {parents} parents of its own at share {self.share:.0%}"
        ours, theirs = self._losses()
        excess = ours - MAX_LOSS_RATIO * theirs
        if excess.mean() + reach(len(excess), float(excess.var())) > 0.0:
            return (
                f"log-loss {ours.mean():.4f} on {len(ours)} orders, {theirs.mean():.4f} of {self.reference_id}: "
                f"that it is less than {MAX_LOSS_RATIO - 1:.0%} worse is not sure yet"
            )
        return ""

    def verdict(self) -> str:
        """Why the candidate has to go now, "" as long as it may stay."""
        if not self.model_id:
            return ""
        if self.errors:
            return f"{self.errors} inference errors"
        if len(self.times_ns) == _TIMES:
            p99_ns = sorted(self.times_ns)[_TIMES * 99 // 100 - 1]
            if p99_ns > MAX_P99_NS:
                return f"p99 of a prediction {p99_ns / 1e3:.0f} us, at most {MAX_P99_NS / 1e3:.0f}"
        return self._verdict_on_probabilities() or self._verdict_on_outcomes()

    def _verdict_on_probabilities(self) -> str:
        if len(self.resolved) == ORDERS:
            error = self.calibration_error()
            if error > MAX_CALIBRATION_ERROR:
                return f"calibration error {error:.3f} on {ORDERS} orders, at most {MAX_CALIBRATION_ERROR}"
        if len(self.resolved) >= LEAST_ORDERS:
            ours, theirs = self._losses()
            worse = ours - theirs
            if ours.mean() > MAX_LOSS_RATIO * theirs.mean() and worse.mean() > reach(len(worse), float(worse.var())):
                return f"log-loss {ours.mean():.4f} on {len(ours)} orders, {theirs.mean():.4f} of {self.reference_id}"
        return ""

    def _verdict_on_outcomes(self) -> str:
        ours, theirs = self.costs[True], self.costs[False]
        worse_bps = lower_difference(ours, theirs)
        if min(ours.count, theirs.count) >= LEAST_PARENTS and worse_bps > MAX_COST_BPS:
            return f"its parents cost at least {worse_bps:.2f} bps more, at most {MAX_COST_BPS}"
        ours, theirs = self.markouts[True], self.markouts[False]
        worse_bps = ours.mean - theirs.mean
        enough = min(ours.count, theirs.count) >= LEAST_FILLS
        if enough and worse_bps > MAX_MARKOUT_BPS and lower_difference(ours, theirs) > 0.0:
            return f"10 s markout {worse_bps:.2f} bps worse over {ours.count} fills"
        return ""

    def log_losses(self) -> tuple[float, float]:
        """Of the candidate and the reference on the same orders; there must be some."""
        ours, theirs = self._losses()
        return float(ours.mean()), float(theirs.mean())

    def _losses(self) -> tuple[Floats, Floats]:
        """Of each resolved order, by the candidate and by the reference."""
        said = np.clip([(order.candidate, order.reference) for order in self.resolved], _CLIP, 1.0 - _CLIP)
        filled = np.array([order.filled for order in self.resolved])
        losses = -np.log(np.where(filled[:, None], said, 1.0 - said))
        return losses[:, 0], losses[:, 1]

    def calibration_error(self) -> float:
        """Mean distance of said and realised over ten bins of equal count, of the candidate."""
        said, filled = np.array([(order.candidate, order.filled) for order in self.resolved]).T
        ranked = np.argsort(said, kind="stable")
        parts = np.array_split((said - filled)[ranked], _BINS)
        return float(sum(abs(part.sum()) for part in parts) / len(ranked))

    # --- what it learns ---

    def apply_staged(self, fact: ModelStaged) -> None:
        if fact.model_id != self.model_id:
            self._begin(fact.model_id, fact.reference_id)
        if fact.share < 1.0:
            self._compare_anew()
        self.stage, self.share = fact.stage, fact.share
        self.since_stage = self.own_parents = 0
        self.changes.append(fact)
        if fact.stage == "champion":
            self.champion = fact.model_id

    def apply_rolled_back(self, fact: ModelRolledBack) -> None:
        self.changes.append(fact)
        self.champion = fact.reference_id
        self._begin("", "")

    def apply_decision(self, fact: DecisionMade) -> None:
        if self.model_id:
            if fact.model_id == self.model_id and fact.predicted_ns:
                self.times_ns.append(fact.predicted_ns)
            self._parents.setdefault(fact.parent_id, self.serves(fact.parent_id))

    def apply_shadowed(self, made: DecisionMade | None, fact: DecisionShadowed) -> None:
        """`made` is the decision that was scored a second time; only the latest is ever asked for."""
        if not self.model_id:
            return
        if fact.model_id == self.model_id and fact.elapsed_ns:
            self.times_ns.append(fact.elapsed_ns)
        if made is None or made.decision_id != fact.decision_id:
            return
        served = [candidate.fill_probability for candidate in made.candidates]
        ours = fact.fill_probabilities if fact.model_id == self.model_id else served
        theirs = served if fact.model_id == self.model_id else fact.fill_probabilities
        self._said = {fact.decision_id: list(zip(ours, theirs, strict=True))}

    def apply_submitted(self, made: DecisionMade | None, fact: ChildSubmitted) -> None:
        said = self._said.get(fact.decision_id)
        if said is None:
            return
        self._open[fact.child_id] = said[fact.candidate]
        self._whose[fact.child_id] = self._parents[fact.parent_id]
        if made is not None and made.decision_id == fact.decision_id:
            self._fees[fact.child_id] = made.candidates[fact.candidate].fee_bps

    def apply_accepted(self, fact: ParentAccepted) -> None:
        if self.model_id and self.serves(fact.parent_id):
            self.own_parents += 1

    def apply_filled(self, accepted: ParentAccepted, child: ChildOrder, fact: ChildFilled) -> None:
        self._resolve(child.child_id, filled=True)
        fee_bps = self._fees.get(child.child_id) if child.is_open else self._fees.pop(child.child_id, None)
        if fee_bps is None or not accepted.arrival_mid2_px:
            return
        arrival_px = accepted.arrival_mid2_px / 2
        paid_bps = accepted.side.sign * (fact.last_px - arrival_px) / arrival_px * 1e4 + fee_bps
        spent, shares = self._spent.get(accepted.parent_id, (0.0, 0))
        self._spent[accepted.parent_id] = (spent + paid_bps * fact.last_qty, shares + fact.last_qty)

    def apply_ended(self, child: ChildOrder, *, known: bool) -> None:
        """`known`: whether what became of it by its horizon is known; if not it tells nothing."""
        if known:
            self._resolve(child.child_id, filled=child.cum_qty > 0)
        self._open.pop(child.child_id, None)
        self._fees.pop(child.child_id, None)
        if not child.cum_qty:
            self._whose.pop(child.child_id, None)

    def apply_done(self, parent_id: str) -> None:
        spent, shares = self._spent.pop(parent_id, (0.0, 0))
        served = self._parents.pop(parent_id, None)
        if shares and served is not None:
            self.costs[served].add(spent / shares)
            self.news += 1

    def apply_markout(self, order: ChildSubmitted, fill: ChildFilled, fact: MarkoutMeasured) -> None:
        served = self._whose.get(order.child_id)
        if served is not None and fact.after_ns == _MARKOUT_NS and fact.mid2_px:
            self.markouts[served].add(markout_bps(order, fill, fact.mid2_px))
            self.news += 1

    def apply_failed(self, fact: ModelFailed) -> None:
        self.errors += fact.model_id == self.model_id

    def _resolve(self, child_id: str, *, filled: bool) -> None:
        said = self._open.pop(child_id, None)
        if said is not None:
            self.resolved.append(Resolved(*said, filled))
            self.since_stage += 1
            self.news += 1
