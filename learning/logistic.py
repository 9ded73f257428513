"""Weighted logistic regression with a ridge, for calibrations and for the baseline that models stand beside."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 100


def fit_logistic(design: Floats, filled: NDArray[np.bool_], weights: Floats, target: Floats, ridge: float) -> Floats:
    """Coefficients that minimise the weighted log-loss plus `ridge` / 2 times the squared distance from `target`.

    Newton's method with halved steps: the loss is convex, but far from its minimum a full step can lead away from it.
    """
    coefficients = target.copy()
    loss = _loss(design, filled, weights, target, ridge, coefficients)
    for _ in range(_STEPS):
        p = sigmoid(design @ coefficients)
        gradient = design.T @ (weights * (p - filled)) + ridge * (coefficients - target)
        curvature = (design * (weights * p * (1.0 - p))[:, None]).T @ design + ridge * np.eye(len(target))
        step = np.linalg.solve(curvature, gradient)
        following = _loss(design, filled, weights, target, ridge, coefficients - step)
        while following > loss and np.abs(step).max() > 1e-9:
            step /= 2
            following = _loss(design, filled, weights, target, ridge, coefficients - step)
        if np.abs(step).max() <= 1e-9:
            break
        coefficients, loss = coefficients - step, following
    return coefficients


def sigmoid(margin: Floats) -> Floats:
    p: Floats = np.exp(-np.logaddexp(0.0, -margin))
    return p


def _loss(
    design: Floats, filled: NDArray[np.bool_], weights: Floats, target: Floats, ridge: float, coefficients: Floats
) -> float:
    margin = design @ coefficients
    losses = np.logaddexp(0.0, np.where(filled, -margin, margin))
    return float((weights * losses).sum() + ridge / 2 * ((coefficients - target) ** 2).sum())
