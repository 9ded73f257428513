"""What a client asks for: a FIX message becomes a command, and nothing in it is silently ignored.

Three kinds of refusal, as FIX distinguishes them. A message that can't be understood (a field missing, malformed or
with a value that FIX doesn't know) raises FieldError: the session answers Reject(3). A kind of message that we don't
take is a BusinessReject. An order that is understood and not allowed (an account, an order type, an instruction, a
quantity of zero) becomes a command that carries its refusal, because the client's order must reach a final state by
ExecutionReport(8) or OrderCancelReject(9), and OrdRejReason(103) has a code for it.
"""

from typing import NamedTuple

from domain.commands import CancelParent, NewParent, ReplaceParent, StatusRequest
from domain.fields import OrdRejReason, OrdType
from fix.errors import BusinessRejectReason
from fix.message import Message
from fix.messages import (
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderStatusRequest,
    decode,
)
from gateway.clients import ClientConfig

TAKEN = {
    kind.MSG_TYPE: kind.__name__
    for kind in (NewOrderSingle, OrderCancelRequest, OrderCancelReplaceRequest, OrderStatusRequest)
}


class BusinessReject(NamedTuple):
    """Answered with BusinessMessageReject(j)."""

    reason: BusinessRejectReason
    text: str


Refusal = tuple[OrdRejReason, str]

# Instructions that change what an order may do, the values that ask for nothing beyond what we do anyway, and nothing
# else: an order with any other value is refused. A tag that the client's config uses for a parameter is not looked at.
INSTRUCTIONS: dict[int, tuple[str, tuple[str, ...]]] = {
    18: ("ExecInst", ("1",)),  # not held: what every order worked by a strategy is
    21: ("HandlInst", ("1", "2")),  # automated, without and with the possibility that a broker steps in
    63: ("SettlType", ("0", "1")),  # regular, cash
    78: ("NoAllocs", ()),
    99: ("StopPx", ()),
    100: ("ExDestination", ()),
    110: ("MinQty", ("0",)),
    111: ("MaxFloor", ()),
    114: ("LocateReqd", ("N",)),
    117: ("QuoteID", ()),
    126: ("ExpireTime", ()),
    152: ("CashOrderQty", ()),
    168: ("EffectiveTime", ()),
    210: ("MaxShow", ()),
    211: ("PegOffsetValue", ()),
    388: ("DiscretionInst", ()),
    389: ("DiscretionOffsetValue", ()),
    423: ("PriceType", ("2",)),  # a price per share
    432: ("ExpireDate", ()),
    516: ("OrderPercent", ()),
    544: ("CashMargin", ("1",)),
    555: ("NoLegs", ()),
    640: ("Price2", ()),
    847: ("TargetStrategy", ()),
    848: ("TargetStrategyParameters", ()),
    849: ("ParticipationRate", ()),
    957: ("NoStrategyParameters", ()),
    1084: ("DisplayMethod", ()),
    1094: ("PegPriceType", ()),
    1100: ("TriggerType", ()),
    1138: ("DisplayQty", ()),
}
PRICED = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_ON_CLOSE)


def to_command(
    message: Message, client: ClientConfig
) -> NewParent | CancelParent | ReplaceParent | StatusRequest | BusinessReject:
    """The command in `message`. FieldError where FIX asks for a Reject(3)."""
    if message.msg_type in TAKEN:
        match decode(message):
            case NewOrderSingle() as order:
                return _new_parent(order, message, client)
            case OrderCancelRequest(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id):
                return CancelParent(client.name, cl_ord_id, orig_cl_ord_id)
            case OrderCancelReplaceRequest() as order:
                return _replace_parent(order, message, client)
            case OrderStatusRequest() as ask:
                return StatusRequest(client.name, ask.cl_ord_id, ask.symbol, ask.side, ask.ord_status_req_id)
    supported = ", ".join(f"{name}({msg_type})" for msg_type, name in TAKEN.items())
    text = f"MsgType(35)={message.msg_type} is not supported; supported: {supported}"
    return BusinessReject(BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE, text)


def _new_parent(order: NewOrderSingle, message: Message, client: ClientConfig) -> NewParent:
    params, params_refusal = _parameters(order, message, client)
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
    )


def _replace_parent(order: OrderCancelReplaceRequest, message: Message, client: ClientConfig) -> ReplaceParent:
    params, params_refusal = _parameters(order, message, client)
    refusal = _refusal(order, message, client) or params_refusal
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
    )


def _strategy(message: Message, client: ClientConfig) -> str:
    """The strategy's name, "" where the message names none."""
    sent = message.get(client.strategy_tag) or ""
    return client.strategy_codes.get(sent, sent)


def _parameters(
    order: NewOrderSingle | OrderCancelReplaceRequest, message: Message, client: ClientConfig
) -> tuple[dict[str, str], Refusal | None]:
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


def _refusal(
    order: NewOrderSingle | OrderCancelReplaceRequest, message: Message, client: ClientConfig
) -> Refusal | None:
    """The first reason why the order can't be taken as it was sent, None if it can."""
    if order.order_qty <= 0:
        return OrdRejReason.INCORRECT_QUANTITY, f"OrderQty(38)={message.get(38)} is not above 0"
    if order.ord_type not in client.ord_types:
        return _unsupported("OrdType", 40, order.ord_type, client.ord_types)
    if order.time_in_force not in client.time_in_forces:
        return _unsupported("TimeInForce", 59, order.time_in_force, client.time_in_forces)
    price = message.get(44)
    if order.ord_type in PRICED:
        if price is None:
            return OrdRejReason.OTHER, f"Price(44) is missing; OrdType(40)={order.ord_type} needs one"
        if order.price <= 0:
            return OrdRejReason.OTHER, f"Price(44)={price} is not above 0"
    elif price is not None:
        return OrdRejReason.OTHER, f"Price(44)={price} contradicts OrdType(40)={order.ord_type}, which has no price"
    used = {client.strategy_tag, *client.parameter_tags.values()}
    if client.strategy_tag == 847:
        used.add(957)
    for tag, (name, allowed) in INSTRUCTIONS.items():
        value = message.get(tag)
        if value is None or tag in used:
            continue
        if tag == 18:
            value = " ".join(inst for inst in value.split(" ") if inst not in allowed)  # MultipleCharValue
            if not value:
                continue
        if value not in allowed:
            return _unsupported(name, tag, value, allowed)
    return None


def _unsupported(name: str, tag: int, value: str, allowed: tuple[str, ...]) -> Refusal:
    instead = f"allowed: {', '.join(allowed)}" if allowed else "leave it out"
    return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, f"{name}({tag})={value} is not supported; {instead}"
