"""The phases of a symbol's day: opening auction, continuous trading, price bands, closing auction, the end.

An auction collects for a while and says what it would do; the background sends its own orders to it, some at market,
the rest around the fair price, with more on one side than on the other by chance. A price band stands around a slow
mean of the mid, as in the limit-up limit-down plan of the US markets (NMS plan of 2012): nothing trades beyond it, and
a quote beyond it pauses trading; an auction ends the pause. The plan's fifteen seconds of a limit state and its doubled
bands at the end of the day are left out.
"""

from collections.abc import Callable, Sequence
from math import exp, log
from random import Random

from domain.fields import TradingStatus
from simulators.auction import Auction, Collected
from simulators.book import Book, Reference
from simulators.flow import NEVER
from simulators.latent import Latent
from simulators.market_config import DayConfig, SymbolConfig
from simulators.takers import SIZE_TAIL, pareto_lots

_SECOND_NS = 1_000_000_000
_AT_MARKET = 0.5  # share of the background's orders for an auction
_LIMITS_OFF = 0.05  # mean distance of the others' limits from the fair price, in daily volatilities
_LEAN = 0.15  # standard deviation of the share of an auction's orders that buy
_NORMAL = 0.6  # of the mean size, that a market order gets


class Crowd:
    """The background's orders for an auction in one symbol: some at market, the rest around the fair price."""

    def __init__(self, symbol: SymbolConfig, latent: Latent, random: Random) -> None:
        self._symbol = symbol
        self._latent = latent
        self._random = random
        self._buying = 0.5

    def gather(self) -> None:
        """For another auction: one side has more of them, by chance."""
        self._buying = 0.5 + max(-0.4, min(0.4, self._random.gauss(0.0, _LEAN)))

    def send(self, auction: Auction, orders: float) -> None:
        """So many in the mean; as many dice whatever comes of them."""
        symbol, random = self._symbol, self._random.random
        for _ in range(int(orders + random())):
            u_side, u_market, u_off, u_sign, u_size = random(), random(), random(), random(), random()
            px = 0
            if u_market >= _AT_MARKET:
                off = -log(1.0 - u_off) * _LIMITS_OFF * symbol.daily_volatility * (1.0 if u_sign < 0.5 else -1.0)
                px = max(round(self._latent.fair_px * (1.0 + off) / symbol.tick_px), 1) * symbol.tick_px
            qty = pareto_lots(u_size, symbol.mean_lots, SIZE_TAIL) * symbol.lot_qty
            auction.collected.append(Collected(u_side < self._buying, px, qty))

    def withdraw_passed(self, book: Book, at_ns: int) -> None:
        """Whoever stood in the book has looked at the price since: what it passed is gone before the cross."""
        fair_px = self._latent.fair_px
        for book_side in (book.bids, book.asks):
            for px in [px for px in book_side.levels if (px - fair_px) * book_side.sign > 0]:
                book.withdraw_background(book_side, px, at_ns)


class CalledAuctions:
    """Auctions in one symbol that somebody called, not the day: as many orders as there are market orders otherwise."""

    def __init__(self, auctions: Sequence[Auction], crowd: Crowd | None, orders_a_second: float) -> None:
        self.next_ns = NEVER
        self._crowd = crowd  # none: a tape's traders send nothing
        self._orders = orders_a_second / max(len(auctions), 1)
        self._under_way: list[Auction] = []

    def call(self, auction: Auction, at_ns: int) -> None:
        if self._crowd is not None:
            self._crowd.gather()
        self._under_way.append(auction)
        self.next_ns = at_ns + _SECOND_NS

    def over(self, auction: Auction, at_ns: int) -> None:
        """Its book no longer collects, or no longer stands still alone: what the price has passed goes first."""
        if auction in self._under_way:
            self._under_way.remove(auction)
        elif not auction.book.halted:
            return
        if self._crowd is not None:
            self._crowd.withdraw_passed(auction.book, at_ns)

    def step(self, at_ns: int) -> None:
        for auction in self._under_way:
            if self._crowd is not None:
                self._crowd.send(auction, self._orders)
            auction.indicate(at_ns)
        self.next_ns = at_ns + _SECOND_NS if self._under_way else NEVER


