"""How many messages a peer may send in a second."""

from fix.values import NS_PER_S


class Throttle:
    """Counts in windows of a second, each of which begins with a message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._opened_ns = -NS_PER_S
        self._count = 0

    def has_room(self, now_ns: int) -> bool:
        return self._count < self._limit or now_ns >= self._opened_ns + NS_PER_S

    @property
    def is_exceeded(self) -> bool:
        """Whether the last one was one too many."""
        return self._count > self._limit

    def count(self, now_ns: int) -> None:
        if now_ns >= self._opened_ns + NS_PER_S:
            self._opened_ns = now_ns
            self._count = 0
        self._count += 1

    @property
    def reopens_ns(self) -> int:
        return self._opened_ns + NS_PER_S
