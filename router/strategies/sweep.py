"""Sweep: everything, now. Takes what the limit allows; the rest of a day order keeps working at the touch until filled.

An immediate-or-cancel or fill-or-kill order only takes, in one pass; the engine ends it after that pass.
"""

from collections.abc import Mapping

from domain.fields import WORKED_ORD_TYPES, WORKED_TIMES_IN_FORCE, TimeInForce
from domain.orders import ParentOrder
from router.strategies.schema import Parameter, Slice

PARAMETERS: tuple[Parameter, ...] = ()
ORD_TYPES = WORKED_ORD_TYPES
TIMES_IN_FORCE = WORKED_TIMES_IN_FORCE
_IMMEDIATE = (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)


def parse(params: Mapping[str, int], now_ns: int) -> dict[str, int | float]:
    return {"start_ns": now_ns}


def next_slice(parent: ParentOrder, open_qty: int, now_ns: int, lot_qty: int) -> Slice | None:
    qty = parent.leaves_qty - open_qty
    if qty <= 0:
        return None
    return Slice(qty, 1.0, parent.accepted.time_in_force not in _IMMEDIATE)


def next_wake_ns(parent: ParentOrder, now_ns: int) -> int | None:
    return None


def is_late(parent: ParentOrder, now_ns: int) -> bool:
    return False


def is_over(parent: ParentOrder, now_ns: int) -> bool:
    return False
