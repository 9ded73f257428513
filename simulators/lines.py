"""What lies between a venue and its clients: lines that take their time, a limit on messages, market data in slices.

Pure and each with dice of its own. Nothing overtakes on a line: what was sent later arrives later or together.
"""

from collections import deque
from collections.abc import Iterable
from math import exp
from random import Random

from domain.market import BookSnapshot, DealerQuoted, LevelChange, MarketUpdate
from simulators.conduct import LatencyConfig

_SECOND_NS = 1_000_000_000


class Line:
    """One way of one connection. `least_ns` is the delay that nothing is below."""

    def __init__(self, least_ns: int, random: Random) -> None:
        self._least_ns = least_ns
        self._fixed_ns = least_ns
        self._random = random
        self._median_ns = self._sigma = 0.0
        self._last_ns = 0  # when the last one arrives

    def adopt(self, latency: LatencyConfig | None, factor: float) -> None:
        self._fixed_ns = round(self._least_ns * factor)
        self._median_ns = latency.median_us * 1000.0 * factor if latency is not None else 0.0
        self._sigma = latency.sigma if latency is not None else 0.0

    def arrives_ns(self, at_ns: int, late_ns: int = 0) -> int:
        """When what is sent at `at_ns` arrives, `late_ns` later than the line alone would make it."""
        due_ns = at_ns + self._fixed_ns + late_ns
        if self._median_ns:
            due_ns += int(self._median_ns * exp(self._sigma * self._random.gauss(0.0, 1.0)))
        if due_ns < self._last_ns:
            return self._last_ns
        self._last_ns = due_ns
        return due_ns


class Limit:
    """So many messages in any second, none of which was refused; 0: no limit."""

    def __init__(self, per_second: int) -> None:
        self._taken: deque[int] = deque(maxlen=per_second)  # when

    def has_room(self, now_ns: int) -> bool:
        taken = self._taken
        return len(taken) < (taken.maxlen or 1) or taken[0] + _SECOND_NS <= now_ns

    def take(self, now_ns: int) -> int:
        """Takes one, and when its turn comes: now, or as soon as there is room."""
        taken = self._taken
        turn_ns = now_ns if self.has_room(now_ns) else taken[0] + _SECOND_NS
        taken.append(turn_ns)
        return turn_ns


class Conflation:
    """What a venue has to show and has not shown yet: of each level and quote the last state, and every trade."""

    def __init__(self) -> None:
        self.shown_ns = 0  # the last time
        self._levels: dict[tuple[str, object, int], LevelChange] = {}
        self._quotes: dict[str, DealerQuoted] = {}
        self._books: dict[str, BookSnapshot] = {}
        self._others: list[MarketUpdate] = []

    def add(self, updates: Iterable[MarketUpdate]) -> None:
        for update in updates:
            match update:
                case LevelChange(symbol=symbol, side=side, px=px):
                    self._levels[symbol, side, px] = update
                case DealerQuoted(symbol=symbol):
                    self._quotes[symbol] = update
                case BookSnapshot(symbol=symbol):
                    self._books[symbol] = update
                    self._levels = {key: level for key, level in self._levels.items() if key[0] != symbol}
                case _:
                    self._others.append(update)

    def take(self, at_ns: int) -> list[MarketUpdate]:
        """All of it, to be shown now: books, what changed in them, trades, quotes."""
        taken = [*self._books.values(), *self._levels.values(), *self._others, *self._quotes.values()]
        self.shown_ns = at_ns
        self._levels, self._quotes, self._books, self._others = {}, {}, {}, []
        return taken
