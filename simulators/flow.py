"""The background: one efficient price per symbol, and the orders of everybody else on each lit book.

The efficient price is a random walk with volatility that clusters and jumps now and then. A hidden `pressure` sets
both the drift of that price and the side of the background's takers, so trade signs are autocorrelated, tell something
of the next move, and waiting costs. Orders react to the state of their book (in the spirit of Huang, Lehalle and
Rosenbaum, arXiv 1312.0563): a thin side attracts orders, a full one sheds them, a wide spread draws improvements, and
a quote that the efficient price has passed is picked off or withdrawn. All books of a symbol follow the same efficient
price and never post through each other, so they do not stay crossed.

Every process has a random stream of its own and draws the same number of values at each step: what a client does
changes the orders that meet it, not the dice of everybody else.
"""

from dataclasses import dataclass
from math import ceil, exp, floor, log, sqrt
from random import Random
from typing import Protocol

from domain.fields import Side
from simulators.book import Book, BookSide, Reference, Resting
from simulators.market_config import LitConfig, SymbolConfig

NEVER = 1 << 62

_SESSION_SECONDS = 6.5 * 3600
_VALUE_INTERVAL_NS = 200_000_000.0
# Volatility: a mean-reverting factor on the log scale, and rare large steps, for the fat tails of short returns.
_VOLATILITY_HALF_LIFE_S = 240.0
_VOLATILITY_SPREAD = 0.4
_JUMP_SHARE = 0.02
_JUMP_FACTOR = 4.0
# Pressure: spells of buying or selling with Pareto-distributed lengths, as large orders are worked.
_CALM_SHARE = 0.4
_SPELL_MIN_S = 2.0
_SPELL_MAX_S = 120.0
_SPELL_TAIL = 1.5
_PRESSURE_TILT = 0.48  # share of takers turned to the side of full pressure
_LEAN_TILT = 0.3  # share of posts and cancels that follow the efficient price within the spread
_PICK_OFF_SHARE = 0.35  # stale quotes that are taken; the rest are withdrawn in time
# Order flow comes in bursts: a mixture of short and long pauses with mean 1 and coefficient of variation about 2.
_BURST_SHARE = 0.75
_BURST_PAUSE = 0.2
_LONG_PAUSE = 3.4
_SIZE_TAIL = 1.6
_MAX_LOTS = 60
_MAX_LEVELS = 10
_MIN_LEVELS = 5


def pareto_lots(u: float, mean_lots: float, tail: float) -> int:
    """Whole lots, Pareto with exponent `tail` and about the given mean, for a uniform `u` in [0, 1)."""
    scale = mean_lots * (tail - 1.0) / tail
    return min(max(int(scale * (1.0 - u) ** (-1.0 / tail) + 0.5), 1), _MAX_LOTS)


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


