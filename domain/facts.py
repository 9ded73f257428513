"""Facts: what happened, in the order in which it happened. The journal is their sequence, the state their sum.

A fact is never changed or taken back. Everything that recovery, TCA, training and the console know comes from here, so
a fact carries all that a reader needs to understand it. `at_ns` is the time of the input that caused it, UTC.
"""

import msgspec

from domain.fields import (
    Action,
    CxlRejReason,
    CxlRejResponseTo,
    ExecRestatementReason,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
    TradingStatus,
)
from domain.instructions import NONE, Instructions


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    at_ns: int


# --- sessions: the raw evidence, and the sequence numbers that survive a restart ---


class EpochStarted(Fact, frozen=True):
    """The first fact of a journal. `epoch` prefixes our order ids, so that two journals never give out the same id."""

    epoch: str
    version: str  # of the software that wrote it


class Started(Fact, frozen=True):
    """A process began to write here. `config` is what its decisions depend on, as JSON: a replay compares with it."""

    version: str
    config: str


class MessageReceived(Fact, frozen=True):
    """A FIX message as it came in, after the session accepted it. Passwords are masked."""

    session: str
    raw: bytes


class MessageSent(Fact, frozen=True):
    """A FIX message as it went out, kept for ResendRequest(2)."""

    session: str
    msg_seq_num: int
    msg_type: str
    raw: bytes


class SessionAdvanced(Fact, frozen=True):
    """The sequence numbers of a session after a batch (absolute, so the last one counts)."""

    session: str
    next_in: int  # MsgSeqNum(34) expected next from the peer
    next_out: int  # MsgSeqNum(34) of our next message
    began_ns: int = 0  # when its numbers began, where it has a schedule; 0: not known


class SessionReset(Fact, frozen=True):
    """Both sequence numbers went back to 1 and the sent messages were forgotten (ResetSeqNumFlag(141))."""

    session: str


class SessionSwitched(Fact, frozen=True):
    """An operator keeps a session away from now on, or lets it in again."""

    session: str
    enabled: bool
    by: str


class PasswordReplaced(Fact, frozen=True):
    """A client logged on with a NewPassword(925): `hashed` holds in place of `replaced`, for as long as that one is
    what the config says or what another change has led to."""

    session: str
    username: str
    replaced: str
    hashed: str


class ReturnPathKept(Fact, frozen=True):
    """An order came through a third party: `path` is header fields of what is told of it, each ended by SOH."""

    session: str
    cl_ord_id: str
    path: str


# --- parents: what a client asked for and what it was told ---


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


# --- decisions ---


class CandidateRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that could have been done, what it was expected to cost, and what was done with it.

    Costs are bps of the mid, positive is worse; `cost_bps` is what candidates are ranked by.
    """

    venue: str
    action: Action
    px: int  # the limit sent; for a midpoint peg the limit of the peg
    max_qty: int  # what this candidate could take at most
    fill_probability: float  # within the horizon of the decision
    price_bps: float  # price against mid when filled
    fee_bps: float
    markout_bps: float  # expected adverse move after a fill
    no_fill_bps: float  # cost of what does not fill
    cost_bps: float
    propensity: float  # probability with which it was chosen
    chosen_qty: int
    note: str  # why it got nothing, "" where it got something
    filled_fraction: float = 1.0  # of its quantity, that such an order recently filled if it filled at all


class DecisionMade(Fact, frozen=True):
    """The record of one routing decision: training row and best-execution evidence.

    `features` is float32 little-endian, [candidates, features of the schema], exactly as the model saw it.
    """

    decision_id: int
    parent_id: str
    symbol: str
    slice_qty: int
    urgency: float
    horizon_ns: int  # how long passive children of this decision may rest
    bid_px: int
    ask_px: int
    model_id: str  # "prior" without a model
    schema_hash: str
    features: bytes
    candidates: list[CandidateRecord]
    elapsed_ns: int  # time spent deciding, 0 in virtual time


# --- children: what we sent to a venue and what it said ---


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


# --- inputs that bring no message, so that a replay of the decisions knows of them ---


class TimerFired(Fact, frozen=True):
    """The router looked at what was due at this time."""


class VenueUnsure(Fact, frozen=True):
    """A venue asked for a resend of what is never sent twice: what it has of our latest orders is not known."""

    venue: str


class MarketDataDown(Fact, frozen=True):
    """What the venue showed is no longer there. Only written where market data is recorded."""

    venue: str


class ClientUp(Fact, frozen=True):
    client: str


class ClientDown(Fact, frozen=True):
    """A client's session is gone; what becomes of its orders is the client's own setting."""

    client: str
    text: str


class ShutdownBegan(Fact, frozen=True):
    """No new orders or children from here on. `cancel_parents`: the clients' orders end too, now or after a restart."""

    cancel_parents: bool


class ShutdownEnded(Fact, frozen=True):
    """The process stopped as it was asked to, after waiting for its children."""

    cancel_parents: bool


# --- the journal itself ---


