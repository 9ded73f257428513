"""Writes a simulated day in LOBSTER format, so that tools which know nothing of the simulator can judge it.

The book is that of all lit venues of a symbol together, as if they were one exchange; every order message of any of
them is a row. What trades off the displayed books is not in the files. Orders that rest when the day begins come first,
as submissions at its first instant.
"""

from bisect import bisect_left, insort
from collections.abc import Callable

from simulators.book import Book, BookSide, Resting
from simulators.lobster import TapeKind

_NS = 1_000_000_000
_EMPTY_PX = 9_999_999_999


class _Side:
    """The quantity at each price over all books; `keys` ascends from the best price away from the market."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.qty: dict[int, int] = {}
        self.keys: list[int] = []

    def change(self, px: int, qty: int) -> None:
        key = -px * self.sign
        left_qty = self.qty.get(px, 0) + qty
        if px not in self.qty:
            insort(self.keys, key)
        self.qty[px] = left_qty
        if not left_qty:
            del self.qty[px]
            del self.keys[bisect_left(self.keys, key)]

    def columns(self, levels: int) -> list[tuple[int, int]]:
        """[(px, qty)] of the best levels, those that are empty as LOBSTER shows them."""
        shown = [(-key * self.sign, self.qty[-key * self.sign]) for key in self.keys[:levels]]
        return shown + [(-self.sign * _EMPTY_PX, 0)] * (levels - len(shown))


class LobsterExport:
    """Watches the books of one symbol; each message is a line to `message` and the book after it one to `orderbook`.

    Times are written as seconds since midnight, so the market has to begin at ns after midnight. The lines end in a
    newline. Time and memory of a message do not grow with the day.
    """

    def __init__(
        self,
        books: list[Book],
        levels: int,
        start_ns: int,
        message: Callable[[str], object],
        orderbook: Callable[[str], object],
    ) -> None:
        self._levels = levels
        self._message = message
        self._orderbook = orderbook
        self._sides = {1: _Side(1), -1: _Side(-1)}
        self._order_ids: dict[Resting, int] = {}
        self._issued = 0
        for book in books:
            book.watcher = self
            for book_side in (book.bids, book.asks):
                for px, level in book_side.levels.items():
                    for resting in level.queue:
                        self.added(book_side, px, resting, start_ns)

    def added(self, book_side: BookSide, px: int, resting: Resting, at_ns: int) -> None:
        self._issued += 1
        self._order_ids[resting] = self._issued
        self._row(TapeKind.SUBMITTED, book_side.sign, px, self._issued, resting.qty, resting.qty, at_ns)

    def reduced(self, book_side: BookSide, px: int, resting: Resting, qty: int, traded: bool, at_ns: int) -> None:
        gone = not resting.qty
        kind = TapeKind.EXECUTED if traded else TapeKind.DELETED if gone else TapeKind.REDUCED
        order_id = self._order_ids.pop(resting) if gone else self._order_ids[resting]
        self._row(kind, book_side.sign, px, order_id, qty, -qty, at_ns)

    def _row(self, kind: TapeKind, sign: int, px: int, order_id: int, qty: int, change: int, at_ns: int) -> None:
        self._sides[sign].change(px, change)
        self._message(f"{at_ns // _NS}.{at_ns % _NS:09d},{kind:d},{order_id},{qty},{px},{sign}\n")
        asks, bids = self._sides[-1].columns(self._levels), self._sides[1].columns(self._levels)
        levels = (f"{ask[0]},{ask[1]},{bid[0]},{bid[1]}" for ask, bid in zip(asks, bids, strict=True))
        self._orderbook(",".join(levels) + "\n")
