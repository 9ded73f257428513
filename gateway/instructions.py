"""What an order may ask for beyond account, symbol and quantity, in the words of each FIX version: one table of rules.

`RULES` says of each field which values a client may send, when it must be there and when it may; `EXCLUSIONS` says what
contradicts what. The same rows refuse an order and write the rules of engagement, so that the two can't differ. What
is sent and not allowed is refused with the tag, the value and what would be allowed; nothing is ignored.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from domain.fields import ExecInst, OrderCapacity, OrdRejReason, OrdType, TimeInForce
from domain.instructions import NONE, Instructions
from domain.orders import ParentOrder
from fix.errors import FieldError, SessionRejectReason
from fix.message import Message
from fix.messages import NewOrderSingle, OrderCancelReplaceRequest
from gateway.clients import ClientConfig
from gateway.dialect import Dialect

Order = NewOrderSingle | OrderCancelReplaceRequest
Refusal = tuple[OrdRejReason, str]
Values = tuple[str, ...]


class With(NamedTuple):
    """With these values of another field; where that is absent, its default counts."""

    tag: int
    values: Values


class Rule(NamedTuple):
    """One field of an order. `values`: what the client may send, None for all that the field's type allows."""

    tag: int
    name: str
    help: str
    values: Callable[[ClientConfig], Values | None] = lambda client: None
    default: str = ""  # what an order without the field has
    only: With | None = None  # the field may be there only so
    required: With | None = None  # and must be there so, for clients that are
    needed: Callable[[ClientConfig], bool] = lambda client: True
    above_zero: bool = False
    instead: int = 0  # the field that says the same in other words: one of both, not both


class Exclusion(NamedTuple):
    """These values of a field contradict those of another."""

    tag: int
    values: Values
    other: int
    other_values: Values


# What ExecInst(18) says of a peg, and PegPriceType(1094) from FIX 5.0 on.
PEG_PRICE_TYPES = {"2": ExecInst.MID_PRICE_PEG, "4": ExecInst.MARKET_PEG, "5": ExecInst.PRIMARY_PEG}
PEGS: Values = tuple(PEG_PRICE_TYPES.values())
PRICED: Values = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_ON_CLOSE)
EXEC_INST = 18
STOPS: Values = (OrdType.STOP, OrdType.STOP_LIMIT)
ON_CLOSE: Values = (OrdType.MARKET_ON_CLOSE, OrdType.LIMIT_ON_CLOSE)
PEGGED: Values = (OrdType.PEGGED,)
IMMEDIATE: Values = (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)
AUCTIONS: Values = (TimeInForce.AT_THE_OPENING, TimeInForce.AT_THE_CLOSE)
GOOD_TILL_DATE = With(59, (TimeInForce.GOOD_TILL_DATE,))


def _shown(client: ClientConfig) -> Values | None:
    return None if client.display_qty else ()


RULES: tuple[Rule, ...] = (
    Rule(54, "Side", "what to do", lambda c: c.sides),
    Rule(40, "OrdType", "how it is priced", lambda c: c.ord_types),
    Rule(59, "TimeInForce", "how long it lives", lambda c: c.time_in_forces, default=TimeInForce.DAY),
    Rule(
        44,
        "Price",
        "the limit; of a peg the worst price that it follows to",
        only=With(40, PRICED + PEGGED),
        required=With(40, PRICED),
        above_zero=True,
    ),
    Rule(99, "StopPx", "what triggers it", only=With(40, STOPS), required=With(40, STOPS), above_zero=True),
    Rule(18, "ExecInst", "instructions, divided by blanks", lambda c: c.exec_insts),
    Rule(
        1094,
        "PegPriceType",
        "the price that it follows, instead of a peg in ExecInst(18)",
        lambda c: tuple(code for code, inst in PEG_PRICE_TYPES.items() if inst in c.exec_insts),
        only=With(40, PEGGED),
    ),
    Rule(211, "PegOffsetValue", "added to the price that it follows, may be negative", only=With(40, PEGGED)),
    Rule(110, "MinQty", "the smallest fill", lambda c: None if c.min_qty else ("0",)),
    Rule(111, "MaxFloor", "the most that is shown", _shown, above_zero=True, instead=1138),
    Rule(1138, "DisplayQty", "the most that is shown", _shown, above_zero=True, instead=111),
    Rule(126, "ExpireTime", "when it ends", only=GOOD_TILL_DATE, required=GOOD_TILL_DATE, instead=432),
    Rule(
        432,
        "ExpireDate",
        "its last day, to the end of it in the client's time zone",
        only=GOOD_TILL_DATE,
        required=GOOD_TILL_DATE,
        instead=126,
    ),
    Rule(
        114,
        "LocateReqd",
        "Y: we have to locate the shares, N: the client has",
        lambda c: ("N", "Y"),
        required=With(54, ("5",)),
        needed=lambda c: c.locate_required,
    ),
    Rule(528, "OrderCapacity", "the client's capacity", lambda c: c.order_capacities),
    Rule(47, "Rule80A", "the client's capacity", lambda c: c.order_capacities),
)

EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(18, (ExecInst.POST_ONLY,), 40, (OrdType.MARKET, OrdType.STOP, *ON_CLOSE)),
    Exclusion(18, (ExecInst.POST_ONLY,), 59, (*IMMEDIATE, *AUCTIONS)),
    Exclusion(18, PEGS, 40, tuple(item for item in OrdType if item is not OrdType.PEGGED)),
    Exclusion(40, PEGGED, 59, (*IMMEDIATE, *AUCTIONS)),
    Exclusion(40, STOPS, 59, AUCTIONS),
    Exclusion(40, ON_CLOSE, 59, tuple(t for t in TimeInForce if t not in (TimeInForce.DAY, TimeInForce.AT_THE_CLOSE))),
    Exclusion(114, ("Y",), 54, ("1", "2")),
)

# What changes an order and is not taken, but for these values, which ask for what we do anyway.
FIXED: dict[int, tuple[str, Values]] = {
    21: ("HandlInst", ("1", "2")),  # automated, without and with the possibility that a broker steps in
    63: ("SettlType", ("0", "1")),  # regular, cash
    78: ("NoAllocs", ()),
    100: ("ExDestination", ()),
    117: ("QuoteID", ()),
    152: ("CashOrderQty", ()),
    168: ("EffectiveTime", ()),
    210: ("MaxShow", ()),
    388: ("DiscretionInst", ()),
    389: ("DiscretionOffsetValue", ()),
    423: ("PriceType", ("2",)),  # a price per share
    516: ("OrderPercent", ()),
    544: ("CashMargin", ("1",)),
    555: ("NoLegs", ()),
    640: ("Price2", ()),
    847: ("TargetStrategy", ()),
    848: ("TargetStrategyParameters", ()),
    849: ("ParticipationRate", ()),
    957: ("NoStrategyParameters", ()),
    1084: ("DisplayMethod", ()),
    1100: ("TriggerType", ()),
    1102: ("TriggerPrice", ()),
}
_RULES = {rule.tag: rule for rule in RULES}
# With tags as a message has them.
_KEYED = tuple((str(rule.tag), rule) for rule in RULES)
_KEYED_EXCLUSIONS = tuple((str(exclusion.tag), exclusion) for exclusion in EXCLUSIONS)
_FIXED = frozenset(map(str, FIXED))
_DEFAULTS = {rule.tag: rule.default for rule in RULES if rule.default}
_EXEC_INSTS = {inst.value: inst for inst in ExecInst}
_CAPACITIES = {capacity.value: capacity for capacity in OrderCapacity}


def refusal(order: Order, message: Message, client: ClientConfig) -> Refusal | None:
    """The first reason why an order can't be taken as it was sent, None if it can."""
    fields = message.fields
    for key, rule in _KEYED:
        value = fields.get(key)
        if value is None and rule.required is None:
            continue
        text = _missing(rule, message, client) if value is None else _misplaced(rule, value, message, client)
        if text:
            return text
    return next(_contradictions(order, message), None) or _not_taken(message, client)


def instructions(order: Order, message: Message, client: ClientConfig) -> tuple[Instructions, frozenset[str]]:
    """What the order asks for, and which of it was said at all. FieldError for a date that is none."""
    if _SAYING.isdisjoint(message.fields):
        return NONE, frozenset()
    pegged = PEG_PRICE_TYPES.get(message.get(1094) or "")
    insts = [_EXEC_INSTS[code] for code in dict.fromkeys(order.exec_inst.split()) if code in _EXEC_INSTS]
    if pegged is not None and pegged not in insts:
        insts.append(pegged)
    locate = message.get(114)
    capacity = message.get(528) or message.get(47) or ""
    asked = Instructions(
        exec_inst=tuple(insts),
        stop_px=order.stop_px,
        peg_offset_px=order.peg_offset_value,
        min_qty=order.min_qty,
        display_qty=order.display_qty or order.max_floor,
        expire_ns=_expire_ns(order, message, client),
        locate_reqd=None if locate is None else locate == "Y",
        order_capacity=_CAPACITIES.get(capacity),
    )
    return asked, frozenset(name for name, tags in SAID_BY.items() if any(message.get(tag) is not None for tag in tags))


# The fields of `Instructions`, and the tags that say them.
SAID_BY: dict[str, tuple[int, ...]] = {
    "exec_inst": (18, 1094),
    "stop_px": (99,),
    "peg_offset_px": (211,),
    "min_qty": (110,),
    "display_qty": (111, 1138),
    "expire_ns": (126, 432),
    "locate_reqd": (114,),
    "order_capacity": (528, 47),
}


_SAYING = frozenset(str(tag) for tags in SAID_BY.values() for tag in tags)


def _sent(message: Message, tag: int) -> str:
    value = message.get(tag)
    return _DEFAULTS.get(tag, "") if value is None else value


def _name(tag: int) -> str:
    return f"{_RULES[tag].name}({tag})"


