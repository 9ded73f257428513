"""A model on trial: stages, sticky shares, the evidence for a next stage, and every reason for which it has to go."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from domain.facts import (
    ChildFilled,
    DecisionShadowed,
    MarkoutMeasured,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
)
from domain.fields import LastLiquidityInd
from domain.orders import ChildOrder
from router.sequential import RunningMean, lower_difference
from router.trial import LEAST_FILLS, LEAST_ORDERS, LEAST_PARENTS, ORDERS, STEPS, Trial
from tests.learning.facts import SECOND, T0, candidate, child, decision, features
from tests.learning.test_archive import parent


def staged(stage="shadow", share=0.0, model_id="new"):
    return ModelStaged(at_ns=T0, model_id=model_id, stage=stage, share=share, reference_id="old", by="ops")


class Desk:
    """Feeds a trial as the state does: a decision by one model, scored by the other, and its one child's outcome."""

    def __init__(self, stage="shadow", share=0.0) -> None:
        self.trial = Trial()
        self.trial.apply_staged(staged(stage, share))
        self.count = 0

    def order(self, ours, theirs, filled, *, cost_bps=0.0, markout_bps=None, elapsed_ns=0):
        """One parent with one order; `ours` and `theirs` are what candidate and reference say of it."""
        self.count += 1
        trial, number, name = self.trial, self.count, f"P{self.count}"
        accepted = parent(name, 0)
        trial.apply_accepted(accepted)
        served = trial.serves(name)
        made = decision([candidate("LIT1", fill_probability=ours if served else theirs)], features(1), number)
        made = type(made)(**{f: getattr(made, f) for f in made.__struct_fields__} | {"parent_id": name})
        trial.apply_decision(made)
        other, said = ("old", theirs) if served else ("new", ours)
        trial.apply_shadowed(
            made,
            DecisionShadowed(
                at_ns=T0, decision_id=number, model_id=other, fill_probabilities=[said], costs_bps=[0.0],
                elapsed_ns=elapsed_ns,
            ),
        )  # fmt: skip
        submitted = child(f"C{number}", decision_id=number, parent_id=name)
        trial.apply_submitted(made, submitted)
        order = ChildOrder(submitted)
        if not filled:
            trial.apply_ended(order, known=True)
            trial.apply_done(name)
            return served
        fill = ChildFilled(
            at_ns=T0, child_id=order.child_id, venue="LIT1", exec_id="E", last_qty=100,
            last_px=round(accepted.arrival_mid2_px / 2 * (1 + cost_bps / 1e4)), mid2_px=2_000_000,
            liquidity=LastLiquidityInd.ADDED,
        )  # fmt: skip
        order.apply(fill)
        trial.apply_filled(accepted, order, fill)
        trial.apply_done(name)
        if markout_bps is not None:
            mid2_px = round(2_000_000 * (1 - markout_bps / 1e4))
            trial.apply_markout(submitted, fill, MarkoutMeasured(
                at_ns=T0, child_id=order.child_id, exec_id="E", after_ns=10 * SECOND, mid2_px=mid2_px
            ))  # fmt: skip
        return served


# --- stages ---


def test_the_stages_in_their_order():
    trial = Trial()
    seen = []
    while (step := trial.next_step()) is not None:
        trial.apply_staged(staged(*step))
        seen.append(step)
    assert seen == list(STEPS)
    assert [share for _, share in seen] == [0, 0.01, 0.05, 0.25, 0.5, 1.0, 1.0]
    assert trial.champion == "new"


def test_a_share_is_sticky_and_grows():
    names = [f"E-P{number}" for number in range(4_000)]
    served: set[str] = set()
    for stage, share in STEPS:
        trial = Trial()
        trial.apply_staged(staged(stage, share))
        now = {name for name in names if trial.serves(name)}
        assert served <= now
        assert len(now) / len(names) == pytest.approx(share, abs=0.02)
        served = now
    other = Trial()
    other.apply_staged(staged("canary", 0.5, "another"))
    assert 0.4 < np.mean([other.serves(name) == (name in served and trial.serves(name)) for name in names]) < 0.6


