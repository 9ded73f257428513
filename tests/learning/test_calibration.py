import numpy as np
import pytest

from learning.calibration import CLIP, fit


def apply(calibration, p):
    return np.interp(p, calibration.raw, calibration.calibrated)


def drawn(count, seed, distort):
    """Raw probabilities whose true value is `distort` of them."""
    rng = np.random.default_rng(seed)
    raw = rng.random(count)
    return raw, rng.random(count) < distort(raw)


DISTORTIONS = {
    "none": lambda p: p,
    "too sure": lambda p: 0.5 + (p - 0.5) * 0.6,
    "too timid": lambda p: p**2 / (p**2 + (1 - p) ** 2),
    "too high": lambda p: p**2,
    "half of it": lambda p: p / 2,
}


@pytest.mark.parametrize("name", DISTORTIONS)
def test_what_was_distorted_is_mended(name):
    distort = DISTORTIONS[name]
    calibration = fit(*drawn(20_000, 1, distort), np.ones(20_000))
    probe = np.linspace(0.02, 0.98, 49)
    assert np.abs(apply(calibration, probe) - distort(probe)).mean() < 0.03


@pytest.mark.parametrize("name", [*DISTORTIONS, "turned around"])
def test_it_never_falls_and_is_never_certain(name):
    distort = DISTORTIONS.get(name, lambda p: 1 - p)
    calibration = fit(*drawn(2_000, 2, distort), np.ones(2_000))
    curve = apply(calibration, np.linspace(0, 1, 10_001))
    assert (np.diff(curve) >= 0).all()
    assert (curve[0] >= CLIP, curve[-1] <= 1 - CLIP) == (True, True)


def test_few_rows_change_little():
    raw, filled = np.array([0.3, 0.7]), np.array([True, False])
    probe = np.linspace(0.05, 0.95, 10)
    assert np.abs(apply(fit(raw, filled, np.ones(2)), probe) - probe).max() < 0.1
    assert apply(fit(raw, filled, np.zeros(2)), probe) == pytest.approx(probe, abs=2e-3)


def test_rows_without_weight_do_not_count():
    raw, filled = drawn(4_000, 3, DISTORTIONS["too high"])
    weights = (np.arange(4_000) < 3_000).astype(float)
    filled_otherwise = np.where(weights > 0, filled, ~filled)
    assert fit(raw, filled, weights) == fit(raw, filled_otherwise, weights)
