"""What a day looked like, in the one form in which real and simulated days are measured: the best quotes after every
order message, the market orders that traded, and what became of the limit orders.

A simulated day is all lit venues of a symbol together, as a subscriber to all of them sees it; a LOBSTER tape is one
exchange's book. Executions of displayed orders at one instant on one side are one market order: that is what an
aggressor sent, however many resting orders it met. A tape has no off-exchange trades; the executions of hidden orders
stand for them, because they too are what the displayed book did not see coming.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.market import TradePrinted
from simulators.book import Book, BookSide, Resting
from simulators.lobster import TapeKind, TapeRow
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.orders import TimedEvent

Integers = npt.NDArray[np.int64]

_SECOND_NS = 1_000_000_000
_STEP_S = 60  # so that a day's events are never all in memory


@dataclass(frozen=True)
class Recording:
    """One symbol on one day. Quotes are those after each message that left both sides with something on them."""

    quote_ns: Integers
    bid_px: Integers
    bid_qty: Integers
    ask_px: Integers
    ask_qty: Integers
    trade_ns: Integers  # market orders: instant, side (1 bought), shares
    trade_sign: Integers
    trade_qty: Integers
    submitted_qty: Integers  # limit orders: shares, and how far behind the best price of their side as it was before
    submitted_behind_px: Integers
    executed: int  # executions of displayed orders
    lifetime_ns: Integers  # of the orders that were cancelled whole, from their submission
    lit_qty: int
    off_qty: int  # traded off the displayed books

    @property
    def submitted(self) -> int:
        return len(self.submitted_qty)


class Recorder:
    """Collects a recording, message by message. As a watcher of all books of a symbol it sees their common best."""

    def __init__(self, books: list[Book] | None = None) -> None:
        self._books = books or []
        self._quotes = array("q")
        self._trades = array("q")
        self._lifetimes = array("q")
        self._submitted = array("q")
        self._since_ns: dict[object, int] = {}
        self._executed = self._lit_qty = self._off_qty = 0
        self._best_px = {1: 0, -1: 0}  # of the last quote
        for book in self._books:
            book.watcher = self

    def added(self, book_side: BookSide, px: int, resting: Resting, at_ns: int) -> None:
        self.submit(resting, resting.qty, px, book_side.sign, at_ns)
        self._look(at_ns)

    def reduced(self, book_side: BookSide, px: int, resting: Resting, qty: int, traded: bool, at_ns: int) -> None:
        if traded:
            self.execute(-book_side.sign, qty, at_ns)
            if not resting.qty:
                self._since_ns.pop(resting, None)
        elif not resting.qty:
            self.cancel(resting, at_ns)
        self._look(at_ns)

    def heard(self, events: Iterable[TimedEvent], symbol: str) -> None:
        """What was printed: a trade without an aggressor was not on a displayed book, or in an auction of one."""
        lit = {book.venue for book in self._books}
        for venue, _, event in events:
            if isinstance(event, TradePrinted) and event.symbol == symbol and venue not in lit:
                self._off_qty += event.qty

    def submit(self, order: object, qty: int, px: int, sign: int, at_ns: int) -> None:
        """A limit order to buy (1) or sell (-1), before the quote that follows from it."""
        best_px = self._best_px[sign]
        self._submitted.extend((qty, (best_px - px) * sign if best_px else 0))
        self._since_ns[order] = at_ns

    def execute(self, sign: int, qty: int, at_ns: int) -> None:
        """An execution of a displayed order, by a buyer (1) or a seller (-1)."""
        self._executed += 1
        self._lit_qty += qty
        trades = self._trades
        if len(trades) and trades[-3] == at_ns and trades[-2] == sign:
            trades[-1] += qty
        else:
            trades.extend((at_ns, sign, qty))

    def cancel(self, order: object, at_ns: int) -> None:
        since_ns = self._since_ns.pop(order, None)
        if since_ns is not None:  # not from before the day began
            self._lifetimes.append(at_ns - since_ns)

    def execute_hidden(self, qty: int) -> None:
        self._off_qty += qty

    def quote(self, at_ns: int, bid_px: int, bid_qty: int, ask_px: int, ask_qty: int) -> None:
        self._best_px[1], self._best_px[-1] = bid_px, ask_px
        self._quotes.extend((at_ns, bid_px, bid_qty, ask_px, ask_qty))

    def recording(self) -> Recording:
        quotes = np.frombuffer(self._quotes, np.int64).reshape(-1, 5).T
        trades = np.frombuffer(self._trades, np.int64).reshape(-1, 3).T
        submitted = np.frombuffer(self._submitted, np.int64).reshape(-1, 2).T
        return Recording(
            quote_ns=quotes[0],
            bid_px=quotes[1],
            bid_qty=quotes[2],
            ask_px=quotes[3],
            ask_qty=quotes[4],
            trade_ns=trades[0],
            trade_sign=trades[1],
            trade_qty=trades[2],
            submitted_qty=submitted[0],
            submitted_behind_px=submitted[1],
            executed=self._executed,
            lifetime_ns=np.frombuffer(self._lifetimes, np.int64),
            lit_qty=self._lit_qty,
            off_qty=self._off_qty,
        )

    def _look(self, at_ns: int) -> None:
        bid_px = bid_qty = ask_px = ask_qty = 0
        for book in self._books:
            bids, asks = book.bids, book.asks
            px = bids.best_px
            if px > bid_px:
                bid_px, bid_qty = px, bids.levels[px].qty
            elif px and px == bid_px:
                bid_qty += bids.levels[px].qty
            px = asks.best_px
            if px and (px < ask_px or not ask_px):
                ask_px, ask_qty = px, asks.levels[px].qty
            elif px and px == ask_px:
                ask_qty += asks.levels[px].qty
        if bid_px and ask_px:
            self.quote(at_ns, bid_px, bid_qty, ask_px, ask_qty)


def record_market(
    config: MarketConfig,
    seed: int,
    seconds: int,
    start_ns: int,
    progress: Callable[[int], None] = lambda seconds: None,
) -> Recording:
    """The first symbol of a market that opens at `start_ns`; `progress` is told how many seconds have passed since."""
    market = Market(config, seed, start_ns - config.opening_ns)
    market.advance(start_ns)
    symbol = config.symbols[0].symbol
    recorder = Recorder(market.references[symbol].books)
    for second in (*range(_STEP_S, seconds, _STEP_S), seconds):
        recorder.heard(market.advance(start_ns + second * _SECOND_NS), symbol)
        progress(second)
    return recorder.recording()


def record_tape(rows: Iterable[TapeRow]) -> Recording:
    """A LOBSTER day. ValueError if it never shows a bid and an ask."""
    recorder = Recorder()
    quoted = False
    for row in rows:
        match row.kind:
            case TapeKind.SUBMITTED:
                recorder.submit(row.order_id, row.qty, row.px, row.side.sign, row.time_ns)
            case TapeKind.DELETED:
                recorder.cancel(row.order_id, row.time_ns)
            case TapeKind.EXECUTED:
                recorder.execute(-row.side.sign, row.qty, row.time_ns)
            case TapeKind.EXECUTED_HIDDEN:
                recorder.execute_hidden(row.qty)
            case _:
                pass
        if row.bids and row.asks:
            quoted = True
            recorder.quote(row.time_ns, *row.bids[0], *row.asks[0])
    if not quoted:
        raise ValueError("the tape never shows a bid and an ask")
    return recorder.recording()
