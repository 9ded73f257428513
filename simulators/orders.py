"""An order as a venue keeps it, and what a venue says about it.

The venue's vocabulary is its own and not the router's: the simulated venues are independent witnesses, so their order
has no state machine of ours behind it, only quantities.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from domain.fields import LastLiquidityInd, Side, TimeInForce, TradingStatus
from domain.market import DealerQuoted, MarketUpdate


@dataclass(slots=True, eq=False)
class Order:
    """A client's order at a venue. `px` 0 is a market order; at a dark venue `px` limits the midpoint peg, 0 not."""

    order_id: str  # OrderID(37), given by the venue
    owner: str
    cl_ord_id: str
    symbol: str
    side: Side
    order_qty: int
    px: int = 0
    immediate: bool = False  # what does not fill at once is canceled
    mid_peg: bool = False
    min_qty: int = 0  # smallest single execution; the rest of an order may be smaller
    quote_id: str = ""  # the dealer's quote that it takes
    post_only: bool = False
    time_in_force: TimeInForce = TimeInForce.DAY  # AT_THE_OPENING and AT_THE_CLOSE: for that auction only
    cum_qty: int = 0
    received_ns: int = 0

    @property
    def leaves_qty(self) -> int:
        return self.order_qty - self.cum_qty

    @property
    def is_buy(self) -> bool:
        return self.side is Side.BUY


class Accepted(msgspec.Struct, frozen=True):
    order: Order


class Rejected(msgspec.Struct, frozen=True):
    """The order never lived, or (a dealer's last look) was declined after it was accepted."""

    order: Order
    text: str


class Traded(msgspec.Struct, frozen=True):
    """One execution. `cum_qty` is the order's after it: the order itself may have moved on when this is read."""

    order: Order
    exec_id: str  # ExecID(17), unique at the venue over restarts
    qty: int
    px: int
    liquidity: LastLiquidityInd
    cum_qty: int


class Canceled(msgspec.Struct, frozen=True):
    order: Order
    text: str


class CancelRejected(msgspec.Struct, frozen=True):
    order_id: str
    text: str


class Replaced(msgspec.Struct, frozen=True):
    """The order has another quantity or price from now on, on request. `cum_qty` is that before what it then meets."""

    order: Order
    cum_qty: int


class ReplaceRejected(msgspec.Struct, frozen=True):
    order_id: str
    text: str


class Reduced(msgspec.Struct, frozen=True):
    """The venue took a part of the order away, unasked; what is left of it keeps its place."""

    order: Order
    text: str


class QuoteMade(msgspec.Struct, frozen=True):
    """A dealer's answer to a request: a quote for that client alone."""

    quoted: DealerQuoted


class QuoteDeclined(msgspec.Struct, frozen=True):
    """`reason` is QuoteRequestRejectReason(658)."""

    quote_req_id: str
    symbol: str
    reason: str
    text: str


class QuoteWithdrawn(msgspec.Struct, frozen=True):
    """A dealer takes back what it quoted on request."""

    quote_req_id: str
    symbol: str
    quote_id: str


class StatusChanged(msgspec.Struct, frozen=True, gc=False):
    """A venue trades a symbol in another way from now on; `text` says why."""

    venue: str
    symbol: str
    status: TradingStatus
    text: str = ""


OrderEvent = Accepted | Rejected | Traded | Canceled | CancelRejected | Replaced | ReplaceRejected | Reduced
QuoteEvent = QuoteMade | QuoteDeclined | QuoteWithdrawn
VenueEvent = OrderEvent | QuoteEvent | MarketUpdate | StatusChanged
TimedEvent = tuple[str, int, VenueEvent]  # venue, at_ns, what happened


class Publisher:
    """Where a venue says what happened, and where it gets its ids from.

    Ids carry the start of the market, so that a venue which starts again never gives out an id twice: who counts fills
    by (venue, ExecID) would otherwise take new fills for old ones.
    """

    __slots__ = ("_issued", "_prefix", "events", "on_trade", "venue")

    def __init__(self, venue: str, events: list[TimedEvent], start_ns: int) -> None:
        self.venue = venue
        self.events = events
        self.on_trade: Callable[[Order, int], None] | None = None  # hears of each execution of a client's order
        self._prefix = f"{venue}-{start_ns // 1_000_000:x}-"
        self._issued = 0

    def publish(self, at_ns: int, event: VenueEvent) -> None:
        self.events.append((self.venue, at_ns, event))

    def next_id(self) -> str:
        self._issued += 1
        return f"{self._prefix}{self._issued:x}"

    def trade(self, at_ns: int, order: Order, qty: int, px: int, liquidity: LastLiquidityInd) -> None:
        """Book an execution of a client's order and say so."""
        order.cum_qty += qty
        self.publish(at_ns, Traded(order, self.next_id(), qty, px, liquidity, order.cum_qty))
        if self.on_trade is not None:
            self.on_trade(order, qty)
