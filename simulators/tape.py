"""Replays a real limit-order-book day as the background of the lit venues, with clients' orders queued among the real.

The real orders are split over the lit venues by their id, so that the books of all venues together are the file's book
at every row while no client trades. A client's order takes its place behind what rests, and a real execution fills it
when it has priority over the order that was really executed: at a better price at any venue, or ahead in the queue at
the same price. It then takes shares that the real order got; the real order leaves as the file says. What a client
takes is gone until the file itself removes those orders. The real traders do not react: impact is not modelled.

Quantity that the file shows without a message for it (orders older than the file, levels that come into view) becomes
an anonymous order, ahead of clients' orders at its price: it may well have been there before them.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp

from domain.fields import Side, TradingStatus
from domain.market import TradePrinted
from simulators.book import Book, BookSide, Reference, Resting
from simulators.flow import NEVER, Signal
from simulators.lobster import TapeKind, TapeRow
from simulators.market import Market
from simulators.market_config import MarketConfig, SymbolConfig
from simulators.orders import Order

BUY = Side.BUY
SELL = Side.SELL

_TRADING_RESUMES = 1  # the "price" of a halt message
_MAX_LEVELS = 60  # kept on each side, all venues together; deeper ones are forgotten
_PRESSURE_STEP = 0.15
_PRESSURE_DECAY_NS = 10e9


class TapeMarket(Market):
    """A market in which one symbol's lit books replay a tape; its dark venues and dealers work around that tape.

    The row at `from_ns` after midnight (the first row, if None) happens at `start_ns`, what came before it makes the
    books at the start, and the rest follows `speed` times as fast as it did. ValueError for an unknown symbol, a tape
    without rows or a speed that is not positive; TapeError out of any call that comes to a bad line.
    """

    def __init__(
        self,
        config: MarketConfig,
        seed: int,
        start_ns: int,
        *,
        symbol: str,
        rows: Iterator[TapeRow],
        from_ns: int | None = None,
        speed: float = 1.0,
    ) -> None:
        if symbol not in [known.symbol for known in config.symbols]:
            raise ValueError(f"the tape's symbol {symbol!r} is not in the market")
        if speed <= 0:
            raise ValueError(f"speed {speed} is not positive")
        self._tape_symbol = symbol
        self._rows = rows
        self._from_ns = from_ns
        self._speed = speed
        super().__init__(config, seed, start_ns)

    def _background(self, symbol: SymbolConfig) -> Signal:
        if symbol.symbol != self._tape_symbol:
            return super()._background(symbol)
        reference = self.references[symbol.symbol]

        def change_status(status: TradingStatus, at_ns: int) -> None:
            self._change_status(symbol.symbol, status, "as on the tape", at_ns)

        flow = TapeFlow(reference, self._rows, self._start_ns, self._from_ns, self._speed, change_status)
        self._processes.append(flow)
        return flow


class RealOrder:
    """An order of the file: its place in a book, and what is left of it by the file. A client may have taken some."""

    __slots__ = ("book", "file_qty", "order_id", "resting")

    def __init__(self, order_id: int, book: Book, file_qty: int, resting: Resting) -> None:
        self.order_id = order_id  # negative: anonymous
        self.book = book
        self.file_qty = file_qty
        self.resting = resting


class FileLevel:
    """One price in the file: its orders by id, as they came, and their sum."""

    __slots__ = ("orders", "qty")

    def __init__(self) -> None:
        self.qty = 0
        self.orders: dict[int, RealOrder] = {}

    def anonymous(self) -> RealOrder | None:
        return next((order for order in self.orders.values() if order.order_id < 0), None)

    def last(self) -> RealOrder:
        return next(reversed(self.orders.values()))


class FileSide:
    """One side of the file's book; `keys` ascends towards the best price, as in BookSide."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.sign = side.sign
        self.levels: dict[int, FileLevel] = {}
        self.keys: list[int] = []

    def level(self, px: int) -> FileLevel:
        level = self.levels.get(px)
        if level is None:
            level = self.levels[px] = FileLevel()
            insort(self.keys, px * self.sign)
        return level

    def drop(self, px: int) -> None:
        del self.levels[px]
        del self.keys[bisect_left(self.keys, px * self.sign)]

    def find(self, px: int, order_id: int) -> RealOrder | None:
        """The order of a message, or the anonymous order that it must belong to."""
        level = self.levels.get(px)
        return (level.orders.get(order_id) or level.anonymous()) if level is not None else None

    def top(self, count: int) -> tuple[tuple[int, int], ...]:
        """[(px, qty)] of the best levels, the best first."""
        sign, levels = self.sign, self.levels
        return tuple((key * sign, levels[key * sign].qty) for key in self.keys[: -count - 1 : -1])