def test_a_stage_needs_its_evidence():
    desk = Desk()
    assert f"0 of {LEAST_ORDERS} resolved orders at stage shadow" in desk.trial.missing()
    for _ in range(LEAST_ORDERS):
        desk.order(0.5, 0.5, False)
    assert desk.trial.missing() == ""
    desk.trial.apply_staged(staged("canary", 0.01))
    assert "0 of 500 resolved orders at stage canary 1%" in desk.trial.missing()
    for _ in range(LEAST_ORDERS):
        desk.order(0.5, 0.5, False)
    assert f"of {LEAST_PARENTS} parents of its own at share 1%" in desk.trial.missing()
    while desk.trial.own_parents < LEAST_PARENTS:
        desk.order(0.5, 0.5, False)
    assert desk.trial.missing() == ""


def test_without_a_trial_nothing_is_kept():
    trial = Trial()
    assert not trial.serves("P1")
    assert trial.verdict() == ""
    made = decision([candidate("LIT1")], features(1))
    trial.apply_decision(made)
    trial.apply_submitted(made, child())
    assert not trial.resolved


# --- what makes it go ---


def drawn(seed=1):
    rng = np.random.default_rng(seed)
    while True:
        p = rng.uniform(0.1, 0.9)
        yield p, rng.random() < p


def test_a_model_as_good_as_the_reference_stays():
    for seed in range(5):
        desk, rng = Desk("canary", 0.5), np.random.default_rng(seed)
        for (p, filled), _ in zip(drawn(seed), range(ORDERS + 500), strict=False):
            desk.order(p, p, filled, cost_bps=rng.normal(scale=5), markout_bps=rng.normal(scale=3), elapsed_ns=30_000)
            if desk.count % 100 == 0:
                assert desk.trial.verdict() == ""


def test_it_goes_for_calibration():
    """The reference says the same, so its loss is no better and calibration alone tells."""
    desk = Desk()
    for (p, filled), _ in zip(drawn(), range(ORDERS), strict=False):
        off = 0.75 * p
        desk.order(off, off, filled)
        if desk.count < ORDERS:
            assert "calibration" not in desk.trial.verdict()
    assert desk.trial.verdict().startswith("calibration error 0.1")


def test_it_goes_for_loss_on_the_same_orders():
    desk = Desk()
    for (p, filled), _ in zip(drawn(), range(LEAST_ORDERS), strict=False):
        desk.order(0.5, p, filled)
        assert bool(desk.trial.verdict()) == (desk.count == LEAST_ORDERS)
    assert desk.trial.verdict().startswith("log-loss 0.69")


@pytest.mark.parametrize(("worse_bps", "goes"), [(0.4, False), (4.0, True)])
def test_it_goes_for_the_cost_of_its_parents(worse_bps, goes):
    desk, rng = Desk("canary", 0.5), np.random.default_rng(3)
    for _ in range(1_500):
        served = desk.trial.serves(f"P{desk.count + 1}")
        desk.order(0.99, 0.99, True, cost_bps=rng.normal(worse_bps if served else 0.0, 5.0))
    found = desk.trial.verdict()
    assert found.startswith("its parents cost at least") if goes else "cost" not in found


def test_it_goes_for_markouts():
    desk = Desk("canary", 0.5)
    while min(mean.count for mean in desk.trial.markouts.values()) < LEAST_FILLS:
        assert "markout" not in desk.trial.verdict()
        served = desk.trial.serves(f"P{desk.count + 1}")
        desk.order(0.99, 0.99, True, markout_bps=1.5 if served else 0.2)
    assert desk.trial.verdict().startswith("10 s markout 1.30 bps worse")


@pytest.mark.parametrize(("off", "goes"), [(0.05, False), (0.12, True)])
def test_calibration_within_its_limit_stays(off, goes):
    desk, rng = Desk(), np.random.default_rng(2)
    for _ in range(ORDERS):
        p = rng.uniform(0.2, 0.8)
        desk.order(p + off, p + off, rng.random() < p)
    assert desk.trial.verdict().startswith("calibration error") == goes


