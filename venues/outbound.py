"""What a venue is sent: facts about a child order become FIX messages, in the way of the venue's kind."""

from domain.facts import AnyFact, ChildCancelRequested, ChildSubmitted
from domain.fields import VenueKind
from domain.orders import ChildOrder
from fix.messages import NewOrderSingle, OrderCancelRequest, OrderStatusRequest
from venues import dark, dealer, lit

NEW_ORDER = {VenueKind.LIT: lit.new_order, VenueKind.DARK: dark.new_order, VenueKind.DEALER: dealer.new_order}


def messages(fact: AnyFact, child: ChildOrder, kind: VenueKind) -> list[NewOrderSingle | OrderCancelRequest]:
    """What goes to the child's venue because of `fact`; nothing for most facts."""
    if isinstance(fact, ChildSubmitted):
        return [NEW_ORDER[kind](fact)]
    if isinstance(fact, ChildCancelRequested):
        return [_cancel(fact, child)]
    return []


def status_request(child: ChildOrder) -> OrderStatusRequest:
    """Settles what became of the child after its venue was out of reach."""
    submitted = child.submitted
    return OrderStatusRequest(
        cl_ord_id=submitted.child_id,
        order_id=child.venue_order_id,
        account=submitted.account,
        symbol=submitted.symbol,
        side=submitted.side,
    )


def _cancel(fact: ChildCancelRequested, child: ChildOrder) -> OrderCancelRequest:
    submitted = child.submitted
    return OrderCancelRequest(
        cl_ord_id=fact.cancel_id,
        orig_cl_ord_id=submitted.child_id,
        order_id=child.venue_order_id,
        account=submitted.account,
        symbol=submitted.symbol,
        side=submitted.side,
        order_qty=submitted.order_qty,  # FIX: the quantity of the order, not what is left of it
        transact_time_ns=fact.at_ns,
    )
