"""A lit venue: limit orders in a price-time book. A passive order is post-only, so that it never pays to take."""

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
        ord_type=OrdType.LIMIT,
        price=child.px,
        time_in_force=TimeInForce.DAY if child.horizon_ns else TimeInForce.IMMEDIATE_OR_CANCEL,
        exec_inst=ExecInst.POST_ONLY if child.action in (Action.POST, Action.IMPROVE) else "",
        min_qty=child.min_qty,
        transact_time_ns=child.at_ns,
    )
