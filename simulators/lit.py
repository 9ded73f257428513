"""A lit venue's order entry: what may come into a book, and what is said of what comes back."""

from dataclasses import replace

from domain.fields import TimeInForce, TradingStatus
from domain.market import MarketUpdate
from simulators.auction import Auction
from simulators.book import Book, Reference, Resting
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
)


class LitVenue:
    """Displayed books, one per symbol, with price-time priority, and the auctions in them."""

    def __init__(
        self,
        books: list[Book],
        auctions: list[Auction],
        ticks: dict[str, int],
        references: dict[str, Reference],
        publisher: Publisher,
    ) -> None:
        self.books = {book.symbol: book for book in books}
        self.auctions = {auction.book.symbol: auction for auction in auctions}
        self._ticks = ticks
        self._references = references
        self._publisher = publisher

    def submit(self, order: Order, at_ns: int) -> None:
        """Publishes Accepted and what the order met, or Rejected; an immediate or market order ends canceled.

        What comes in an auction, and what is for the close, is collected until then.
        """
        publish = self._publisher.publish
        if text := self._refusal(order):
            publish(at_ns, Rejected(order, text))
            return
        publish(at_ns, Accepted(order))
        if self._is_collected(order):
            self.auctions[order.symbol].collect(order)
            return
        book = self.books[order.symbol]
        needed_qty = order.order_qty if order.time_in_force is TimeInForce.FILL_OR_KILL else order.min_qty
        if needed_qty and self._available_qty(order) < needed_qty:
            publish(at_ns, Canceled(order, f"fewer than {needed_qty} shares within the limit"))
            return
        book.take(order.side, order.order_qty, order.px, at_ns, order)
        if not order.leaves_qty:
            return
        if order.immediate or not order.px:
            publish(at_ns, Canceled(order, f"{order.leaves_qty} shares found nothing to trade with"))
        else:
            book.add(book.bids if order.is_buy else book.asks, order.px, Resting(order.leaves_qty, order), at_ns)

    def cancel(self, order_id: str, at_ns: int) -> None:
        """Publishes Canceled, or CancelRejected for an order that does not rest here (any more)."""
        for auction in self.auctions.values():
            if (order := auction.take_out(order_id)) is not None:
                self._publisher.publish(at_ns, Canceled(order, "canceled on request"))
                return
        if (resting := self._resting(order_id)) is None:
            self._publisher.publish(at_ns, CancelRejected(order_id, f"no open order {order_id}"))
            return
        self._take_out(resting, resting.qty, at_ns)
        self._publisher.publish(at_ns, Canceled(resting.order, "canceled on request"))

    def replace(self, order_id: str, order_qty: int, px: int, at_ns: int) -> None:
        """Publishes Replaced, or ReplaceRejected. A smaller quantity alone keeps its place in the queue.

        Any other change goes to the end of the queue at its price, and takes what it crosses on the way. A quantity at
        or below what was filled ends the order.
        """
        resting = self._resting(order_id)
        if resting is None or resting.order is None:
            self._publisher.publish(at_ns, ReplaceRejected(order_id, f"no open order {order_id}"))
            return
        order = resting.order
        order_qty = max(order_qty, order.cum_qty)
        changed = replace(order, order_qty=order_qty, px=px)
        if text := "a resting order needs a price" if not px else self._refusal(changed):
            self._publisher.publish(at_ns, ReplaceRejected(order_id, text))
            return
        keeps_place = px == order.px and order_qty <= order.order_qty
        self._take_out(resting, order.order_qty - order_qty if keeps_place else resting.qty, at_ns)
        order.order_qty, order.px = order_qty, px
        self._publisher.publish(at_ns, Replaced(order, order.cum_qty))
        if not keeps_place:
            self.rest(order, at_ns)

    def reduce(self, order_id: str, qty: int, text: str, at_ns: int) -> None:
        """Publishes Reduced, for an order that rests here."""
        if (resting := self._resting(order_id)) is not None and resting.order is not None:
            qty = min(qty, resting.qty)
            self._take_out(resting, qty, at_ns)
            resting.order.order_qty -= qty
            self._publisher.publish(at_ns, Reduced(resting.order, text))

    def fill(self, order_id: str, qty: int, at_ns: int) -> None:
        """A trade with a resting order at its price, whoever is ahead of it."""
        if (resting := self._resting(order_id)) is not None and resting.order is not None:
            order = resting.order
            book = self.books[order.symbol]
            side = book.bids if order.is_buy else book.asks
            book.reduce(side, order.px, resting, min(qty, resting.qty), at_ns, traded=True)

    def expire(self, symbol: str, at_ns: int) -> None:
        """The day is over for the clients' orders in a symbol."""
        for resting in list(self.books[symbol].owned.values()):
            self._take_out(resting, resting.qty, at_ns)
            self._publisher.publish(at_ns, Canceled(resting.order, "the day is over"))
        for order in self.auctions[symbol].expire():
            self._publisher.publish(at_ns, Canceled(order, "the day is over"))

    def _available_qty(self, order: Order) -> int:
        """What the book has for an order within its limit."""
        book, sign = self.books[order.symbol], order.side.sign
        levels = (book.asks if order.is_buy else book.bids).levels
        return sum(level.qty for px, level in levels.items() if not order.px or sign * px <= sign * order.px)

    def _resting(self, order_id: str) -> Resting | None:
        return next((book.owned[order_id] for book in self.books.values() if order_id in book.owned), None)

    def _take_out(self, resting: Resting, qty: int, at_ns: int) -> None:
        order = resting.order
        if order is not None and qty:
            book = self.books[order.symbol]
            book.reduce(book.bids if order.is_buy else book.asks, order.px, resting, qty, at_ns)

    def rest(self, order: Order, at_ns: int) -> None:
        """An accepted order meets what it crosses, and rests with what is left."""
        book = self.books[order.symbol]
        if order.leaves_qty:
            book.take(order.side, order.leaves_qty, order.px, at_ns, order)
        if order.leaves_qty:
            book.add(book.bids if order.is_buy else book.asks, order.px, Resting(order.leaves_qty, order), at_ns)

    def snapshot(self, symbol: str) -> list[MarketUpdate]:
        return [self.books[symbol].snapshot()]

    def _refusal(self, order: Order) -> str:
        tick_px = self._ticks.get(order.symbol)
        if tick_px is None:
            return f"symbol {order.symbol!r} is not traded here"
        if order.order_qty <= 0:
            return f"quantity {order.order_qty} is not positive"
        if order.px < 0 or order.px % tick_px:
            return f"price {order.px} is not on the tick of {tick_px}"
        if order.mid_peg or order.quote_id:
            return "a lit book takes market and limit orders only: no peg, no quote"
        if order.min_qty and not order.immediate:
            return "a minimum quantity is for immediate orders only"
        if text := self._refusal_now(order):
            return text
        if order.post_only:
            book = self.books[order.symbol]
            best_px = book.asks.best_px if order.is_buy else book.bids.best_px
            if not order.px or (best_px and (order.px >= best_px if order.is_buy else order.px <= best_px)):
                return f"post-only order would take at {best_px}"
        return ""

    def status(self, symbol: str) -> TradingStatus:
        """How the symbol trades here: as everywhere, where this venue has no word of its own."""
        own = self.books[symbol].status
        return own if own is not TradingStatus.OPEN else self._references[symbol].status

    def set_status(self, symbol: str, status: TradingStatus, at_ns: int) -> None:
        """From now on the symbol trades that way here, whatever it does elsewhere. What was collected is crossed."""
        book, auction, reference = self.books[symbol], self.auctions[symbol], self._references[symbol]
        left = []
        if auction.collected and status in (TradingStatus.OPEN, TradingStatus.CLOSED):
            left = auction.cross(at_ns)
        book.status, book.halted = status, status is not TradingStatus.OPEN
        others = [other for other in reference.books if other is not book]
        reference.books = others if book.halted else [*others, book]
        if status is TradingStatus.AUCTION:
            auction.begin(False)
        for order in left:
            self.rest(order, at_ns)

    def _is_collected(self, order: Order) -> bool:
        status = self.status(order.symbol)
        return status is TradingStatus.AUCTION or order.time_in_force is TimeInForce.AT_THE_CLOSE

    def _refusal_now(self, order: Order) -> str:
        """Why an order can't come in this phase of the day."""
        status, symbol = self.status(order.symbol), order.symbol
        if status is TradingStatus.HALTED:
            return f"trading in {symbol} is halted"
        if status is TradingStatus.CLOSED:
            return f"trading in {symbol} is closed"
        if status is TradingStatus.AUCTION:
            return "an auction takes no immediate or post-only order" if order.immediate or order.post_only else ""
        return (
            f"{symbol} is open, there is no opening to come"
            if order.time_in_force is TimeInForce.AT_THE_OPENING
            else ""
        )
