"""One lit book: price levels, each a queue in time priority, and the consolidated best of several books.

A background order is a `Resting` without an owner and costs nothing more; a client's order is a `Resting` that points
to it and stands in the same queue, so it is filled when everything ahead of it is gone and never before. Every change
of a displayed level and every trade is published at once, ours like all others.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Protocol

from domain.fields import LastLiquidityInd, Side, TradingStatus
from domain.market import BookSnapshot, LevelChange, MarketUpdate, TradePrinted
from simulators.orders import Order, Publisher

BUY = Side.BUY
SELL = Side.SELL


class Resting:
    """One order's place in a queue. `order` is None for the background."""

    __slots__ = ("order", "qty")

    def __init__(self, qty: int, order: Order | None = None) -> None:
        self.qty = qty
        self.order = order


class Level:
    """One price: its orders in time priority and their sum."""

    __slots__ = ("qty", "queue")

    def __init__(self) -> None:
        self.qty = 0
        self.queue: list[Resting] = []


class BookSide:
    """The levels of one side. `keys` ascends towards the best price: the price of a bid, minus the price of an ask."""

    __slots__ = ("best_px", "count", "keys", "levels", "side", "sign")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.sign = side.sign
        self.levels: dict[int, Level] = {}
        self.keys: list[int] = []
        self.best_px = 0  # 0: empty
        self.count = 0  # resting orders

    def open_level(self, px: int) -> Level:
        level = self.levels[px] = Level()
        insort(self.keys, px * self.sign)
        self.best_px = self.keys[-1] * self.sign
        return level

    def drop_level(self, px: int) -> None:
        del self.levels[px]
        del self.keys[bisect_left(self.keys, px * self.sign)]
        self.best_px = self.keys[-1] * self.sign if self.keys else 0

    def depth(self) -> tuple[tuple[int, int], ...]:
        """[(px, qty)], the best first."""
        return tuple((key * self.sign, self.levels[key * self.sign].qty) for key in reversed(self.keys))


class Watcher(Protocol):
    """Sees every single order, which the published levels do not show; each call finds the book as it then is."""

    def added(self, book_side: BookSide, px: int, resting: Resting, at_ns: int) -> None: ...

    def reduced(self, book_side: BookSide, px: int, resting: Resting, qty: int, traded: bool, at_ns: int) -> None: ...


