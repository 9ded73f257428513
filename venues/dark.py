"""A dark pool: pegged to the midpoint, not beyond a limit, and only for fills of a size worth the leak."""

from domain.facts import ChildSubmitted
from domain.fields import ExecInst, OrdType, TimeInForce
from fix.messages import NewOrderSingle


def new_order(child: ChildSubmitted) -> NewOrderSingle:
    return NewOrderSingle(
        cl_ord_id=child.child_id,
        account=child.account,
        symbol=child.symbol,
        side=child.side,
        order_qty=child.order_qty,
        ord_type=OrdType.PEGGED,
        price=child.px,
        time_in_force=TimeInForce.DAY if child.horizon_ns else TimeInForce.IMMEDIATE_OR_CANCEL,
        exec_inst=ExecInst.MID_PRICE_PEG,
        min_qty=child.min_qty,
        transact_time_ns=child.at_ns,
    )
