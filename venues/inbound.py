"""What a venue says of our orders: each message becomes facts about a child, and none of it is ever dropped.

Reports are read leniently, field by field, because a fill that we refuse for a field that we don't need is still a
fill: what can't be understood becomes ExecutionUnknown, which the engine records and alarms. Reasons that we have no
name for become OTHER, with the venue's own words beside them.
"""

from collections.abc import Callable
from decimal import Decimal

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildStatus,
    ExecutionUnknown,
)
from domain.fields import CxlRejReason, CxlRejResponseTo, ExecType, LastLiquidityInd, OrdRejReason, OrdStatus
from domain.prices import PX_SCALE, px_from_text, qty_from_text
from fix.message import Message


def to_facts(message: Message, venue: str, now_ns: int, refused: Message | None = None) -> list[AnyFact]:
    """The facts in an ExecutionReport, OrderCancelReject, BusinessMessageReject or Reject of `venue`.

    `refused` is our own message that a reject refers to by RefSeqNum(45), where the caller still has it: a Reject(3)
    says nothing else of the order that it turned down.
    """
    match message.msg_type:
        case "8":
            return _execution_report(message, venue, now_ns)
        case "9":
            return [_cancel_rejected(message, venue, now_ns)]
        case "j" if _asked_too_early(message, refused):
            return []
        case "3" | "j":
            return [_refused(message, venue, now_ns, refused)]
    return [_unknown(message, venue, now_ns, f"MsgType(35)={message.msg_type} is not expected from a venue")]


def _execution_report(message: Message, venue: str, now_ns: int) -> list[AnyFact]:
    child_id = _child_id(message)
    if not child_id:
        return [_unknown(message, venue, now_ns, "ClOrdID(11) is missing")]
    try:
        fact = _reader(message)(message, child_id, venue, now_ns)
    except _Senseless as senseless:
        return [_unknown(message, venue, now_ns, str(senseless))]
    return [] if fact is None else [fact]


class _Senseless(Exception):  # noqa: N818 - it describes the report
    """A report that can't be what it claims to be."""


