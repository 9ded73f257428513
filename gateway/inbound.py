"""What a client asks for: a FIX message becomes a command, and nothing in it is silently ignored.

Three kinds of refusal, as FIX distinguishes them. A message that can't be understood (a field missing, malformed or
with a value that FIX doesn't know) raises FieldError: the session answers Reject(3). A kind of message that we don't
take is a BusinessReject. An order that is understood and not allowed (an account, an order type, an instruction, a
quantity of zero) becomes a command that carries its refusal, because the client's order must reach a final state by
ExecutionReport(8) or OrderCancelReject(9), and OrdRejReason(103) has a code for it.
"""

from typing import NamedTuple

from domain.commands import (
    CancelParent,
    DisputeExecution,
    MassCancel,
    MassStatusRequest,
    NewParent,
    ReplaceParent,
    StatusRequest,
)
from domain.fields import OrdRejReason
from fix.errors import BusinessRejectReason
from fix.message import Message
from fix.messages import (
    DontKnowTrade,
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderMassCancelRequest,
    OrderMassStatusRequest,
    OrderStatusRequest,
    decode,
)
from gateway import instructions
from gateway.clients import ClientConfig
from gateway.instructions import Order, Refusal

TAKEN = {
    kind.MSG_TYPE: kind.__name__
    for kind in (
        NewOrderSingle,
        OrderCancelRequest,
        OrderCancelReplaceRequest,
        OrderStatusRequest,
        OrderMassCancelRequest,
        OrderMassStatusRequest,
        DontKnowTrade,
    )
}
ONE_SYMBOL, EVERYTHING = "1", "7"  # MassCancelRequestType(530), MassStatusReqType(585)
# MassCancelRejectReason(532)
NOT_SUPPORTED, UNKNOWN_SECURITY = "0", "1"

Command = NewParent | CancelParent | ReplaceParent | StatusRequest | MassCancel | MassStatusRequest | DisputeExecution


class BusinessReject(NamedTuple):
    """Answered with BusinessMessageReject(j)."""

    reason: BusinessRejectReason
    text: str


def to_command(message: Message, client: ClientConfig) -> Command | BusinessReject:
    """The command in `message`. FieldError where FIX asks for a Reject(3)."""
    if client.drop_copy:
        text = f"MsgType(35)={message.msg_type} is not taken here: a drop copy only hears"
        return BusinessReject(BusinessRejectReason.NOT_AUTHORIZED, text)
    if message.msg_type in TAKEN:
        match decode(message):
            case NewOrderSingle() as order:
                return _new_parent(order, message, client)
            case OrderCancelRequest(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id):
                return CancelParent(client.name, cl_ord_id, orig_cl_ord_id, message.poss_resend)
            case OrderCancelReplaceRequest() as order:
                return _replace_parent(order, message, client)
            case OrderStatusRequest() as ask:
                return StatusRequest(client.name, ask.cl_ord_id, ask.symbol, ask.side, ask.ord_status_req_id)
            case OrderMassCancelRequest() as ask:
                return _mass_cancel(ask, client)
            case OrderMassStatusRequest() as ask:
                return _mass_status(ask, client)
            case DontKnowTrade() as dispute:
                return DisputeExecution(client.name, dispute.order_id, dispute.exec_id, dispute.dk_reason, dispute.text)
    supported = ", ".join(f"{name}({msg_type})" for msg_type, name in TAKEN.items())
    text = f"MsgType(35)={message.msg_type} is not supported; supported: {supported}"
    return BusinessReject(BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE, text)


def _new_parent(order: NewOrderSingle, message: Message, client: ClientConfig) -> NewParent:
    params, params_refusal = _parameters(order, message, client)
    asked, _ = instructions.instructions(order, message, client)
    return NewParent(
        client=client.name,
        cl_ord_id=order.cl_ord_id,
        account=order.account or client.default_account,
        symbol=order.symbol,
        side=order.side,
        order_qty=order.order_qty,
        ord_type=order.ord_type,
        limit_px=order.price,
        time_in_force=order.time_in_force,
        strategy=_strategy(message, client) or client.default_strategy,
        params=params,
        reject=_account_refusal(order, client) or _refusal(order, message, client) or params_refusal,
        instructions=asked,
        poss_resend=message.poss_resend,
    )


