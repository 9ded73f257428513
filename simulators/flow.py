"""The background's limit orders: what everybody else shows on each lit book.

Orders react to the state of their book (in the spirit of Huang, Lehalle and Rosenbaum, arXiv 1312.0563): a thin side
attracts orders, a full one sheds them, a wide spread draws improvements, and posts and cancels lean towards where the
fair price stands in the spread, so the imbalance of the queues says something of the next move. All books of a symbol
follow the same fair price and never post through each other, so they do not stay crossed.

Every process has a random stream of its own and draws the same number of values at each step: what a client does
changes the orders that meet it, not the dice of everybody else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, log
from random import Random
from typing import Protocol

from simulators.book import Book, Reference, Resting
from simulators.latent import Latent, Shape
from simulators.market_config import LitConfig, SymbolConfig
from simulators.takers import SIZE_TAIL, pareto_lots

NEVER = 1 << 62

_DEPTH_TILT = 0.7
_LEAN_TILT = 0.4  # share of posts and cancels that follow the efficient price within the spread
# Order flow comes in bursts: a mixture of short and long pauses with mean 1 and coefficient of variation about 2.
_BURST_SHARE = 0.75
_BURST_PAUSE = 0.2
_LONG_PAUSE = 3.4
_MAX_LEVELS = 10
_MIN_LEVELS = 5


class Signal(Protocol):
    """What the informed know: `pressure`, from -1 (all will sell) to 1 (all will buy)."""

    pressure: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What the background of one symbol at one venue off the lit books works with."""

    symbol: SymbolConfig
    reference: Reference
    signal: Signal
    random: Random
    start_ns: int
    leaked: Callable[[int, float], None] | None = None  # sign, market orders that follow: what the lit books hear
    busy: Shape | None = None  # of the day; none: the same all day


