"""How sure a figure is: orders of the same minutes share their market, so whole stretches of time are drawn again.

A block bootstrap (Kuensch 1989): blocks of fixed length, a parent's rows in the block in which it began, drawn with
replacement; an interval is the middle 95% of what the draws give. Rows that were drawn one by one would make every
interval too narrow by the factor with which outcomes of a stretch move together.
"""

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_NS = 15 * 60 * 1_000_000_000
_TAILS = (2.5, 97.5)


class Interval(msgspec.Struct, frozen=True):
    """The middle 95%."""

    low: float
    high: float


def blocks(at_ns: NDArray[np.int64], parent_id: NDArray[np.str_], block_ns: int = BLOCK_NS) -> NDArray[np.intp]:
    """The number of each row's block, 0..: by the time at which its parent began."""
    _, parent = np.unique(parent_id, return_inverse=True)
    started_ns = np.full(parent.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(started_ns, parent, at_ns)
    _, block = np.unique(started_ns[parent] // block_ns, return_inverse=True)
    return block


def draws(block: NDArray[np.intp], count: int, seed: int) -> NDArray[np.int64]:
    """How often each block is in each of `count` draws, [count, blocks]."""
    number = int(block.max(initial=-1)) + 1
    return np.random.default_rng(seed).multinomial(number, np.full(number, 1.0 / number), size=count)


def mean_interval(values: Floats, weights: Floats, block: NDArray[np.intp], drawn: NDArray[np.int64]) -> Interval:
    """Of the weighted mean of `values`, without going over the rows again for each draw."""
    sums = drawn @ np.bincount(block, values * weights, drawn.shape[1])
    totals = drawn @ np.bincount(block, weights, drawn.shape[1])
    return _middle(sums[totals > 0] / totals[totals > 0])


def interval(
    figure: Callable[[Floats], float], weights: Floats, block: NDArray[np.intp], drawn: NDArray[np.int64]
) -> Interval:
    """Of any `figure` of the rows' weights."""
    return _middle(np.array([figure(weights * counts[block]) for counts in drawn]))


def _middle(found: Floats) -> Interval:
    found = found[np.isfinite(found)]
    if not len(found):
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(found, _TAILS)
    return Interval(float(low), float(high))
