"""A lit venue's order entry: what may come into a book, and what is said of what comes back."""

from domain.market import MarketUpdate
from simulators.book import Book, Reference, Resting
from simulators.orders import Accepted, Canceled, CancelRejected, Order, Publisher, Rejected


class LitVenue:
    """Displayed books, one per symbol, with price-time priority."""

    def __init__(
        self, books: list[Book], ticks: dict[str, int], references: dict[str, Reference], publisher: Publisher
    ) -> None:
        self.books = {book.symbol: book for book in books}
        self._ticks = ticks
        self._references = references
        self._publisher = publisher

    def submit(self, order: Order, at_ns: int) -> None:
        """Publishes Accepted and what the order met, or Rejected; an immediate or market order ends canceled."""
        publish = self._publisher.publish
        if text := self._refusal(order):
            publish(at_ns, Rejected(order, text))
            return
        publish(at_ns, Accepted(order))
        book = self.books[order.symbol]
        book.take(order.side, order.order_qty, order.px, at_ns, order)
        if not order.leaves_qty:
            return
        if order.immediate or not order.px:
            publish(at_ns, Canceled(order, f"{order.leaves_qty} shares found nothing to trade with"))
        else:
            book.add(book.bids if order.is_buy else book.asks, order.px, Resting(order.leaves_qty, order), at_ns)

    def cancel(self, order_id: str, at_ns: int) -> None:
        """Publishes Canceled, or CancelRejected for an order that does not rest here (any more)."""
        for book in self.books.values():
            resting = book.owned.get(order_id)
            if resting is not None and resting.order is not None:
                order = resting.order
                book.reduce(book.bids if order.is_buy else book.asks, order.px, resting, resting.qty, at_ns)
                self._publisher.publish(at_ns, Canceled(order, "canceled on request"))
                return
        self._publisher.publish(at_ns, CancelRejected(order_id, f"no open order {order_id}"))

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
        if order.mid_peg or order.quote_id or order.min_qty:
            return "a lit book takes market and limit orders only: no peg, no quote, no minimum quantity"
        if self._references[order.symbol].halted:
            return f"trading in {order.symbol} is halted"
        if order.post_only:
            book = self.books[order.symbol]
            best_px = book.asks.best_px if order.is_buy else book.bids.best_px
            if not order.px or (best_px and (order.px >= best_px if order.is_buy else order.px <= best_px)):
                return f"post-only order would take at {best_px}"
        return ""
