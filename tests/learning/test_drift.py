"""Drift: few false alarms on days like those that were learned from, and none that matters is missed."""

import numpy as np
import pytest

from learning.drift import Reference, edges, shares, stability

FEATURES, BLOCKS, ROWS_A_BLOCK = 12, 26, 40


def day(seed, shift=0.0):
    """Rows of blocks of time that share much of their level, with missing values; `shift` moves the third feature."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(size=(BLOCKS, FEATURES)), ROWS_A_BLOCK, axis=0)
    rows = (0.5 * level + rng.normal(size=level.shape)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    rows[:, 2] += np.float32(shift)
    return rows


def reference(days=10, first=1000):
    rows = np.concatenate([day(first + number) for number in range(days)])
    return Reference.of(rows, np.repeat(np.arange(days * BLOCKS), ROWS_A_BLOCK), BLOCKS * ROWS_A_BLOCK)


def test_fewer_than_one_false_alarm_in_twenty_clean_days():
    known = reference()
    assert np.mean([bool(known.drifted(day(seed))) for seed in range(200)]) < 0.05


def test_a_shift_is_seen_and_named():
    known = reference()
    found = [known.drifted(day(seed, shift=0.8)) for seed in range(20)]
    assert sum(2 in one for one in found) >= 18
    assert np.mean([len(one) for one in found]) < 1.5


def test_what_is_missing_counts():
    known, rows = reference(), day(5)
    rows[:300, 7] = np.nan
    assert 7 in known.drifted(rows)


@pytest.mark.parametrize(
    ("expected", "found", "index"),
    [([0.5, 0.5], [0.5, 0.5], 0.0), ([0.5, 0.5], [0.25, 0.75], 0.25 * np.log(3)), ([1, 0], [1, 0], 0.0)],
)
def test_the_index(expected, found, index):
    assert stability(np.array(expected, dtype=float), np.array(found, dtype=float)) == pytest.approx(index)


def test_bins_of_few_values():
    values = np.array([0.0, 0.0, 0.0, 1.0, np.nan])
    inner = edges(values)
    assert shares(values, inner).sum() == pytest.approx(1.0)
    assert shares(values, inner)[-1] == pytest.approx(0.2)
    assert edges(np.array([np.nan])).tolist() == []
