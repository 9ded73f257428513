"""What a client or an operator asks for. A command is a wish: it changes nothing until it has become facts.

Each command of a client names the client itself, as the gateway knows it from the session, never from the message: a
client can only reach its own orders.
"""

import msgspec

from domain.fields import CxlRejResponseTo, OrdRejReason, OrdType, Side, TimeInForce
from domain.instructions import NONE, Instructions


class NewParent(msgspec.Struct, frozen=True):
    client: str
    cl_ord_id: str
    account: str
    symbol: str
    side: Side
    order_qty: int
    ord_type: OrdType
    limit_px: int  # 0 for a market order
    time_in_force: TimeInForce
    strategy: str
    params: dict[str, str]  # as sent; the strategy checks and converts them
    reject: tuple[OrdRejReason, str] | None = None  # the gateway already knows that it is refused
    instructions: Instructions = NONE
    poss_resend: bool = False  # PossResend(97)=Y: perhaps the client has sent this order before


class CancelParent(msgspec.Struct, frozen=True):
    client: str
    cl_ord_id: str
    orig_cl_ord_id: str
    poss_resend: bool = False
    response_to = CxlRejResponseTo.ORDER_CANCEL_REQUEST


class ReplaceParent(msgspec.Struct, frozen=True):
    """`params` holds only what the client sent; the rest stays as it was."""

    client: str
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    order_qty: int
    ord_type: OrdType
    limit_px: int
    params: dict[str, str]
    reject: str = ""  # the gateway already knows that it can't be done
    # What a replace can't change, "" or None where the client did not send it: anything else than the order's own is
    # refused, never ignored.
    account: str = ""
    time_in_force: TimeInForce | None = None
    strategy: str = ""
    instructions: Instructions | None = None  # None where the client sent none
    instructed: frozenset[str] = frozenset()  # those of its fields that the client sent; the others stay as they were
    poss_resend: bool = False
    response_to = CxlRejResponseTo.ORDER_CANCEL_REPLACE_REQUEST


class StatusRequest(msgspec.Struct, frozen=True):
    """What is the state of my order? It changes nothing. Symbol and side are for the answer about an unknown order."""

    client: str
    cl_ord_id: str
    symbol: str
    side: Side
    ord_status_req_id: str


class MassCancel(msgspec.Struct, frozen=True):
    """All open orders of the client, or those of a symbol, or of a side."""

    client: str
    cl_ord_id: str
    request_type: str  # MassCancelRequestType(530)
    symbol: str = ""
    side: Side | None = None
    account: str = ""
    reject: tuple[str, str] | None = None  # MassCancelRejectReason(532) and why, where the gateway already knows


class MassStatusRequest(msgspec.Struct, frozen=True):
    """What is the state of my open orders? It changes nothing."""

    client: str
    mass_status_req_id: str
    symbol: str = ""
    side: Side | None = None
    account: str = ""
    reject: str = ""


class DisputeExecution(msgspec.Struct, frozen=True):
    """The client does not know a trade that we reported."""

    client: str
    order_id: str
    exec_id: str
    dk_reason: str
    text: str


class CancelOrder(msgspec.Struct, frozen=True, tag=True):
    """An operator cancels a client's order, which the client hears as a cancel that it did not ask for."""

    order_id: str  # OrderID(37)
    by: str
    text: str


class AmendOrder(msgspec.Struct, frozen=True, tag=True):
    """An operator changes a client's order, on the telephone perhaps; 0 leaves quantity or limit as it is."""

    order_id: str
    by: str
    text: str
    order_qty: int = 0
    limit_px: int = 0


class NotifyClients(msgspec.Struct, frozen=True, tag=True):
    """An operator's notice to one client, or to all ("")."""

    client: str
    by: str
    text: str


class SetKillSwitch(msgspec.Struct, frozen=True, tag=True):
    scope: str
    by: str
    text: str


class ReleaseKillSwitch(msgspec.Struct, frozen=True, tag=True):
    scope: str
    by: str


class PromoteModel(msgspec.Struct, frozen=True, tag=True):
    """The next stage for a model, or the first; `approved_by` is the person who allows it, where one has to."""

    model_id: str
    by: str
    approved_by: str = ""
    text: str = ""


class RollBackModel(msgspec.Struct, frozen=True, tag=True):
    by: str
    text: str


ModelCommand = PromoteModel | RollBackModel
OperatorCommand = SetKillSwitch | ReleaseKillSwitch | CancelOrder | AmendOrder | NotifyClients
