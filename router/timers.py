"""When to look at an order again: one pending wake-up a parent, one horizon a resting child, one term for an answer.

Timers are data. They are not part of the state: a restart sets them again from it.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.fields import OrdStatus
from domain.orders import ChildOrder

# A venue has so long to acknowledge an order, to end an immediate one, to answer a cancel.
PATIENCE_NS = 5_000_000_000
ACK = "ack"


@dataclass(order=True, slots=True)
class Timer:
    at_ns: int
    parent_id: str
    child_id: str = field(default="")  # "" wakes the parent
    awaits: str = field(default="")  # of the venue: "ack", or the answer to the request of this ClOrdID(11)


class Timers:
    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._wake_ns: dict[str, int] = {}  # parent_id -> its one pending wake-up; other entries of the heap are stale

    def due(self, now_ns: int) -> Iterator[Timer]:
        """Those whose time has come, the earliest first; what is set meanwhile and due at once comes too."""
        while self._heap and self._heap[0].at_ns <= now_ns:
            due = heapq.heappop(self._heap)
            if not due.child_id:
                if self._wake_ns.get(due.parent_id) != due.at_ns:
                    continue
                del self._wake_ns[due.parent_id]
            yield due

    def next_ns(self) -> int | None:
        return self._heap[0].at_ns if self._heap else None

    def wake(self, at_ns: int, parent_id: str) -> None:
        """One pending wake-up a parent, the earliest: each fires once and asks for the next."""
        if at_ns < self._wake_ns.get(parent_id, at_ns + 1):
            self._wake_ns[parent_id] = at_ns
            heapq.heappush(self._heap, Timer(at_ns, parent_id))

    def await_answer(self, child: ChildOrder, awaits: str, now_ns: int) -> None:
        """A venue that says nothing for too long is asked what became of the order."""
        heapq.heappush(self._heap, Timer(now_ns + PATIENCE_NS, child.submitted.parent_id, child.child_id, awaits))

    def rest_until(self, at_ns: int, child: ChildOrder) -> None:
        heapq.heappush(self._heap, Timer(at_ns, child.submitted.parent_id, child.child_id))


def is_overdue(child: ChildOrder, awaits: str) -> bool:
    """Whether what was awaited of the venue has still not come."""
    if awaits != ACK:
        replace = child.pending_replace
        return child.pending_cancel_id == awaits or (replace is not None and replace.replace_id == awaits)
    return child.ord_status is OrdStatus.PENDING_NEW or not child.submitted.horizon_ns
