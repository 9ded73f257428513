"""Children: what we sent to a venue and what it said."""

from domain.facts.fact import Fact
from domain.fields import Action, CxlRejReason, LastLiquidityInd, OrdRejReason, OrdStatus, OrdType, Side, TimeInForce
from domain.instructions import NONE, Instructions


class ChildSubmitted(Fact, frozen=True):
    child_id: str  # our ClOrdID(11) at the venue
    parent_id: str
    decision_id: int
    candidate: int  # index in the decision's candidates
    venue: str
    account: str
    symbol: str
    side: Side
    order_qty: int
    action: Action
    px: int
    min_qty: int  # MinQty(110), 0: none
    quote_id: str  # QuoteID(117) of the dealer's quote that it takes
    horizon_ns: int  # it is cancelled after resting this long; 0: immediate-or-cancel
    # DAY or IMMEDIATE_OR_CANCEL by the horizon, but for what the client's own instruction asks: fill or kill, auctions.
    time_in_force: TimeInForce | None = None
    instructions: Instructions = NONE  # those that go on to the venue
    ord_type: OrdType | None = None  # None: as the kind of venue has it; a MARKET one is only valued at `px`
    # What the model said of it when it was decided; None where nobody said anything.
    fill_probability: float | None = None
    markout_bps: float | None = None
    shown_qty: int = 0  # what an immediate order was to find: displayed up to its price, or quoted; 0: not recorded


class ChildAcknowledged(Fact, frozen=True):
    child_id: str
    venue_order_id: str


class ChildRejected(Fact, frozen=True):
    child_id: str
    reason: OrdRejReason
    text: str
    cum_qty: int = -1  # CumQty(14) that the venue ended it with, -1: not said


class ChildFilled(Fact, frozen=True):
    """A fill, counted once by (venue, exec_id). `mid2_px` is twice our mid when we heard of it, for TCA."""

    child_id: str
    venue: str
    exec_id: str
    last_qty: int
    last_px: int
    liquidity: LastLiquidityInd
    mid2_px: int = 0
    cum_qty: int = 0  # CumQty(14) of the report, 0: not said
    # No report of it ever came: it is the difference between what we counted and the venue's answer to a status
    # request, and `exec_id` is ours.
    taken_over: bool = False


class MarkoutMeasured(Fact, frozen=True):
    """Where the mid of the symbol was `after_ns` after a fill; `mid2_px` is twice that, 0 where nobody could say."""

    child_id: str
    exec_id: str
    after_ns: int
    mid2_px: int


class ChildFillBusted(Fact, frozen=True):
    """The venue took a fill back (ExecType(150)=H): it counts no more. Counted once by (venue, exec_id)."""

    child_id: str
    venue: str
    exec_id: str  # ExecID(17) of the bust
    exec_ref_id: str  # ExecRefID(19): the fill as we know it from `ChildFilled.exec_id`, or its last correction
    last_qty: int  # what the fill was counted with until now
    last_px: int
    text: str = ""


class ChildFillCorrected(Fact, frozen=True):
    """The venue corrected a fill (ExecType(150)=G), counted once by (venue, exec_id). A later one refers to either."""

    child_id: str
    venue: str
    exec_id: str
    exec_ref_id: str
    was_qty: int  # what the fill was counted with until now
    was_px: int
    last_qty: int  # and from now on
    last_px: int
    text: str = ""


class ChildReplaceRequested(Fact, frozen=True):
    """We ask the venue to change a resting child (OrderCancelReplaceRequest), a smaller quantity keeps its place."""

    child_id: str
    replace_id: str  # ClOrdID(11) of the request
    order_qty: int
    px: int
    reason: str


class ChildReplaced(Fact, frozen=True):
    """The child now has this quantity and price: our request took effect, or the venue changed it unasked."""

    child_id: str
    order_qty: int
    px: int  # 0: as it was
    replace_id: str = ""  # "" where nobody asked
    text: str = ""


class ChildReplaceRejected(Fact, frozen=True):
    child_id: str
    replace_id: str
    reason: CxlRejReason
    text: str


class ChildCancelRequested(Fact, frozen=True):
    child_id: str
    cancel_id: str  # ClOrdID(11) of the cancel request
    reason: str  # "horizon", "parent_cancel", "parent_replace", "kill_switch", "shutdown", "late"


class ChildCanceled(Fact, frozen=True):
    """The venue ended the order without filling the rest: canceled, or an immediate order that found nothing more."""

    child_id: str
    text: str
    cum_qty: int = -1  # CumQty(14) that the venue ended it with, -1: not said


class ChildExpired(Fact, frozen=True):
    child_id: str
    text: str
    cum_qty: int = -1


class ChildCancelRejected(Fact, frozen=True):
    child_id: str
    reason: CxlRejReason
    text: str
    ord_status: OrdStatus | None = None  # that the order has at the venue, None: not said


class ChildUncertain(Fact, frozen=True):
    """The venue's connection is gone (or we restarted): the order may live, and its quantity stays at risk."""

    child_id: str


class ChildStatus(Fact, frozen=True):
    """The venue's answer to OrderStatusRequest(H). Quantities count from fills only, so a difference shows."""

    child_id: str
    ord_status: OrdStatus
    cum_qty: int
    notional_px: int = 0  # CumQty(14) times AvgPx(6), 0: not said


class ChildDisputed(Fact, frozen=True):
    """The venue's CumQty(14) is not what we counted from its fills: the child is held, and the venue asked again."""

    child_id: str
    missing_qty: int  # the venue's less ours


class ChildRiskRejected(Fact, frozen=True):
    """A child that the risk gate stopped; nothing left the house."""

    parent_id: str
    decision_id: int
    venue: str
    symbol: str
    order_qty: int
    px: int
    limit: str
    text: str


ChildFact = (
    ChildSubmitted
    | ChildAcknowledged
    | ChildRejected
    | ChildFilled
    | MarkoutMeasured
    | ChildFillBusted
    | ChildFillCorrected
    | ChildReplaceRequested
    | ChildReplaced
    | ChildReplaceRejected
    | ChildCancelRequested
    | ChildCanceled
    | ChildExpired
    | ChildCancelRejected
    | ChildUncertain
    | ChildStatus
    | ChildDisputed
    | ChildRiskRejected
)
