"""What a client is told of its order in the end: facts that answer a request, or say how the order ended."""

from domain.commands import CancelParent, ReplaceParent
from domain.facts import ParentDone, ParentReplaced, ParentReplaceRequested, ParentRequestRejected, ParentRestated
from domain.fields import CxlRejReason, ExecRestatementReason, OrdStatus
from domain.market import MarketView
from domain.orders import ParentOrder
from domain.parent import Request


def done(
    parent: ParentOrder,
    market: MarketView,
    ord_status: OrdStatus,
    cl_ord_id: str,
    text: str,
    now_ns: int,
    reason: ExecRestatementReason | None = None,
) -> ParentDone:
    view = market.symbol(parent.accepted.symbol)
    return ParentDone(
        at_ns=now_ns,
        parent_id=parent.parent_id,
        ord_status=ord_status,
        cl_ord_id=cl_ord_id,
        text=text,
        tape_qty=view.tape_qty,
        tape_notional_px=view.tape_notional_px,
        reason=reason,
    )


def replaced(parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> ParentReplaced | ParentRestated:
    order_qty = max(request.order_qty, parent.cum_qty)
    if request.by:
        less = order_qty < parent.order_qty
        return ParentRestated(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            text=request.text,
            reason=ExecRestatementReason.PARTIAL_DECLINE if less else ExecRestatementReason.VERBAL_CHANGE,
            order_qty=order_qty,
            limit_px=request.limit_px,
        )
    return ParentReplaced(
        at_ns=now_ns,
        parent_id=parent.parent_id,
        cl_ord_id=request.cl_ord_id,
        order_qty=order_qty,
        limit_px=request.limit_px,
        params=request.params,
        instructions=request.instructions,
        ord_type=request.ord_type,
    )


def too_late(parent: ParentOrder, request: Request, now_ns: int) -> ParentRequestRejected:
    kind = ReplaceParent if isinstance(request, ParentReplaceRequested) else CancelParent
    return ParentRequestRejected(
        at_ns=now_ns,
        parent_id=parent.parent_id,
        client=parent.accepted.client,
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=parent.cl_ord_id,
        ord_status=parent.status,
        response_to=kind.response_to,
        reason=CxlRejReason.TOO_LATE,
        text="too late: the order was filled",
    )


def request_rejected(
    command: CancelParent | ReplaceParent,
    parent: ParentOrder | None,
    reason: CxlRejReason,
    text: str,
    now_ns: int,
) -> ParentRequestRejected:
    return ParentRequestRejected(
        at_ns=now_ns,
        parent_id=parent.parent_id if parent is not None else "",
        client=command.client,
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        ord_status=parent.ord_status if parent else OrdStatus.REJECTED,
        response_to=command.response_to,
        reason=reason,
        text=text,
    )


def unfilled(parent: ParentOrder) -> str:
    return f"{parent.leaves_qty} of {parent.order_qty} not filled"