@pytest.mark.parametrize(("worse", "goes"), [(1.04, False), (1.06, True)])
def test_it_goes_for_a_loss_just_above_its_limit(worse, goes):
    desk = Desk()
    for number in range(LEAST_ORDERS + 100):
        theirs = 0.6
        ours = theirs**worse  # log-loss of a fill, `worse` times that of the reference
        desk.order(ours, theirs, True)
        assert desk.trial.verdict() == "" or (goes and number + 1 >= LEAST_ORDERS)
    assert desk.trial.verdict().startswith("log-loss 0.54") == goes


def test_a_loss_that_is_worse_by_chance_alone_stays():
    """Two models that are equally wrong, looked at after every tenth order: the mean alone would often say 5%."""
    by_mean = by_bound = 0
    for seed in range(10):
        desk, rng = Desk(), np.random.default_rng(seed)
        mean_says = bound_says = False
        for number in range(900):
            p = rng.uniform(0.2, 0.8)
            ours, theirs = np.clip(p + rng.normal(scale=0.3, size=2), 0.02, 0.98)
            desk.order(float(ours), float(theirs), rng.random() < p)
            if number >= LEAST_ORDERS and not number % 10:
                one, other = desk.trial.log_losses()
                mean_says |= one > 1.05 * other
                bound_says |= desk.trial.verdict().startswith("log-loss")
        by_mean += mean_says
        by_bound += bound_says
    assert by_bound == 0
    assert by_mean > 0


def test_cost_needs_some_parents_of_each():
    desk = Desk("canary", 0.5)
    while min(mean.count for mean in desk.trial.costs.values()) < LEAST_PARENTS:
        assert desk.trial.verdict() == ""
        served = desk.trial.serves(f"P{desk.count + 1}")
        desk.order(0.99, 0.99, True, cost_bps=5.0 if served else 1.0)
    assert desk.trial.verdict().startswith("its parents cost at least 4.0")


def test_costs_are_those_of_the_stage():
    """The reference's parents of an earlier, cheaper hour are no measure; but from 100% on it has no others."""
    desk = Desk("canary", 0.25)
    while min(mean.count for mean in desk.trial.costs.values()) < LEAST_PARENTS:
        desk.order(0.99, 0.99, True, cost_bps=1.0)
    desk.trial.apply_staged(staged("canary", 0.5))
    assert [mean.count for mean in desk.trial.costs.values()] == [0, 0]
    while min(mean.count for mean in desk.trial.costs.values()) < LEAST_PARENTS:
        desk.order(0.99, 0.99, True, cost_bps=6.0)
    desk.trial.apply_staged(staged("canary", 1.0))
    assert desk.trial.costs[False].count >= LEAST_PARENTS
    for _ in range(200):
        desk.order(0.99, 0.99, True, cost_bps=9.0)
    assert "cost" in desk.trial.verdict()


@pytest.mark.parametrize("worse_bps", [0.0, 0.8])
def test_markouts_that_are_worse_by_chance_or_by_little_stay(worse_bps):
    """The mean alone would have said more than 1 bp again and again."""
    by_mean = by_bound = 0
    for seed in range(10):
        desk, rng = Desk("canary", 0.5), np.random.default_rng(seed)
        mean_says = bound_says = False
        for number in range(600):
            served = desk.trial.serves(f"P{desk.count + 1}")
            desk.order(0.99, 0.99, True, markout_bps=rng.normal(worse_bps if served else 0.0, 8.0))
            ours, theirs = desk.trial.markouts[True], desk.trial.markouts[False]
            if min(ours.count, theirs.count) >= LEAST_FILLS and not number % 10:
                mean_says |= ours.mean - theirs.mean > 1.0
                bound_says |= "markout" in desk.trial.verdict()
        by_mean += mean_says
        by_bound += bound_says
    assert by_bound == 0
    assert by_mean > 0


def test_markouts_that_are_worse_for_sure_are_found_in_the_noise():
    desk, rng = Desk("canary", 0.5), np.random.default_rng(1)
    while "markout" not in desk.trial.verdict() and desk.count < 3_000:
        served = desk.trial.serves(f"P{desk.count + 1}")
        desk.order(0.99, 0.99, True, markout_bps=rng.normal(2.0 if served else 0.0, 4.0))
    assert desk.count < 1_500


