"""Bounds that hold however often one looks: for a mean that is watched while it grows.

A fixed 95% interval that is looked at after every order is left by pure chance sooner or later. The normal mixture
bound (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49, 2021, section 3) covers the mean at
all times at once, for about twice the width.
"""

from math import log, sqrt

import msgspec

ALPHA = 0.05
_TUNED_FOR = 500.0  # observations at which the bound is about tightest


class RunningMean(msgspec.Struct):
    """Count, mean and variance of what was added (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    @property
    def variance(self) -> float:
        return self.squares / (self.count - 1) if self.count > 1 else 0.0

    def reach(self, alpha: float = ALPHA) -> float:
        """How far the true mean may lie from this one, at any time with probability 1 - alpha; infinite below two."""
        return reach(self.count, self.variance, alpha)


def reach(count: int, variance: float, alpha: float = ALPHA) -> float:
    """As `RunningMean.reach`, of `count` values with this variance; a window that slides looks anew once a length."""
    if count < 2:
        return float("inf")
    n, rho = float(count), 1.0 / _TUNED_FOR
    return sqrt(variance * (n * rho + 1.0) / (n * n * rho) * log((n * rho + 1.0) / (alpha * alpha)))


def lower_difference(one: RunningMean, other: RunningMean) -> float:
    """A lower bound of the mean of `one` less that of `other`, at all times; minus infinity below two of either."""
    return one.mean - other.mean - one.reach(ALPHA / 2) - other.reach(ALPHA / 2)
