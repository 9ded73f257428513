"""A lit venue: limit orders in a price-time book, and its auctions. A passive order is post-only: it never pays."""

from domain.facts import ChildSubmitted
from domain.fields import Action, ExecInst, OrdType, TimeInForce
from fix.messages import NewOrderSingle


def new_order(child: ChildSubmitted) -> NewOrderSingle:
    return NewOrderSingle(
        cl_ord_id=child.child_id,
        account=child.account,
        symbol=child.symbol,
        side=child.side,
        order_qty=child.order_qty,
        ord_type=child.ord_type or OrdType.LIMIT,
        price=0 if child.ord_type is OrdType.MARKET else child.px,
        time_in_force=child.time_in_force or (TimeInForce.DAY if child.horizon_ns else TimeInForce.IMMEDIATE_OR_CANCEL),
        exec_inst=ExecInst.POST_ONLY if child.action in (Action.POST, Action.IMPROVE) else "",
        min_qty=child.min_qty,
        transact_time_ns=child.at_ns,
    )
