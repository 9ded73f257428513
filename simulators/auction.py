"""A call auction in one book: orders are collected and crossed at one price, the one at which most shares change hands.

What rests in the book takes part at its price. Among prices at which equally many shares trade the auction takes the
one that leaves the smallest imbalance, then the one nearest to the reference. Orders at market go first, then by price,
then by time; what rested before the auction is the older. It is the rule of the large exchanges' opening and closing
crosses, without their offsets for orders on one side only.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from domain.fields import LastLiquidityInd, TimeInForce
from domain.market import AuctionIndicated, TradePrinted
from simulators.book import Book, BookSide, Resting
from simulators.orders import Canceled, Order, Publisher

Interest = tuple[int, int]  # limit (0: at market), shares


def clearing(buys: Iterable[Interest], sells: Iterable[Interest], reference_px: int) -> tuple[int, int, int]:
    """Price, shares that cross at it, and how many more there are to buy (below 0: to sell).

    Where nothing crosses the price is 0 and the imbalance is that of the orders at market. `reference_px` is the price
    when there are orders at market only; 0 if none is known, and then they don't cross.
    """
    demand, supply = _Curve(buys, 1), _Curve(sells, -1)
    prices = sorted({*demand.prices, *supply.prices}) or ([reference_px] if reference_px else [])
    best: tuple[int, int, int, int] | None = None
    for px in prices:
        wanted, offered = demand.at(px), supply.at(px)
        found = (-min(wanted, offered), abs(wanted - offered), abs(px - reference_px), px)
        if best is None or found < best:
            best = found
    if best is None or not best[0]:
        return 0, 0, demand.market_qty - supply.market_qty
    px = best[3]
    return px, -best[0], demand.at(px) - supply.at(px)


class _Curve:
    """How many shares one side trades at a price."""

    def __init__(self, interests: Iterable[Interest], sign: int) -> None:
        self.market_qty = 0
        by_px: dict[int, int] = {}
        for px, qty in interests:
            if px:
                by_px[px] = by_px.get(px, 0) + qty
            else:
                self.market_qty += qty
        self._sign = sign
        self._keys = sorted(-px * sign for px in by_px)  # the most eager first
        self._total = [0, *accumulate(by_px[-key * sign] for key in self._keys)]
        self.prices = list(by_px)

    def at(self, px: int) -> int:
        return self.market_qty + self._total[bisect_left(self._keys, -px * self._sign + 1)]


class Collected:
    """One order for an auction; `order` is None for the background."""

    __slots__ = ("is_buy", "order", "px", "qty")

    def __init__(self, is_buy: bool, px: int, qty: int, order: Order | None = None) -> None:
        self.is_buy = is_buy
        self.px = px
        self.qty = qty
        self.order = order


class Auction:
    """What one book collects until it crosses."""

    def __init__(self, book: Book, publisher: Publisher) -> None:
        self.book = book
        self.collected: list[Collected] = []  # in time priority
        self._publisher = publisher
        self._for_close: list[Collected] = []  # orders AT_THE_CLOSE wait for the last auction
        self._last_mid_px = 0

    def collect(self, order: Order) -> None:
        waiting = Collected(order.is_buy, order.px, order.leaves_qty, order)
        (self._for_close if order.time_in_force is TimeInForce.AT_THE_CLOSE else self.collected).append(waiting)

    def take_out(self, order_id: str) -> Order | None:
        """The order, which takes part no longer; None for one that doesn't."""
        for waiting in (self.collected, self._for_close):
            for one in waiting:
                if one.order is not None and one.order.order_id == order_id:
                    waiting.remove(one)
                    return one.order
        return None

    def begin(self, closing: bool) -> None:
        bids, asks = self.book.bids, self.book.asks
        if bids.best_px and asks.best_px:
            self._last_mid_px = (bids.best_px + asks.best_px) // 2
        if closing:
            self.collected += self._for_close
            self._for_close = []

    def indicate(self, at_ns: int) -> None:
        """Says what the auction would do now."""
        px, paired_qty, imbalance_qty = self._clearing()
        book = self.book
        self._publisher.publish(at_ns, AuctionIndicated(book.venue, book.symbol, px, paired_qty, imbalance_qty))

    def cross(self, at_ns: int) -> list[Order]:
        """Executes, in one print, and gives back the clients' orders that go on, in time priority.

        What orders at market or for this auction alone are left with is canceled.
        """
        px, paired_qty, _ = self._clearing()
        book = self.book
        if paired_qty:
            for book_side, is_buy in ((book.bids, True), (book.asks, False)):
                self._execute(book_side, is_buy, px, paired_qty, at_ns)
            self._publisher.publish(at_ns, TradePrinted(book.venue, book.symbol, px, paired_qty))
        left = []
        for waiting in self.collected:
            order = waiting.order
            if order is None or not order.leaves_qty:
                continue
            if order.px and order.time_in_force is TimeInForce.DAY:
                left.append(order)
            else:
                text = f"{order.leaves_qty} shares found nothing to trade with in the auction"
                self._publisher.publish(at_ns, Canceled(order, text))
        self.collected = []
        return left

    def expire(self) -> list[Order]:
        """The clients' orders that wait for an auction which will not be."""
        waiting = [one.order for one in self.collected + self._for_close if one.order is not None]
        self.collected, self._for_close = [], []
        return waiting

    def _clearing(self) -> tuple[int, int, int]:
        return clearing(self._interests(True), self._interests(False), self._last_mid_px)

    def _interests(self, is_buy: bool) -> list[Interest]:
        resting = (self.book.bids if is_buy else self.book.asks).depth()
        return [*resting, *((waiting.px, waiting.qty) for waiting in self.collected if waiting.is_buy is is_buy)]

    def _execute(self, book_side: BookSide, is_buy: bool, px: int, qty: int, at_ns: int) -> None:
        """One side's part: `qty` shares at `px`, by priority."""
        queue: list[tuple[tuple[int, int], int, Resting | Collected]] = []
        for number, waiting in enumerate(self.collected):
            if waiting.is_buy is is_buy:
                queue.append(((0, 0) if not waiting.px else (1, -waiting.px * book_side.sign), number, waiting))
        for key in book_side.keys:
            level_px = key * book_side.sign
            queue += [
                ((1, -key), number - (1 << 40), one) for number, one in enumerate(book_side.levels[level_px].queue)
            ]
        for (at_limit, key), _, one in sorted(queue, key=lambda entry: entry[:2]):
            if not qty or (at_limit and -key < px * book_side.sign):
                return
            filled_qty = min(qty, one.qty)
            qty -= filled_qty
            if one.order is not None:
                self._publisher.trade(at_ns, one.order, filled_qty, px, LastLiquidityInd.ADDED)
            if isinstance(one, Resting):
                self.book.reduce(book_side, -key * book_side.sign, one, filled_qty, at_ns)
            else:
                one.qty -= filled_qty