@dataclass(frozen=True, slots=True)
class Client:
    """A client's order that rests in one of the books."""

    book: Book
    resting: Resting
    order: Order

    def fill(self, qty: int, at_ns: int) -> int:
        """Trades up to `qty` with it; returns how much."""
        filled_qty = min(qty, self.resting.qty)
        book_side = _side_of(self.book, self.order.side)
        self.book.reduce(book_side, self.order.px, self.resting, filled_qty, at_ns, traded=True)
        return filled_qty

    def is_before(self, real: RealOrder | None) -> bool:
        """Whether it stands before a real order at its price, or at the front where the real one is taken already."""
        queue = _side_of(self.book, self.order.side).levels[self.order.px].queue
        for resting in queue:
            if resting is self.resting:
                return True
            if resting.order is None and (real is None or resting is real.resting or not real.resting.qty):
                return False
        raise AssertionError("a resting order is in the queue at its price")


class TapeFlow:
    """Drives the lit books of one symbol along the file. `pressure` leans to the side of recent real trades."""

    def __init__(
        self,
        reference: Reference,
        rows: Iterator[TapeRow],
        start_ns: int,
        from_ns: int | None,
        speed: float,
        change_status: Callable[[TradingStatus, int], None],
    ) -> None:
        first = next(rows, None)
        if first is None:
            raise ValueError("the tape has no rows")
        self.pressure = 0.0
        self.next_ns = start_ns
        self._reference = reference
        self._change_status = change_status
        self._books = reference.books
        self._rows = rows
        self._row = first
        self._start_ns = start_ns
        self._from_ns = first.time_ns if from_ns is None else from_ns
        self._speed = speed
        self._sides = {BUY: FileSide(BUY), SELL: FileSide(SELL)}
        self._anonymous = 0
        self._traded_ns = start_ns
        while self.next_ns <= start_ns:
            self.step(start_ns)

    def step(self, at_ns: int) -> None:
        self._apply(self._row, at_ns)
        following = next(self._rows, None)
        if following is None:
            self.next_ns = NEVER
            return
        self._row = following
        self.next_ns = max(self._start_ns + int((following.time_ns - self._from_ns) / self._speed), at_ns)

    def _apply(self, row: TapeRow, at_ns: int) -> None:
        match row.kind:
            case TapeKind.SUBMITTED:
                self._rest(row.side, row.px, row.qty, row.order_id, at_ns)
            case TapeKind.REDUCED | TapeKind.DELETED:
                self._shrink(row, 0, at_ns)
            case TapeKind.EXECUTED:
                self._execute(row, at_ns)
            case TapeKind.EXECUTED_HIDDEN:
                self._print(row, row.qty, _opposite(row.side), at_ns)
            case TapeKind.CROSSED:
                self._print(row, row.qty, None, at_ns)
            case TapeKind.HALTED:
                self._halt(row.px != _TRADING_RESUMES, at_ns)
        self._reconcile(self._sides[BUY], row.bids, row.levels, at_ns)
        self._reconcile(self._sides[SELL], row.asks, row.levels, at_ns)

    def _rest(self, side: Side, px: int, qty: int, order_id: int, at_ns: int) -> None:
        """An order of the file (id 0: anonymous) joins its queue, less what it trades with clients' orders it meets."""
        book = self._book_of(order_id or px)
        if not order_id:
            self._anonymous -= 1
            order_id = self._anonymous
        left_qty = qty
        if not self._reference.halted:
            for client in self._clients(_opposite(side)):
                if left_qty and (client.order.px - px) * side.sign <= 0:
                    left_qty -= client.fill(left_qty, at_ns)
        level = self._sides[side].level(px)
        level.qty += qty
        real = level.orders[order_id] = RealOrder(order_id, book, qty, Resting(left_qty))
        if left_qty:
            book.add(_side_of(book, side), px, real.resting, at_ns, in_front=order_id < 0)

    def _execute(self, row: TapeRow, at_ns: int) -> None:
        """A real execution: clients' orders with priority over the executed order get it first, then that order."""
        aggressor = _opposite(row.side)
        keep = exp((self._traded_ns - at_ns) / _PRESSURE_DECAY_NS)
        self.pressure = max(-1.0, min(1.0, self.pressure * keep + _PRESSURE_STEP * aggressor.sign))
        self._traded_ns = at_ns
        real = self._sides[row.side].find(row.px, row.order_id)
        book = real.book if real is not None else self._book_of(row.order_id)
        left_qty = row.qty
        for client in self._clients(row.side):
            ahead_px = (client.order.px - row.px) * row.side.sign
            if left_qty and (ahead_px > 0 or (ahead_px == 0 and client.book is book and client.is_before(real))):
                left_qty -= client.fill(left_qty, at_ns)
        left_qty -= self._shrink(row, left_qty, at_ns)
        if left_qty:  # shares that a client took before: the tape shows the trade all the same
            self._print(row, left_qty, aggressor, at_ns)

    def _shrink(self, row: TapeRow, traded_qty: int, at_ns: int) -> int:
        """Takes the row's quantity off its order, up to `traded_qty` of it by a trade; returns what was traded."""
        side = self._sides[row.side]
        left_qty, traded = row.qty, 0
        while left_qty and (real := side.find(row.px, row.order_id)) is not None:
            qty = min(left_qty, real.file_qty)
            left_qty -= qty
            traded += self._withdraw(side, row.px, real, qty, traded_qty - traded, at_ns)
        return traded

    def _withdraw(self, side: FileSide, px: int, real: RealOrder, qty: int, traded_qty: int, at_ns: int) -> int:
        """The file has `qty` less of an order; of what our book then shows too much, `traded_qty` at most trades."""
        level = side.levels[px]
        level.qty -= qty
        real.file_qty -= qty
        excess_qty = max(real.resting.qty - real.file_qty, 0)
        traded_qty = min(traded_qty, excess_qty)
        book_side = _side_of(real.book, side.side)
        if traded_qty:
            real.book.reduce(book_side, px, real.resting, traded_qty, at_ns, traded=True)
        if excess_qty > traded_qty:
            real.book.reduce(book_side, px, real.resting, excess_qty - traded_qty, at_ns)
        if not real.file_qty:
            del level.orders[real.order_id]
            if not level.orders:
                side.drop(px)
        return traded_qty

    def _reconcile(self, side: FileSide, shown: tuple[tuple[int, int], ...], levels: int, at_ns: int) -> None:
        """Makes the file's side what the row shows: levels without a message come and go as anonymous orders."""
        complete = len(shown) < levels  # the file shows all there is
        if side.top(len(shown)) != shown or (complete and len(side.keys) > len(shown)):
            prices = dict(shown)
            for px in list(side.levels):
                if px not in prices and (complete or (px - shown[-1][0]) * side.sign >= 0):
                    self._set_level(side, px, 0, at_ns)
            for px, qty in shown:
                self._set_level(side, px, qty, at_ns)
        while len(side.keys) > _MAX_LEVELS:
            self._set_level(side, side.keys[0] * side.sign, 0, at_ns)

    def _set_level(self, side: FileSide, px: int, qty: int, at_ns: int) -> None:
        level = side.levels.get(px)
        missing_qty = qty - (level.qty if level is not None else 0)
        if missing_qty > 0:
            self._rest(side.side, px, missing_qty, 0, at_ns)
        while missing_qty < 0 and level is not None:
            real = level.anonymous() or level.last()
            gone_qty = min(real.file_qty, -missing_qty)
            missing_qty += gone_qty
            self._withdraw(side, px, real, gone_qty, 0, at_ns)

    def _halt(self, halted: bool, at_ns: int) -> None:
        resumed = self._reference.halted and not halted
        self._change_status(TradingStatus.HALTED if halted else TradingStatus.OPEN, at_ns)
        if not resumed:
            return
        for client in self._clients(BUY) + self._clients(SELL):  # what came to cross them while nothing matched
            book, order = client.book, client.order
            book_side = _side_of(book, order.side)
            book.reduce(book_side, order.px, client.resting, client.resting.qty, at_ns)
            book.take(order.side, order.leaves_qty, order.px, at_ns, order)
            if order.leaves_qty:
                book.add(book_side, order.px, Resting(order.leaves_qty, order), at_ns)

    def _clients(self, side: Side) -> list[Client]:
        """Clients' resting orders of a side over all venues, in price-time priority."""
        found = [
            Client(book, resting, resting.order)
            for book in self._books
            for resting in book.owned.values()
            if resting.order is not None and resting.order.is_buy is (side is BUY)
        ]
        return sorted(found, key=lambda client: (-side.sign * client.order.px, client.order.received_ns))

    def _print(self, row: TapeRow, qty: int, aggressor: Side | None, at_ns: int) -> None:
        book = self._book_of(row.order_id or row.time_ns)
        book.publish(at_ns, TradePrinted(book.venue, book.symbol, row.px, qty, aggressor))

    def _book_of(self, number: int) -> Book:
        """The venue of an order id or a price: fixed, and spread evenly whatever pattern the numbers have."""
        return self._books[(number * 2_654_435_761 >> 15) % len(self._books)]


def _opposite(side: Side) -> Side:
    return SELL if side is BUY else BUY


def _side_of(book: Book, side: Side) -> BookSide:
    return book.bids if side is BUY else book.asks
