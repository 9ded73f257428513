"""A single dealer: an order takes the streamed quote that it names, at its price, now or not at all."""

from domain.facts import ChildSubmitted
from domain.fields import OrdType, TimeInForce
from fix.messages import NewOrderSingle


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
