"""What is known of our orders at venues: the orders, their fills, and all that is counted with them.

A part of `router.state.State`. Each method says what one fact changes; nothing is decided or refused here.
"""

from typing import ClassVar

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildDisputed,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildReplaceRequested,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    MarkoutMeasured,
    OrdersRetired,
    VenueDrifted,
    VenueSteadied,
)
from domain.fields import Action, OrdStatus
from domain.orders import ChildOrder
from domain.parent import Executions, apply_execution
from risk.exposure import Exposure
from risk.rate import MessageRate
from router.dark import DarkPools
from router.doubts import Doubts
from router.health import VenueHealth
from router.markouts import DueMarkouts
from router.parents import Appliers, Parents
from router.statistics import VenueStatistics


class Children(Parents):
    """With the parents, of which they are parts: what a child does, its parent's account shows."""

    def __init__(self) -> None:
        super().__init__()
        self.children: dict[str, ChildOrder] = {}
        self.child_by_request_id: dict[str, str] = {}  # ClOrdID(11) of our cancel or replace request -> child_id
        self.executions: Executions = {}  # a fill is counted once
        self.exposure = Exposure()
        self.rate = MessageRate()
        self.statistics = VenueStatistics()
        self.health = VenueHealth()
        self.dark = DarkPools()
        self.markouts = DueMarkouts()
        self.doubts = Doubts()
        self.child_count = 0
        self.cancel_count = 0
        self.replace_count = 0

    def open_qty(self, parent_id: str) -> int:
        """Shares of the parent that may still fill at venues, uncertain ones included."""
        return sum(child.leaves_qty for child in self.open_children.get(parent_id, {}).values())

    def _child_submitted(self, fact: ChildSubmitted) -> None:
        self.child_count += 1
        child = ChildOrder(fact)
        self.children[fact.child_id] = child
        self._trails[fact.parent_id].child_ids.append(fact.child_id)
        self.open_children[fact.parent_id][fact.child_id] = child
        self.idle_decisions[fact.parent_id] = 0
        self.exposure.apply_submitted(fact.child_id, fact.account, fact.symbol, fact.side, fact.order_qty, fact.px)
        self.rate.apply(fact.venue, fact.at_ns)
        self.explored.apply_submitted(fact)
        self.statistics.apply_submitted(fact)
        self.trial.apply_submitted(self._made, fact)

    def _child_changed(
        self, fact: ChildAcknowledged | ChildCancelRejected | ChildUncertain | ChildStatus | ChildDisputed
    ) -> None:
        self.children[fact.child_id].apply(fact)

    def _child_cancel_requested(self, fact: ChildCancelRequested) -> None:
        self.cancel_count += 1
        self._remember_request(fact.child_id, fact.cancel_id)
        self.children[fact.child_id].apply(fact)

    def _child_replace_requested(self, fact: ChildReplaceRequested) -> None:
        self.replace_count += 1
        self.rate.apply(self.children[fact.child_id].submitted.venue, fact.at_ns)
        self._remember_request(fact.child_id, fact.replace_id)
        self._child_resized(fact)

    def _remember_request(self, child_id: str, request_id: str) -> None:
        self.child_by_request_id[request_id] = child_id
        self._trails[self.children[child_id].submitted.parent_id].request_ids.append(request_id)

    def _child_resized(self, fact: ChildReplaceRequested | ChildReplaced | ChildReplaceRejected) -> None:
        child = self.children[fact.child_id]
        was_open = child.is_open
        self._apply_to(child, fact)
        if child.is_open:
            pending_px = child.pending_replace.px if child.pending_replace is not None else 0
            self.exposure.apply_resized(fact.child_id, child.leaves_qty, max(child.px, pending_px))
        elif was_open:
            self.exposure.apply_ended(fact.child_id)
            self._forget_open(child)

    def _child_filled(self, fact: ChildFilled) -> None:
        child = self.children[fact.child_id]
        parent = self.parents[child.submitted.parent_id]
        self._apply_to(child, fact)
        self._trails[parent.parent_id].executions.append((fact.venue, fact.exec_id))
        apply_execution(parent, fact, self.executions)
        order = child.submitted
        self.exposure.apply_filled(fact.child_id, order.account, order.symbol, order.side, fact.last_qty, fact.last_px)
        if self.statistics.apply_filled(child, fact):
            self.health.apply_order(order, True, fact.at_ns)
            if order.action is Action.MID_PEG:
                self.dark.apply_ended(child, known=True)
        self.markouts.apply_filled(order, fact)
        self.doubts.apply_filled(order)
        self.trial.apply_filled(self.parents[order.parent_id].accepted, child, fact)
        if not child.is_open:
            self._forget_open(child)

    def _markout_measured(self, fact: MarkoutMeasured) -> None:
        filled = self.markouts.apply_measured(fact)
        if filled is not None:
            self.statistics.apply_markout(filled.order, filled.fill, fact)
            self.health.apply_markout(filled.order, filled.fill, fact)
            self.trial.apply_markout(filled.order, filled.fill, fact)

    def _venue_drifted(self, fact: VenueDrifted) -> None:
        self.health.apply_drifted(fact)

    def _venue_steadied(self, fact: VenueSteadied) -> None:
        self.health.apply_steadied(fact)

    def _child_fill_changed(self, fact: ChildFillBusted | ChildFillCorrected) -> None:
        child = self.children[fact.child_id]
        parent = self.parents[child.submitted.parent_id]
        self._trails[parent.parent_id].executions.append((fact.venue, fact.exec_id))
        self._apply_to(child, fact)
        apply_execution(parent, fact, self.executions)
        self._reopened(parent)
        order = (fact.child_id, child.submitted.account, child.submitted.symbol, child.submitted.side)
        if isinstance(fact, ChildFillBusted):
            self.exposure.apply_filled(*order, -fact.last_qty, fact.last_px)
        else:
            self.exposure.apply_filled(*order, -fact.was_qty, fact.was_px)
            self.exposure.apply_filled(*order, fact.last_qty, fact.last_px)
        if child.is_open:
            self.exposure.apply_resized(child.child_id, child.leaves_qty, child.px)

    def _child_ended(self, fact: ChildCanceled | ChildExpired | ChildRejected) -> None:
        child = self.children[fact.child_id]
        was_open = child.is_open
        self._apply_to(child, fact)
        if was_open and not child.is_open:
            self.exposure.apply_ended(fact.child_id)
            counted = self.statistics.apply_ended(child, fact)
            if counted:
                refused = isinstance(fact, ChildRejected)
                self.health.apply_order(child.submitted, child.cum_qty > 0, fact.at_ns, refused=refused)
            if child.submitted.action is Action.MID_PEG:
                self.dark.apply_ended(child, known=counted)
            self.trial.apply_ended(child, known=counted)
            self.doubts.apply_ended(child, fact.at_ns)
            if child.submitted.action is Action.AUCTION and not child.cancel_reason:
                expired = child.ord_status is OrdStatus.EXPIRED
                self.auctioned[child.submitted.parent_id] = OrdStatus.EXPIRED if expired else OrdStatus.CANCELED
            self._forget_open(child)

    def _apply_to(self, child: ChildOrder, fact: AnyFact) -> None:
        """A fact that may change what is left of the child."""
        was_qty = child.leaves_qty
        child.apply(fact)
        self.statistics.apply_leaves(child.submitted, child.leaves_qty - was_qty)

    def _forget_open(self, child: ChildOrder) -> None:
        self.open_children[child.submitted.parent_id].pop(child.child_id, None)

    def _orders_retired(self, fact: OrdersRetired) -> None:
        self.retired_cl_ord_ids.turn(fact.at_ns)
        for parent_id in fact.parent_ids:
            client = self.parents.pop(parent_id).accepted.client
            del self.done_parents[parent_id]
            self.explored.apply_retired(parent_id)
            del self.open_children[parent_id]
            trail = self._trails.pop(parent_id)
            for cl_ord_id in trail.cl_ord_ids:
                del self.parent_by_cl_ord_id[client, cl_ord_id]
                self.retired_cl_ord_ids.add(client, cl_ord_id)
            for child_id in trail.child_ids:
                del self.children[child_id]
            for request_id in trail.request_ids:
                self.child_by_request_id.pop(request_id, None)
            for key in trail.executions:
                del self.executions[key]

    APPLIERS: ClassVar[Appliers] = {
        **Parents.APPLIERS,
        ChildSubmitted: _child_submitted,
        ChildAcknowledged: _child_changed,
        ChildCancelRequested: _child_cancel_requested,
        ChildCancelRejected: _child_changed,
        ChildReplaceRequested: _child_replace_requested,
        ChildReplaceRejected: _child_resized,
        ChildReplaced: _child_resized,
        ChildUncertain: _child_changed,
        ChildStatus: _child_changed,
        ChildDisputed: _child_changed,
        ChildFilled: _child_filled,
        ChildFillBusted: _child_fill_changed,
        ChildFillCorrected: _child_fill_changed,
        MarkoutMeasured: _markout_measured,
        VenueDrifted: _venue_drifted,
        VenueSteadied: _venue_steadied,
        ChildCanceled: _child_ended,
        ChildExpired: _child_ended,
        ChildRejected: _child_ended,
        OrdersRetired: _orders_retired,
    }
