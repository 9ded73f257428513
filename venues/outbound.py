"""What a venue is sent: facts about a child order become FIX messages, in the way of the venue's kind."""

from typing import Any

from msgspec.structs import replace

from domain.facts import AnyFact, ChildCancelRequested, ChildReplaceRequested, ChildSubmitted, KillSwitchSet
from domain.fields import OrdType, Side, TimeInForce, VenueKind
from domain.orders import ChildOrder
from fix.market_messages import QuoteResponse
from fix.message import Message
from fix.messages import (
    DontKnowTrade,
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderMassCancelRequest,
    OrderStatusRequest,
)
from venues import dark, dealer, lit

NEW_ORDER = {VenueKind.LIT: lit.new_order, VenueKind.DARK: dark.new_order, VenueKind.DEALER: dealer.new_order}
ONE_SYMBOL, ALL_ORDERS = "1", "7"  # MassCancelRequestType(530)
NO_MATCHING_ORDER = "D"  # DKReason(127)
SIDES = {side.value: side for side in Side}

OrderMessage = QuoteResponse | NewOrderSingle | OrderCancelRequest | OrderCancelReplaceRequest


def messages(
    fact: AnyFact, child: ChildOrder, kind: VenueKind, begin_string: str = "FIX.4.4", *, responds: bool = False
) -> list[OrderMessage]:
    """What goes to the child's venue because of `fact`, which the child has applied; nothing for most facts.

    `responds`: a dealer there takes a quote by QuoteResponse(AJ), not by an order.
    """
    if isinstance(fact, ChildSubmitted):
        if responds and kind is VenueKind.DEALER:
            return [dealer.quote_response(fact)]
        return [_new_order(fact, kind, begin_string)]
    if isinstance(fact, ChildCancelRequested):
        return [_cancel(fact, child)]
    if isinstance(fact, ChildReplaceRequested):
        return [_replace(fact, child, kind, begin_string)]
    return []


def status_request(child: ChildOrder) -> OrderStatusRequest:
    """Settles what became of the child after its venue was out of reach."""
    submitted = child.submitted
    return OrderStatusRequest(
        cl_ord_id=child.cl_ord_id,
        order_id=child.venue_order_id,
        account=submitted.account,
        symbol=submitted.symbol,
        side=submitted.side,
    )


def mass_cancel(fact: KillSwitchSet, venue: str, request_id: str) -> OrderMassCancelRequest | None:
    """All that we have at the venue, or all of one symbol; None for a scope that a venue can't tell apart."""
    what, _, name = fact.scope.partition(":")
    if what == "symbol":
        return OrderMassCancelRequest(request_id, ONE_SYMBOL, fact.at_ns, symbol=name, text="kill switch")
    if what == "firm" or (what, name) == ("venue", venue):
        return OrderMassCancelRequest(request_id, ALL_ORDERS, fact.at_ns, text="kill switch")
    return None


def dont_know(report: Message, text: str) -> DontKnowTrade | None:
    """The answer to a fill of an order that we never sent to this venue; None where nothing can be said of it.

    An overfill of an order of ours is a real position: it is never answered with this.
    """
    get = report.get
    exec_id, symbol, side = get(17), get(55), SIDES.get(get(54) or "")
    if not exec_id or not symbol or side is None:
        return None
    return DontKnowTrade(
        order_id=get(37) or "NONE",
        exec_id=exec_id,
        dk_reason=NO_MATCHING_ORDER,
        symbol=symbol,
        side=side,
        text=text,
    )


def _new_order(child: ChildSubmitted, kind: VenueKind, begin_string: str) -> NewOrderSingle:
    """In the way of the venue's kind, with the client's instructions in the words of its version."""
    order, asked = NEW_ORDER[kind](child), child.instructions
    changes: dict[str, Any] = {}
    if asked.display_qty:
        # FIX 5.0 renamed it.
        changes["display_qty" if begin_string == "FIXT.1.1" else "max_floor"] = asked.display_qty
    if asked.locate_reqd is not None:
        changes["locate_reqd"] = "Y" if asked.locate_reqd else "N"
    if asked.order_capacity is not None:
        changes |= {"order_capacity": asked.order_capacity, "rule80_a": asked.order_capacity.value}
    if child.time_in_force is TimeInForce.AT_THE_CLOSE and begin_string == "FIX.4.2":
        # FIX 4.3 made a time in force of what were types of orders.
        is_market = order.ord_type is OrdType.MARKET
        changes["ord_type"] = OrdType.MARKET_ON_CLOSE if is_market else OrdType.LIMIT_ON_CLOSE
        changes["time_in_force"] = TimeInForce.DAY
    return replace(order, **changes) if changes else order


def _cancel(fact: ChildCancelRequested, child: ChildOrder) -> OrderCancelRequest:
    submitted = child.submitted
    return OrderCancelRequest(
        cl_ord_id=fact.cancel_id,
        # FIX: the ClOrdID(11) of the last accepted request, not of the first order.
        orig_cl_ord_id=child.cl_ord_id,
        order_id=child.venue_order_id,
        account=submitted.account,
        symbol=submitted.symbol,
        side=submitted.side,
        order_qty=child.order_qty,  # FIX: the quantity of the order, not what is left of it
        transact_time_ns=fact.at_ns,
    )


def _replace(
    fact: ChildReplaceRequested, child: ChildOrder, kind: VenueKind, begin_string: str
) -> OrderCancelReplaceRequest:
    """As the order was sent, with the new quantity and price: what is left out would be changed to the default."""
    order = _new_order(child.submitted, kind, begin_string)
    return OrderCancelReplaceRequest(
        cl_ord_id=fact.replace_id,
        orig_cl_ord_id=child.cl_ord_id,
        order_id=child.venue_order_id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        order_qty=fact.order_qty,
        ord_type=order.ord_type,
        price=fact.px,
        time_in_force=order.time_in_force,
        exec_inst=order.exec_inst,
        min_qty=order.min_qty,
        max_floor=order.max_floor,
        display_qty=order.display_qty,
        locate_reqd=order.locate_reqd,
        order_capacity=order.order_capacity,
        rule80_a=order.rule80_a,
        transact_time_ns=fact.at_ns,
    )
