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
    ParentDone,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
)
from domain.fields import Action, CxlRejReason, OrdStatus, TimeInForce
from domain.market import MarketView
from domain.orders import ChildOrder, ParentOrder
from router import strategies
from router.routing import Routing
from router.state import State

# A decision that sent nothing is tried again after this long, twice as long each time, at most RETRY_MAX_NS.
RETRY_NS = 250_000_000
RETRY_MAX_NS = 8_000_000_000


@dataclass(order=True, slots=True)
class _Timer:
    at_ns: int
    parent_id: str
    child_id: str = field(default="")  # "" wakes the parent


class Working:
    """Works parents over one `State` and one `MarketView`. `is_held`: no new children, the node is shutting down."""

    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.is_held = False
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
            if child is None or child.pending_cancel_id or child.uncertain:
                continue
            if self._rests_on(child, now_ns):
                self.rest_until(now_ns + child.submitted.horizon_ns, child)
            else:
                yield self.cancel_request(child, "horizon", now_ns)

    def next_timer_ns(self) -> int | None:
        return self._timers[0].at_ns if self._timers else None

    def settle(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        """What the present state of a parent calls for: an end, the answer to a pending request, or more work."""
        if not parent.is_open:
            return
        has_children = bool(self.state.open_children[parent.parent_id])
        if parent.pending_replace is not None:
            if not has_children:
                yield self._replaced(parent, parent.pending_replace, now_ns)
                yield from self.settle(parent, now_ns)
            return
        if parent.cum_qty >= parent.order_qty:
            if has_children:
                yield from self.cancel_children(self.open_children(parent), "parent_filled", now_ns)
                return
            if parent.pending_cancel_id:
                yield self._too_late(parent, now_ns)
            yield self.done(parent, OrdStatus.FILLED, "", "", now_ns)
        elif parent.pending_cancel_id:
            if not has_children:
                yield self.done(parent, OrdStatus.CANCELED, parent.pending_cancel_id, "", now_ns)
        elif parent.parent_id in self.state.ending:
            yield from self.cancel_children(self.open_children(parent), "ending", now_ns)
            if not has_children:
                yield self.done(parent, OrdStatus.CANCELED, "", self.state.ending[parent.parent_id], now_ns)
        else:
            yield from self.work(parent, now_ns)

    def work(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        state, order = self.state, parent.accepted
        if (
            self.is_held
            or state.paused
            or state.kill_switch.blocks(
                client=order.client, account=order.account, strategy=order.strategy, symbol=order.symbol
            )
        ):
            return
        parent_id = parent.parent_id
        if now_ns < self.reconcile_until_ns:
            self.wake(self.reconcile_until_ns, parent_id)
            return
        children = self.open_children(parent)
        instrument = self.routing.instruments.get(order.symbol)
        is_immediate = order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL
        if (
            instrument is None  # an order from before the symbol was taken out of the config
            or strategies.is_over(parent, now_ns)
            or not instrument.hours.is_open(now_ns)
            or (is_immediate and state.decisions_of.get(parent_id))
        ):
            if children:
                yield from self.cancel_children(
                    [child for child in children if child.submitted.horizon_ns], "strategy_end", now_ns
                )
            else:
                text = f"{parent.leaves_qty} of {parent.order_qty} not filled"
                ended = OrdStatus.CANCELED if is_immediate else OrdStatus.EXPIRED
                yield self.done(parent, ended, "", text, now_ns)
            return
        if strategies.is_late(parent, now_ns):
            latest_ns = now_ns + self.routing.policy.rest_ns(1.0)
            too_long = [child for child in children if child.submitted.at_ns + child.submitted.horizon_ns > latest_ns]
            yield from self.cancel_children(too_long, "late", now_ns)
        view = self.market.symbol(order.symbol)
        slice_ = strategies.next_slice(parent, state.open_qty(parent_id), now_ns, instrument.lot_qty)
        wake_ns = strategies.next_wake_ns(parent, now_ns)
        if slice_ is not None:
            for fact in self.routing.decide(state, parent, slice_, view, now_ns):
                yield fact
                child = state.children.get(getattr(fact, "child_id", ""))
                if child is not None and child.submitted.horizon_ns:
                    self.rest_until(now_ns + child.submitted.horizon_ns, child)
            idle = state.idle_decisions[parent_id]
            if idle:
                wake_ns = now_ns + min(RETRY_NS << (idle - 1), RETRY_MAX_NS) if idle < 8 else now_ns + RETRY_MAX_NS
        if wake_ns is not None:
            self.wake(wake_ns, parent_id)

    def _rests_on(self, child: ChildOrder, now_ns: int) -> bool:
        """Whether nothing better could be done than to go on resting: at the parent's limit, which nobody offers.

        A cancel would only give up the place in the queue to ask for it again.
        """
        order = child.submitted
        parent = self.state.parents[order.parent_id]
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
            if child.submitted.horizon_ns and not child.pending_cancel_id and not child.uncertain:
                yield self.cancel_request(child, reason, now_ns)

    def cancel_request(self, child: ChildOrder, reason: str, now_ns: int) -> ChildCancelRequested:
        cancel_id = f"{self.state.epoch}-X{self.state.cancel_count + 1}"
        return ChildCancelRequested(at_ns=now_ns, child_id=child.child_id, cancel_id=cancel_id, reason=reason)

    @staticmethod
    def _replaced(parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> ParentReplaced:
        return ParentReplaced(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=request.cl_ord_id,
            order_qty=max(request.order_qty, parent.cum_qty),
            limit_px=request.limit_px,
            params=request.params,
            instructions=request.instructions,
        )

    def _too_late(self, parent: ParentOrder, now_ns: int) -> ParentRequestRejected:
        command = CancelParent(parent.accepted.client, parent.pending_cancel_id, parent.cl_ord_id)
        text = "too late: the order was filled"
        return request_rejected(command, parent, CxlRejReason.TOO_LATE, text, now_ns)

    def done(self, parent: ParentOrder, ord_status: OrdStatus, cl_ord_id: str, text: str, now_ns: int) -> ParentDone:
        view = self.market.symbol(parent.accepted.symbol)
        return ParentDone(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            ord_status=ord_status,
            cl_ord_id=cl_ord_id,
            text=text,
            tape_qty=view.tape_qty,
            tape_notional_px=view.tape_notional_px,
        )

    def wake(self, at_ns: int, parent_id: str) -> None:
        """One pending wake-up a parent, the earliest: each fires once and asks for the next."""
        if at_ns < self._wake_ns.get(parent_id, at_ns + 1):
            self._wake_ns[parent_id] = at_ns
            heapq.heappush(self._timers, _Timer(at_ns, parent_id))

    def rest_until(self, at_ns: int, child: ChildOrder) -> None:
        heapq.heappush(self._timers, _Timer(at_ns, child.submitted.parent_id, child.child_id))


def request_rejected(
    command: CancelParent | ReplaceParent,
    parent: ParentOrder | None,
    reason: CxlRejReason,
    text: str,
    now_ns: int,
) -> ParentRequestRejected:
    too_late = reason is CxlRejReason.TOO_LATE  # the pending request is over with this answer
    return ParentRequestRejected(
        at_ns=now_ns,
        parent_id=parent.parent_id if parent is not None else "",
        client=command.client,
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        ord_status=(parent.status if too_late else parent.ord_status) if parent else OrdStatus.REJECTED,
        response_to=command.response_to,
        reason=reason,
        text=text,
    )