class OrdersPaused(Fact, frozen=True):
    """No new orders or children until OrdersResumed, because the journal can hardly be written. Cancels go on."""

    text: str


class OrdersResumed(Fact, frozen=True):
    text: str


class OrdersRetired(Fact, frozen=True):
    """Parents that are done, and all that belongs to them, leave the memory; the journal still has them."""

    parent_ids: list[str]


class SnapshotTaken(Fact, frozen=True):
    """The state before the first batch of `segment` is in a snapshot; every replay must arrive at `state_hash`."""

    segment: int
    state_hash: str


# --- the world around ---


class VenueUp(Fact, frozen=True):
    venue: str


class VenueDown(Fact, frozen=True):
    venue: str
    text: str


class TradingStatusChanged(Fact, frozen=True):
    """A venue says whether it trades a symbol; "" for all of them."""

    venue: str
    symbol: str
    status: TradingStatus
    text: str = ""


class QuoteRequested(Fact, frozen=True):
    """We ask a dealer for a quote for a part of a parent (QuoteRequest(R)); the answer is market data."""

    quote_req_id: str
    parent_id: str
    venue: str
    symbol: str
    side: Side
    order_qty: int
    expires_ns: int  # the parent waits no longer for it


class QuoteRefused(Fact, frozen=True):
    """The dealer does not quote (QuoteRequestReject(AG)), or took too long."""

    quote_req_id: str
    venue: str
    text: str


class ExecutionUnknown(Fact, frozen=True):
    """A venue reported on an order that we do not know, or more than we sent: recorded and alarmed, never dropped."""

    venue: str
    child_id: str
    exec_id: str
    last_qty: int
    last_px: int
    text: str


class KillSwitchSet(Fact, frozen=True):
    """`scope` is "firm", "client:NAME", "account:NAME", "venue:NAME", "strategy:NAME" or "symbol:NAME"."""

    scope: str
    by: str
    text: str


class KillSwitchReleased(Fact, frozen=True):
    scope: str
    by: str


class ModelLoaded(Fact, frozen=True):
    """The model that scores from here on; "prior" where there is none, and `text` says why."""

    model_id: str
    text: str


class ModelStaged(Fact, frozen=True):
    """A model is on trial beside `reference_id` from here on: "shadow", "canary" with a share of parents, "champion".

    `approved_by` is the person who allowed it, where the config asks for one.
    """

    model_id: str
    stage: str
    share: float
    reference_id: str
    by: str
    approved_by: str = ""
    text: str = ""


class ModelRolledBack(Fact, frozen=True):
    """The model on trial is gone, and `reference_id` serves every parent. `by` is "" where its evidence decided it."""

    model_id: str
    reference_id: str
    by: str
    text: str


class ModelFailed(Fact, frozen=True):
    """A model gave no usable answer for a decision; the reference answered in its place."""

    model_id: str
    decision_id: int
    text: str


class DecisionShadowed(Fact, frozen=True):
    """What the model that did not choose said of the decision just made, in the order of its candidates."""

    decision_id: int
    model_id: str
    fill_probabilities: list[float]
    costs_bps: list[float]
    elapsed_ns: int  # of its prediction, 0 in virtual time


class LatencyMeasured(Fact, frozen=True):
    """From an order's bytes in to its first child's bytes handed to the socket, journal write included."""

    parent_id: str
    order_in_to_child_out_ns: int


AnyFact = (
    EpochStarted
    | Started
    | MessageReceived
    | MessageSent
    | SessionAdvanced
    | SessionReset
    | SessionSwitched
    | PasswordReplaced
    | ReturnPathKept
    | ParentAccepted
    | ParentRejected
    | ParentCancelRequested
    | ParentReplaceRequested
    | ParentReplaced
    | ParentRequestRejected
    | ParentTriggered
    | ParentRestated
    | ParentEnding
    | ParentDoneForDay
    | ParentSuspended
    | ParentReinstated
    | ParentDone
    | MassCancelAnswered
    | ExecutionDisputed
    | ClientNotified
    | DecisionMade
    | ChildSubmitted
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
    | TimerFired
    | VenueUnsure
    | MarketDataDown
    | ClientUp
    | ClientDown
    | ShutdownBegan
    | ShutdownEnded
    | OrdersPaused
    | OrdersResumed
    | OrdersRetired
    | SnapshotTaken
    | VenueUp
    | VenueDown
    | TradingStatusChanged
    | QuoteRequested
    | QuoteRefused
    | ExecutionUnknown
    | KillSwitchSet
    | KillSwitchReleased
    | ModelLoaded
    | ModelStaged
    | ModelRolledBack
    | ModelFailed
    | DecisionShadowed
    | LatencyMeasured
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyFact])


def encode_batch(facts: list[AnyFact]) -> bytes:
    """All that one input caused, as MessagePack: a list of tagged maps."""
    return _encoder.encode(facts)


def decode_batch(data: bytes) -> list[AnyFact]:
    """The facts of one batch; msgspec.ValidationError or msgspec.DecodeError if it is not one."""
    return _decoder.decode(data)