def _acknowledged(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    return ChildAcknowledged(at_ns=now_ns, child_id=child_id, venue_order_id=message.get(37) or "")


def _filled(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    return ChildFilled(
        at_ns=now_ns,
        child_id=child_id,
        venue=venue,
        exec_id=_exec_id(message, "a fill"),
        last_qty=_above_zero(message, 32, "LastQty", qty_from_text),
        last_px=_above_zero(message, 31, "LastPx", px_from_text),
        liquidity=LIQUIDITY.get(message.get(851) or "", LastLiquidityInd.REMOVED),  # not told: reckon with the dearer
        cum_qty=_or_zero(message.get(14), qty_from_text),
    )


def _busted(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    """What the fill was counted with is the router's to know: a bust need not repeat it."""
    return ChildFillBusted(
        at_ns=now_ns,
        child_id=child_id,
        venue=venue,
        exec_id=_exec_id(message, "a bust"),
        exec_ref_id=_exec_ref_id(message, "a bust"),
        last_qty=_or_zero(message.get(32), qty_from_text),
        last_px=_or_zero(message.get(31), px_from_text),
        text=message.get(58) or "",
    )


def _corrected(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    if message.get(32) is not None and _or_zero(message.get(32), qty_from_text, -1) == 0:
        return _busted(message, child_id, venue, now_ns)  # corrected to nothing
    return ChildFillCorrected(
        at_ns=now_ns,
        child_id=child_id,
        venue=venue,
        exec_id=_exec_id(message, "a correction"),
        exec_ref_id=_exec_ref_id(message, "a correction"),
        was_qty=0,
        was_px=0,
        last_qty=_above_zero(message, 32, "LastQty", qty_from_text),
        last_px=_above_zero(message, 31, "LastPx", px_from_text),
        text=message.get(58) or "",
    )


def _replaced(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    """The answer to our request, which then names it by ClOrdID(11), or a change that nobody asked for."""
    return ChildReplaced(
        at_ns=now_ns,
        child_id=child_id,
        order_qty=_open_qty(message),
        px=_or_zero(message.get(44), px_from_text),
        replace_id=(message.get(11) or "") if message.get(41) not in (None, message.get(11)) else "",
        text=message.get(58) or "",
    )


def _restated(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    """A venue changed the order: ExecRestatementReason(378) says why, OrdStatus(39) whether it lives on."""
    text = message.get(58) or RESTATEMENTS.get(message.get(378) or "", "restated by the venue")
    ord_status = message.get(39)
    if ord_status == OrdStatus.CANCELED:
        return ChildCanceled(at_ns=now_ns, child_id=child_id, text=text, cum_qty=_cum_qty(message))
    if ord_status in (OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY):
        return ChildExpired(at_ns=now_ns, child_id=child_id, text=text, cum_qty=_cum_qty(message))
    return ChildReplaced(
        at_ns=now_ns,
        child_id=child_id,
        order_qty=_open_qty(message),
        px=_or_zero(message.get(44), px_from_text),
        text=text,
    )


def _canceled(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    return ChildCanceled(at_ns=now_ns, child_id=child_id, text=message.get(58) or "", cum_qty=_cum_qty(message))


def _expired(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    return ChildExpired(at_ns=now_ns, child_id=child_id, text=message.get(58) or "", cum_qty=_cum_qty(message))


def _rejected(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    return ChildRejected(
        at_ns=now_ns,
        child_id=child_id,
        reason=ORD_REJ_REASONS.get(message.get(103) or "", OrdRejReason.OTHER),
        text=message.get(58) or "",
        cum_qty=_cum_qty(message),
    )


def _cum_qty(message: Message) -> int:
    return _or_zero(message.get(14), qty_from_text, -1) if message.get(14) else -1


def _status(message: Message, child_id: str, venue: str, now_ns: int) -> AnyFact:
    get = message.get
    try:
        ord_status = OrdStatus(get(39) or "")
    except ValueError:
        raise _Senseless(f"OrdStatus(39)={get(39)} is not known") from None
    try:
        cum_qty = qty_from_text(get(14) or "0")
    except ValueError as error:
        raise _Senseless(f"CumQty(14): {error}") from None
    return ChildStatus(
        at_ns=now_ns,
        child_id=child_id,
        ord_status=ord_status,
        cum_qty=cum_qty,
        notional_px=_notional_px(cum_qty, get(6) or ""),
    )


def _notional_px(cum_qty: int, avg_px: str) -> int:
    """Px times shares; AvgPx(6) may have more decimals than a price. 0 where it is no number."""
    try:
        return round(Decimal(avg_px) * PX_SCALE * cum_qty)
    except ArithmeticError:
        return 0


def _noted(message: Message, child_id: str, venue: str, now_ns: int) -> None:
    """Pending: what the venue makes of a request comes in another report.

    Stopped and suspended: the order is still there, guaranteed a price or set aside in a halt; it may fill and can be
    cancelled. Calculated: the day's account of an order that has ended.
    """


Reader = Callable[[Message, str, str, int], AnyFact | None]
READERS: dict[str, Reader] = {
    ExecType.NEW: _acknowledged,
    ExecType.PARTIAL_FILL: _filled,
    ExecType.FILL: _filled,
    ExecType.TRADE: _filled,
    ExecType.CANCELED: _canceled,
    ExecType.REJECTED: _rejected,
    ExecType.EXPIRED: _expired,
    ExecType.DONE_FOR_DAY: _expired,
    ExecType.ORDER_STATUS: _status,
    ExecType.TRADE_CANCEL: _busted,
    ExecType.TRADE_CORRECT: _corrected,
    ExecType.REPLACED: _replaced,
    ExecType.RESTATED: _restated,
    ExecType.PENDING_NEW: _noted,
    ExecType.PENDING_CANCEL: _noted,
    ExecType.PENDING_REPLACE: _noted,
    ExecType.STOPPED: _noted,
    ExecType.SUSPENDED: _noted,
    ExecType.CALCULATED: _noted,
}
# FIX.4.2 says by ExecTransType(20) what later versions say by ExecType(150), which then repeats OrdStatus(39).
TRANS_TYPES: dict[str, Reader] = {"1": _busted, "2": _corrected, "3": _status}
RESTATEMENTS = {
    "0": "restated by the venue: corporate action",
    "1": "restated by the venue: renewed",
    "2": "restated by the venue: verbal change",
    "3": "restated by the venue: repriced",
    "4": "restated by the venue: broker option",
    "5": "restated by the venue: part of the quantity declined",
    "6": "restated by the venue: trading halt",
    "7": "restated by the venue: system failure",
    "8": "restated by the venue: market option",
}
NOT_NOW = ("0", "4", "8")  # BusinessRejectReason(380): other, application not available, throttle limit exceeded
LIQUIDITY = {item.value: item for item in LastLiquidityInd}
ORD_REJ_REASONS = {item.value: item for item in OrdRejReason}
ORD_STATUSES = {item.value: item for item in OrdStatus}
CXL_REJ_REASONS = {item.value: item for item in CxlRejReason}


def _reader(message: Message) -> Reader:
    trans_type, exec_type = message.get(20) or "0", message.get(150) or ""
    reader = READERS.get(exec_type) if trans_type == "0" else TRANS_TYPES.get(trans_type)
    if reader is None:
        said = f"ExecType(150)={exec_type}" if trans_type == "0" else f"ExecTransType(20)={trans_type}"
        raise _Senseless(f"{said} is not known")
    return reader


def _cancel_rejected(message: Message, venue: str, now_ns: int) -> AnyFact:
    child_id = message.get(41)
    if not child_id:
        return _unknown(message, venue, now_ns, "OrderCancelReject without OrigClOrdID(41)")
    reason, text = CXL_REJ_REASONS.get(message.get(102) or "", CxlRejReason.OTHER), message.get(58) or ""
    if message.get(434) == CxlRejResponseTo.ORDER_CANCEL_REPLACE_REQUEST:
        replace_id = message.get(11) or ""
        return ChildReplaceRejected(at_ns=now_ns, child_id=child_id, replace_id=replace_id, reason=reason, text=text)
    ord_status = ORD_STATUSES.get(message.get(39) or "")
    return ChildCancelRejected(at_ns=now_ns, child_id=child_id, reason=reason, text=text, ord_status=ord_status)


def _asked_too_early(message: Message, refused: Message | None) -> bool:
    """A status request that a venue has no time for says nothing of the order, and will be made again."""
    msg_type = refused.msg_type if refused else message.get(372)
    return msg_type == "H" and (message.get(380) or "0") in NOT_NOW


def _refused(message: Message, venue: str, now_ns: int, refused: Message | None) -> AnyFact:
    msg_type = refused.msg_type if refused else message.get(372)
    words = f"{'Reject(3)' if message.msg_type == '3' else 'BusinessMessageReject(j)'} of our message "
    words += f"{message.get(45)} ({msg_type or 'unknown type'}): {message.get(58) or 'no reason given'}"
    if msg_type in ("D", "AJ"):
        child_id = (refused.get(11) if refused else None) or message.get(379)
        if child_id:
            return ChildRejected(at_ns=now_ns, child_id=child_id, reason=OrdRejReason.OTHER, text=words)
    elif msg_type in ("F", "G") and refused and refused.get(41):
        child_id, reason = refused.get(41) or "", CxlRejReason.OTHER
        if msg_type == "F":
            return ChildCancelRejected(at_ns=now_ns, child_id=child_id, reason=reason, text=words)
        replace_id = refused.get(11) or ""
        return ChildReplaceRejected(at_ns=now_ns, child_id=child_id, replace_id=replace_id, reason=reason, text=words)
    return _unknown(message, venue, now_ns, words)


def _child_id(message: Message) -> str:
    # The answers to a cancel or replace carry the request's ClOrdID(11) and name the order by OrigClOrdID(41). After a
    # replace either may be the id of an earlier request: which order that is, only the router knows.
    return message.get(41) or message.get(11) or ""


def _exec_id(message: Message, what: str) -> str:
    exec_id = message.get(17)
    if not exec_id or exec_id == "0":
        raise _Senseless(f"{what} needs an ExecID(17), got {exec_id!r}")
    return exec_id


def _exec_ref_id(message: Message, what: str) -> str:
    exec_ref_id = message.get(19)
    if not exec_ref_id:
        raise _Senseless(f"{what} needs an ExecRefID(19)")
    return exec_ref_id


def _open_qty(message: Message) -> int:
    """The quantity of the order from now on: what is filled and what is left, where OrderQty(38) stays as it was."""
    parts = [_or_zero(message.get(tag), qty_from_text, -1) for tag in (14, 151)]
    qty = sum(parts) if min(parts) >= 0 and sum(parts) else _or_zero(message.get(38), qty_from_text)
    if qty <= 0:
        raise _Senseless("a changed order needs CumQty(14) and LeavesQty(151), or OrderQty(38)")
    return qty


def _above_zero(message: Message, tag: int, name: str, read: Callable[[str], int]) -> int:
    text = message.get(tag)
    if text is None:
        raise _Senseless(f"a fill needs {name}({tag})")
    try:
        value = read(text)
    except ValueError as error:
        raise _Senseless(f"{name}({tag}): {error}") from None
    if value <= 0:
        raise _Senseless(f"{name}({tag})={text} is not above 0")
    return value


def _unknown(message: Message, venue: str, now_ns: int, text: str) -> AnyFact:
    return ExecutionUnknown(
        at_ns=now_ns,
        venue=venue,
        child_id=_child_id(message) or message.get(379) or "",
        exec_id=message.get(17) or "",
        last_qty=_or_zero(message.get(32), qty_from_text),
        last_px=_or_zero(message.get(31), px_from_text),
        text=text,
    )


def _or_zero(text: str | None, read: Callable[[str], int], otherwise: int = 0) -> int:
    try:
        return read(text) if text else otherwise
    except ValueError:
        return otherwise