def _missing(rule: Rule, message: Message, client: ClientConfig) -> Refusal | None:
    need = rule.required
    if need is None or not rule.needed(client) or _sent(message, need.tag) not in need.values:
        return None
    if rule.instead and message.get(rule.instead) is not None:
        return None
    either = f" or {_name(rule.instead)}" if rule.instead else ""
    text = f"{_name(rule.tag)}{either} is missing; {_name(need.tag)}={_sent(message, need.tag)} needs one"
    return OrdRejReason.OTHER, text


def _misplaced(rule: Rule, value: str, message: Message, client: ClientConfig) -> Refusal | None:
    allowed, only = rule.values(client), rule.only
    if allowed is not None and value not in allowed:
        codes = value.split(" ") if rule.tag == EXEC_INST else [value]  # MultipleCharValue
        if other := " ".join(code for code in codes if code not in allowed):
            return unsupported(rule.name, rule.tag, other, allowed)
    if only is not None and _sent(message, only.tag) not in only.values:
        text = f"{_name(rule.tag)}={value} contradicts {_name(only.tag)}={_sent(message, only.tag)}, which has none"
        return OrdRejReason.OTHER, text
    if rule.above_zero and (value[:1] == "-" or not value.strip("0.")):
        return OrdRejReason.OTHER, f"{_name(rule.tag)}={value} is not above 0"
    if rule.instead and (twice := message.get(rule.instead)) is not None:
        text = f"{_name(rule.tag)}={value} and {_name(rule.instead)}={twice} say the same twice: leave one out"
        return OrdRejReason.OTHER, text
    return None


def _contradictions(order: Order, message: Message) -> Iterator[Refusal]:
    other = OrdRejReason.OTHER
    fields = message.fields
    for key, exclusion in _KEYED_EXCLUSIONS:
        if key not in fields:
            continue  # no default contradicts anything
        codes = [code for code in _sent(message, exclusion.tag).split(" ") if code in exclusion.values]
        if codes and (found := _sent(message, exclusion.other)) in exclusion.other_values:
            yield other, f"{_name(exclusion.tag)}={codes[0]} contradicts {_name(exclusion.other)}={found}"
    if order.ord_type is OrdType.PEGGED:
        pegs = [code for code in order.exec_inst.split() if code in PEGS]
        if (price_type := message.get(1094)) is not None:
            pegs.append(PEG_PRICE_TYPES[price_type])
        if len(set(pegs)) != 1:
            said = f"ExecInst(18)={message.get(18)}" if pegs else "without ExecInst(18)"
            yield other, f"OrdType(40)=P {said}: one of {', '.join(PEGS)} says which price it follows"
    for tag in (110, 111, 1138):
        value = message.get(tag)
        if value is not None and _QUANTITIES[tag](order) > order.order_qty:
            yield OrdRejReason.INCORRECT_QUANTITY, f"{_name(tag)}={value} exceeds OrderQty(38)={order.order_qty}"


_QUANTITIES: dict[int, Callable[[Order], int]] = {
    110: lambda order: order.min_qty,
    111: lambda order: order.max_floor,
    1138: lambda order: order.display_qty,
}


def _not_taken(message: Message, client: ClientConfig) -> Refusal | None:
    used = {client.strategy_tag, *client.parameter_tags.values()}
    if client.strategy_tag == 847:
        used.add(957)
    if _FIXED.isdisjoint(message.fields):
        return None
    for tag, (name, allowed) in FIXED.items():
        value = message.get(tag)
        if value is not None and tag not in used and value not in allowed:
            return unsupported(name, tag, value, allowed)
    return None


def unsupported(name: str, tag: int, value: str, allowed: Values) -> Refusal:
    instead = f"allowed: {', '.join(allowed)}" if allowed else "leave it out"
    return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, f"{name}({tag})={value} is not supported; {instead}"


def _expire_ns(order: Order, message: Message, client: ClientConfig) -> int:
    day = message.get(432)
    if day is None:
        return order.expire_time_ns
    try:
        if len(day) != 8:
            raise ValueError
        midnight = datetime.strptime(day, "%Y%m%d") + timedelta(days=1)
    except ValueError:
        text = f"ExpireDate(432)={day}: not a date, YYYYMMDD"
        raise FieldError(432, day, SessionRejectReason.INCORRECT_DATA_FORMAT, text) from None
    return int(midnight.replace(tzinfo=ZoneInfo(client.time_zone)).astimezone(UTC).timestamp()) * 1_000_000_000


def said_back(parent: ParentOrder, dialect: Dialect) -> dict[str, Any]:
    """What an ExecutionReport(8) repeats of the instructions; the codec leaves out what a version doesn't have."""
    asked = parent.instructions
    if asked == NONE:
        return {}
    capacity = asked.order_capacity
    return {
        "exec_inst": " ".join(asked.exec_inst),
        "stop_px": asked.stop_px,
        "peg_offset_value": asked.peg_offset_px,
        "min_qty": asked.min_qty,
        dialect.display: asked.display_qty,
        "expire_time_ns": asked.expire_ns,
        "order_capacity": capacity,
        "rule80_a": capacity.value if capacity else "",
    }