class LitFlow:
    """The background orders on one lit book."""

    def __init__(
        self,
        config: SymbolConfig,
        venue: LitConfig,
        book: Book,
        reference: Reference,
        latent: Latent,
        random: Random,
        start_ns: int,
    ) -> None:
        self._book = book
        self._reference = reference
        self._latent = latent
        self._random = random
        self._tick = config.tick_px
        self._lot = config.lot_qty
        self._mean_lots = config.mean_lots
        self._half_spread = config.half_spread_ticks
        self._depth = config.depth_ticks
        self._wide_ticks = 2.0 * config.half_spread_ticks + 3.0
        self._config = config
        self.adopt(venue)
        self.next_ns = start_ns
        self._seed_book(start_ns)
        self._schedule(start_ns, random.random(), random.random(), 0.0)

    def adopt(self, venue: LitConfig) -> None:
        """From now on the venue's figures are these."""
        config = self._config
        self._orders = max(config.orders_per_side * venue.depth_factor, 4.0)
        self._pause_ns = 1e9 / (config.events_per_second * venue.flow_share * (1.0 - config.taker_share))

    def step(self, at_ns: int) -> None:
        random = self._random.random
        u_what, u_side, u_size, u_place, u_burst, u_pause = random(), random(), random(), random(), random(), random()
        if self._reference.halted or self._book.halted:
            self._schedule(at_ns, u_burst, u_pause, 0.0)
            return
        book, fair, tick = self._book, self._latent.fair_px, self._tick
        bid_px, ask_px = book.bids.best_px, book.asks.best_px
        if not bid_px or not ask_px:
            self._post(u_side, u_size, 0.0, 0.0, at_ns)
            self._schedule(at_ns, u_burst, u_pause, 2.0)
            return
        # How much wider than usual the spread is, in ticks, and how many levels the thinner side lacks.
        widened = (ask_px - bid_px) / tick - self._wide_ticks
        lean = max(-1.0, min(1.0, (2.0 * fair - bid_px - ask_px) / (ask_px - bid_px)))
        thin = _MIN_LEVELS - min(len(book.bids.keys), len(book.asks.keys))
        urgency = max(0.5 * widened, 0.25 * thin, 0.0)
        react = min(0.3 + 0.4 * urgency, 0.9) if urgency else 0.0
        if u_what < react:
            self._post(u_side, u_size, 0.0 if widened > 0.0 else u_place, lean, at_ns)
        else:
            cancel_share = 0.5 * min((book.bids.count + book.asks.count) / (2.0 * self._orders), 1.6)
            if (u_what - react) / (1.0 - react) < cancel_share:
                self._cancel(u_side, u_size, u_place, lean, at_ns)
            else:
                self._post(u_side, u_size, u_place, lean, at_ns)
        self._schedule(at_ns, u_burst, u_pause, urgency)

    def _schedule(self, at_ns: int, u_burst: float, u_pause: float, urgency: float) -> None:
        pause = -log(1.0 - u_pause) * (_BURST_PAUSE if u_burst < _BURST_SHARE else _LONG_PAUSE)
        rate = self._latent.activity * (1.0 + 2.0 * min(urgency, 2.0))
        self.next_ns = at_ns + 1 + int(pause * self._pause_ns / rate)

    def _cancel(self, u_side: float, u_size: float, u_place: float, lean: float, at_ns: int) -> None:
        """One background order leaves: rather at the quote that the price comes near, or from a side grown too deep."""
        bids, asks = self._book.bids, self._book.asks
        bid_share = bids.count / (bids.count + asks.count) - _LEAN_TILT * lean
        book_side = bids if u_side < bid_share else asks
        keys = book_side.keys
        depth = len(keys)
        if depth > _MAX_LEVELS:
            number = 0
        elif -lean * book_side.sign > u_place:
            number = depth - 1
        else:
            number = int(u_place * depth)
        px = keys[number] * book_side.sign
        queue = book_side.levels[px].queue
        first = int(u_size * len(queue))
        for resting in queue[first:] + queue[:first]:
            if resting.order is None:
                self._book.reduce(book_side, px, resting, resting.qty, at_ns)
                return

    def _post(self, u_side: float, u_size: float, u_place: float, lean: float, at_ns: int) -> None:
        """A new limit order around the fair quote of its side, never through the best price of any lit book."""
        book = self._book
        bids, asks = book.bids, book.asks
        depth_tilt = 0.3 * (asks.count - bids.count) / self._orders  # the thin side attracts
        bidding = u_side < 0.5 + max(-0.4, min(0.4, depth_tilt + _LEAN_TILT * lean))
        if len(bids.keys) < _MIN_LEVELS or len(asks.keys) < _MIN_LEVELS:
            bidding = len(bids.keys) < len(asks.keys) or (len(bids.keys) == len(asks.keys) and bidding)
        nearer = _DEPTH_TILT * (lean if bidding else -lean)  # who stands on the side that gains queues in front
        behind = int(-log(1.0 - u_place) * self._depth * (1.0 - nearer))
        # The size also sets the half spread: who shows much wants more for it.
        px = self._fair_px(bidding, u_size) + (-behind if bidding else behind) * self._tick
        reference = self._reference
        if bidding:
            ask_px = reference.ask_px
            if ask_px and px >= ask_px:
                px = ask_px - self._tick
        else:
            px = max(px, reference.bid_px + self._tick)
        if px >= self._tick:
            book.add(bids if bidding else asks, px, Resting(self._size(u_size)), at_ns)

    def _fair_px(self, bidding: bool, u_size: float) -> int:
        """A provider's best price: the efficient price less (plus) the half spread, rounded outward to a tick."""
        tick = self._tick
        half_spread = self._half_spread * (0.5 + u_size) * tick
        if bidding:
            return floor((self._latent.fair_px - half_spread) / tick) * tick
        return ceil((self._latent.fair_px + half_spread) / tick) * tick

    def _size(self, u: float) -> int:
        return pareto_lots(u, self._mean_lots, SIZE_TAIL) * self._lot

    def _seed_book(self, at_ns: int) -> None:
        random = self._random.random
        for bidding, book_side in ((True, self._book.bids), (False, self._book.asks)):
            for number in range(int(self._orders * 0.9)):
                behind = number if number < _MIN_LEVELS else int(-log(1.0 - random()) * self._depth) % _MAX_LEVELS
                px = self._fair_px(bidding, 0.5) + (-behind if bidding else behind) * self._tick
                self._book.add(book_side, px, Resting(self._size(random())), at_ns)
