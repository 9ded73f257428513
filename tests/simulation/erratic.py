"""A market without a model: cheap to run, and as awkward as a seed can make it.

Prices walk at random and orders meet whatever the dice say: rejects, acknowledgements that come late or not at all, odd
partial fills, unsolicited cancels, cancels that cross with fills, last looks that decline, crossed and empty books. A
router has to be right in any market, and in this one it has to be right more often. What a venue does wrong beyond that
is in `tests.simulation.mistakes`.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from domain.fields import LastLiquidityInd, Side, TradingStatus, VenueKind
from domain.market import BookSnapshot, DealerQuoted, LevelChange, MarketUpdate, TradePrinted
from simulators.market_config import MarketConfig
from simulators.orders import (
    Accepted,
    Canceled,
    CancelRejected,
    Order,
    Publisher,
    Reduced,
    Rejected,
    Replaced,
    ReplaceRejected,
    TimedEvent,
)

MS = 1_000_000
SECOND_NS = 1_000_000_000
_NEVER = 1 << 62


class ErraticMarket:
    """A `simulators.floor.MarketMachine`."""

    def __init__(self, config: MarketConfig, random: Random, start_ns: int) -> None:
        self.config = config
        self.seed = 0
        self._random = random
        self._events: list[TimedEvent] = []
        self._publishers = {venue.name: Publisher(venue.name, self._events, start_ns) for venue in config.venues}
        self._kinds = {venue.name: venue.kind for venue in config.venues}
        self._ticks = {symbol.symbol: symbol.tick_px for symbol in config.symbols}
        self._mids = {symbol.symbol: symbol.start_px for symbol in config.symbols}
        self._books: dict[tuple[str, str], dict[Side, tuple[int, int]]] = {}
        self._quotes: dict[tuple[str, str], DealerQuoted] = {}
        self._open: dict[str, tuple[str, Order]] = {}  # by the venue's order id
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._pushed = 0
        self._refusing_ns: dict[str, int] = {}  # venue -> until when it refuses nearly everything
        for venue in config.venues:
            for symbol in config.symbols:
                key = (venue.name, symbol.symbol)
                if venue.kind is VenueKind.LIT:
                    self._books[key] = {}
                    self._move(key, start_ns)
                elif venue.kind is VenueKind.DEALER:
                    self._quote(key, start_ns)
        self._events.clear()

    # --- what the exchange asks of a market ---

    def next_event_ns(self) -> int:
        return self._heap[0][0] if self._heap else _NEVER

    def advance(self, now_ns: int) -> list[TimedEvent]:
        while self._heap and self._heap[0][0] <= now_ns:
            at_ns, _, act = heappop(self._heap)
            act(at_ns)
        events = self._events[:]
        self._events.clear()
        return events

    def submit(self, venue: str, order: Order, now_ns: int) -> list[TimedEvent]:
        events = self.advance(now_ns)
        self._submit(venue, order, now_ns)
        return events + self.advance(now_ns)

    def cancel(self, venue: str, order_id: str, now_ns: int) -> list[TimedEvent]:
        events = self.advance(now_ns)
        self._cancel(venue, order_id, now_ns)
        return events + self.advance(now_ns)

    def replace(self, venue: str, order_id: str, order_qty: int, px: int, now_ns: int) -> list[TimedEvent]:
        events = self.advance(now_ns)
        self._replace(venue, order_id, order_qty, px, now_ns)
        return events + self.advance(now_ns)

    def reduce(self, venue: str, order_id: str, qty: int, text: str, now_ns: int) -> list[TimedEvent]:
        events = self.advance(now_ns)
        if order_id in self._open:
            order = self._open[order_id][1]
            order.order_qty -= min(qty, order.leaves_qty)
            self._publish(venue, now_ns, Reduced(order, text))
            if not order.leaves_qty:
                del self._open[order_id]
        return events + self.advance(now_ns)

    def fill(self, venue: str, order_id: str, qty: int, now_ns: int) -> list[TimedEvent]:
        events = self.advance(now_ns)
        if order_id in self._open:
            order = self._open[order_id][1]
            self._fill(order, min(qty, order.leaves_qty), now_ns)
        return events + self.advance(now_ns)

    def status(self, symbol: str, venue: str = "") -> TradingStatus:
        return TradingStatus.OPEN

    def set_status(
        self, symbol: str, status: TradingStatus, text: str, now_ns: int, venue: str = ""
    ) -> list[TimedEvent]:
        return self.advance(now_ns)

    def snapshot(self, venue: str, symbol: str) -> list[MarketUpdate]:
        key = (venue, symbol)
        if key in self._quotes:
            return [self._quotes[key]]
        if key not in self._books:
            return []
        sides = {side: (level,) for side, level in self._books[key].items()}
        return [BookSnapshot(venue, symbol, sides.get(Side.BUY, ()), sides.get(Side.SELL, ()))]

    # --- what a seed may do to it ---

    def refuse(self, venue: str, until_ns: int) -> None:
        self._refusing_ns[venue] = until_ns

    def forget(self, order_id: str) -> None:
        """The order is done with, whatever the market had in mind for it."""
        self._open.pop(order_id, None)

    def mid_px(self, symbol: str) -> int:
        return self._mids[symbol]

    # --- prices ---

    def _move(self, key: tuple[str, str], at_ns: int) -> None:
        venue, symbol = key
        random, tick_px, book = self._random, self._ticks[symbol], self._books[key]
        self._mids[symbol] = max(self._mids[symbol] + random.randint(-1, 1) * tick_px, 100 * tick_px)
        mid_px, spread = self._mids[symbol], random.choice((1, 1, 2, 3))
        if random.random() < 0.02:
            spread = -1  # crossed with itself, as a feed in trouble says
        best = {Side.BUY: mid_px - spread * tick_px, Side.SELL: mid_px + spread * tick_px}
        for side, px in best.items():
            if side in book and book[side][0] != px:
                self._publish(venue, at_ns, LevelChange(venue, symbol, side, book.pop(side)[0], 0))
            if random.random() < 0.97:  # or nothing is shown on this side
                qty = 100 * random.randint(1, 20)
                book[side] = (px, qty)
                self._publish(venue, at_ns, LevelChange(venue, symbol, side, px, qty))
        if random.random() < 0.3:
            self._publish(venue, at_ns, TradePrinted(venue, symbol, mid_px, 100, random.choice((Side.BUY, Side.SELL))))
        self._later(at_ns, 400 * MS, lambda now_ns: self._move(key, now_ns))

    def _quote(self, key: tuple[str, str], at_ns: int) -> None:
        venue, symbol = key
        mid_px, half_px, qty = self._mids[symbol], 2 * self._ticks[symbol], 100 * self._random.randint(0, 20)
        quote_id = self._publishers[venue].next_id()
        valid_ns = at_ns + 2 * SECOND_NS
        quoted = DealerQuoted(venue, symbol, quote_id, mid_px - half_px, qty, mid_px + half_px, qty, valid_ns)
        self._quotes[key] = quoted
        self._publish(venue, at_ns, quoted)
        self._later(at_ns, 600 * MS, lambda now_ns: self._quote(key, now_ns))

    # --- orders ---

    def _submit(self, venue: str, order: Order, at_ns: int) -> None:
        chance = self._random.random
        self._open[order.order_id] = (venue, order)
        if chance() < 0.04 or self._refuses(venue, at_ns):
            self._end(order, Rejected(order, "not today"), at_ns)
            return
        if chance() < 0.9:  # or it is not acknowledged before it fills or ends
            self._publish(venue, at_ns, Accepted(order))
        if order.immediate or order.quote_id:
            hold_ns = int(chance() * 60 * MS) if order.quote_id else 0
            self._at(at_ns + hold_ns, lambda now_ns: self._decide(order, now_ns))
        else:
            self._later(at_ns, 1_500 * MS, lambda now_ns: self._work(order, now_ns))

    def _decide(self, order: Order, at_ns: int) -> None:
        """All, a part or nothing of an order that does not rest."""
        if order.order_id not in self._open:
            return
        chance = self._random.random()
        if order.quote_id and chance < 0.3:
            self._end(order, Rejected(order, "last look"), at_ns)
            return
        if chance > 0.2:
            self._fill(order, order.leaves_qty if chance > 0.5 else self._odd_part(order), at_ns)
        if order.order_id in self._open:
            self._end(order, Canceled(order, "nothing more"), at_ns)

    def _work(self, order: Order, at_ns: int) -> None:
        """What becomes of an order that rests."""
        if order.order_id not in self._open:
            return
        chance = self._random.random()
        if chance < 0.06:
            self._end(order, Canceled(order, "unsolicited"), at_ns)
        elif chance < 0.7:
            self._fill(order, order.leaves_qty if chance < 0.35 else self._odd_part(order), at_ns)
        self._later(at_ns, 1_500 * MS, lambda now_ns: self._work(order, now_ns))

    def _cancel(self, venue: str, order_id: str, at_ns: int) -> None:
        if order_id not in self._open:
            self._publish(venue, at_ns, CancelRejected(order_id, "too late"))
            return
        if self._refuses(venue, at_ns):
            self._publish(venue, at_ns, CancelRejected(order_id, "refused"))
            return
        order, chance = self._open[order_id][1], self._random.random()
        if order.quote_id:
            self._publish(venue, at_ns, CancelRejected(order_id, "in last look"))
        elif chance < 0.7:
            self._end(order, Canceled(order, ""), at_ns)
        elif chance < 0.8:  # the fill was first
            self._fill(order, order.leaves_qty, at_ns)
            self._publish(venue, at_ns, CancelRejected(order_id, "too late"))
        elif chance < 0.9:
            self._fill(order, self._odd_part(order), at_ns)
            if order_id in self._open:
                self._end(order, Canceled(order, ""), at_ns)
            else:
                self._publish(venue, at_ns, CancelRejected(order_id, "too late"))
        elif chance < 0.97:  # slow
            self._at(at_ns + 700 * MS, lambda now_ns: self._end_if_open(order, now_ns))
        else:
            self._publish(venue, at_ns, CancelRejected(order_id, "busy"))  # and the order lives on

    def _replace(self, venue: str, order_id: str, order_qty: int, px: int, at_ns: int) -> None:
        chance = self._random.random()
        if order_id not in self._open or chance < 0.2 or self._refuses(venue, at_ns):
            self._publish(venue, at_ns, ReplaceRejected(order_id, "too late"))
            return
        order = self._open[order_id][1]
        if chance < 0.4:
            self._fill(order, self._odd_part(order), at_ns)
            if order_id not in self._open:
                self._publish(venue, at_ns, ReplaceRejected(order_id, "too late"))
                return
        order.order_qty, order.px = max(order_qty, order.cum_qty), px
        self._publish(venue, at_ns, Replaced(order, order.cum_qty))
        if not order.leaves_qty:
            del self._open[order_id]

    def _fill(self, order: Order, qty: int, at_ns: int) -> None:
        venue = self._open[order.order_id][0]
        px = order.px or self._mids[order.symbol]
        liquidity = self._random.choice((LastLiquidityInd.ADDED, LastLiquidityInd.REMOVED))
        self._publishers[venue].trade(at_ns, order, qty, px, liquidity)
        if not order.leaves_qty:
            del self._open[order.order_id]

    def _end_if_open(self, order: Order, at_ns: int) -> None:
        if order.order_id in self._open:
            self._end(order, Canceled(order, ""), at_ns)

    def _odd_part(self, order: Order) -> int:
        return self._random.randint(1, order.leaves_qty)

    def _end(self, order: Order, event: Rejected | Canceled, at_ns: int) -> None:
        venue, _ = self._open.pop(order.order_id)
        self._publish(venue, at_ns, event)

    def _refuses(self, venue: str, at_ns: int) -> bool:
        return at_ns < self._refusing_ns.get(venue, 0) and self._random.random() < 0.8

    # --- inside ---

    def _publish(self, venue: str, at_ns: int, event: object) -> None:
        self._publishers[venue].publish(at_ns, event)

    def _later(self, at_ns: int, mean_ns: int, act: Callable[[int], None]) -> None:
        self._at(at_ns + 1 + int(self._random.expovariate(1.0) * mean_ns), act)

    def _at(self, at_ns: int, act: Callable[[int], None]) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ns, self._pushed, act))
