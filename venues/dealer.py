"""A single dealer: an order takes the quote that it names, at its price, now or not at all; quotes can be asked for."""

from domain.facts import ChildSubmitted, QuoteRequested
from domain.fields import OrdType, TimeInForce
from fix.market_messages import QuoteRequest, QuoteRequestEntry, QuoteResponse
from fix.messages import NewOrderSingle

HIT_OR_LIFT = "1"  # QuoteRespType(694)


def new_order(child: ChildSubmitted) -> NewOrderSingle:
    return NewOrderSingle(
        cl_ord_id=child.child_id,
        account=child.account,
        symbol=child.symbol,
        side=child.side,
        order_qty=child.order_qty,
        ord_type=OrdType.PREVIOUSLY_QUOTED,
        price=child.px,
        time_in_force=child.time_in_force or TimeInForce.IMMEDIATE_OR_CANCEL,
        quote_id=child.quote_id,
        transact_time_ns=child.at_ns,
    )


def quote_response(child: ChildSubmitted) -> QuoteResponse:
    """The same in the words of a dealer who takes no orders on quotes, from FIX.4.4 on."""
    return QuoteResponse(
        quote_resp_id=child.child_id,
        quote_resp_type=HIT_OR_LIFT,
        cl_ord_id=child.child_id,
        quote_id=child.quote_id,
        account=child.account,
        symbol=child.symbol,
        side=child.side,
        order_qty=child.order_qty,
        ord_type=OrdType.PREVIOUSLY_QUOTED,
        price=child.px,
        transact_time_ns=child.at_ns,
    )


def quote_request(asked: QuoteRequested) -> QuoteRequest:
    entry = QuoteRequestEntry(asked.symbol, asked.side, asked.order_qty)
    return QuoteRequest(quote_req_id=asked.quote_req_id, related=(entry,))
