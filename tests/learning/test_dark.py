"""Allocation over dark venues: near the best there is, also after a change, and no more believed than was seen."""

import numpy as np
import pytest

from learning.dark import ENOUGH, ProductLimit, allocate

MOST = 40
LOTS = 40


def pool(empty, tail, scale, rng):
    """Lots in a venue: none with probability `empty`, else a Pareto tail."""
    return 0 if rng.random() < empty else int(scale * rng.pareto(tail)) + 1


def true_tails(empty, tail, scale):
    """P(at least s lots), s = 1..MOST."""
    sizes = np.arange(1, MOST + 1)
    return (1 - empty) * np.where(sizes == 1, 1.0, (1 + (sizes - 1) / scale) ** -tail)


POOLS = [(0.3, 1.5, 12.0), (0.6, 1.2, 20.0), (0.8, 1.4, 30.0), (0.9, 1.5, 10.0), (0.5, 2.0, 4.0)]
CHANGED = [(0.95, 1.5, 3.0), *POOLS[1:3], (0.1, 1.3, 25.0), POOLS[4]]


def play(pools, rounds, known, rng):
    """Lots filled in each round by `known`, and by who knows the venues, in the same market."""
    best = allocate([true_tails(*each) for each in pools], LOTS)
    ours, theirs = [], []
    for _ in range(rounds):
        there = np.array([pool(*each, rng) for each in pools])
        sent = allocate([one.tails() for one in known], LOTS)
        assert sent.sum() <= LOTS
        filled = np.minimum(sent, there)
        for one, lots, got in zip(known, sent.tolist(), filled.tolist(), strict=True):
            one.apply(lots, got)
        ours.append(filled.sum())
        theirs.append(np.minimum(best, there).sum())
    return np.array(ours), np.array(theirs)


def test_it_comes_near_to_who_knows_and_finds_a_change():
    shares, again = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        known = [ProductLimit(MOST) for _ in POOLS]
        play(POOLS, 500, known, rng)
        ours, theirs = play(POOLS, 300, known, rng)
        shares.append(ours.sum() / theirs.sum())
        play(CHANGED, 200, known, rng)
        ours, theirs = play(CHANGED, 300, known, rng)
        again.append(ours.sum() / theirs.sum())
    assert np.mean(shares) > 0.95
    assert np.mean(again) > 0.95


def test_the_estimate_is_kaplan_and_meiers():
    """By hand: 10 rounds of 3 lots, of which 2 filled none, 3 one, 1 two, 4 all that was sent."""
    one = ProductLimit(5, half_life=1e12)
    for filled, times in ((0, 2), (1, 3), (2, 1), (3, 4)):
        for _ in range(times):
            one.apply(3, filled)
    # At risk of ending at 0, 1, 2 lots: 10, 8, 5. What lies beyond 3 was never tried: one size more is believed.
    assert one.tails() == pytest.approx([8 / 10, 5 / 10, 4 / 10, 4 / 10, 0.0])


def test_what_was_cut_off_is_no_end():
    one = ProductLimit(5, half_life=1e12)
    for _ in range(20):
        one.apply(1, 1)
    assert one.tails() == pytest.approx([1.0, 1.0, 0.0, 0.0, 0.0])


def test_what_is_not_known_is_tried_and_what_fades_is_tried_again():
    one = ProductLimit(3)
    assert one.tails() == pytest.approx([1.0, 0.0, 0.0])
    for _ in range(50):
        one.apply(2, 0)
    assert one.tails()[0] == pytest.approx(0.0, abs=1e-9)
    rounds = 0
    while one.tails()[0] < 1.0:
        one.apply(0, 0)
        rounds += 1
    assert 300 < rounds < 800
    assert ENOUGH > 1


@pytest.mark.parametrize(
    ("tails", "lots", "expected"),
    [
        ([[0.9, 0.5, 0.1], [0.6, 0.4, 0.3]], 4, [2, 2]),
        ([[0.9, 0.5, 0.1], [0.6, 0.4, 0.3]], 9, [3, 3]),
        ([[0.0, 0.0], [0.2, 0.0]], 5, [0, 1]),
        ([[0.5, 0.5], [0.5, 0.5]], 2, [1, 1]),
        ([[0.5]], 0, [0]),
    ],
)
def test_each_lot_goes_where_it_is_the_most_likely_to_fill(tails, lots, expected):
    assert allocate([np.array(tail) for tail in tails], lots).tolist() == expected