@pytest.mark.parametrize(("slow", "goes"), [(5, False), (6, True)])
def test_time_is_judged_at_the_99th_percentile(slow, goes):
    desk = Desk()
    for number in range(500):
        desk.order(0.5, 0.5, bool(number % 2), elapsed_ns=5_000_000 if number < slow else 30_000)
    assert desk.trial.verdict().startswith("p99 of a prediction 5000 us") == goes


def test_the_time_of_a_model_that_serves_is_judged_too():
    trial = Trial()
    trial.apply_staged(staged("champion", 1.0))
    for number in range(500):
        made = decision([candidate("LIT1")], features(1), number)
        trial.apply_decision(msgspec.structs.replace(made, model_id="new", predicted_ns=3_000_000))
    assert trial.verdict().startswith("p99 of a prediction 3000 us")


def test_a_next_stage_needs_a_loss_that_is_surely_not_much_worse():
    desk, rng = Desk(), np.random.default_rng(4)
    for _ in range(LEAST_ORDERS):
        p = rng.uniform(0.2, 0.8)
        ours = float(np.clip(p + rng.normal(scale=0.25), 0.02, 0.98))
        desk.order(ours, p, rng.random() < p)
    assert "that it is less than 5% worse is not sure yet" in desk.trial.missing()
    good, rng = Desk(), np.random.default_rng(4)
    for _ in range(LEAST_ORDERS):
        p = rng.uniform(0.2, 0.8)
        theirs = float(np.clip(p + rng.normal(scale=0.25), 0.02, 0.98))
        good.order(p, theirs, rng.random() < p)
    assert good.trial.missing() == ""
    assert "of 600 resolved" in good.trial.missing(600)


def test_what_changed_is_kept_for_the_registry_and_a_new_trial_is_looked_at_from_its_first_evidence():
    desk = Desk("canary", 1.0)
    desk.order(0.5, 0.5, True)
    before = desk.trial.news
    gone = ModelRolledBack(at_ns=T0, model_id="new", reference_id="old", by="", text="x")
    desk.trial.apply_rolled_back(gone)
    desk.trial.apply_staged(staged(model_id="newer"))
    assert list(desk.trial.changes) == [staged("canary", 1.0), gone, staged(model_id="newer")]
    assert desk.trial.news == before > 0  # the engine looks again after so much more


def test_it_goes_for_an_error_at_once_and_for_time():
    desk = Desk()
    desk.trial.apply_failed(ModelFailed(at_ns=T0, model_id="old", decision_id=1, text="x"))
    assert desk.trial.verdict() == ""
    desk.trial.apply_failed(ModelFailed(at_ns=T0, model_id="new", decision_id=1, text="x"))
    assert desk.trial.verdict() == "1 inference errors"
    slow = Desk()
    for number in range(500):
        slow.order(0.5, 0.5, bool(number % 2), elapsed_ns=5_000_000 if number % 50 == 0 else 30_000)
    assert slow.trial.verdict().startswith("p99 of a prediction 5000 us")


def test_after_a_rollback_nothing_is_left_of_it():
    desk = Desk("canary", 1.0)
    desk.order(0.5, 0.5, True)
    desk.trial.apply_rolled_back(ModelRolledBack(at_ns=T0, model_id="new", reference_id="old", by="", text="x"))
    assert (desk.trial.model_id, desk.trial.champion, len(desk.trial.resolved)) == ("", "old", 0)
    assert not desk.trial.serves("P1")


# --- bounds that hold at all times ---


def test_running_means_are_those_of_numpy():
    values = np.random.default_rng(1).normal(3, 2, 500)
    mean = RunningMean()
    for value in values:
        mean.add(value)
    assert (mean.count, mean.mean, mean.variance) == pytest.approx((500, values.mean(), values.var(ddof=1)))


def test_looking_all_the_time_is_rarely_wrong_and_finds_what_is_there():
    wrong = found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one, other, worse = RunningMean(), RunningMean(), RunningMean()
        errs = sees = False
        for _ in range(1_500):
            one.add(rng.normal())
            other.add(rng.normal())
            worse.add(rng.normal(0.5))
            errs |= lower_difference(one, other) > 0
            sees |= lower_difference(worse, other) > 0
        wrong += errs
        found += sees
    assert wrong <= 5
    assert found == 100
    assert Counter([lower_difference(RunningMean(), RunningMean())]) == Counter([float("-inf")])
