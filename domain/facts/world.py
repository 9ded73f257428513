"""The world around the orders: venues, quotes, kill switches, and what nobody could place."""

from domain.facts.fact import Fact
from domain.fields import Side, TradingStatus


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


class VenueDrifted(Fact, frozen=True):
    """A venue does no longer what is usual there: it fills less, or its fills lose more. See `router.health`."""

    venue: str
    orders: int  # at the venue whose outcome is known, so far
    text: str


class VenueSteadied(Fact, frozen=True):
    """A venue that had drifted is as usual again."""

    venue: str
    orders: int
    text: str


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


WorldFact = (
    VenueUp
    | VenueDown
    | TradingStatusChanged
    | VenueDrifted
    | VenueSteadied
    | QuoteRequested
    | QuoteRefused
    | ExecutionUnknown
    | KillSwitchSet
    | KillSwitchReleased
)