class TradingDay:
    """Moves one symbol through its day; `change_status(status, text, at_ns)` tells the venues and crosses auctions."""

    def __init__(
        self,
        config: DayConfig,
        symbol: SymbolConfig,
        takers_per_second: float,
        reference: Reference,
        auctions: Sequence[Auction],
        crowd: Crowd,
        start_ns: int,
        change_status: Callable[[TradingStatus, str, int], None],
    ) -> None:
        self.next_ns = start_ns
        self._config = config
        self._symbol = symbol
        self._reference = reference
        self._auctions = auctions
        self._crowd = crowd
        self._change_status = change_status
        day_qty = takers_per_second * config.session_s * symbol.mean_lots * _NORMAL * symbol.lot_qty
        self._opening_orders = config.opening_share * day_qty / (symbol.mean_lots * symbol.lot_qty)
        self._closing_orders = config.closing_share * day_qty / (symbol.mean_lots * symbol.lot_qty)
        self._opens_ns = start_ns + int(config.opening_s * _SECOND_NS)
        self._closes_ns = self._opens_ns + int(config.session_s * _SECOND_NS)
        self._until_ns: int | None = None  # the end of the auction under way, if it is one of ours
        self._orders_a_second = 0.0
        self._mean_px = 0.0  # that the bands stand around
        self._begun = False

    def step(self, at_ns: int) -> None:
        self.next_ns = at_ns + _SECOND_NS
        status = self._reference.status
        if not self._begun:
            self._begun = True
            if self._config.opening_s:
                self._begin("opening auction", self._opens_ns, self._opening_orders, at_ns)
        elif status is TradingStatus.AUCTION and self._until_ns is not None:
            self._collect(self._until_ns, at_ns)
        elif at_ns >= self._closes_ns:
            self._close(at_ns)
        elif status is TradingStatus.OPEN and self._config.band:
            self._watch(at_ns)

    def _begin(self, text: str, until_ns: int, orders: float, at_ns: int) -> None:
        self._until_ns = until_ns
        self._orders_a_second = orders / max((until_ns - at_ns) / _SECOND_NS, 1.0)
        self._crowd.gather()
        self._change_status(TradingStatus.AUCTION, text, at_ns)

    def _collect(self, until_ns: int, at_ns: int) -> None:
        """A second of an auction, or its end."""
        if at_ns < until_ns:
            for auction in self._auctions:
                self._crowd.send(auction, self._orders_a_second / len(self._auctions))
                auction.indicate(at_ns)
            return
        self._until_ns = None
        self._mean_px = 0.0
        for book in self._reference.books:
            self._crowd.withdraw_passed(book, at_ns)
        if at_ns >= self._closes_ns:
            self._change_status(TradingStatus.CLOSED, "end of the day", at_ns)
            self.next_ns = NEVER
        else:
            self._change_status(TradingStatus.OPEN, "", at_ns)

    def _close(self, at_ns: int) -> None:
        if self._config.closing_s and self._reference.status is TradingStatus.OPEN:
            self._set_bands(0, 0)
            until_ns = self._closes_ns + int(self._config.closing_s * _SECOND_NS)
            self._begin("closing auction", until_ns, self._closing_orders, at_ns)
        else:  # a halt lasts beyond the close
            self._change_status(TradingStatus.CLOSED, "end of the day", at_ns)
            self.next_ns = NEVER

    def _watch(self, at_ns: int) -> None:
        """Moves the bands with the mean of the mid; a quote beyond them pauses trading."""
        config, mid_px = self._config, self._reference.mid2_px / 2.0
        if not mid_px:
            return
        keep = exp(-1.0 / config.band_reference_s) if self._mean_px else 0.0
        self._mean_px = keep * self._mean_px + (1.0 - keep) * mid_px
        tick = self._symbol.tick_px
        low_px = -(-int(self._mean_px * (1.0 - config.band)) // tick) * tick
        high_px = int(self._mean_px * (1.0 + config.band)) // tick * tick
        self._set_bands(low_px, high_px)
        if not low_px <= mid_px <= high_px:
            self._set_bands(0, 0)
            until_ns = min(at_ns + int(config.pause_s * _SECOND_NS), self._closes_ns)
            self._begin("price band", until_ns, self._opening_orders, at_ns)

    def _set_bands(self, low_px: int, high_px: int) -> None:
        for book in self._reference.books:
            book.low_px, book.high_px = low_px, high_px
