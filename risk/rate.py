"""How many orders each venue got in the last second, exactly.

Only orders are counted: a cancel takes risk away and must never wait for a rate limit. The times of one venue never
outgrow its limit, because a child beyond the limit is refused and so never applied.
"""

from bisect import bisect_right

WINDOW_NS = 1_000_000_000


class MessageRate:
    def __init__(self) -> None:
        self._sent_ns: dict[str, list[int]] = {}  # by venue, rising

    def apply(self, venue: str, at_ns: int) -> None:
        """An order went to the venue."""
        sent_ns = self._sent_ns.setdefault(venue, [])
        del sent_ns[: bisect_right(sent_ns, at_ns - WINDOW_NS)]
        sent_ns.append(at_ns)

    def count(self, venue: str, now_ns: int) -> int:
        """Orders sent in the second that ends now; one sent exactly a second ago has left it."""
        sent_ns = self._sent_ns.get(venue)
        return len(sent_ns) - bisect_right(sent_ns, now_ns - WINDOW_NS) if sent_ns else 0
