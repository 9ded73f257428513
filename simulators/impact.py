"""What a large order does to the price, by twin runs: the same seed with a parent and without it.

The parent takes at a constant share of the traded volume. Nobody in the market knows when it ends, so what the price
has moved after a part of it is what an order of that size would have moved at its end: one pair of runs gives the whole
impact curve, and, after the parent's end, the decay. The difference of two runs on the same dice holds no move of the
market itself, so a few dozen pairs say what a year of a real desk's orders would.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from domain.fields import Side
from simulators.facts import Floats
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.orders import Order

SECOND_NS = 1_000_000_000
SIZES_S = (60, 120, 240, 480, 960, 1920)  # how long the parent has traded
AFTER_S = (30, 120, 480, 960, 1920)  # since its end
PARTICIPATION = 0.1
_WARM_UP_S = 120
_SPAN_S = 5  # a mid is averaged over this long before and after its instant


@dataclass(frozen=True)
class Impact:
    """Sizes in shares with the mean impact of each in bps; the impact left, relative to the peak, at AFTER_S."""

    qty: Floats
    impact_bps: Floats
    decay: Floats
    pairs: int

    @property
    def exponent(self) -> float | None:
        """Slope of log impact over log size, least squares; None where an impact is not positive."""
        if not (self.impact_bps > 0).all():
            return None
        return float(np.polyfit(np.log(self.qty), np.log(self.impact_bps), 1)[0])


def impact(
    config: MarketConfig,
    pairs: int,
    seed: int,
    lit_qty_per_second: float,
    child_qty: int,
    progress: Callable[[], None] = lambda: None,
) -> Impact:
    """The impact in the first symbol of a market, from pairs of runs with the seeds `seed`, `seed` + 1, ...

    The day has no shape and no phases there, so that a part of an order differs from the whole by its size alone.
    The parent is bought at even seeds and sold at odd ones. `progress` is called after each pair.
    """
    symbol = msgspec.structs.replace(config.symbols[0], day_activity=(), day_volatility=())
    config = msgspec.structs.replace(config, symbols=(symbol, *config.symbols[1:]), day=None)
    pause_s = child_qty / (PARTICIPATION * lit_qty_per_second)
    at_s = [*SIZES_S, *(SIZES_S[-1] + after for after in AFTER_S)]
    moves = np.zeros(len(at_s))
    for number in range(seed, seed + pairs):
        side = Side.BUY if number % 2 == 0 else Side.SELL
        without, with_parent = (_mids(config, number, at_s, pause_s, child) for child in (None, (side, child_qty)))
        moves += side.sign * (with_parent - without) / without * 1e4
        progress()
    moves /= pairs
    peak = len(SIZES_S)
    qty = np.array([int(size / pause_s + 1) * child_qty for size in SIZES_S], float)
    return Impact(qty, moves[:peak], moves[peak:] / moves[peak - 1], pairs)


def _mids(config: MarketConfig, seed: int, at_s: list[int], pause_s: float, child: tuple[Side, int] | None) -> Floats:
    """The mid around each of `at_s`, from the parent's first child order on, in a run of its own."""
    market = Market(config, seed, 0)
    symbol = config.symbols[0].symbol
    reference = market.references[symbol]
    children = int(SIZES_S[-1] / pause_s) + 1 if child else 0
    looks = sorted((_WARM_UP_S + at + offset, at) for at in at_s for offset in range(-_SPAN_S, _SPAN_S + 1))
    seen: dict[int, list[int]] = {at: [] for at in at_s}
    sent = 0
    for look_s, at in looks:
        while child and sent < children and _WARM_UP_S + sent * pause_s <= look_s:
            _send(market, symbol, *child, sent, int((_WARM_UP_S + sent * pause_s) * SECOND_NS))
            sent += 1
        market.advance(look_s * SECOND_NS)
        if mid2_px := reference.mid2_px:
            seen[at].append(mid2_px)
    return np.array([np.mean(mids) / 2.0 for mids in seen.values()])


def _send(market: Market, symbol: str, side: Side, qty: int, number: int, at_ns: int) -> None:
    """A child order that takes at the venue with the best price."""
    market.advance(at_ns)
    books = [book for book in market.references[symbol].books if (book.asks if side is Side.BUY else book.bids).keys]
    if not books:
        return
    best = max(books, key=lambda book: -book.asks.best_px if side is Side.BUY else book.bids.best_px)
    order = Order(f"parent-{number}", "parent", f"{number}", symbol, side, qty, immediate=True)
    market.submit(best.venue, order, at_ns)
