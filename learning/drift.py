"""Whether what comes in is still what a model learned from.

The population stability index of each feature, whose limit is not a rule of thumb but what days in control show by
chance: days are drawn from them with their blocks of time, and the limit is the quantile that all features together
pass on so few days as are to be false alarms. Whether venues still do what they did is `router.health`.
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
