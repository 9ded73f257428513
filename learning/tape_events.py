"""What learning reads of a recorded day: each message, and the best bid and offer after it."""

from enum import Enum, auto
from typing import NamedTuple

from domain.fields import Side


class TouchKind(Enum):
    SUBMITTED = auto()
    CANCELED = auto()  # in part or whole: `qty` is what went
    EXECUTED = auto()
    EXECUTED_HIDDEN = auto()  # against an order that the book didn't show
    HALTED = auto()
    RESUMED = auto()
    OTHER = auto()


class TouchEvent(NamedTuple):
    """One message of a tape and the best bid and offer after it; an empty side has price and quantity 0."""

    time_ns: int  # since midnight
    kind: TouchKind
    order_id: int
    qty: int
    px: int
    side: Side  # of the resting order
    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int
