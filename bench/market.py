"""The simulated market in virtual time, nobody connected, with its inner loop compiled (`make fast`) and without.

An event is an update that a venue publishes: a level that changed, a trade, a quote. An order that takes several levels
publishes several; a step of the hidden price publishes none. Beside it stands a plain book that is only told the same
orders. Each way of running is a process of its own and all take turns. Time is that of the processor: nothing waits
here, and what else the machine does is not the market's.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from bench.plain_book import PlainBook

AIM = 300_000.0
DAY_AIM_S = 30.0
PACKAGES = ("domain", "fix", "simulators", "venues", "service")  # that have modules which `make fast` compiles
ROUNDS = 5
SECONDS = 120
_PLACE = Path(__file__).parent.parent / "simulators"
_SECOND_NS = 1_000_000_000
_SESSION_S = 23_400


def figures() -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, float]]] = {"plain": [], "installed": []}
    for seed in range(ROUNDS):
        for way, runs in found.items():
            said = subprocess.run(
                [sys.executable, "-m", "bench.market", way, str(seed)], check=True, capture_output=True, text=True
            )
            runs.append(json.loads(said.stdout))

    def middle(way: str, key: str) -> float:
        return median(run[key] for run in found[way])

    book, plain = middle("plain", "book"), middle("plain", "market")
    lines = [
        _figure("simulated_events_per_second_plain", plain, f"plain-Python book alone, {book:,.0f}", plain / book),
        _figure("mid_cap_day_plain", middle("plain", "day_s"), DAY_AIM_S, DAY_AIM_S / middle("plain", "day_s"), "s"),
        _figure("mid_cap_day_memory_growth", middle("plain", "grown_mb"), None, None, "MB"),
    ]
    if is_compiled():
        fast, day_s = middle("installed", "market"), middle("installed", "day_s")
        lines += [
            _figure("simulated_events_per_second", fast, f"plain-Python book alone, {book:,.0f}", fast / book),
            _figure("simulated_events_per_second_aim", fast, AIM, fast / AIM),
            _figure("simulated_events_per_second_gain", fast, f"not compiled, {plain:,.0f}", fast / plain),
            _figure("mid_cap_day", day_s, DAY_AIM_S, DAY_AIM_S / day_s, "s"),
        ]
    return lines


def is_compiled() -> bool:
    return any(path.suffix in (".so", ".pyd") for path in _PLACE.iterdir())


def uncompiled() -> None:
    """From here on our modules come from their sources, whatever lies beside them."""
    for name in PACKAGES:
        place = str(_PLACE.parent / name)
        sys.path_importer_cache[place] = FileFinder(place, (SourceFileLoader, SOURCE_SUFFIXES))


def _run(seed: int) -> dict[str, float]:
    """What one process measures: events a second of the market and of the plain book, and a day of the mid-cap."""
    from simulators import presets
    from simulators.market import Market
    from simulators.market_config import default_market

    market = Market(default_market(), seed, start_ns=0)
    events, elapsed_s = _timed(market.advance, SECONDS)
    told = _Told(Market(default_market(), seed, start_ns=0))
    day = Market(presets.load("mid_cap"), seed, start_ns=0)
    day.advance(600 * _SECOND_NS)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, day_s = _timed(day.advance, _SESSION_S)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    return {"market": events / elapsed_s, "book": told.events_per_second(), "day_s": day_s, "grown_mb": grown_kb / 1e3}


def _timed(advance: Callable[[int], list[Any]], seconds: int) -> tuple[int, float]:
    began, events = process_time(), 0
    for second in range(1, seconds + 1):
        events += len(advance(second * _SECOND_NS))
    return events, process_time() - began


class _Told:
    """The orders of a run of the market, book by book, as a plain book takes them."""

    def __init__(self, market: Any) -> None:
        self._orders: list[tuple[int, int, int, int, bool]] = []  # book, id, side or 0, qty, traded
        self._ids: dict[Any, int] = {}
        self._books: dict[int, int] = {}
        for reference in market.references.values():
            for book in reference.books:
                for book_side in (book.bids, book.asks):
                    self._books[id(book_side)] = len(self._books) // 2
                    for px, level in book_side.levels.items():
                        for resting in level.queue:
                            self.added(book_side, px, resting, 0)
                book.watcher = self
        for second in range(1, SECONDS + 1):
            market.advance(second * _SECOND_NS)

    def added(self, book_side: Any, px: int, resting: Any, at_ns: int) -> None:
        number = self._ids[resting] = len(self._ids)
        self._orders.append((self._books[id(book_side)], number, book_side.sign * px, resting.qty, False))

    def reduced(self, book_side: Any, px: int, resting: Any, qty: int, traded: bool, at_ns: int) -> None:
        self._orders.append((self._books[id(book_side)], self._ids[resting], 0, qty, traded))

    def events_per_second(self) -> float:
        books = [PlainBook() for _ in self._books]
        published = 0
        began = process_time()
        for number, order_id, signed_px, qty, traded in self._orders:
            out: list[tuple[object, ...]] = []
            if signed_px:
                books[number].add(order_id, 1 if signed_px > 0 else -1, abs(signed_px), qty, out)
            else:
                books[number].reduce(order_id, qty, traded, out)
            published += len(out)
        return published / (process_time() - began)


def _figure(name: str, value: float, vs: Any, ratio: float | None, unit: str = "1/s") -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2) if unit != "1/s" else round(value),
        "unit": unit,
        "vs": vs,
        "ratio": None if ratio is None else round(ratio, 2),
    }


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        uncompiled()
    print(json.dumps(_run(int(sys.argv[2]))))
