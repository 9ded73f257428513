"""The work on one parent: what its present state calls for, when to look at it again, and how it ends.

Looks at the state and yields facts, like the engine that calls it. What venues are asked is `router/asking.py`, what
happens while the market is not open `router/phases.py`.
"""

from collections.abc import Iterator

from domain.facts import (
    AnyFact,
    ChildUncertain,
    ParentReinstated,
    ParentReplaceRequested,
    ParentRestated,
    ParentTriggered,
)
from domain.fields import Action, ExecRestatementReason, OrdStatus, OrdType
from domain.market import MarketUpdate, MarketView
from domain.orders import ChildOrder, ParentOrder
from router import pegs, quoting, strategies
from router.answers import done, replaced, too_late, unfilled
from router.auctions import auction
from router.fitting import fits, surplus
from router.phases import RETRY_MAX_NS, RETRY_NS, Phases
from router.routing import Routing
from router.state import State
from router.strategies import Slice
from router.terms import IMMEDIATE, Terms
from router.timers import ACK, is_overdue
from router.triggers import triggered
from router.watching import Watching


class Working(Phases):
    """Works parents over one `State` and one `MarketView`. `is_held`: no new children, the node is shutting down."""

    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        super().__init__(state, market, routing)
        self.is_held = False
        self.watching = Watching(state, market, routing)
        self.reconcile_until_ns = 0  # until then, after a restart, the truth about open children comes first

    def timer(self, now_ns: int) -> Iterator[AnyFact]:
        for due in self.timers.due(now_ns):
            if not due.child_id:
                parent = self.state.open_parents.get(due.parent_id)
                if parent is not None:
                    yield from self.settle(parent, now_ns)
                continue
            child = self.state.open_children.get(due.parent_id, {}).get(due.child_id)
            if child is None or child.uncertain:
                continue
            if due.awaits:
                if is_overdue(child, due.awaits):
                    yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                continue
            if child.pending_cancel_id:
                continue
            if child.cancel_rejected_ns:
                yield from self.settle(self.state.parents[due.parent_id], now_ns)
                if child.pending_cancel_id or child.uncertain or not child.is_open:
                    continue
            if self.state.blocks(self.state.parents[due.parent_id].accepted, child.submitted.venue):
                yield self.cancel_request(child, "kill_switch", now_ns)  # which the venue has refused before
            elif self._rests_on(child, now_ns):
                self.timers.rest_until(now_ns + child.submitted.horizon_ns, child)
            elif patience_ns := self._keeps_its_place(child, now_ns):
                self.timers.rest_until(now_ns + min(patience_ns, child.submitted.horizon_ns), child)
            else:
                yield self.cancel_request(child, "horizon", now_ns)

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
                yield too_late(parent, request, now_ns)
            yield done(parent, self.market, OrdStatus.FILLED, "", "", now_ns)
        elif request is not None:
            if has_children:
                yield from self.cancel_children(self.open_children(parent), "parent_cancel", now_ns)
            else:
                reason = ExecRestatementReason.VERBAL_CHANGE if request.by else None
                yield done(parent, self.market, OrdStatus.CANCELED, request.cl_ord_id, request.text, now_ns, reason)
        elif parent.parent_id in self.state.ending:
            yield from self.cancel_children(self.open_children(parent), "ending", now_ns)
            if not has_children:
                yield done(parent, self.market, OrdStatus.CANCELED, "", self.state.ending[parent.parent_id], now_ns)
        else:
            yield from self.work(parent, now_ns)

    def _settle_replace(self, parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> Iterator[AnyFact]:
        """Its answer once the truth about the children is known, which a fill may have decided."""
        children = self.open_children(parent)
        if parent.cum_qty >= parent.order_qty and request.order_qty <= parent.cum_qty:
            yield too_late(parent, request, now_ns)  # FIX matrix C.2.a: filled before it could be replaced
        elif fits(parent, children, request):
            yield replaced(parent, request, now_ns)
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
            self.timers.wake(self.reconcile_until_ns, parent_id)
            return
        children = self.open_children(parent)
        instrument = self.routing.instruments.get(order.symbol)
        if instrument is not None and (kind := auction(parent.ord_type, order.time_in_force)) is not None:
            yield from self.work_auction(parent, kind, now_ns)
            return
        ended = self.ended_by_itself(parent, instrument, now_ns)
        if ended is not None:
            if children:
                yield from self.cancel_children(children, "strategy_end", now_ns)
            else:
                yield done(parent, self.market, ended, "", unfilled(parent), now_ns)
            return
        assert instrument is not None  # without one the order has ended
        if not instrument.hours.is_open(now_ns):
            yield from self.rest_overnight(parent, instrument, now_ns)
            return
        halted = self.routing.is_halted(state, order.symbol)
        if halted:
            yield from self.rest_in_a_halt(parent, now_ns)
            return
        if parent.suspended and halted is False:
            yield ParentReinstated(at_ns=now_ns, parent_id=parent_id, text="trading goes on")
        if parent.done_for_day:
            yield ParentRestated(at_ns=now_ns, parent_id=parent_id, text="", reason=ExecRestatementReason.GT_RENEWAL)
        for at_ns in (instrument.hours.next_close_ns(now_ns), parent.instructions.expire_ns):
            if at_ns:
                self.timers.wake(at_ns, parent_id)
        if state.blocks(order):
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
        slice_ = strategies.next_slice(parent, state.open_qty(parent_id), now_ns, instrument.lot_qty)
        if slice_ is not None:
            yield from self._send(parent, slice_, terms, now_ns)
        elif (wake_ns := strategies.next_wake_ns(parent, now_ns)) is not None:
            self.timers.wake(wake_ns, parent_id)

    def _send(self, parent: ParentOrder, slice_: Slice, terms: Terms | None, now_ns: int) -> Iterator[AnyFact]:
        """Asks dealers for quotes or decides, and sees to it that what was not sent is looked at again."""
        state, order, parent_id, routing = self.state, parent.accepted, parent.parent_id, self.routing
        view, lot_qty = self.market.symbol(order.symbol), self.routing.instruments[order.symbol].lot_qty
        wake_ns = strategies.next_wake_ns(parent, now_ns)
        yield from quoting.ask(parent, slice_, view, state, routing.venues, routing.policy, lot_qty, now_ns)
        if until_ns := quoting.waits_until_ns(parent_id, view, state):
            self.timers.wake(until_ns, parent_id)
            return
        for fact in routing.decide(state, parent, slice_, view, now_ns, terms):
            yield fact
            child = state.children.get(getattr(fact, "child_id", ""))
            if child is not None:
                self.timers.await_answer(child, ACK, now_ns)
                if child.submitted.horizon_ns:
                    self.timers.rest_until(now_ns + child.submitted.horizon_ns, child)
                    self.watching.moved(parent, now_ns)
        if order.time_in_force in IMMEDIATE:
            if not state.open_children[parent_id]:
                yield from self.settle(parent, now_ns)  # nothing could be taken: it has ended
            return
        if idle := state.idle_decisions[parent_id]:
            wake_ns = now_ns + min(RETRY_NS << min(idle - 1, 8), RETRY_MAX_NS)
        if wake_ns is not None:
            self.timers.wake(wake_ns, parent_id)
        if doubts := state.doubts.places(view, order.side, now_ns):
            self.timers.wake(min(doubts.values()), parent_id)
            self.watching.hope(parent, doubts)

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
                self.timers.wake(due_ns, parent.parent_id)
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
                self.timers.wake(paced_ns, parent.parent_id)
            return
        for fact in self.watching.repriced(parent, px, now_ns):
            self.watching.moved(parent, now_ns)
            yield self.cancel_request(fact, "peg", now_ns) if isinstance(fact, ChildOrder) else fact

    def _keeps_its_place(self, child: ChildOrder, now_ns: int) -> int:
        """How long the schedule still has patience with an order that stands at the best price; 0: it has to come back.

        Asked for again, it would stand behind all that has come since: who is first in a queue is filled sooner, and
        not only when the price is about to go through it.
        """
        parent, view = self.state.parents[child.submitted.parent_id], self.market.symbol(child.submitted.symbol)
        near_px = view.bid_px if child.submitted.side.sign > 0 else view.ask_px
        if child.submitted.action not in (Action.POST, Action.IMPROVE) or child.px != near_px:
            return 0
        if self.is_held or self.state.paused or strategies.is_over(parent, now_ns):
            return 0
        lot_qty = self.routing.instruments[child.submitted.symbol].lot_qty
        due = strategies.next_slice(parent, 0, now_ns, lot_qty)
        patience_ns = due.patience_ns if due is not None else 0
        return patience_ns if patience_ns >= self.routing.policy.rest_ns(1.0) else 0

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
