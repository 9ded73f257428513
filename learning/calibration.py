"""A model's probabilities made to mean what they say, on a later stretch than it was trained on.

Beta calibration (Kull, Silva Filho and Flach 2017): three parameters, which a few hundred rows can carry where a
step function needs thousands, and a smooth map that keeps the order of candidates. Shrunk towards no change, so that a
thin stretch changes little. It never falls, so P(fill within h) still never falls with h.
"""

import numpy as np
from numpy.typing import NDArray

from learning.logistic import Floats, fit_logistic, sigmoid
from router.model import Calibration

IDENTITY = Calibration((0.0, 1.0), (0.0, 1.0))
# No outcome is certain, and one sure prediction that turns out wrong must not cost everything.
CLIP = 1e-3
_KNOTS = 65
# As strong as some hundred rows: orders of the same minutes share their market and tell less than their number says.
_RIDGE = 50.0


def fit(raw: Floats, filled: NDArray[np.bool_], weights: Floats) -> Calibration:
    """The map for `raw` P(fill) of rows with these outcomes; rows of weight 0 don't count."""
    design = _design(raw)
    unchanged = np.array([1.0, 1.0, 0.0])
    coefficients = fit_logistic(design, filled, weights, unchanged, _RIDGE)
    while (falling := coefficients[:2] < 0).any():
        # A map that falls would turn the ranking around: that part is left flat.
        design[:, :2][:, falling] = unchanged[:2][falling] = 0.0
        coefficients = fit_logistic(design, filled, weights, unchanged, _RIDGE)
    knots = np.concatenate([[0.0], sigmoid(np.linspace(-8.0, 8.0, _KNOTS)), [1.0]])
    calibrated = np.clip(sigmoid(_design(knots) @ coefficients), CLIP, 1.0 - CLIP)
    return Calibration(tuple(knots.tolist()), tuple(np.maximum.accumulate(calibrated).tolist()))


def _design(probability: Floats) -> Floats:
    p = np.clip(probability, 1e-6, 1.0 - 1e-6)
    return np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)], axis=1)
