"""A model's probabilities made to mean what they say, on a later stretch than it was trained on.

Beta calibration (Kull, Silva Filho and Flach 2017): three parameters, which a few hundred rows can carry where a
step function needs thousands, and a smooth map that keeps the order of candidates. Shrunk towards no change, so that a
thin slice changes little. It never falls, so P(fill within h) still never falls with h.
"""

import numpy as np
from numpy.typing import NDArray

from router.model import Calibration

Floats = NDArray[np.float64]

IDENTITY = Calibration((0.0, 1.0), (0.0, 1.0))
# No outcome is certain, and one sure prediction that turns out wrong must not cost everything.
CLIP = 1e-3
_KNOTS = 65
_RIDGE = 4.0  # as strong as a handful of rows
_STEPS = 50


def fit(raw: Floats, filled: NDArray[np.bool_], weights: Floats) -> Calibration:
    """The map for `raw` P(fill) of rows with these outcomes; rows of weight 0 don't count."""
    design = _design(raw)
    identity = np.array([1.0, 1.0, 0.0])
    free = np.ones(3, dtype=np.bool_)
    coefficients = _fit(design, filled, weights, identity, free)
    while (falling := free & (coefficients < 0) & [True, True, False]).any():
        free &= ~falling  # a map that falls would turn the ranking around: that part is left flat
        coefficients = _fit(design, filled, weights, identity * free, free)
    inner = 1.0 / (1.0 + np.exp(-np.linspace(-8.0, 8.0, _KNOTS)))
    knots = np.concatenate([[0.0], inner, [1.0]])
    calibrated = np.clip(_sigmoid(_design(knots) @ coefficients), CLIP, 1.0 - CLIP)
    return Calibration(tuple(knots.tolist()), tuple(np.maximum.accumulate(calibrated).tolist()))


def _design(probability: Floats) -> Floats:
    p = np.clip(probability, 1e-6, 1.0 - 1e-6)
    return np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)], axis=1)


def _fit(design: Floats, filled: NDArray[np.bool_], weights: Floats, target: Floats, free: NDArray[np.bool_]) -> Floats:
    """Newton's method on the weighted log-loss plus a ridge around `target`; what is not free stays there."""
    coefficients = target.copy()
    x = design[:, free]
    for _ in range(_STEPS):
        p = _sigmoid(design @ coefficients)
        gradient = x.T @ (weights * (p - filled)) + _RIDGE * (coefficients - target)[free]
        curvature = (x * (weights * p * (1.0 - p))[:, None]).T @ x + _RIDGE * np.eye(int(free.sum()))
        step = np.linalg.solve(curvature, gradient)
        coefficients[free] -= step
        if np.abs(step).max() < 1e-9:
            break
    return coefficients


def _sigmoid(margin: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -margin))
