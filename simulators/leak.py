"""What fills give away. In a dark pool who met a part of a large order knows that there is more, and trades ahead.

A pool reports each part fill that leaves something of a client's order behind, and each immediate order that found less
than it asked for. Some market orders to the same side follow on the lit books over the next seconds, so the price moves
away from whoever waits or pings in the dark (Zhu, 2014, on information in dark pools; Mittal, 2008, on gaming them).

Where the other side of a fill knew more (a venue that is toxic), what it knew comes into the fair price over the next
seconds, against the client, and from there into the quotes: adverse selection as in Glosten and Milgrom (1985).
"""

from random import Random

from domain.fields import Side
from simulators.book import Reference
from simulators.latent import Latent
from simulators.market_config import SymbolConfig
from simulators.takers import SIZE_TAIL, pareto_lots

_LOOK_NS = 500_000_000
_FADE = 0.15  # share of what is due that comes, or is forgotten, at each look: some three seconds
_NEWS_FADE = 0.4  # share of what was known that comes into the price at each look: some 1.3 seconds


class LeakFlow:
    """The market orders that follow a leak in one symbol. Its dice fall only after a leak."""

    def __init__(
        self, config: SymbolConfig, reference: Reference, latent: Latent, random: Random, start_ns: int
    ) -> None:
        self.next_ns = start_ns + _LOOK_NS
        self._config = config
        self._reference = reference
        self._latent = latent
        self._random = random
        self._due = {1: 0.0, -1: 0.0}  # market orders yet to come, by sign
        self._news_bps = 0.0  # yet to come into the price

    def leaked(self, sign: int, orders: float) -> None:
        """Somebody learned that there is more to buy (1) or to sell (-1); `orders` is how many follow in the mean."""
        self._due[sign] += orders

    def known(self, bps: float) -> None:
        """Who just traded knows that the price will move so far."""
        self._news_bps += bps

    def step(self, at_ns: int) -> None:
        self.next_ns = at_ns + _LOOK_NS
        if self._news_bps:
            self._latent.shift(self._news_bps * _NEWS_FADE / 1e4)
            self._news_bps = self._news_bps * (1.0 - _NEWS_FADE) if abs(self._news_bps) > 0.01 else 0.0
        for sign, due in self._due.items():
            if due < 0.01:
                continue
            u_come, u_size = self._random.random(), self._random.random()
            self._due[sign] = due * (1.0 - _FADE)
            if u_come < due * _FADE and not self._reference.halted:
                self._take(Side.BUY if sign > 0 else Side.SELL, u_size, at_ns)

    def _take(self, side: Side, u_size: float, at_ns: int) -> None:
        """A market order at a book with the best price, for no more than it shows there."""
        reference, config = self._reference, self._config
        best_px = reference.ask_px if side is Side.BUY else reference.bid_px
        for book in reference.books:
            book_side = book.asks if side is Side.BUY else book.bids
            if best_px and book_side.best_px == best_px:
                qty = pareto_lots(u_size, config.mean_lots, SIZE_TAIL) * config.lot_qty
                book.take(side, min(qty, book_side.levels[best_px].qty), best_px, at_ns)
                return
