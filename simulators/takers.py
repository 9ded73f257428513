"""Who takes: large orders that are worked in pieces, and the fast who correct what the others leave stale.

Market orders excite each other (a Hawkes process, Bacry, Mastromatteo and Muzy, arXiv 1502.04592), so they come in
clusters, drawn exactly with two dice each (Dassios and Zhao, 2013, Electronic Communications in Probability 18). Their
signs are those of large orders split into a heavy-tailed number of pieces (Lillo, Mike and Farmer, cond-mat/0412708),
which is where the long memory of the sign comes from. Clients' orders excite nobody and sign nothing: they move the
market by what is printed and by what they take, and the dice of everybody else stay the same.
"""

from math import ceil, exp, floor, log
from random import Random

from domain.fields import Side
from simulators.book import Book, BookSide, Reference, Resting
from simulators.latent import Latent
from simulators.market_config import SymbolConfig

SIZE_TAIL = 1.6
_MAX_LOTS = 60
_FULL_PRESSURE = 10.0  # pieces left to trade
_CAPPED_SHARE = 0.9  # takers who know the displayed size and take no more
_FAST_NS = 50_000_000.0  # between two looks of the fast
_PICK_OFF_SHARE = 0.12  # stale quotes that are taken; the rest are withdrawn in time


def pareto_lots(u: float, mean_lots: float, tail: float) -> int:
    """Whole lots, Pareto with exponent `tail` and about the given mean, for a uniform `u` in [0, 1)."""
    scale = mean_lots * (tail - 1.0) / tail
    return min(max(int(scale * (1.0 - u) ** (-1.0 / tail) + 0.5), 1), _MAX_LOTS)


class TakerFlow:
    """The market orders in one symbol, each sent to a venue that shows the best price."""

    def __init__(
        self,
        config: SymbolConfig,
        per_second: float,
        reference: Reference,
        latent: Latent,
        random: Random,
        start_ns: int,
    ) -> None:
        self._config = config
        self._reference = reference
        self._latent = latent
        self._random = random
        self._base = per_second * (1.0 - config.excitation)  # intensity without excitement
        self._fade = 1.0 / config.excitation_s
        self._jump = config.excitation * self._fade
        self._excited = per_second * config.excitation
        self._sign = 1
        self._left = 0  # pieces of the large order that is being worked
        self.next_ns = start_ns
        self._schedule(start_ns, random.random(), random.random())

    def step(self, at_ns: int) -> None:
        random = self._random.random
        u_base, u_excited, u_sign, u_pieces = random(), random(), random(), random()
        u_size, u_capped, u_venue = random(), random(), random()
        self._excited += self._jump
        if not self._left:
            self._sign = 1 if u_sign < 0.5 else -1
            self._left = min(int((1.0 - u_pieces) ** (-1.0 / self._config.split_tail)), self._config.longest_split)
        self._left -= 1
        self._latent.pressure = self._sign * min(self._left / _FULL_PRESSURE, 1.0)
        self._schedule(at_ns, u_base, u_excited)
        if self._reference.halted:
            return
        buying = self._sign > 0
        if book := self._venue(buying, u_venue):
            config = self._config
            qty = pareto_lots(u_size, config.mean_lots, SIZE_TAIL) * config.lot_qty
            if u_capped < _CAPPED_SHARE:
                book_side = book.asks if buying else book.bids
                qty = min(qty, book_side.levels[book_side.best_px].qty)
            book.take(Side.BUY if buying else Side.SELL, qty, 0, at_ns)

    def _schedule(self, at_ns: int, u_base: float, u_excited: float) -> None:
        """The next market order: of the base rate, or of the excitement if that comes first."""
        pause_s = -log(1.0 - u_base) / self._base
        reach = 1.0 + self._fade * log(1.0 - u_excited) / self._excited if self._excited else 0.0
        if reach > 0.0:
            pause_s = min(pause_s, -log(reach) / self._fade)
        self._excited *= exp(-self._fade * pause_s)
        self.next_ns = at_ns + 1 + int(pause_s * 1e9 / self._latent.activity)

    def _venue(self, buying: bool, u_venue: float) -> Book | None:
        """One of the books with the best price, the more likely the more it shows there."""
        best_px = self._reference.ask_px if buying else self._reference.bid_px
        shown: list[tuple[Book, int]] = []
        for book in self._reference.books:
            book_side = book.asks if buying else book.bids
            if best_px and book_side.best_px == best_px:
                shown.append((book, book_side.levels[best_px].qty))
        wanted = u_venue * sum(qty for _, qty in shown)
        for book, qty in shown:
            wanted -= qty
            if wanted < 0:
                return book
        return None


