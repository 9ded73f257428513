"""Market data: the updates that venues send, and the view that the router keeps of them.

Updates are values; `MarketView.apply` is the only place where the view changes. Everything here is derived from what
venues sent and from the time of each update, so the view is the same live, in simulation and in a replay.
"""

from math import exp, sqrt

import msgspec

from domain.fields import Side

BUY = Side.BUY
REFERENCE_MAX_AGE_NS = 10_000_000_000  # a mid older than this is no reference price any more

# Half-lives of the running statistics of a symbol. Short enough to follow a change of regime within a minute, long
# enough that a single print does not decide.
FLOW_HALF_LIFE_NS = 10_000_000_000
VOLATILITY_HALF_LIFE_NS = 60_000_000_000
_LN2 = 0.6931471805599453


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """All price levels of one symbol at one venue, replacing what was known: [(px, qty)] with the best first."""

    venue: str
    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class LevelChange(msgspec.Struct, frozen=True, gc=False):
    """The displayed quantity at one price; 0 removes the level. `side` BUY is the bid."""

    venue: str
    symbol: str
    side: Side
    px: int
    qty: int


class TradePrinted(msgspec.Struct, frozen=True, gc=False):
    """A trade on the tape. `aggressor` is the side that took, None where the venue does not say (dark)."""

    venue: str
    symbol: str
    px: int
    qty: int
    aggressor: Side | None = None


class DealerQuoted(msgspec.Struct, frozen=True, gc=False):
    """A dealer's streamed two-sided quote; it replaces the dealer's last one. A quantity of 0 withdraws that side."""

    venue: str
    symbol: str
    quote_id: str
    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int
    valid_until_ns: int
    quote_req_id: str = ""  # of the request that it answers, and for which alone it is; "": streamed

    def offered(self, side: Side) -> tuple[int, int]:
        """Price and quantity for an order of `side`."""
        return (self.ask_px, self.ask_qty) if side is Side.BUY else (self.bid_px, self.bid_qty)


class AuctionIndicated(msgspec.Struct, frozen=True, gc=False):
    """What an auction would do now: the shares that it would cross at `px` (0: none), and how many more there are to
    buy (or, below 0, to sell) at that price, or at market where there is none. None: as it was said before."""

    venue: str
    symbol: str
    px: int | None = None
    paired_qty: int | None = None
    imbalance_qty: int | None = None


MarketUpdate = BookSnapshot | LevelChange | TradePrinted | DealerQuoted | AuctionIndicated


class VenueBook:
    """Displayed quantity by price of one symbol at one lit venue. An empty side has best price 0."""

    __slots__ = ("asks", "best_ask_px", "best_bid_px", "bids", "updated_ns")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.best_bid_px = 0
        self.best_ask_px = 0
        self.updated_ns = 0

    @property
    def best_bid_qty(self) -> int:
        return self.bids.get(self.best_bid_px, 0)

    @property
    def best_ask_qty(self) -> int:
        return self.asks.get(self.best_ask_px, 0)

    def set_level(self, side: Side, px: int, qty: int) -> None:
        if side is BUY:
            if qty:
                self.bids[px] = qty
                self.best_bid_px = max(self.best_bid_px, px)
            elif self.bids.pop(px, None) is not None and px == self.best_bid_px:
                self.best_bid_px = max(self.bids, default=0)
        else:
            if qty:
                self.asks[px] = qty
                self.best_ask_px = min(self.best_ask_px or px, px)
            elif self.asks.pop(px, None) is not None and px == self.best_ask_px:
                self.best_ask_px = min(self.asks, default=0)

    def replace(self, bids: tuple[tuple[int, int], ...], asks: tuple[tuple[int, int], ...]) -> None:
        self.bids, self.asks = dict(bids), dict(asks)
        self.best_bid_px = max(self.bids, default=0)
        self.best_ask_px = min(self.asks, default=0)

    def takeable(self, side: Side, limit_px: int) -> int:
        """Displayed shares that an order of `side` with `limit_px` (0: none) could take."""
        if side is BUY:
            return sum(q for px, q in self.asks.items() if not limit_px or px <= limit_px)
        return sum(q for px, q in self.bids.items() if not limit_px or px >= limit_px)


