"""Whether a market on a real clock keeps up: how late it does what is due, said when it matters and told at the end.

A timer that is late by a little is the machine's business; a market that is late by more than clients' latencies has
other prices than it should have, and whoever measures against it should know.
"""

from collections import Counter
from math import log2
from typing import NamedTuple

_LATE_NS = 100_000_000
_EVERY_NS = 5_000_000_000
_STEPS = 8  # of the histogram for each doubling: 9%


class Lateness(NamedTuple):
    """Of all that was due: how late half of it was at most, 99 in 100, and the latest, in ms."""

    p50_ms: float
    p99_ms: float
    worst_ms: float


class Lag:
    """Collects how late each time was; `observe` gives the worst of the last seconds when it is time to say so."""

    def __init__(self) -> None:
        self._window_ns = 0  # worst since the last word
        self._said_ns = 0
        self._is_behind = False
        self._worst_ns = 0
        self._counts: Counter[int] = Counter()  # by logarithm of the microseconds

    def observe(self, late_ns: int, now_ns: int) -> int | None:
        """How late the market was at worst since the last word, 0 once it has caught up; None: nothing to say."""
        self._counts[int(_STEPS * log2(late_ns / 1_000 + 1.0)) if late_ns > 0 else 0] += 1
        if late_ns > self._window_ns:
            self._window_ns = late_ns
            self._worst_ns = max(self._worst_ns, late_ns)
        if now_ns - self._said_ns < _EVERY_NS or not (self._is_behind or self._window_ns > _LATE_NS):
            return None
        worst_ns, self._window_ns = self._window_ns, 0
        self._is_behind = worst_ns > _LATE_NS
        self._said_ns = now_ns
        return worst_ns if self._is_behind else 0

    def lateness(self) -> Lateness:
        """Over everything observed; percentiles within 9%, never below what they were."""
        return Lateness(self._quantile_ms(0.5), self._quantile_ms(0.99), round(self._worst_ns / 1e6, 3))

    def _quantile_ms(self, share: float) -> float:
        wanted, seen = share * self._counts.total(), 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= wanted:
                return round(min((2.0 ** ((step + 1) / _STEPS) - 1.0) / 1e3, self._worst_ns / 1e6), 3)
        return 0.0
