"""What of an order's instructions the router can't do, and what a replace makes of them.

The gateway has checked what an order says of itself; here is what depends on the time, on the venues that there are,
and on what became of the order meanwhile.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from domain.commands import NewParent, ReplaceParent
from domain.fields import ExecInst, OrdRejReason, OrdType, TimeInForce
from domain.instructions import Instructions
from domain.instruments import Instrument, VenueTerms
from domain.orders import STOPS, ParentOrder
from router.auctions import NAMES, ON_CLOSE, auction, venue_of

PEGS = (ExecInst.MID_PRICE_PEG, ExecInst.MARKET_PEG, ExecInst.PRIMARY_PEG)


def refused(
    command: NewParent, instrument: Instrument, venues: Mapping[str, VenueTerms], now_ns: int
) -> tuple[OrdRejReason, str] | None:
    """Why a new order can't be worked as its instructions say, None if it can."""
    if text := _expired(command.instructions, now_ns):
        return OrdRejReason.TOO_LATE_TO_ENTER, text
    kind = auction(command.ord_type, command.time_in_force)
    if kind is None:
        return None
    if not venue_of(kind, command.symbol, venues):
        text = f"no venue holds the {NAMES[kind]} auction of {command.symbol}"
        return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text
    hours = instrument.hours
    if kind is TimeInForce.AT_THE_OPENING and hours.opens != hours.closes and hours.is_open(now_ns):
        return OrdRejReason.TOO_LATE_TO_ENTER, f"too late for the opening: {command.symbol} trades {hours}"
    return None


def replaced(command: ReplaceParent, parent: ParentOrder, now_ns: int) -> tuple[Instructions, str]:
    """The instructions after a replace, and why it can't be. What the client did not send stays as it was."""
    asked, ord_type = parent.instructions, command.ord_type
    if command.instructions is not None:
        asked = replace(asked, **{name: getattr(command.instructions, name) for name in command.instructed})
    if ord_type is not OrdType.PEGGED:
        asked = replace(asked, exec_inst=tuple(i for i in asked.exec_inst if i not in PEGS), peg_offset_px=0)
    if ord_type not in STOPS:
        asked = replace(asked, stop_px=0)
    return asked, _expired(asked, now_ns) or _changed(command, parent, asked) or _too_much(command, asked)


def _expired(asked: Instructions, now_ns: int) -> str:
    return "ExpireTime(126) or ExpireDate(432) is past" if 0 < asked.expire_ns <= now_ns else ""


def _changed(command: ReplaceParent, parent: ParentOrder, asked: Instructions) -> str:
    wanted, has = command.ord_type, parent.ord_type
    if wanted is not has and (wanted in ON_CLOSE) != (has in ON_CLOSE):
        return f"a replace can't change OrdType(40) from {has.value!r} to {wanted.value!r}"
    if parent.triggered and wanted in STOPS and asked.stop_px != parent.instructions.stop_px:
        return "a replace can't change StopPx(99): the stop was triggered"
    return ""


def _too_much(command: ReplaceParent, asked: Instructions) -> str:
    for name, qty in (("MinQty(110)", asked.min_qty), ("the display quantity", asked.display_qty)):
        if qty > command.order_qty:
            return f"{name} {qty} exceeds OrderQty(38) {command.order_qty}"
    return ""