class Book:
    """The book of one symbol at one venue. It matches; whether an order may come in is the venue's business.

    `on_taken(sign, qty, px)` hears of every aggressor that traded, 1 for a buyer, with its first price: the tape.
    """

    __slots__ = (
        "_publisher",
        "asks",
        "bids",
        "halted",
        "high_px",
        "low_px",
        "on_taken",
        "owned",
        "status",
        "symbol",
        "venue",
        "watcher",
    )

    def __init__(self, symbol: str, publisher: Publisher) -> None:
        self.symbol = symbol
        self.venue = publisher.venue
        self.bids = BookSide(BUY)
        self.asks = BookSide(SELL)
        self.owned: dict[str, Resting] = {}  # clients' resting orders by OrderID
        self.watcher: Watcher | None = None
        self.on_taken: Callable[[int, int, int], None] | None = None
        self.status = TradingStatus.OPEN  # at this venue alone
        self.halted = False
        self.low_px = self.high_px = 0  # no aggressor trades beyond these; 0: at any price
        self._publisher = publisher

    def add(self, book_side: BookSide, px: int, resting: Resting, at_ns: int, in_front: bool = False) -> None:
        """Put an order at the end (or front) of the queue at its price; the caller makes sure that none crosses."""
        level = book_side.levels.get(px) or book_side.open_level(px)
        if in_front:
            level.queue.insert(0, resting)
        else:
            level.queue.append(resting)
        level.qty += resting.qty
        book_side.count += 1
        if resting.order is not None:
            self.owned[resting.order.order_id] = resting
        if self.watcher is not None:
            self.watcher.added(book_side, px, resting, at_ns)
        self._level_changed(book_side, px, level.qty, at_ns)

    def reduce(
        self, book_side: BookSide, px: int, resting: Resting, qty: int, at_ns: int, traded: bool = False
    ) -> None:
        """Take `qty` shares out of a resting order, by a trade or without; with none left it leaves the queue."""
        level = book_side.levels[px]
        if traded:
            self._execute(book_side, resting, px, qty, at_ns, None)
        else:
            resting.qty -= qty
        level.qty -= qty
        if not resting.qty:
            level.queue.remove(resting)
            self._gone(book_side, resting)
            if not level.queue:
                book_side.drop_level(px)
        if self.watcher is not None:
            self.watcher.reduced(book_side, px, resting, qty, traded, at_ns)
        self._level_changed(book_side, px, level.qty, at_ns)

    def withdraw_background(self, book_side: BookSide, px: int, at_ns: int) -> None:
        """Every background order at a price is cancelled; clients' orders stay."""
        level = book_side.levels[px]
        kept = [resting for resting in level.queue if resting.order is not None]
        if len(kept) == len(level.queue):
            return
        leaving = [resting for resting in level.queue if resting.order is None]
        level.queue = kept
        book_side.count -= len(leaving)
        for resting in leaving:
            qty, resting.qty = resting.qty, 0
            level.qty -= qty
            if not level.qty:
                book_side.drop_level(px)
            if self.watcher is not None:
                self.watcher.reduced(book_side, px, resting, qty, False, at_ns)
        self._level_changed(book_side, px, level.qty, at_ns)

    def take(self, side: Side, qty: int, limit_px: int, at_ns: int, taker: Order | None = None) -> int:
        """Match an aggressor of `side` against the opposite queues up to its limit (0: none); the shares it got."""
        buying = side is BUY
        book_side = self.asks if buying else self.bids
        if buying and self.high_px and (not limit_px or limit_px > self.high_px):
            limit_px = self.high_px
        elif not buying and limit_px < self.low_px:
            limit_px = self.low_px
        left, first_px = qty, book_side.best_px
        while left and book_side.keys:
            px = book_side.best_px
            if limit_px and (px > limit_px if buying else px < limit_px):
                break
            left -= self._take_level(book_side, px, left, at_ns, taker)
        if left < qty and self.on_taken is not None:
            self.on_taken(side.sign, qty - left, first_px)
        return qty - left

    def _take_level(self, book_side: BookSide, px: int, wanted: int, at_ns: int, taker: Order | None) -> int:
        level = book_side.levels[px]
        queue = level.queue
        left = wanted
        while left and queue:
            resting = queue[0]
            qty = min(left, resting.qty)
            left -= qty
            self._execute(book_side, resting, px, qty, at_ns, taker)
            level.qty -= qty
            if not resting.qty:
                del queue[0]
                self._gone(book_side, resting)
                if not queue:
                    book_side.drop_level(px)
            if self.watcher is not None:
                self.watcher.reduced(book_side, px, resting, qty, True, at_ns)
        self._level_changed(book_side, px, level.qty, at_ns)
        return wanted - left

    def publish(self, at_ns: int, update: MarketUpdate) -> None:
        self._publisher.publish(at_ns, update)

    def snapshot(self) -> BookSnapshot:
        return BookSnapshot(self.venue, self.symbol, self.bids.depth(), self.asks.depth())

    def _execute(
        self, book_side: BookSide, resting: Resting, px: int, qty: int, at_ns: int, taker: Order | None
    ) -> None:
        """One execution between a resting order and an aggressor: both owners hear of it, and it is printed."""
        resting.qty -= qty
        publisher = self._publisher
        if taker is not None:
            publisher.trade(at_ns, taker, qty, px, LastLiquidityInd.REMOVED)
        if resting.order is not None:
            publisher.trade(at_ns, resting.order, qty, px, LastLiquidityInd.ADDED)
        aggressor = SELL if book_side.side is BUY else BUY
        publisher.events.append((self.venue, at_ns, TradePrinted(self.venue, self.symbol, px, qty, aggressor)))

    def _gone(self, book_side: BookSide, resting: Resting) -> None:
        book_side.count -= 1
        if resting.order is not None:
            del self.owned[resting.order.order_id]

    def _level_changed(self, book_side: BookSide, px: int, qty: int, at_ns: int) -> None:
        self._publisher.events.append(
            (self.venue, at_ns, LevelChange(self.venue, self.symbol, book_side.side, px, qty))
        )


class Reference:
    """One symbol over all lit books: the best bid and offer that the dark and the dealers go by.

    A book that does not trade, where the others do, is none of `books`.
    """

    __slots__ = ("books", "halted", "status")

    def __init__(self) -> None:
        self.books: list[Book] = []
        self.halted = False  # nothing matches
        self.status = TradingStatus.OPEN

    def change(self, status: TradingStatus) -> bool:
        """Trade in another way; False if it is the present one."""
        if status is self.status:
            return False
        self.status = status
        self.halted = status is not TradingStatus.OPEN
        return True

    @property
    def bid_px(self) -> int:
        """Best bid over all books, 0 if there is none."""
        best_px = 0
        for book in self.books:
            px = book.bids.best_px
            if px > best_px:
                best_px = px
        return best_px

    @property
    def ask_px(self) -> int:
        """Best offer over all books, 0 if there is none."""
        best_px = 0
        for book in self.books:
            px = book.asks.best_px
            if px and (px < best_px or not best_px):
                best_px = px
        return best_px

    @property
    def mid2_px(self) -> int:
        """Twice the midpoint; 0 while there is none to go by: a side is empty, the books are crossed, or a halt."""
        bid_px, ask_px = self.bid_px, self.ask_px
        return bid_px + ask_px if bid_px and bid_px <= ask_px and not self.halted else 0
