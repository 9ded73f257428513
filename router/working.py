"""The work on one parent: what its present state calls for, when to look at it again, and how it ends.

Looks at the state and yields facts, like the engine that calls it. Timers are data: one pending wake-up a parent and
one horizon a resting child, rebuilt from the state after a restart.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from domain.commands import CancelParent, ReplaceParent
from domain.facts import (
    AnyFact,
    ChildCancelRequested,
    ChildReplaceRequested,
    ChildUncertain,
    ParentDone,
    ParentDoneForDay,
    ParentReinstated,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentSuspended,
    ParentTriggered,
)
from domain.fields import (
    Action,
    CxlRejReason,
    ExecInst,
    ExecRestatementReason,
    OrdStatus,
    OrdType,
    TimeInForce,
    TradingStatus,
)
from domain.instruments import Instrument
from domain.market import MarketUpdate, MarketView
from domain.orders import ChildOrder, ParentOrder
from domain.parent import Request
from router import auctions, pegs, quoting, strategies
from router.auctions import auction
from router.fitting import fits, surplus
from router.routing import Routing
from router.state import State
from router.terms import IMMEDIATE
from router.triggers import triggered
from router.watching import Watching

# A decision that sent nothing is tried again after this long, twice as long each time, at most RETRY_MAX_NS.
RETRY_NS = 250_000_000
RETRY_MAX_NS = 8_000_000_000
CANCEL_RETRY_NS = 1_000_000_000  # a venue that refused to cancel is not asked again before
# A venue has so long to acknowledge an order, to end an immediate one, to answer a cancel.
PATIENCE_NS = 5_000_000_000
ACK = "ack"
GOOD_TILL = (TimeInForce.GOOD_TILL_CANCEL, TimeInForce.GOOD_TILL_DATE)


@dataclass(order=True, slots=True)
class _Timer:
    at_ns: int
    parent_id: str
    child_id: str = field(default="")  # "" wakes the parent
    awaits: str = field(default="")  # of the venue: "ack", or the answer to the request of this ClOrdID(11)


class Working:
    """Works parents over one `State` and one `MarketView`. `is_held`: no new children, the node is shutting down."""

    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.is_held = False
        self.watching = Watching(state, market, routing)
        self.reconcile_until_ns = 0  # until then, after a restart, the truth about open children comes first
        self._timers: list[_Timer] = []
        self._wake_ns: dict[str, int] = {}  # parent_id -> its one pending wake-up; other entries of the heap are stale

    def timer(self, now_ns: int) -> Iterator[AnyFact]:
        while self._timers and self._timers[0].at_ns <= now_ns:
            due = heapq.heappop(self._timers)
            if not due.child_id:
                if self._wake_ns.get(due.parent_id) != due.at_ns:
                    continue
                del self._wake_ns[due.parent_id]
                parent = self.state.open_parents.get(due.parent_id)
                if parent is not None:
                    yield from self.settle(parent, now_ns)
                continue
            child = self.state.open_children.get(due.parent_id, {}).get(due.child_id)
            if child is None or child.uncertain:
                continue
            if due.awaits:
                if _is_overdue(child, due.awaits):
                    yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                continue
            if child.pending_cancel_id:
                continue
            if child.cancel_rejected_ns:
                yield from self.settle(self.state.parents[due.parent_id], now_ns)
                if child.pending_cancel_id or child.uncertain or not child.is_open:
                    continue
            if self._rests_on(child, now_ns):
                self.rest_until(now_ns + child.submitted.horizon_ns, child)
            else:
                yield self.cancel_request(child, "horizon", now_ns)

    def next_timer_ns(self) -> int | None:
        return self._timers[0].at_ns if self._timers else None

    def settle(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        """What the present state of a parent calls for: an end, the answer to a pending request, or more work."""
        if parent.done and not parent.pending:
            return
        request = parent.pending[0] if parent.pending else None
        if isinstance(request, ParentReplaceRequested):
            yield from self._settle_replace(parent, request, now_ns)
            return
        has_children = bool(self.state.open_children[parent.parent_id])
        if parent.cum_qty >= parent.order_qty:
            if has_children:
                yield from self.cancel_children(self.open_children(parent), "parent_filled", now_ns)
                return
            if request is not None and request.cl_ord_id:
                yield self._too_late(parent, request, now_ns)
            yield self.done(parent, OrdStatus.FILLED, "", "", now_ns)
        elif request is not None:
            if has_children:
                yield from self.cancel_children(self.open_children(parent), "parent_cancel", now_ns)
            else:
                reason = ExecRestatementReason.VERBAL_CHANGE if request.by else None
                yield self.done(parent, OrdStatus.CANCELED, request.cl_ord_id, request.text, now_ns, reason)
        elif parent.parent_id in self.state.ending:
            yield from self.cancel_children(self.open_children(parent), "ending", now_ns)
            if not has_children:
                yield self.done(parent, OrdStatus.CANCELED, "", self.state.ending[parent.parent_id], now_ns)
        else:
            yield from self.work(parent, now_ns)

    def _settle_replace(self, parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> Iterator[AnyFact]:
        """Its answer once the truth about the children is known, which a fill may have decided."""
        children = self.open_children(parent)
        if parent.cum_qty >= parent.order_qty and request.order_qty <= parent.cum_qty:
            yield self._too_late(parent, request, now_ns)  # FIX matrix C.2.a: filled before it could be replaced
        elif fits(parent, children, request):
            yield self._replaced(parent, request, now_ns)
        else:
            yield from self.make_fit(parent, request, now_ns)
            return
        yield from self.settle(parent, now_ns)

    def make_fit(self, parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> Iterator[AnyFact]:
        """Asks venues for what has to change before the replace can be answered; what was asked for is waited for."""
        children = self.open_children(parent)
        for child, keep_qty in surplus(parent, children, request):
            terms = self.routing.venues.get(child.submitted.venue)
            if keep_qty and terms is not None and terms.can_replace and keep_qty >= terms.min_qty:
                if child.pending_replace is None and not child.uncertain:
                    yield self.replace_request(child, child.cum_qty + keep_qty, "parent_replace", now_ns)
            else:
                yield from self.cancel_children([child], "parent_replace", now_ns)

    def work(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        state, order = self.state, parent.accepted
        if self.is_held or state.paused:
            return
        parent_id = parent.parent_id
        if now_ns < self.reconcile_until_ns:
            self.wake(self.reconcile_until_ns, parent_id)
            return
        children = self.open_children(parent)
        instrument = self.routing.instruments.get(order.symbol)
        if instrument is not None and (kind := auction(parent.ord_type, order.time_in_force)) is not None:
            yield from self._work_auction(parent, kind, now_ns)
            return
        ended = self._ended(parent, instrument, now_ns)
        if ended is not None:
            if children:
                yield from self.cancel_children(children, "strategy_end", now_ns)
            else:
                yield self.done(parent, ended, "", _unfilled(parent), now_ns)
            return
        assert instrument is not None  # without one the order has ended
        if not instrument.hours.is_open(now_ns):
            yield from self._rest_overnight(parent, instrument, now_ns)
            return
        halted = self.routing.is_halted(state, order.symbol)
        if halted:
            yield from self._rest_in_a_halt(parent, now_ns)
            return
        if parent.suspended and halted is False:
            yield ParentReinstated(at_ns=now_ns, parent_id=parent_id, text="trading goes on")
        if parent.done_for_day:
            yield ParentRestated(at_ns=now_ns, parent_id=parent_id, text="", reason=ExecRestatementReason.GT_RENEWAL)
        for at_ns in (instrument.hours.next_close_ns(now_ns), parent.instructions.expire_ns):
            if at_ns:
                self.wake(at_ns, parent_id)
        if state.kill_switch.blocks(
            client=order.client, account=order.account, strategy=order.strategy, symbol=order.symbol
        ):
            return
        self.watching.add(parent)
        if parent.awaits_trigger:
            yield from self._trigger(parent, None, now_ns)
            if parent.awaits_trigger:
                return
        if strategies.is_late(parent, now_ns):
            latest_ns = now_ns + self.routing.policy.rest_ns(1.0)
            too_long = [child for child in children if child.submitted.at_ns + child.submitted.horizon_ns > latest_ns]
            yield from self.cancel_children(too_long, "late", now_ns)
        terms = self.watching.terms(parent)
        if parent.ord_type is OrdType.PEGGED and terms is not None:
            yield from self._reprice(parent, terms.rest_px, now_ns)
        view = self.market.symbol(order.symbol)
        slice_ = strategies.next_slice(parent, state.open_qty(parent_id), now_ns, instrument.lot_qty)
        wake_ns = strategies.next_wake_ns(parent, now_ns)
        if slice_ is not None:
            venues, policy = self.routing.venues, self.routing.policy
            yield from quoting.ask(parent, slice_, view, state, venues, policy, instrument.lot_qty, now_ns)
            if until_ns := quoting.waits_until_ns(parent_id, view, state):
                self.wake(until_ns, parent_id)
                return
            for fact in self.routing.decide(state, parent, slice_, view, now_ns, terms):
                yield fact
                child = state.children.get(getattr(fact, "child_id", ""))
                if child is not None:
                    self._await_answer(child, ACK, now_ns)
                    if child.submitted.horizon_ns:
                        self.rest_until(now_ns + child.submitted.horizon_ns, child)
                        self.watching.moved(parent, now_ns)
            if order.time_in_force in IMMEDIATE:
                if not state.open_children[parent_id]:
                    yield from self.settle(parent, now_ns)  # nothing could be taken: it has ended
                return
            idle = state.idle_decisions[parent_id]
            if idle:
                wake_ns = now_ns + min(RETRY_NS << (idle - 1), RETRY_MAX_NS) if idle < 8 else now_ns + RETRY_MAX_NS
        if wake_ns is not None:
            self.wake(wake_ns, parent_id)

    def market_moved(self, update: MarketUpdate, now_ns: int) -> Iterator[AnyFact]:
        """What follows from an update, which the view has applied, for the orders that watch its symbol."""
        for parent in self.watching.parents(update.symbol):
            if parent.awaits_trigger:
                if self.watching.may_trigger(parent, now_ns):
                    yield from self._trigger(parent, update, now_ns)
                if parent.triggered:
                    yield from self.settle(parent, now_ns)
            elif (due_ns := self.watching.due_ns(parent, update, now_ns)) is None:
                continue
            elif due_ns > now_ns:
                self.wake(due_ns, parent.parent_id)
            else:
                yield from self.settle(parent, now_ns)

    def _trigger(self, parent: ParentOrder, update: MarketUpdate | None, now_ns: int) -> Iterator[AnyFact]:
        view = self.market.symbol(parent.accepted.symbol)
        px, text = triggered(parent, update, view, self.routing.policy)
        if px:
            yield ParentTriggered(at_ns=now_ns, parent_id=parent.parent_id, px=px, text=text)

    def _reprice(self, parent: ParentOrder, px: int, now_ns: int) -> Iterator[AnyFact]:
        paced_ns = self.watching.paced_ns(parent)
        if now_ns < paced_ns:
            if pegs.off_price(parent, self.open_children(parent), px):
                self.wake(paced_ns, parent.parent_id)
            return
        for fact in self.watching.repriced(parent, px, now_ns):
            self.watching.moved(parent, now_ns)
            yield self.cancel_request(fact, "peg", now_ns) if isinstance(fact, ChildOrder) else fact

    def _work_auction(self, parent: ParentOrder, kind: TimeInForce, now_ns: int) -> Iterator[AnyFact]:
        """One child at the venue that holds the auction; what the venue says of it is the end of the order."""
        state, order, parent_id = self.state, parent.accepted, parent.parent_id
        if state.open_children[parent_id]:
            return
        hours = self.routing.instruments[order.symbol].hours
        is_past = hours.opens != hours.closes and hours.is_open(now_ns) is (kind is TimeInForce.AT_THE_OPENING)
        if (ended := state.auctioned.get(parent_id)) is not None or is_past:
            yield self.done(parent, ended or OrdStatus.EXPIRED, "", _unfilled(parent), now_ns)
            return
        venue = auctions.venue_of(kind, order.symbol, self.routing.venues)
        if venue not in state.venues_up or state.trading_status(venue, order.symbol) is TradingStatus.HALTED:
            self.wake(now_ns + RETRY_MAX_NS, parent_id)
            return
        if state.kill_switch.blocks(
            client=order.client, account=order.account, venue=venue, strategy=order.strategy, symbol=order.symbol
        ):
            return
        view = self.market.symbol(order.symbol)
        decision = auctions.decision(parent, kind, venue, state.decision_count + 1, view, now_ns)
        yield decision
        child_id = f"{state.epoch}-{state.child_count + 1}"
        tick_px = self.routing.instruments[order.symbol].tick_px
        valued_px = -(-view.reference_mid2_px(now_ns) // (2 * tick_px)) * tick_px
        sent = self.routing.gate(
            state, parent, auctions.child(parent, kind, child_id, decision, valued_px), view, now_ns
        )
        yield sent
        if child_id in state.children:
            self._await_answer(state.children[child_id], ACK, now_ns)
            self.rest_until(now_ns + auctions.RESTS_NS, state.children[child_id])
        else:
            self.wake(now_ns + RETRY_MAX_NS, parent_id)

    def _ended(self, parent: ParentOrder, instrument: Instrument | None, now_ns: int) -> OrdStatus | None:
        """How the order ends now by itself, None while it goes on."""
        order, expire_ns = parent.accepted, parent.instructions.expire_ns
        if order.time_in_force in IMMEDIATE and self.state.decisions_of.get(parent.parent_id):
            return OrdStatus.CANCELED  # FIX: what is killed is canceled, not expired
        # No instrument: an order from before the symbol was taken out of the config.
        if instrument is None or strategies.is_over(parent, now_ns) or (expire_ns and expire_ns <= now_ns):
            return OrdStatus.EXPIRED
        if order.time_in_force not in GOOD_TILL and not instrument.hours.is_open(now_ns):
            return OrdStatus.CANCELED if order.time_in_force in IMMEDIATE else OrdStatus.DONE_FOR_DAY
        return None

    def _rest_in_a_halt(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        """What rests at venues is theirs to keep or cancel, unless the client wants the order canceled."""
        if parent.instructions.has(ExecInst.CANCEL_ON_TRADING_HALT):
            children = self.open_children(parent)
            yield from self.cancel_children(children, "halt", now_ns)
            if not children:
                reason = ExecRestatementReason.TRADING_HALT
                yield self.done(parent, OrdStatus.CANCELED, "", "canceled: trading halt", now_ns, reason)
        elif not parent.suspended:
            yield ParentSuspended(at_ns=now_ns, parent_id=parent.parent_id, text="trading halt")

    def _rest_overnight(self, parent: ParentOrder, instrument: Instrument, now_ns: int) -> Iterator[AnyFact]:
        """The day is over and the order is not: nothing of it rests anywhere until the market opens again."""
        children = self.open_children(parent)
        if children:
            yield from self.cancel_children(children, "close", now_ns)
        elif not parent.done_for_day:
            yield ParentDoneForDay(at_ns=now_ns, parent_id=parent.parent_id)
        for at_ns in (instrument.hours.next_open_ns(now_ns), parent.instructions.expire_ns):
            if at_ns:
                self.wake(at_ns, parent.parent_id)

    def _rests_on(self, child: ChildOrder, now_ns: int) -> bool:
        """Whether nothing better could be done than to go on resting: at the parent's limit, which nobody offers.

        A cancel would only give up the place in the queue to ask for it again.
        """
        order = child.submitted
        parent = self.state.parents[order.parent_id]
        if order.action is Action.AUCTION or parent.ord_type is OrdType.PEGGED:
            return not self.is_held and not self.state.paused
        view, sign = self.market.symbol(order.symbol), order.side.sign
        far_px = view.ask_px if sign > 0 else view.bid_px
        tick_px = self.routing.instruments[order.symbol].tick_px
        return (
            order.action is Action.POST
            and 0 <= sign * (parent.limit_px - order.px) < tick_px
            and (not far_px or sign * far_px > sign * parent.limit_px)
            and not strategies.is_over(parent, now_ns)
            and not self.is_held
            and not self.state.paused
        )

    def open_children(self, parent: ParentOrder) -> list[ChildOrder]:
        return list(self.state.open_children[parent.parent_id].values())

    def cancel_children(self, children: Iterable[ChildOrder], reason: str, now_ns: int) -> Iterator[AnyFact]:
        """Immediate orders answer by themselves; uncertain ones can't be told now and are settled on reconnect."""
        for child in children:
            asked = child.pending_cancel_id or now_ns < child.cancel_rejected_ns + CANCEL_RETRY_NS
            if child.submitted.horizon_ns and not asked and not child.uncertain:
                yield self.cancel_request(child, reason, now_ns)

    def cancel_later(self, child: ChildOrder, now_ns: int) -> None:
        """The venue refused to cancel an order that lives on: it is looked at again, but not at once."""
        if child.submitted.horizon_ns:
            self.rest_until(now_ns + CANCEL_RETRY_NS, child)

    def cancel_request(self, child: ChildOrder, reason: str, now_ns: int) -> ChildCancelRequested:
        cancel_id = f"{self.state.epoch}-X{self.state.cancel_count + 1}"
        self._await_answer(child, cancel_id, now_ns)
        return ChildCancelRequested(at_ns=now_ns, child_id=child.child_id, cancel_id=cancel_id, reason=reason)

    def replace_request(self, child: ChildOrder, order_qty: int, reason: str, now_ns: int) -> ChildReplaceRequested:
        replace_id = f"{self.state.epoch}-R{self.state.replace_count + 1}"
        self._await_answer(child, replace_id, now_ns)
        return ChildReplaceRequested(
            at_ns=now_ns,
            child_id=child.child_id,
            replace_id=replace_id,
            order_qty=order_qty,
            px=child.px,
            reason=reason,
        )

    @staticmethod
    def _replaced(parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> ParentReplaced | ParentRestated:
        order_qty = max(request.order_qty, parent.cum_qty)
        if request.by:
            less = order_qty < parent.order_qty
            return ParentRestated(
                at_ns=now_ns,
                parent_id=parent.parent_id,
                text=request.text,
                reason=ExecRestatementReason.PARTIAL_DECLINE if less else ExecRestatementReason.VERBAL_CHANGE,
                order_qty=order_qty,
                limit_px=request.limit_px,
            )
        return ParentReplaced(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=request.cl_ord_id,
            order_qty=order_qty,
            limit_px=request.limit_px,
            params=request.params,
            instructions=request.instructions,
            ord_type=request.ord_type,
        )

    def _too_late(self, parent: ParentOrder, request: Request, now_ns: int) -> ParentRequestRejected:
        kind = ReplaceParent if isinstance(request, ParentReplaceRequested) else CancelParent
        return ParentRequestRejected(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            client=parent.accepted.client,
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=parent.cl_ord_id,
            ord_status=parent.status,
            response_to=kind.response_to,
            reason=CxlRejReason.TOO_LATE,
            text="too late: the order was filled",
        )

    def done(
        self,
        parent: ParentOrder,
        ord_status: OrdStatus,
        cl_ord_id: str,
        text: str,
        now_ns: int,
        reason: ExecRestatementReason | None = None,
    ) -> ParentDone:
        view = self.market.symbol(parent.accepted.symbol)
        return ParentDone(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            ord_status=ord_status,
            cl_ord_id=cl_ord_id,
            text=text,
            tape_qty=view.tape_qty,
            tape_notional_px=view.tape_notional_px,
            reason=reason,
        )

    def wake(self, at_ns: int, parent_id: str) -> None:
        """One pending wake-up a parent, the earliest: each fires once and asks for the next."""
        if at_ns < self._wake_ns.get(parent_id, at_ns + 1):
            self._wake_ns[parent_id] = at_ns
            heapq.heappush(self._timers, _Timer(at_ns, parent_id))

    def _await_answer(self, child: ChildOrder, awaits: str, now_ns: int) -> None:
        """A venue that says nothing for too long is asked what became of the order."""
        timer = _Timer(now_ns + PATIENCE_NS, child.submitted.parent_id, child.child_id, awaits)
        heapq.heappush(self._timers, timer)

    def rest_until(self, at_ns: int, child: ChildOrder) -> None:
        heapq.heappush(self._timers, _Timer(at_ns, child.submitted.parent_id, child.child_id))


def _unfilled(parent: ParentOrder) -> str:
    return f"{parent.leaves_qty} of {parent.order_qty} not filled"


def _is_overdue(child: ChildOrder, awaits: str) -> bool:
    if awaits != ACK:
        replace = child.pending_replace
        return child.pending_cancel_id == awaits or (replace is not None and replace.replace_id == awaits)
    return child.ord_status is OrdStatus.PENDING_NEW or not child.submitted.horizon_ns


def request_rejected(
    command: CancelParent | ReplaceParent,
    parent: ParentOrder | None,
    reason: CxlRejReason,
    text: str,
    now_ns: int,
) -> ParentRequestRejected:
    return ParentRequestRejected(
        at_ns=now_ns,
        parent_id=parent.parent_id if parent is not None else "",
        client=command.client,
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        ord_status=parent.ord_status if parent else OrdStatus.REJECTED,
        response_to=command.response_to,
        reason=reason,
        text=text,
    )
