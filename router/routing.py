"""One routing decision: what to do now with a slice of a parent order.

Candidates, features, one batched model call, expected cost, allocation; then every child passes the risk gate against
the exposure that the children before it made. The decision and its children come out as facts; the caller applies each
before it asks for the next.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from domain.facts import (
    AnyFact,
    CandidateRecord,
    ChildRiskRejected,
    ChildSubmitted,
    DecisionMade,
    DecisionShadowed,
    ModelFailed,
)
from domain.fields import OrdType, Side, TimeInForce, TradingStatus, VenueKind
from domain.instruments import Instrument, VenueTerms
from domain.market import SymbolView
from domain.orders import ParentOrder
from risk.checks import check_child
from risk.limits import RiskLimits
from risk.reject import Reject
from router.allocation import Allocated, allocate, allocate_whole
from router.candidates import Candidate, candidates
from router.dark import NO_TAILS, Tails
from router.display import limited
from router.exploration import Room, Surrounding, room
from router.features import FEATURES, features, schema_hash
from router.health import NO_CORRECTION, Correction, corrected
from router.model import Features, FillModel
from router.policy import ExecutionPolicy
from router.quoting import offers
from router.ranking import RecentRates, ranked
from router.scoring import score
from router.state import State
from router.strategies import Slice
from router.terms import IMMEDIATE, Terms, passed_on

_NOTHING: Features = np.zeros((0, len(FEATURES)), dtype=np.float32)


class ModelUnusable(Exception):  # noqa: N818 - the answer of a model, not ours
    """A model raised, or said something that is no probability."""


def _predict(
    model: FillModel, rows: Features, horizons_ns: NDArray[np.int64]
) -> tuple[list[float], list[float] | None]:
    try:
        predicted, markouts = model.predict(rows, horizons_ns)
    except Exception as error:  # ONNX Runtime raises its own classes straight from Exception
        raise ModelUnusable(f"{type(error).__name__}: {error}"[:200]) from error
    probabilities = predicted.tolist()
    if not all(0.0 <= p <= 1.0 for p in probabilities):
        raise ModelUnusable(f"P(fill) {probabilities}, expected 0 to 1")
    if markouts is None:
        return probabilities, None
    if not np.isfinite(markouts).all():
        raise ModelUnusable(f"markouts {markouts.tolist()}, expected numbers")
    return probabilities, markouts.tolist()


class Routing:
    """Decides slices. Holds what does not change while orders come and go, and the model."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        venues: Mapping[str, VenueTerms],
        limits: RiskLimits,
        policy: ExecutionPolicy,
        model: FillModel,
        seed: int,
        stopwatch: Callable[[], int],
        work: Callable[[], int] = lambda: 0,
    ) -> None:
        self.instruments = instruments
        self.venues = venues
        self.limits = limits
        self.policy = policy
        self._peg_policy = msgspec.structs.replace(policy, max_dark_share=1.0)
        self.model = model
        self.candidate: FillModel | None = None  # on trial beside it, if the state's trial names it
        self.schema_hash = schema_hash(venues)
        self._unlearned = RecentRates(policy.ranking, self.schema_hash) if policy.ranking != "learned" else None
        self._seed = seed
        self._stopwatch = stopwatch  # ns; a constant in virtual time
        self._work = work  # ns of the processor: a model is not slow because the machine is busy with something else
        self._venue_index = {name: index for index, name in enumerate(sorted(venues))}

    def _models(self, state: State, parent_id: str) -> tuple[FillModel, FillModel | None]:
        """The model that serves a parent, and the one that scores beside it during a trial."""
        if self._unlearned is not None:
            return self._unlearned, None
        trial, candidate = state.trial, self.candidate
        if candidate is None or candidate.model_id != trial.model_id:
            return self.model, None
        return (candidate, self.model) if trial.serves(parent_id) else (self.model, candidate)

    def _shadowed(
        self,
        model: FillModel,
        state: State,
        side: Side,
        slice_: Slice,
        view: SymbolView,
        found: list[Candidate],
        rows: Features,
        now_ns: int,
    ) -> DecisionShadowed | ModelFailed:
        """What the other model says of the decision that was just made; it chooses nothing."""
        started_ns = self._work()
        horizons_ns = np.array([candidate.horizon_ns for candidate in found], dtype=np.int64)
        decision_id = state.decision_count
        try:
            probabilities, markouts_bps = _predict(model, rows, horizons_ns)
        except ModelUnusable as error:
            return ModelFailed(at_ns=now_ns, model_id=model.model_id, decision_id=decision_id, text=str(error))
        elapsed_ns = self._work() - started_ns
        expected = corrected(self._corrections(state, found, now_ns), probabilities, markouts_bps)
        scores = score(found, expected[0], side, slice_, view, self.venues, state.statistics, expected[1])
        return DecisionShadowed(
            at_ns=now_ns,
            decision_id=decision_id,
            model_id=model.model_id,
            fill_probabilities=probabilities,
            costs_bps=[one.cost_bps for one in scores],
            elapsed_ns=elapsed_ns,
        )

    def _corrections(self, state: State, found: list[Candidate], now_ns: int) -> list[Correction]:
        """What the latest orders make of what a model says; a ranking without one is left as it is."""
        return state.health.corrections(found, now_ns) if self._unlearned is None else [NO_CORRECTION] * len(found)

    def look(
        self,
        state: State,
        parent: ParentOrder,
        slice_: Slice,
        view: SymbolView,
        now_ns: int,
        terms: Terms | None = None,
    ) -> tuple[list[Candidate], Features]:
        """The candidates for a slice and their features, float32 [candidates, FEATURES]."""
        order = parent.accepted
        instrument = self.instruments[order.symbol]
        reachable = self._reachable(state, parent)
        policy, limit_px = self._policy(parent), parent.limit_px
        quoted = offers(parent.parent_id, view, state)
        # An order that has this one chance asks anyway.
        doubts = {} if order.time_in_force in IMMEDIATE else state.doubts.notes(view, order.side, now_ns)
        found = candidates(
            order.side, limit_px, slice_, view, reachable, instrument, policy, now_ns, terms, quoted, doubts
        )
        if not found:
            return found, _NOTHING
        index = self._venue_index
        return found, features(
            found, order.side, slice_, view, instrument, self.venues, state.statistics, index, now_ns, quoted
        )

    def decide(
        self,
        state: State,
        parent: ParentOrder,
        slice_: Slice,
        view: SymbolView,
        now_ns: int,
        terms: Terms | None = None,
    ) -> Iterator[AnyFact]:
        """DecisionMade, then ChildSubmitted or ChildRiskRejected for each chosen candidate."""
        started_ns = self._stopwatch()
        order = parent.accepted
        instrument = self.instruments[order.symbol]
        policy = self._policy(parent)
        found, rows = self.look(state, parent, slice_, view, now_ns, terms)
        icebergs: dict[int, int] = {}
        decision_id = state.decision_count + 1
        records: list[CandidateRecord] = []
        matrix, predicted_ns, allocated, free = b"", 0, Allocated([]), None
        tails: Tails = NO_TAILS
        serving, other = self._models(state, parent.parent_id)
        if found:
            horizons_ns = np.array([candidate.horizon_ns for candidate in found], dtype=np.int64)
            failed = None
            began_ns = self._work()
            try:
                probabilities, markouts_bps = _predict(serving, rows, horizons_ns)
            except ModelUnusable as error:
                if serving in (self.model, self._unlearned):
                    raise
                failed = error
                probabilities, markouts_bps = _predict(self.model, rows, horizons_ns)
            predicted_ns = self._work() - began_ns
            if failed is not None:
                yield ModelFailed(at_ns=now_ns, model_id=serving.model_id, decision_id=decision_id, text=str(failed))
                serving, other = self.model, None
            corrections = self._corrections(state, found, now_ns)
            expected = corrected(corrections, probabilities, markouts_bps)
            scores = score(found, expected[0], order.side, slice_, view, self.venues, state.statistics, expected[1])
            tick_bps = instrument.tick_px / view.mid_px * 1e4
            scores = ranked(self.policy.ranking, found, rows, scores, tick_bps, self._seed, decision_id)
            if terms is not None and terms.whole:
                chosen = allocate_whole(slice_, found, scores, policy)
            else:
                free = self._room(state, parent, slice_, view, now_ns) if terms is None else None
                lot_qty = instrument.lot_qty
                tails = state.dark.of(order.symbol, found) if self._unlearned is None else NO_TAILS
                allocated = allocate(slice_, found, scores, policy, lot_qty, self._seed, decision_id, free, tails)
                chosen = allocated.allocations
            if terms is not None and terms.show_qty is not None:
                chosen, icebergs = limited(chosen, found, terms.show_qty, self.venues, instrument.lot_qty)
            matrix = rows.tobytes()
            records = [
                CandidateRecord(
                    c.venue, c.action, c.px, c.max_qty, p, s.price_bps, s.fee_bps, s.markout_bps, s.no_fill_bps,
                    s.cost_bps, a.propensity, a.qty, a.note, s.filled_fraction, c.min_qty, c.horizon_ns,
                    k.fill_factor, k.markout_bps if markouts_bps is not None else 0.0,
                    list(tails.get(i, ())) if free is not None else [],
                )
                for i, (c, p, s, a, k) in enumerate(zip(found, probabilities, scores, chosen, corrections, strict=True))
            ]  # fmt: skip
        yield DecisionMade(
            at_ns=now_ns,
            decision_id=decision_id,
            parent_id=parent.parent_id,
            symbol=order.symbol,
            slice_qty=slice_.qty,
            urgency=slice_.urgency,
            horizon_ns=max((candidate.horizon_ns for candidate in found), default=0),
            bid_px=view.bid_px,
            ask_px=view.ask_px,
            model_id=serving.model_id,
            schema_hash=self.schema_hash,
            features=matrix,
            candidates=records,
            elapsed_ns=self._stopwatch() - started_ns,
            exploration=free.probability if free is not None else 0.0,
            room_qty=free.qty if free is not None else 0,
            room_bps=free.bps if free is not None else 0.0,
            explored_qty=allocated.explored_qty,
            explored_bps=allocated.explored_bps,
            predicted_ns=predicted_ns,
        )
        if other is not None and found:
            yield self._shadowed(other, state, order.side, slice_, view, found, rows, now_ns)
        for index, record in enumerate(records):
            if not record.chosen_qty:
                continue
            candidate = found[index]
            child = ChildSubmitted(
                at_ns=now_ns,
                child_id=f"{state.epoch}-{state.child_count + 1}",
                parent_id=parent.parent_id,
                decision_id=decision_id,
                candidate=index,
                venue=candidate.venue,
                account=order.account,
                symbol=order.symbol,
                side=order.side,
                order_qty=record.chosen_qty,
                action=candidate.action,
                px=candidate.px,
                min_qty=min(candidate.min_qty, record.chosen_qty),
                quote_id=candidate.quote_id,
                horizon_ns=candidate.horizon_ns,
                time_in_force=TimeInForce.FILL_OR_KILL if terms is not None and terms.whole else None,
                instructions=passed_on(parent, icebergs.get(index, 0)),
                fill_probability=record.fill_probability,
                markout_bps=record.markout_bps - record.markout_shift_bps,
                shown_qty=0 if candidate.horizon_ns else candidate.max_qty,
            )
            yield self.gate(state, parent, child, view, now_ns)

    def _room(self, state: State, parent: ParentOrder, slice_: Slice, view: SymbolView, now_ns: int) -> Room | None:
        if not self.policy.exploration:
            return None
        around = Surrounding(state.explored, state.exposure, state.rate, state.kill_switch, state.trading)
        instrument = self.instruments[parent.accepted.symbol]
        policy, limits = self.policy, self.limits
        return room(parent, slice_, view, instrument, self.venues, policy, limits, around, now_ns)

    def gate(
        self, state: State, parent: ParentOrder, child: ChildSubmitted, view: SymbolView, now_ns: int
    ) -> ChildSubmitted | ChildRiskRejected:
        """The child, or why it may not leave the house."""
        reject = check_child(
            child,
            parent_leaves_unallocated=parent.order_qty - parent.cum_qty - state.open_qty(parent.parent_id),
            client=parent.accepted.client,
            strategy=parent.accepted.strategy,
            instrument=self.instruments.get(child.symbol),
            reference_mid2_px=view.reference_mid2_px(now_ns),
            limits=self.limits,
            exposure=state.exposure,
            rate=state.rate,
            kill_switch=state.kill_switch,
            now_ns=now_ns,
        )
        if reject is None:
            return child
        return stopped(child, reject, now_ns)

    def _policy(self, parent: ParentOrder) -> ExecutionPolicy:
        # All of a midpoint peg belongs in the dark, whatever share of an order would else be put there.
        return self._peg_policy if parent.ord_type is OrdType.PEGGED else self.policy

    def is_halted(self, state: State, symbol: str) -> bool | None:
        """Whether trading in the symbol is halted: all lit venues say so; None while none of them can be heard.

        A halt is the market's, so it holds for dark venues and dealers too, which may not tell.
        """
        lit = [
            name
            for name, terms in self.venues.items()
            if terms.kind is VenueKind.LIT
            and name in state.venues_up
            and (not terms.symbols or symbol in terms.symbols)
        ]
        if not lit:
            return None
        return all(state.trading_status(name, symbol) is TradingStatus.HALTED for name in lit)

    def _reachable(self, state: State, parent: ParentOrder) -> dict[str, VenueTerms]:
        symbol = parent.accepted.symbol
        return {
            name: terms
            for name, terms in self.venues.items()
            if name in state.venues_up
            and (not terms.symbols or symbol in terms.symbols)
            and state.kill_switch.blocks(venue=name) is None
            and state.trading_status(name, symbol) is TradingStatus.OPEN
        }


def stopped(child: ChildSubmitted, reject: Reject, now_ns: int) -> ChildRiskRejected:
    """In place of a child that may not leave the house."""
    return ChildRiskRejected(
        at_ns=now_ns,
        parent_id=child.parent_id,
        decision_id=child.decision_id,
        venue=child.venue,
        symbol=child.symbol,
        order_qty=child.order_qty,
        px=child.px,
        limit=reject.limit,
        text=reject.text,
    )
