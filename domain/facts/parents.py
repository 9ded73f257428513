"""Parents: what a client asked for and what it was told."""

from domain.facts.fact import Fact
from domain.fields import (
    CxlRejReason,
    CxlRejResponseTo,
    ExecRestatementReason,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from domain.instructions import NONE, Instructions


class ParentAccepted(Fact, frozen=True):
    parent_id: str
    client: str
    cl_ord_id: str
    account: str
    symbol: str
    side: Side
    order_qty: int
    ord_type: OrdType
    limit_px: int  # 0: none
    time_in_force: TimeInForce
    strategy: str
    params: dict[str, int | float]  # of the strategy, checked and with defaults filled in
    arrival_mid2_px: int  # twice the mid when the order arrived
    tape_qty: int  # market volume and notional until now, for the interval VWAP
    tape_notional_px: int
    instructions: Instructions = NONE


class ParentRejected(Fact, frozen=True):
    """A new order that was refused. `cl_ord_id` may be a duplicate: this fact changes no order."""

    parent_id: str  # an id all the same, for OrderID(37)
    client: str
    cl_ord_id: str
    account: str
    symbol: str
    side: Side
    order_qty: int
    reason: OrdRejReason
    text: str
    limit: str = ""  # the risk limit that it broke, "" where it was no risk check


class ParentCancelRequested(Fact, frozen=True):
    """The client's wish, or an operator's, who is named in `by` and whose wish has no ClOrdID."""

    parent_id: str
    cl_ord_id: str  # of the cancel request
    by: str = ""
    text: str = ""
    mass: bool = False  # the request was an OrderMassCancelRequest, whose ClOrdID names no single order


class ParentReplaceRequested(Fact, frozen=True):
    parent_id: str
    cl_ord_id: str  # of the replace request
    order_qty: int
    limit_px: int
    params: dict[str, int | float]
    instructions: Instructions = NONE
    ord_type: OrdType | None = None  # None: as it was
    by: str = ""  # the operator whose wish it is; it has no ClOrdID then
    text: str = ""


class ParentReplaced(Fact, frozen=True):
    """The pending replace took effect: the order now carries the request's ClOrdID, quantity, limit and parameters."""

    parent_id: str
    cl_ord_id: str
    order_qty: int  # never below what was already filled
    limit_px: int
    params: dict[str, int | float]
    instructions: Instructions = NONE
    ord_type: OrdType | None = None  # None: as it was


class ParentRequestRejected(Fact, frozen=True):
    """A cancel or replace request that was refused (OrderCancelReject). `parent_id` is "" for an unknown order."""

    parent_id: str
    client: str
    cl_ord_id: str
    orig_cl_ord_id: str
    ord_status: OrdStatus
    response_to: CxlRejResponseTo
    reason: CxlRejReason
    text: str


class ParentTriggered(Fact, frozen=True):
    """A stop that the router held: from here on it is worked as a market or limit order."""

    parent_id: str
    px: int  # of the trade or quote that triggered it
    text: str


class ParentRestated(Fact, frozen=True):
    """The client is told of a change that it did not ask for and that leaves the order open.

    Held, resumed, renewed for another day; or changed by an operator, which is how `order_qty` is above 0.
    """

    parent_id: str
    text: str
    reason: ExecRestatementReason = ExecRestatementReason.BROKER_OPTION
    order_qty: int = 0
    limit_px: int = 0


class ParentDoneForDay(Fact, frozen=True):
    """The market closed on an order that goes on when it opens again."""

    parent_id: str


class ParentSuspended(Fact, frozen=True):
    """No venue trades the order's symbol for now."""

    parent_id: str
    text: str


class ParentReinstated(Fact, frozen=True):
    parent_id: str
    text: str


class ParentEnding(Fact, frozen=True):
    """We end the parent unasked as soon as it is known what its children did; until then nothing new is sent."""

    parent_id: str
    text: str


class ParentDone(Fact, frozen=True):
    """The parent reached a final state. FILLED was already reported by its last fill; the others are reported now."""

    parent_id: str
    ord_status: OrdStatus  # FILLED, CANCELED, EXPIRED
    cl_ord_id: str  # of the cancel request that it answers, "" where nobody asked
    text: str
    tape_qty: int
    tape_notional_px: int
    reason: ExecRestatementReason | None = None  # where nobody asked; None: the usual one


class MassCancelAnswered(Fact, frozen=True):
    """An OrderMassCancelRequest(q): the orders concerned follow, each by a ParentCancelRequested."""

    client: str
    cl_ord_id: str
    report_id: str  # OrderID(37) of the answer
    request_type: str  # MassCancelRequestType(530)
    affected: int
    symbol: str = ""
    side: Side | None = None
    reject_reason: str = ""  # MassCancelRejectReason(532), "" where it was carried out
    text: str = ""


class ExecutionDisputed(Fact, frozen=True):
    """A client does not know a trade that we reported (DontKnowTrade(Q)): for somebody to look into."""

    client: str
    parent_id: str  # "" for no order of the client
    exec_id: str  # ExecID(17) of our report
    dk_reason: str  # DKReason(127)
    text: str


class ClientNotified(Fact, frozen=True):
    """An operator tells a client something (News(B))."""

    client: str
    by: str
    text: str


ParentFact = (
    ParentAccepted
    | ParentRejected
    | ParentCancelRequested
    | ParentReplaceRequested
    | ParentReplaced
    | ParentRequestRejected
    | ParentTriggered
    | ParentRestated
    | ParentDoneForDay
    | ParentSuspended
    | ParentReinstated
    | ParentEnding
    | ParentDone
    | MassCancelAnswered
    | ExecutionDisputed
    | ClientNotified
)
