"""What another policy would have cost on decisions that were made already, from the propensities that were recorded.

Inverse propensity scoring weighs each decision by how much likelier the other policy would have made it; the
self-normalised form divides by the weights that came out (Swaminathan and Joachims 2015); the doubly robust one adds a
model of the cost and corrects it by what was seen (Dudik, Langford and Li 2011). Weights are clipped, because a single
decision that was all but impossible must not decide; and where what is left is worth too few decisions there is no
answer at all. Intervals draw whole blocks of time again, as in learning.intervals.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from learning.intervals import Interval, draws

Floats = NDArray[np.float64]

CLIP = 20.0
LEAST_SAMPLE = 200.0
_DRAWS = 1_000
_TAILS = (2.5, 97.5)


class Estimate(msgspec.Struct, frozen=True):
    """Mean cost a decision of the other policy, in the unit of the costs."""

    value: float
    interval: Interval


class OffPolicy(msgspec.Struct, frozen=True):
    decisions: int
    effective: float  # how many decisions of the other policy's own they are worth
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate


class TooDifferent(Exception):  # noqa: N818 - an answer, not a failure
    """The two policies hardly ever do the same, so nothing can be said; the text gives the effective sample."""


def evaluate(
    cost: Floats,
    propensity: Floats,
    target: Floats,
    modelled: Floats,
    modelled_target: Floats,
    block: NDArray[np.intp],
    seed: int = 1,
) -> OffPolicy:
    """The other policy's mean cost, each array a value a decision.

    `cost` of what was chosen; `propensity` with which it was, and `target` with which the other policy would have;
    `modelled`: what a model, that did not see these decisions, expects of what was chosen, and `modelled_target` of
    what the other policy would have chosen. `block` numbers stretches of time. TooDifferent below LEAST_SAMPLE;
    ValueError for a propensity that is none.
    """
    if not ((propensity > 0.0) & (propensity <= 1.0)).all():
        worst = int(np.argmin(propensity))
        raise ValueError(f"propensity {propensity[worst]} of decision {worst}, expected above 0 and at most 1")
    weights = np.minimum(target / propensity, CLIP)
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    if effective < LEAST_SAMPLE:
        raise TooDifferent(
            f"{len(cost)} decisions are worth {effective:.0f} of the other policy's own, expected {LEAST_SAMPLE:.0f}"
        )
    ones = np.ones(len(cost))
    corrected = modelled_target + weights * (cost - modelled)
    drawn = draws(block, _DRAWS, seed)
    return OffPolicy(
        len(cost),
        effective,
        _ratio(weights * cost, ones, block, drawn),
        _ratio(weights * cost, weights, block, drawn),
        _ratio(corrected, ones, block, drawn),
    )


def _ratio(above: Floats, below: Floats, block: NDArray[np.intp], drawn: NDArray[np.int64]) -> Estimate:
    count = drawn.shape[1]
    tops, bottoms = (drawn @ np.bincount(block, values, count) for values in (above, below))
    low, high = np.percentile(tops[bottoms > 0] / bottoms[bottoms > 0], _TAILS)
    return Estimate(float(above.sum() / below.sum()), Interval(float(low), float(high)))
