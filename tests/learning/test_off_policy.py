"""Off-policy evaluation where the true costs are known: unbiased, covered, and silent where nothing can be known."""

import numpy as np
import pytest

from learning.off_policy import CLIP, MOST_UNSEEN, Children, TooDifferent, Wanted, evaluate, mean

DECISIONS, ARMS, BLOCK = 4_000, 5, 20


class Day:
    """Decisions among some candidates, explored with probability 1/2; costs of a block of time move together."""

    def __init__(self, seed) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.block = np.arange(DECISIONS) // BLOCK
        self.truth = rng.normal(2, 1, (DECISIONS, ARMS))
        guess = self.truth + rng.normal(0, 1, (DECISIONS, ARMS))
        logged = np.full((DECISIONS, ARMS), 0.5 / ARMS)
        logged[np.arange(DECISIONS), guess.argmin(axis=1)] += 0.5
        self.chosen = (rng.random(DECISIONS)[:, None] > logged.cumsum(axis=1)).sum(axis=1)
        self.propensity = logged[np.arange(DECISIONS), self.chosen]
        self.shock = rng.normal(0, 1, DECISIONS // BLOCK)[self.block]
        self.cost = self.truth[np.arange(DECISIONS), self.chosen] + self.shock + rng.normal(0, 2, DECISIONS)
        # The other policy: a better guess, softly. What it truly costs on these decisions is known here alone.
        better = self.truth + rng.normal(0, 0.5, (DECISIONS, ARMS))
        self.target = np.exp(-2 * better) / np.exp(-2 * better).sum(axis=1, keepdims=True)
        self.modelled = 0.7 * self.truth + 0.5
        self.logged = logged

    def evaluate(self, **changes):
        rows = np.arange(DECISIONS)
        sent = Children(
            cost=self.cost,
            propensity=self.propensity,
            target=self.target[rows, self.chosen],
            qty=np.ones(DECISIONS),
            modelled=self.modelled[rows, self.chosen],
            block=self.block,
        )
        unseen = np.maximum(self.target - CLIP * self.logged, 0.0).sum(axis=1)
        wanted = Wanted(np.ones(DECISIONS), (self.target * self.modelled).sum(axis=1), unseen, self.block)
        return evaluate(sent._replace(**changes), wanted)


def test_its_intervals_cover_what_the_policy_truly_costs():
    """200 days: 95% intervals of the true mean over all days cover it in nine runs of ten or more."""
    days = [Day(seed) for seed in range(200)]
    truth = np.mean([(day.target * day.truth).sum(axis=1).mean() for day in days])
    found = [day.evaluate() for day in days]
    for name in ("ips", "snips", "doubly_robust"):
        estimates = [getattr(one, name) for one in found]
        covered = np.mean([one.interval.low <= truth <= one.interval.high for one in estimates])
        assert 0.90 <= covered <= 0.995, name
        assert np.mean([one.value for one in estimates]) == pytest.approx(truth, abs=0.03), name
    widths = [
        np.mean([getattr(one, name).interval.high - getattr(one, name).interval.low for one in found])
        for name in ("ips", "doubly_robust")
    ]
    assert widths[1] < widths[0]  # what the cost model is for
    assert np.mean([day.cost.mean() for day in days]) > truth + 0.3  # the other policy is better, and it is told


def test_policies_that_never_do_the_same_are_not_compared():
    day = Day(1)
    target = np.zeros(DECISIONS)
    target[:50] = 1.0
    with pytest.raises(TooDifferent, match=r"4000 children are worth .* expected 200"):
        day.evaluate(target=target)
    with pytest.raises(TooDifferent, match="worth 0 "):
        day.evaluate(target=np.zeros(DECISIONS))


def test_what_was_hardly_ever_tried_widens_the_interval_and_then_ends_it():
    day, rows = Day(1), np.arange(DECISIONS)
    sent = Children(
        day.cost, day.propensity, day.target[rows, day.chosen], np.ones(DECISIONS), day.modelled[rows, 0], day.block
    )

    def with_unseen(share):
        return evaluate(sent, Wanted(np.ones(DECISIONS), day.modelled[:, 0], np.full(DECISIONS, share), day.block))

    half = [with_unseen(share).doubly_robust.interval for share in (0.0, 0.1)]
    assert half[1].high - half[0].high == pytest.approx(0.1 * np.std(day.modelled[:, 0]))
    with pytest.raises(TooDifferent, match=r"26% of what the other policy would have sent .* at most 25%"):
        with_unseen(MOST_UNSEEN + 0.01)


def test_two_blocks_are_few_and_one_says_nothing():
    cost, block = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 1, 1])
    found = mean(cost, np.ones(4), block)
    assert found.value == 3.0
    assert found.interval.low < -5.0 and found.interval.high > 11.0
    assert mean(cost, np.ones(4), np.zeros(4, dtype=np.intp)).interval.high == float("inf")


def test_no_single_decision_weighs_more_than_the_clip():
    day = Day(1)
    propensity = day.propensity.copy()
    propensity[0] = 1e-9
    target = day.target[np.arange(DECISIONS), day.chosen]
    target[0] = 1.0
    cost = day.cost.copy()
    cost[0] = 100.0
    found = day.evaluate(propensity=propensity, target=target, cost=cost)
    without = day.evaluate(target=np.where(np.arange(DECISIONS) == 0, 0.0, target), cost=cost)
    assert found.ips.value - without.ips.value == pytest.approx(CLIP * 100.0 / DECISIONS, rel=0.01)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, float("nan")])
def test_a_propensity_that_is_none_is_refused(wrong):
    day = Day(1)
    propensity = day.propensity.copy()
    propensity[7] = wrong
    with pytest.raises(ValueError, match="expected above 0 and at most 1"):
        day.evaluate(propensity=propensity)
