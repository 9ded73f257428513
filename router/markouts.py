"""When each fill has to be marked out, and against what: where the mid was 1, 10 and 60 s later.

A markout is measured while it is market data, and recorded as a fact. So statistics, monitors and training all have the
same one, also where no market data is kept, and a recovery has it again.
"""

import heapq
from collections.abc import Iterator

import msgspec

from domain.facts import ChildFilled, ChildSubmitted, MarkoutMeasured
from domain.market import MarketView

AFTER_NS = (1_000_000_000, 10_000_000_000, 60_000_000_000)
LATE_NS = 500_000_000  # a mid this much later says something else
FORGOTTEN_NS = 60_000_000_000


class Filled(msgspec.Struct, frozen=True):
    """A fill that is still to be marked out."""

    order: ChildSubmitted
    fill: ChildFilled


class DueMarkouts:
    """What is still to be measured. Changes only through `apply_*`."""

    def __init__(self) -> None:
        self.fills: dict[tuple[str, str], Filled] = {}  # by child_id and exec_id
        self._due: list[tuple[int, int, str, str]] = []  # due_ns, after_ns, child_id, exec_id: a heap

    def next_ns(self) -> int | None:
        return self._due[0][0] if self._due else None

    def apply_filled(self, order: ChildSubmitted, fact: ChildFilled) -> None:
        # What nobody measured by now, over a restart or in a journal of before there were markouts, never will be.
        while self._due and self._due[0][0] < fact.at_ns - FORGOTTEN_NS:
            self._forget(self._due[0])
        if not fact.mid2_px:
            return  # nothing to compare with
        self.fills[fact.child_id, fact.exec_id] = Filled(order, fact)
        for after_ns in AFTER_NS:
            heapq.heappush(self._due, (fact.at_ns + after_ns, after_ns, fact.child_id, fact.exec_id))

    def apply_measured(self, fact: MarkoutMeasured) -> Filled | None:
        """The fill that was marked out, None where it is not known."""
        key = (fact.child_id, fact.exec_id)
        filled = self.fills.get(key)
        if filled is None:
            return None
        self._forget((filled.fill.at_ns + fact.after_ns, fact.after_ns, *key))
        return filled

    def _forget(self, due: tuple[int, int, str, str]) -> None:
        if self._due[0] == due:
            heapq.heappop(self._due)
        else:
            self._due.remove(due)
            heapq.heapify(self._due)
        if due[1] == AFTER_NS[-1]:
            del self.fills[due[2:]]

    def measure(self, market: MarketView, now_ns: int) -> Iterator[MarkoutMeasured]:
        """The markouts that are due, the earliest first; each is to be applied before the next is asked for."""
        while self._due and self._due[0][0] <= now_ns:
            due_ns, after_ns, child_id, exec_id = self._due[0]
            view = market.symbol(self.fills[child_id, exec_id].order.symbol)
            mid2_px = view.reference_mid2_px(now_ns) if now_ns - due_ns <= LATE_NS else 0
            yield MarkoutMeasured(at_ns=now_ns, child_id=child_id, exec_id=exec_id, after_ns=after_ns, mid2_px=mid2_px)


def markout_bps(order: ChildSubmitted, fill: ChildFilled, mid2_px: int) -> float:
    """How far the mid went against us since the fill, in bps of what it was then; positive is a loss."""
    return order.side.sign * (fill.mid2_px - mid2_px) / fill.mid2_px * 1e4
