"""Whether a market on a real clock keeps up: how late its timers are served, said when it matters and not each time.

A timer that is late by a little is the machine's business; a market that is late by more than clients' latencies has
other prices than it should have, and whoever measures against it should know.
"""

_LATE_NS = 100_000_000
_EVERY_NS = 5_000_000_000


class Lag:
    """Collects how late each timer was; `observe` gives the worst of the last seconds when it is time to say so."""

    def __init__(self) -> None:
        self._window_ns = 0  # worst since the last word
        self._said_ns = 0
        self._is_behind = False

    def observe(self, late_ns: int, now_ns: int) -> int | None:
        """How late the market was at worst since the last word, 0 once it has caught up; None: nothing to say."""
        if late_ns > self._window_ns:
            self._window_ns = late_ns
        if now_ns - self._said_ns < _EVERY_NS or not (self._is_behind or self._window_ns > _LATE_NS):
            return None
        worst_ns, self._window_ns = self._window_ns, 0
        self._is_behind = worst_ns > _LATE_NS
        self._said_ns = now_ns
        return worst_ns if self._is_behind else 0
