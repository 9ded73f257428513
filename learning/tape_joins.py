"""Hypothetical joins at the touch of a recorded day, and which of them would have filled.

A tape shows what happened to everybody else's orders. At every step one small order joins the best bid and one the best
offer, at the back of what is displayed, and the rows that follow say when an execution would have reached it. Nobody
reacts to these orders and they take nothing away from those behind them: 100 shares among what trades in ten seconds.

Where we stand in the queue is known from the order ids. An order whose submission came after the join is behind it;
every other order at the price was there before. That includes those without a submission on the tape: they rested since
before its start, or were sent while the price was not the best one, where a tape of one level doesn't see them. Some of
the latter are behind us in truth, so what is displayed at the price, less what is known to be behind, is an upper limit
of what is ahead whenever the price is the best.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.fields import Side
from learning.tape_events import TouchEvent, TouchKind
from learning.tape_features import TapeFeatures

EVERY_NS = 2_000_000_000


@dataclass(frozen=True)
class Join:
    """An order that joined the touch, what was known then, and whether it filled within the horizon."""

    at_ns: int
    side: Side
    px: int
    features: tuple[float, ...]  # tape_features.FEATURES
    filled: bool


class QueuedJoin:
    """An order in flight: what is ahead of it and which orders are known to be behind."""

    __slots__ = ("_ahead_qty", "_behind", "_sign", "at_ns", "features", "filled", "px", "side")

    def __init__(self, at_ns: int, side: Side, px: int, ahead_qty: int, features: tuple[float, ...]) -> None:
        self.at_ns, self.side, self.px, self.features = at_ns, side, px, features
        self.filled = False
        self._sign = side.sign
        self._ahead_qty = ahead_qty
        self._behind: dict[int, int] = {}  # order id -> quantity left

    def apply(self, event: TouchEvent) -> None:
        """What `event` does to the queue; `filled` once an execution reaches our place, and from then on."""
        if event.side is self.side and event.px == self.px:
            self._apply_at_our_price(event)
        elif event.kind in _TRADES and self._sign * event.px < self._sign * self.px:
            self.filled = True  # somebody got a worse price than ours: we would have been served before
        self._compare_with_touch(event)

    def _apply_at_our_price(self, event: TouchEvent) -> None:
        behind_qty = self._behind.get(event.order_id)
        match event.kind:
            case TouchKind.SUBMITTED:
                self._behind[event.order_id] = event.qty
            case TouchKind.CANCELED if behind_qty is not None:
                self._behind[event.order_id] = max(behind_qty - event.qty, 0)
            case TouchKind.CANCELED:
                self._ahead_qty -= event.qty
            case TouchKind.EXECUTED if behind_qty is not None:
                self.filled = True
            case TouchKind.EXECUTED:
                self._ahead_qty -= event.qty
                self.filled = self.filled or self._ahead_qty <= 0

    def _compare_with_touch(self, event: TouchEvent) -> None:
        if self.side is Side.BUY:
            near_px, near_qty, far_px = event.bid_px, event.bid_qty, event.ask_px
        else:
            near_px, near_qty, far_px = event.ask_px, event.ask_qty, event.bid_px
        if far_px and self._sign * far_px <= self._sign * self.px:
            self.filled = True  # the other side came to our price: it would have met us there
        if near_px == self.px:
            self._ahead_qty = min(self._ahead_qty, near_qty - sum(self._behind.values()))


_TRADES = (TouchKind.EXECUTED, TouchKind.EXECUTED_HIDDEN)


def joins(events: Iterable[TouchEvent], horizon_ns: int, every_ns: int = EVERY_NS) -> Iterator[Join]:
    """Both sides' joins at each multiple of `every_ns`, in order, as their outcomes become known.

    A join at t sees the events until and at t, and is filled by events after t until and at t + `horizon_ns`. No joins
    while a side is empty, the book is locked or trading is halted; those that the tape's end cuts off are left out.
    """
    features = TapeFeatures()
    waiting: list[QueuedJoin] = []
    next_ns = -1
    last: TouchEvent | None = None
    halted = False
    for event in events:
        if next_ns < 0:
            next_ns = -(-event.time_ns // every_ns) * every_ns
        while next_ns < event.time_ns:
            settled = [join for join in waiting if join.at_ns + horizon_ns <= next_ns]
            waiting = waiting[len(settled) :]
            for join in settled:
                yield Join(join.at_ns, join.side, join.px, join.features, join.filled)
            if last is not None and not halted and 0 < last.bid_px < last.ask_px:
                for side, px, qty in ((Side.BUY, last.bid_px, last.bid_qty), (Side.SELL, last.ask_px, last.ask_qty)):
                    waiting.append(QueuedJoin(next_ns, side, px, qty, features.row(side, next_ns)))
            next_ns += every_ns
        for join in waiting:
            if not join.filled and event.time_ns <= join.at_ns + horizon_ns:
                join.apply(event)
        features.apply(event)
        halted = event.kind is TouchKind.HALTED or (halted and event.kind is not TouchKind.RESUMED)
        last = event