def _replace_parent(order: OrderCancelReplaceRequest, message: Message, client: ClientConfig) -> ReplaceParent:
    params, params_refusal = _parameters(order, message, client)
    refusal = _refusal(order, message, client) or params_refusal
    asked, said = instructions.instructions(order, message, client)
    return ReplaceParent(
        client=client.name,
        cl_ord_id=order.cl_ord_id,
        orig_cl_ord_id=order.orig_cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        order_qty=order.order_qty,
        ord_type=order.ord_type,
        limit_px=order.price,
        params=params,
        reject=refusal[1] if refusal else "",
        account=order.account,
        time_in_force=order.time_in_force if message.get(59) is not None else None,
        strategy=_strategy(message, client),
        instructions=asked if said else None,
        instructed=said,
        poss_resend=message.poss_resend,
    )


def _mass_cancel(ask: OrderMassCancelRequest, client: ClientConfig) -> MassCancel:
    kind, reject = ask.mass_cancel_request_type, None
    if kind not in (ONE_SYMBOL, EVERYTHING):
        text = f"MassCancelRequestType(530)={kind} is not supported; allowed: {ONE_SYMBOL}, {EVERYTHING}"
        reject = (NOT_SUPPORTED, text)
    elif kind == ONE_SYMBOL and not ask.symbol:
        reject = (UNKNOWN_SECURITY, "Symbol(55) is missing; MassCancelRequestType(530)=1 needs one")
    elif kind == EVERYTHING and ask.symbol:
        reject = ("99", f"Symbol(55)={ask.symbol} contradicts MassCancelRequestType(530)=7, which is for all of them")
    return MassCancel(client.name, ask.cl_ord_id, kind, ask.symbol, ask.side, reject=reject)


def _mass_status(ask: OrderMassStatusRequest, client: ClientConfig) -> MassStatusRequest:
    kind, reject = str(ask.mass_status_req_type), ""
    if kind not in (ONE_SYMBOL, EVERYTHING):
        reject = f"MassStatusReqType(585)={kind} is not supported; allowed: {ONE_SYMBOL}, {EVERYTHING}"
    elif kind == ONE_SYMBOL and not ask.symbol:
        reject = "Symbol(55) is missing; MassStatusReqType(585)=1 needs one"
    symbol = ask.symbol if kind == ONE_SYMBOL else ""
    return MassStatusRequest(client.name, ask.mass_status_req_id, symbol, ask.side, ask.account, reject)


def _strategy(message: Message, client: ClientConfig) -> str:
    """The strategy's name, "" where the message names none."""
    sent = message.get(client.strategy_tag) or ""
    return client.strategy_codes.get(sent, sent)


def _parameters(order: Order, message: Message, client: ClientConfig) -> tuple[dict[str, str], Refusal | None]:
    """By name, from the client's own tags and from StrategyParametersGrp(957), and why they can't be taken."""
    sent = [(name, value) for name, tag in client.parameter_tags.items() if (value := message.get(tag)) is not None]
    sent += [(parameter.name, parameter.value) for parameter in order.strategy_parameters]
    params: dict[str, str] = {}
    for name, value in sent:
        if name in params:
            text = f"strategy parameter {name} is given twice: {params[name]!r} and {value!r}"
            return params, (OrdRejReason.OTHER, text)
        params[name] = value
    return params, None


def _account_refusal(order: NewOrderSingle, client: ClientConfig) -> Refusal | None:
    account = order.account or client.default_account
    if account in client.accounts:
        return None
    fault = f"Account(1)={account} is not allowed" if account else "Account(1) is missing"
    return OrdRejReason.UNKNOWN_ACCOUNT, f"{fault}; allowed: {', '.join(client.accounts)}"


def _refusal(order: Order, message: Message, client: ClientConfig) -> Refusal | None:
    """The first reason why the order can't be taken as it was sent, None if it can."""
    if order.order_qty <= 0:
        return OrdRejReason.INCORRECT_QUANTITY, f"OrderQty(38)={message.get(38)} is not above 0"
    return instructions.refusal(order, message, client)