class FastFlow:
    """Those who watch the fair price all the time: they take or withdraw a quote that it has passed, and improve one
    that it has left behind."""

    def __init__(
        self, config: SymbolConfig, reference: Reference, latent: Latent, random: Random, start_ns: int
    ) -> None:
        self._config = config
        self._reference = reference
        self._latent = latent
        self._random = random
        self._zone_px = config.stale_ticks * config.tick_px
        self._half_px = config.half_spread_ticks * config.tick_px
        self._leans = config.lean_share
        self._leaves = config.requote_share  # the dice from here on say who leaves a quote
        self.next_ns = start_ns + 1

    def step(self, at_ns: int) -> None:
        random = self._random.random
        self.next_ns = at_ns + 1 + int(-log(1.0 - random()) * _FAST_NS)
        halted = self._reference.halted
        for book in self._reference.books:
            u_act, u_whole, u_size = random(), random(), random()
            if not halted and book.bids.keys and book.asks.keys:
                self._look(book, u_act, u_whole, u_size, at_ns)

    def _look(self, book: Book, u_act: float, u_whole: float, u_size: float, at_ns: int) -> None:
        fair_px, bid_px, ask_px = self._latent.fair_px, book.bids.best_px, book.asks.best_px
        # Where ticks are large, a price around a tick boundary moves no quote (uncertainty zones, Robert and
        # Rosenbaum, 2011).
        if fair_px > ask_px + self._zone_px or fair_px < bid_px - self._zone_px:
            self._correct(book, book.asks if fair_px > ask_px else book.bids, u_act, u_whole, u_size, at_ns)
        elif u_act < self._config.requote_share and self._improve(book, u_size, at_ns):
            return
        elif self._leaves <= u_act < self._leaves + self._leans or u_act > 1.0 - self._leans:
            self._lean(book, u_act, u_size, at_ns)

    def _correct(self, book: Book, stale: BookSide, u_act: float, u_whole: float, u_size: float, at_ns: int) -> None:
        """A quote that the price has passed: it is taken, or those who made it withdraw."""
        px = stale.best_px
        passed_px = (self._latent.fair_px - px) * -stale.sign - self._zone_px
        act = min(0.4 + 0.4 * passed_px / self._config.tick_px, 0.95)
        if u_act < _PICK_OFF_SHARE * act:
            level_qty = stale.levels[px].qty
            qty = level_qty if u_whole < 0.5 else min(self._qty(u_size, 1.0), level_qty)
            book.take(Side.BUY if stale is book.asks else Side.SELL, qty, px, at_ns)
        elif u_act < act:
            book.withdraw_background(stale, px, at_ns)

    def _improve(self, book: Book, u_size: float, at_ns: int) -> bool:
        """A quote that the price has left behind gets a better one in front; whether one was."""
        tick, fair_px = self._config.tick_px, self._latent.fair_px
        fair_bid_px = floor((fair_px - self._half_px) / tick) * tick
        fair_ask_px = ceil((fair_px + self._half_px) / tick) * tick
        bid_behind, ask_behind = fair_bid_px - book.bids.best_px, book.asks.best_px - fair_ask_px
        if bid_behind <= 0 and ask_behind <= 0:
            return False
        reference = self._reference
        if bid_behind >= ask_behind:
            if reference.ask_px > fair_bid_px:
                book.add(book.bids, fair_bid_px, Resting(self._qty(u_size, 2.0)), at_ns)
        elif reference.bid_px < fair_ask_px:
            book.add(book.asks, fair_ask_px, Resting(self._qty(u_size, 2.0)), at_ns)
        return True

    def _lean(self, book: Book, u_act: float, u_size: float, at_ns: int) -> None:
        """Join the quote that the price moves away from, or leave the one that it comes near."""
        bid_px, ask_px = book.bids.best_px, book.asks.best_px
        lean = (2.0 * self._latent.fair_px - bid_px - ask_px) / (ask_px - bid_px)
        near = self._leans * lean * lean
        if u_act > 1.0 - near:
            joined = book.bids if lean > 0 else book.asks
            book.add(joined, joined.best_px, Resting(self._qty(u_size, 1.0)), at_ns)
        elif self._leaves <= u_act < self._leaves + near:
            left = book.asks if lean > 0 else book.bids
            last = left.levels[left.best_px].queue[-1]
            if last.order is None:
                book.reduce(left, left.best_px, last, last.qty, at_ns)

    def _qty(self, u_size: float, factor: float) -> int:
        config = self._config
        return pareto_lots(u_size, factor * config.mean_lots, SIZE_TAIL) * config.lot_qty
