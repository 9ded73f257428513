"""Whether what comes in is still what a model learned from, and whether a venue still does what it did.

Features: the population stability index of each, whose limit is not a rule of thumb but what days in control show by
chance: days are drawn from them with their blocks of time, and the limit is the quantile that all features together
pass on so few days as are to be false alarms. Venues: a one-sided cumulative sum of how much less an order filled, or
how much more it lost, than was said of it (Page 1954), which answers within some hundred orders and forgets what evens
out. Its step and limit are in standard deviations of one order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.intervals import draws

Floats = NDArray[np.float64]

BINS = 10
FALSE_DAYS = 0.02  # share of clean days with an alarm, over all features together
_DRAWS = 200
_FLOOR = 1e-4  # share of a bin that was never seen
SLACK = 0.25  # of a standard deviation: what is this much worse is not yet worth a word
LIMIT = 22.0  # standard deviations summed up: by chance not once in 100,000 orders of a venue


def edges(values: Floats) -> Floats:
    """Inner edges of bins of about equal weight; fewer where values repeat."""
    known = values[np.isfinite(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)


def shares(values: Floats, inner: Floats) -> Floats:
    """The share of each bin, and of what is missing as the last."""
    known = np.isfinite(values)
    place = np.where(known, np.searchsorted(inner, values, side="right"), len(inner) + 1)
    return np.bincount(place, minlength=len(inner) + 2) / max(len(values), 1)


def stability(expected: Floats, found: Floats) -> float:
    """Population stability index of two distributions over the same bins; 0 where they are the same."""
    p, q = np.maximum(expected, _FLOOR), np.maximum(found, _FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


@dataclass(frozen=True)
class Reference:
    """What features look like in control, and from which index on one of them has drifted."""

    inner: tuple[Floats, ...]
    expected: tuple[Floats, ...]
    limits: Floats

    @classmethod
    def of(cls, features: NDArray[np.float32], block: NDArray[np.intp], rows_a_day: int, seed: int = 1) -> "Reference":
        """From rows in control, [rows, features], with the number of each one's block of time.

        A day of `rows_a_day` is drawn again and again from the blocks; a limit is the value that a feature passes on
        FALSE_DAYS of those, shared out over the features.
        """
        columns = [features[:, column].astype(np.float64) for column in range(features.shape[1])]
        inner = tuple(edges(values) for values in columns)
        expected = tuple(shares(values, each) for values, each in zip(columns, inner, strict=True))
        count = int(block.max()) + 1
        of_block = np.bincount(block, minlength=count)
        blocks_a_day = max(round(rows_a_day / of_block.mean()), 1)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(blocks_a_day, np.full(count, 1.0 / count), size=_DRAWS)
        # The reference is only a sample too: it is drawn again beside each day.
        again = draws(block, _DRAWS, seed + 1)
        found = np.zeros((_DRAWS, len(columns)))
        for column, (values, each) in enumerate(zip(columns, inner, strict=True)):
            place = np.where(np.isfinite(values), np.searchsorted(each, values, side="right"), len(each) + 1)
            table = np.zeros((count, len(each) + 2))
            np.add.at(table, (block, place), 1.0)
            days, bases = drawn @ table, again @ table
            for number, (day, base) in enumerate(zip(days, bases, strict=True)):
                found[number, column] = stability(base / base.sum(), day / day.sum())
        # One limit of all features together: how far each is beyond its own usual, at its worst on a day.
        usual = np.median(found, axis=0) + 1e-9
        worst = np.quantile((found / usual).max(axis=1), 1.0 - FALSE_DAYS)
        return cls(inner, expected, usual * worst)

    def drifted(self, features: NDArray[np.float32]) -> dict[int, float]:
        """The features of a day that have drifted, with how many times over the limit they are."""
        found = {}
        for column, (each, expected) in enumerate(zip(self.inner, self.expected, strict=True)):
            index = stability(expected, shares(features[:, column].astype(np.float64), each))
            if index > self.limits[column]:
                found[column] = index / float(self.limits[column])
        return found


class VenueMonitor:
    """One venue's orders against what was said of them. Changes only through `apply_*`; `alarm` says why, or ""."""

    def __init__(self, markout_sd_bps: float) -> None:
        self._markout_sd_bps = markout_sd_bps
        self.misses = 0.0  # summed up: fewer fills than said
        self.losses = 0.0  # and worse markouts
        self.orders = 0

    def apply_order(self, fill_probability: float, filled: bool) -> None:
        """An order whose outcome is known, with what was said of it."""
        p = min(max(fill_probability, 0.01), 0.99)
        self.orders += 1
        self.misses = max(0.0, self.misses + (p - filled) / (p * (1.0 - p)) ** 0.5 - SLACK)

    def apply_markout(self, said_bps: float, found_bps: float) -> None:
        """A fill: which markout was expected of it, and which it had."""
        worse = min((found_bps - said_bps) / self._markout_sd_bps, 4.0)
        self.losses = max(0.0, self.losses + worse - SLACK)

    @property
    def alarm(self) -> str:
        if self.misses > LIMIT:
            return f"fills less than was said, after {self.orders} orders"
        if self.losses > LIMIT:
            return f"fills when the price is about to turn, after {self.orders} orders"
        return ""
