"""How each version of FIX says the same thing to a client: one row a version, and no other question about versions.

FIX.4.2 tells a new, a corrected and a repeated report apart by ExecTransType(20) and a partial from a full fill by
ExecType(150); FIX 4.3 and later put the first into ExecType and leave the second to OrdStatus(39). The codec
leaves out fields that a version doesn't have, and sends a reason that it has no code for as a broker's option.
"""

from typing import Literal, NamedTuple

from domain.fields import ExecType, OrdStatus
from domain.orders import ParentOrder


class Dialect(NamedTuple):
    exec_trans_new: str  # ExecTransType(20) of a report on something new, "" where the version has no such field
    exec_trans_cancel: str  # of a fill that was taken back
    exec_trans_correct: str  # of a fill that was corrected
    exec_trans_status: str  # of the answer to an OrderStatusRequest
    partial_fill: ExecType
    fill: ExecType
    # None in the next three: the ExecType with the code of OrdStatus(39).
    trade_cancel: ExecType | None
    trade_correct: ExecType | None
    status: ExecType | None  # of the answer to an OrderStatusRequest
    triggered: ExecType  # of a stop that begins to work: Restated where the version has no word for it
    display: Literal["max_floor", "display_qty"]  # what it calls the most that may be shown
    replaced: OrdStatus  # status of an order that was replaced and has no fill

    def ord_status(self, parent: ParentOrder) -> OrdStatus:
        """FIX 4.2, appendix D: Replaced outranks New, and everything else outranks Replaced."""
        status = parent.ord_status
        was_replaced = parent.cl_ord_id != parent.accepted.cl_ord_id
        return self.replaced if status is OrdStatus.NEW and was_replaced else status


DIALECTS: dict[str, Dialect] = {
    "FIX.4.2": Dialect(
        exec_trans_new="0",
        exec_trans_cancel="1",
        exec_trans_correct="2",
        exec_trans_status="3",
        partial_fill=ExecType.PARTIAL_FILL,
        fill=ExecType.FILL,
        trade_cancel=None,
        trade_correct=None,
        status=None,
        triggered=ExecType.RESTATED,
        display="max_floor",
        replaced=OrdStatus.REPLACED,
    ),
    "FIX.4.4": Dialect(
        exec_trans_new="",
        exec_trans_cancel="",
        exec_trans_correct="",
        exec_trans_status="",
        partial_fill=ExecType.TRADE,
        fill=ExecType.TRADE,
        trade_cancel=ExecType.TRADE_CANCEL,
        trade_correct=ExecType.TRADE_CORRECT,
        status=ExecType.ORDER_STATUS,
        triggered=ExecType.RESTATED,
        display="max_floor",
        replaced=OrdStatus.NEW,  # FIX 4.3 dropped Replaced: the status says what the order is, not what happened to it
    ),
}
# FIX.5.0 SP2 says it as 4.4 does, over another session layer and with a word more.
DIALECTS["FIXT.1.1"] = DIALECTS["FIX.4.4"]._replace(triggered=ExecType.TRIGGERED, display="display_qty")