class Latent:
    """What a symbol is worth (`value_px`) and who presses (`pressure`, -1 selling to 1 buying). Nobody sees either."""

    def __init__(self, config: SymbolConfig, random: Random, start_ns: int) -> None:
        self.value_px = config.start_px + (random.random() - 0.5) * config.tick_px
        self.pressure = 0.0
        self.activity = 1.0  # factor on all rates: more happens when prices move more
        self.next_ns = start_ns
        self._random = random
        # Jumps and the spread of the factor (lognormal) add to the variance; the config's volatility is what comes out.
        added = (1.0 + _JUMP_SHARE * (_JUMP_FACTOR**2 - 1.0)) * exp(2.0 * _VOLATILITY_SPREAD**2)
        self._second_volatility = config.daily_volatility / sqrt(_SESSION_SECONDS * added)
        self._drift = config.pressure_drift
        self._min_px = 10.0 * config.tick_px
        self._log_factor = random.gauss(0.0, _VOLATILITY_SPREAD)
        self._spell_ends_ns = start_ns
        self._last_ns = start_ns

    def step(self, at_ns: int) -> None:
        random = self._random
        u_pause, u_jump, u_length, u_pressure = random.random(), random.random(), random.random(), random.random()
        shock, factor_shock = random.gauss(0.0, 1.0), random.gauss(0.0, 1.0)
        seconds = (at_ns - self._last_ns) / 1e9
        self._last_ns = at_ns
        if at_ns >= self._spell_ends_ns:
            length_s = min(_SPELL_MIN_S * (1.0 - u_length) ** (-1.0 / _SPELL_TAIL), _SPELL_MAX_S)
            self._spell_ends_ns = at_ns + int(length_s * 1e9)
            strength = (u_pressure - _CALM_SHARE) / (1.0 - _CALM_SHARE)  # (0, 1): half of it buys, half sells
            self.pressure = 0.0 if strength < 0 else 2.0 * strength - 1.0
        keep = exp(-0.693147 * seconds / _VOLATILITY_HALF_LIFE_S)
        self._log_factor = self._log_factor * keep + _VOLATILITY_SPREAD * sqrt(1.0 - keep * keep) * factor_shock
        self.activity = exp(0.5 * self._log_factor)
        jump = _JUMP_FACTOR if u_jump < _JUMP_SHARE else 1.0
        deviation = self._second_volatility * exp(self._log_factor)
        move = deviation * (shock * jump * sqrt(seconds) + self._drift * self.pressure * seconds)
        self.value_px = max(self.value_px * (1.0 + move), self._min_px)
        self.next_ns = at_ns + 1 + int(-log(1.0 - u_pause) * _VALUE_INTERVAL_NS)


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
        self._taker_share = config.taker_share
        self._wide_ticks = 2.0 * config.half_spread_ticks + 3.0
        self._orders = max(config.orders_per_side * venue.depth_factor, 4.0)
        self._pause_ns = 1e9 / (config.events_per_second * venue.flow_share)
        self.next_ns = start_ns
        self._seed_book(start_ns)
        self._schedule(start_ns, random.random(), random.random(), 0.0)

    def step(self, at_ns: int) -> None:
        random = self._random.random
        u_what, u_side, u_size, u_place, u_burst, u_pause = random(), random(), random(), random(), random(), random()
        if self._reference.halted:
            self._schedule(at_ns, u_burst, u_pause, 0.0)
            return
        book, value, tick = self._book, self._latent.value_px, self._tick
        bid_px, ask_px = book.bids.best_px, book.asks.best_px
        if not bid_px or not ask_px:
            self._post(u_side, u_size, 0.0, 0.0, at_ns)
            self._schedule(at_ns, u_burst, u_pause, 2.0)
            return
        # How far the efficient price has gone beyond a quote, and how much wider than usual the spread is, in ticks.
        passed = max(value - ask_px, bid_px - value) / tick
        widened = (ask_px - bid_px) / tick - self._wide_ticks
        lean = max(-1.0, min(1.0, (2.0 * value - bid_px - ask_px) / (ask_px - bid_px)))
        thin = _MIN_LEVELS - min(len(book.bids.keys), len(book.asks.keys))
        urgency = max(passed, 0.5 * widened, 0.25 * thin, 0.0)
        react = min(0.3 + 0.4 * urgency, 0.9) if urgency else 0.0
        if u_what < react:
            if passed > 0.0:
                stale = book.asks if value > ask_px else book.bids
                self._react(stale, u_what < _PICK_OFF_SHARE * react, u_place, u_size, at_ns)
            else:
                self._post(u_side, u_size, 0.0 if widened > 0.0 else u_place, lean, at_ns)
        else:
            u_what = (u_what - react) / (1.0 - react)
            cancel_share = 0.5 * min((book.bids.count + book.asks.count) / (2.0 * self._orders), 1.6)
            if u_what < self._taker_share:
                self._take(u_side, u_size, u_place, at_ns)
            elif u_what < self._taker_share + cancel_share:
                self._cancel(u_side, u_size, u_place, lean, at_ns)
            else:
                self._post(u_side, u_size, u_place, lean, at_ns)
        self._schedule(at_ns, u_burst, u_pause, urgency)

    def _schedule(self, at_ns: int, u_burst: float, u_pause: float, urgency: float) -> None:
        pause = -log(1.0 - u_pause) * (_BURST_PAUSE if u_burst < _BURST_SHARE else _LONG_PAUSE)
        rate = self._latent.activity * (1.0 + 2.0 * min(urgency, 2.0))
        self.next_ns = at_ns + 1 + int(pause * self._pause_ns / rate)

    def _react(self, stale: BookSide, pick_off: bool, u_place: float, u_size: float, at_ns: int) -> None:
        """A quote behind the efficient price: the fast take it, or those who made it withdraw."""
        px = stale.best_px
        if pick_off:
            level_qty = stale.levels[px].qty
            qty = level_qty if u_place < 0.5 else min(self._size(u_size), level_qty)
            self._book.take(Side.BUY if stale.sign < 0 else Side.SELL, qty, px, at_ns)
        else:
            self._book.withdraw_background(stale, px, at_ns)

    def _take(self, u_side: float, u_size: float, u_place: float, at_ns: int) -> None:
        """An uninformed taker. Most know the displayed size and take no more; a few walk into the book."""
        buying = u_side < 0.5 + _PRESSURE_TILT * self._latent.pressure
        book_side = self._book.asks if buying else self._book.bids
        qty = self._size(u_size)
        if u_place < 0.9:
            qty = min(qty, book_side.levels[book_side.best_px].qty)
        self._book.take(Side.BUY if buying else Side.SELL, qty, 0, at_ns)

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
        behind = int(-log(1.0 - u_place) * self._depth)
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
            return floor((self._latent.value_px - half_spread) / tick) * tick
        return ceil((self._latent.value_px + half_spread) / tick) * tick

    def _size(self, u: float) -> int:
        return pareto_lots(u, self._mean_lots, _SIZE_TAIL) * self._lot

    def _seed_book(self, at_ns: int) -> None:
        random = self._random.random
        for bidding, book_side in ((True, self._book.bids), (False, self._book.asks)):
            for number in range(int(self._orders * 0.9)):
                behind = number if number < _MIN_LEVELS else int(-log(1.0 - random()) * self._depth) % _MAX_LEVELS
                px = self._fair_px(bidding, 0.5) + (-behind if bidding else behind) * self._tick
                self._book.add(book_side, px, Resting(self._size(random())), at_ns)
