"""What another policy would have cost on decisions that were made already, from the propensities that were recorded.

A decision sends children to some of its candidates. What a child costs a share is taken to depend on its candidate and
on the state in which it was sent, not on what was sent beside it; so each child is evidence of its own, with the
propensity of its candidate. Inverse propensity scoring weighs it by how much likelier the other policy would have sent
one there, times the shares that it would have sent; the self-normalised form divides by the weights that came out
(Swaminathan and Joachims 2015); the doubly robust one adds a model of the cost and corrects it by what was seen (Dudik,
Langford and Li 2011). Weights are clipped, because a single child that was all but impossible must not decide; where
what is left is worth too few children there is no answer at all.

Intervals take whole blocks of time as one observation each: mean plus or minus Student's t times the error of a ratio
of block sums. What the clip cuts off was never seen, and no sample makes up for it: the plain and the self-normalised
estimate take that part to cost what the rest does, the doubly robust one what its model says. Every interval is wider
by what that may be wrong, and where it is more than a quarter there is no answer either: on simulated days the errors
of the model then decided, and intervals covered the truth in hardly more than half of them.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from learning.intervals import Interval

Floats = NDArray[np.float64]

CLIP = 20.0
LEAST_SAMPLE = 200.0
MOST_UNSEEN = 0.25
_Z = 1.959964  # of the normal distribution, 97.5%


class Children(NamedTuple):
    """What was sent, a value a child."""

    cost: Floats  # bps a share, as it turned out
    propensity: Floats  # of its candidate, as recorded
    target: Floats  # the other policy's
    qty: Floats  # what the other policy sends there if it sends anything: shares, or any unit of size
    modelled: Floats  # what a model that did not see this block expects of the cost
    block: NDArray[np.intp]


class Wanted(NamedTuple):
    """What the other policy would have sent on average, a value a decision."""

    qty: Floats
    modelled: Floats  # cost times qty, by the model
    unseen: Floats  # of qty: where the logged propensity is less than a CLIP-th of its own
    block: NDArray[np.intp]


class Estimate(msgspec.Struct, frozen=True):
    """Mean cost a share of the other policy, in the unit of the costs."""

    value: float
    interval: Interval


class OffPolicy(msgspec.Struct, frozen=True):
    decisions: int
    children: int
    effective: float  # how many children of the other policy's own they are worth
    unseen: float  # share of what the other policy would have sent that the clip hides
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate


class TooDifferent(Exception):  # noqa: N818 - an answer, not a failure
    """The two policies hardly ever do the same, so nothing can be said; the text says how different they are."""


def evaluate(sent: Children, wanted: Wanted) -> OffPolicy:
    """The other policy's mean cost.

    TooDifferent below LEAST_SAMPLE and above MOST_UNSEEN; ValueError for a propensity that is none.
    """
    propensity = sent.propensity
    if not ((propensity > 0.0) & (propensity <= 1.0)).all():
        worst = int(np.argmin(propensity))
        raise ValueError(f"propensity {propensity[worst]} of child {worst}, expected above 0 and at most 1")
    weights = np.minimum(sent.target / propensity, CLIP) * sent.qty
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    if effective < LEAST_SAMPLE:
        raise TooDifferent(
            f"{len(weights)} children are worth {effective:.0f} of the other policy's own, expected {LEAST_SAMPLE:.0f}"
        )
    unseen = float(wanted.unseen.sum() / wanted.qty.sum())
    if unseen > MOST_UNSEEN:
        raise TooDifferent(
            f"{unseen:.0%} of what the other policy would have sent was hardly ever tried, expected at most "
            f"{MOST_UNSEEN:.0%}"
        )
    blocks = int(max(sent.block.max(initial=0), wanted.block.max(initial=0))) + 1

    def sums(block: NDArray[np.intp], values: Floats) -> Floats:
        return np.bincount(block, values, blocks)

    asked = sums(wanted.block, wanted.qty)
    seen = sums(wanted.block, wanted.qty - wanted.unseen)
    found, weighed = sums(sent.block, weights * sent.cost), sums(sent.block, weights)
    corrected = sums(wanted.block, wanted.modelled) + sums(sent.block, weights * (sent.cost - sent.modelled))
    # What was not seen may be as much off the rest as expected costs differ from child to child.
    doubt = unseen * float(np.std(sent.modelled))
    return OffPolicy(
        len(wanted.qty),
        len(weights),
        effective,
        unseen,
        _ratio(found, seen, doubt),
        _ratio(found, weighed, doubt),
        _ratio(corrected, asked, doubt),
    )


def mean(cost: Floats, qty: Floats, block: NDArray[np.intp]) -> Estimate:
    """Of what was sent, by the policy that sent it."""
    return _ratio(np.bincount(block, cost * qty), np.bincount(block, qty), 0.0)


def _ratio(above: Floats, below: Floats, doubt: float) -> Estimate:
    """Of two block sums; the interval is wider by `doubt` on either side."""
    value = float(above.sum() / below.sum())
    count = int((below != 0).sum())
    if count < 2:
        return Estimate(value, Interval(float("-inf"), float("inf")))
    error = float(np.sqrt(((above - value * below) ** 2).sum() * count / (count - 1)) / abs(below.sum()))
    half = _student(count - 1) * error + doubt
    return Estimate(value, Interval(value - half, value + half))


def _student(freedom: int) -> float:
    """The 97.5% quantile (Abramowitz and Stegun 26.7.5, good to 1% from 3 degrees of freedom on)."""
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