class SymbolView:
    """One symbol over all venues: books, quotes, the best bid and offer, the tape, and running statistics.

    `signed_flow_qty` is aggressive buys minus sells, decaying with FLOW_HALF_LIFE_NS; `volatility_bps` is the standard
    deviation of the mid over one second, from squared mid changes decaying with VOLATILITY_HALF_LIFE_NS.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.books: dict[str, VenueBook] = {}
        self.quotes: dict[str, DealerQuoted] = {}
        self.indicated: dict[str, AuctionIndicated] = {}  # the last word on the auction at each venue
        self.requested: dict[str, DealerQuoted] = {}  # by quote_req_id; a quantity of 0 on both sides is a withdrawal
        self.bid_px = 0  # best bid and offer over the lit venues; 0 where that side is empty
        self.ask_px = 0
        self.bid_qty = 0
        self.ask_qty = 0
        self.last_px = 0
        self.tape_qty = 0  # all prints since the view began
        self.tape_notional_px = 0  # sum of px * qty of those
        self.updated_ns = 0
        self._last_mid2_px = 0  # the mid before the last change, which lasted until `_last_mid_ns`
        self._last_mid_ns = 0
        self._flow_qty = 0.0
        self._flow_ns = 0
        self._variance_bps2 = 0.0  # per second
        self._variance_ns = 0
        self._variance_mid2_px = 0

    @property
    def mid2_px(self) -> int:
        """Twice the midpoint (so that it stays an integer); 0 unless both sides are there."""
        return self.bid_px + self.ask_px if self.bid_px and self.ask_px else 0

    def reference_mid2_px(self, now_ns: int) -> int:
        """Twice the last midpoint, also while one side is empty for a moment; 0 if it is older than the maximum age."""
        return self.mid2_px or (self._last_mid2_px if now_ns - self._last_mid_ns <= REFERENCE_MAX_AGE_NS else 0)

    @property
    def mid_px(self) -> float:
        return self.mid2_px / 2

    def signed_flow_qty(self, now_ns: int) -> float:
        return self._flow_qty * _decay(now_ns - self._flow_ns, FLOW_HALF_LIFE_NS)

    @property
    def volatility_bps(self) -> float:
        return sqrt(self._variance_bps2)

    def apply(self, update: MarketUpdate, now_ns: int) -> None:
        self.updated_ns = now_ns
        match update:
            case LevelChange(venue=venue, side=side, px=px, qty=qty):
                book = self._book(venue)
                book.set_level(side, px, qty)
                book.updated_ns = now_ns
                # What stands behind the best price of all changes nothing about it.
                if px >= self.bid_px if side is BUY else px <= self.ask_px or not self.ask_px:
                    self._refresh_best(now_ns)
            case TradePrinted(px=px, qty=qty, aggressor=aggressor):
                self.last_px = px
                self.tape_qty += qty
                self.tape_notional_px += px * qty
                if aggressor is not None:
                    self._flow_qty = self.signed_flow_qty(now_ns) + aggressor.sign * qty
                    self._flow_ns = now_ns
            case DealerQuoted(quote_req_id=quote_req_id) if quote_req_id:
                self.requested = {key: old for key, old in self.requested.items() if old.valid_until_ns > now_ns}
                self.requested[quote_req_id] = update
            case DealerQuoted(venue=venue):
                self.quotes[venue] = update
            case BookSnapshot(venue=venue, bids=bids, asks=asks):
                book = self._book(venue)
                book.replace(bids, asks)
                book.updated_ns = now_ns
                self._refresh_best(now_ns)
            case AuctionIndicated(venue=venue):
                self.indicated[venue] = _merged(self.indicated.get(venue), update)

    def forget_venue(self, venue: str, now_ns: int) -> None:
        """A venue went down: what it showed is no longer there."""
        self.books.pop(venue, None)
        self.quotes.pop(venue, None)
        self.indicated.pop(venue, None)
        self._refresh_best(now_ns)

    def _book(self, venue: str) -> VenueBook:
        book = self.books.get(venue)
        if book is None:
            book = self.books[venue] = VenueBook()
        return book

    def _refresh_best(self, now_ns: int) -> None:
        bid_px = ask_px = bid_qty = ask_qty = 0
        for book in self.books.values():
            px = book.best_bid_px
            if px > bid_px:
                bid_px, bid_qty = px, book.bids[px]
            elif px and px == bid_px:
                bid_qty += book.bids[px]
            px = book.best_ask_px
            if px and (px < ask_px or not ask_px):
                ask_px, ask_qty = px, book.asks[px]
            elif px and px == ask_px:
                ask_qty += book.asks[px]
        moved = bid_px != self.bid_px or ask_px != self.ask_px
        if moved and self.mid2_px:
            self._last_mid2_px, self._last_mid_ns = self.mid2_px, now_ns
        self.bid_px, self.bid_qty, self.ask_px, self.ask_qty = bid_px, bid_qty, ask_px, ask_qty
        if moved and self.mid2_px:
            self._observe_mid(now_ns)

    def _observe_mid(self, now_ns: int) -> None:
        mid2_px = self.mid2_px
        if self._variance_mid2_px:
            elapsed_ns = max(now_ns - self._variance_ns, 1)
            change_bps = (mid2_px - self._variance_mid2_px) / self._variance_mid2_px * 1e4
            keep = _decay(elapsed_ns, VOLATILITY_HALF_LIFE_NS)
            # Exponentially weighted sum of squared changes over the effective window (half-life / ln 2), per second.
            self._variance_bps2 = self._variance_bps2 * keep + change_bps**2 * _LN2 * 1e9 / VOLATILITY_HALF_LIFE_NS
        self._variance_ns = now_ns
        self._variance_mid2_px = mid2_px


class MarketView:
    """Every symbol's view. `apply` is the only way in."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolView] = {}

    def apply(self, update: MarketUpdate, now_ns: int) -> None:
        self.symbol(update.symbol).apply(update, now_ns)

    def symbol(self, symbol: str) -> SymbolView:
        view = self.symbols.get(symbol)
        if view is None:
            view = self.symbols[symbol] = SymbolView(symbol)
        return view

    def forget_venue(self, venue: str, now_ns: int) -> None:
        for view in self.symbols.values():
            view.forget_venue(venue, now_ns)


def _merged(old: AuctionIndicated | None, new: AuctionIndicated) -> AuctionIndicated:
    if old is None:
        return new
    return AuctionIndicated(
        new.venue,
        new.symbol,
        old.px if new.px is None else new.px,
        old.paired_qty if new.paired_qty is None else new.paired_qty,
        old.imbalance_qty if new.imbalance_qty is None else new.imbalance_qty,
    )


def _decay(elapsed_ns: int, half_life_ns: int) -> float:
    return exp(-_LN2 * elapsed_ns / half_life_ns) if elapsed_ns > 0 else 1.0
