"""Folds by day that share nothing, intervals that know of blocks, concordance, and runs that go on where they were."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")

from learning.concordance import concordance
from learning.intervals import Interval, blocks, draws, interval, mean_interval
from learning.training import NotEnoughData, TrainingConfig
from learning.training_days import train_days
from learning.walk_forward import folds
from tests.learning.archives import DAY, FIRST_DAY, days
from tests.learning.market import NAMES, SCHEMA, SECOND

CONFIG = TrainingConfig(rounds=10)
EMBARGO_NS = 300 * SECOND


def market(count=3, rows=800, seed=1):
    return days(count, rows, len(NAMES), SCHEMA, NAMES, seed)


class Store:
    """Folds that are kept in memory; it counts what was asked for and not there."""

    def __init__(self) -> None:
        self.kept: dict = {}
        self.missed = 0

    def get(self, key):
        self.missed += key not in self.kept
        return self.kept.get(key)

    def put(self, key, arrays):
        self.kept[key] = arrays


def trained(rows, store, **options):
    return train_days(rows, CONFIG, {"V1": "lit", "V2": "dark"}, store, str, **options)


# --- folds ---


def test_a_day_is_judged_by_the_days_before_it():
    rows = market()
    found = folds(rows, EMBARGO_NS)
    assert [fold.day for fold in found] == [FIRST_DAY + 1, FIRST_DAY + 2]
    for fold in found:
        assert not (fold.train & fold.test).any()
        assert rows.at_ns[fold.train].max() < rows.at_ns[fold.test].min()
        assert not set(rows.parent_id[fold.train]) & set(rows.parent_id[fold.test])
    assert found[1].train.sum() == 2 * 800


def test_what_reaches_into_the_judged_day_is_purged():
    """A parent that goes on over midnight is its first day's, and its late children teach nothing about the next."""
    rows = market(2)
    at_ns = rows.at_ns.copy()
    begins_ns = (FIRST_DAY + 1) * DAY
    late = slice(796, 800)  # one parent
    at_ns[late] = begins_ns + np.array([-400, -301, -299, 5]) * SECOND
    horizon_ns = rows.horizon_ns.copy()
    horizon_ns[late] = [0, 10 * SECOND, 0, 0]
    (fold,) = folds(replace(rows, at_ns=at_ns, horizon_ns=horizon_ns), EMBARGO_NS)
    assert fold.train[late].tolist() == [True, False, False, False]
    assert not fold.test[late].any()
    assert fold.test[800:].all()


def test_no_rows_no_folds():
    assert folds(market().take(np.zeros(0, dtype=int)), 0) == []


# --- intervals ---


def test_an_interval_covers_the_mean_where_outcomes_of_a_block_move_together():
    """100 blocks of 20 rows that share most of their value: rows drawn one by one would cover it half of the time."""
    covered = alone = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        block = np.repeat(np.arange(100), 20)
        values = rng.normal(size=100)[block] + 0.3 * rng.normal(size=2000)
        found = mean_interval(values, np.ones(2000), block, draws(block, 200, seed))
        covered += found.low < 0 < found.high
        single = mean_interval(values, np.ones(2000), np.arange(2000), draws(np.arange(2000), 100, seed))
        alone += single.low < 0 < single.high
    assert 88 <= covered <= 100
    assert alone < 60


def test_any_figure_has_the_same_interval_as_a_mean():
    rng = np.random.default_rng(1)
    values, weights, block = rng.normal(size=300), rng.random(300), np.repeat(np.arange(30), 10)
    drawn = draws(block, 100, 1)
    found = interval(lambda w: float(np.average(values, weights=w)), weights, block, drawn)
    expected = mean_interval(values, weights, block, drawn)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_parent_is_in_one_block():
    at_ns = np.array([0, 890, 910, 1900]) * SECOND
    assert blocks(at_ns, np.array(["A", "B", "B", "C"])).tolist() == [0, 0, 0, 1]
    assert blocks(at_ns[:0], np.array([], dtype=np.str_)).tolist() == []


# --- concordance ---


def by_definition(score, time, filled):
    pairs = right = 0.0
    for i in range(len(score)):
        for j in range(len(score)):
            if filled[i] and (time[j] > time[i] or (time[j] == time[i] and not filled[j])):
                pairs += 1
                right += 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0
    return right / pairs


CASES = [
    ([0.9, 0.5, 0.1], [1, 2, 3], [True, True, False], 1.0),
    ([0.1, 0.5, 0.9], [1, 2, 3], [True, True, False], 0.0),
    ([0.5, 0.5], [1, 2], [True, True], 0.5),
    ([0.2, 0.9], [3, 1], [True, False], float("nan")),  # the second was cut off before: nothing is known
    ([0.9, 0.2], [1, 1], [True, False], 1.0),
]


@pytest.mark.parametrize(("score", "time", "filled", "expected"), CASES)
def test_concordance_of_few(score, time, filled, expected):
    found = concordance(np.array(score), np.array(time), np.array(filled))
    assert found == pytest.approx(expected, nan_ok=True)


def test_concordance_is_what_it_is_by_definition():
    rng = np.random.default_rng(4)
    score, time, filled = rng.integers(0, 9, 700) / 9, rng.integers(1, 60, 700), rng.random(700) < 0.4
    assert concordance(score, time, filled) == pytest.approx(by_definition(score, time, filled))


# --- a model of many days ---


def test_a_model_of_many_days_is_judged_on_all_but_the_first():
    rows = market()
    found = trained(rows, Store()).record
    walk = found.walk_forward
    assert [day.day for day in walk.days] == [str(FIRST_DAY + 1), str(FIRST_DAY + 2)]
    assert found.evaluation.rows + found.evaluation.censored == 1600
    assert found.fitted.to_ns < found.calibrated.from_ns
    assert set(walk.beats) == {"constant", "venue_table", "logistic"}
    assert walk.concordance["model"] > walk.concordance["venue_table"] + 0.05
    assert walk.concordance["constant"] == pytest.approx(0.5, abs=0.1)
    interval_of = walk.intervals["model"]["log_loss"]
    assert interval_of.low < found.evaluation.model.log_loss < interval_of.high
    assert {(s.sliced_by, s.name) for s in walk.slices} >= {("venue", "V0"), ("kind", "lit"), ("symbol", "ABC")}
    for point in walk.reliability["model"]:
        assert point.realised.low - 0.12 < point.predicted < point.realised.high + 0.12
    assert isinstance(walk.better_by["constant"], Interval)


def test_the_same_days_give_the_same_model_and_a_run_goes_on_where_it_was():
    rows, store = market(), Store()
    first = trained(rows, store)
    assert store.missed == 2
    assert trained(rows, Store()).model_id == first.model_id
    again = trained(rows, store)
    assert (again.model_id, store.missed) == (first.model_id, 2)
    more = market(4)
    assert trained(more, store).model_id != first.model_id
    assert store.missed == 3  # one more day, one more fold


def test_a_stopped_run_keeps_its_folds():
    class Stopped(Exception):  # noqa: N818 - it is none
        pass

    def stop(what, done, total):
        if done == 1:
            raise Stopped

    store = Store()
    with pytest.raises(Stopped):
        trained(market(), store, progress=stop)
    assert len(store.kept) == 1
    trained(market(), store)
    assert store.missed == 2


def test_one_day_can_not_be_judged():
    with pytest.raises(NotEnoughData, match="1 days with orders, none of which could be judged"):
        trained(market(1), Store())


def test_the_head_of_markouts_is_kept_where_it_says_something():
    rows = market()
    record = trained(rows, Store()).record
    assert record.markout.model < 0.8 * record.markout.table  # it depends on the imbalance
    noise = replace(rows, markout_bps=np.where(rows.filled, np.random.default_rng(1).normal(size=len(rows)), np.nan))
    found = trained(noise, Store())
    assert found.record.markout.model == pytest.approx(found.record.markout.table, rel=0.05)


# --- one model for all kinds of venue, or one for each ---


def test_kinds_with_models_of_their_own_are_measured_on_the_same_orders():
    rows = market(rows=1_800)
    record = trained(rows, Store()).record
    found = record.walk_forward.by_kind
    assert found.kinds == ["dark", "lit"]
    assert found.shared == pytest.approx(record.evaluation.model.log_loss)
    assert found.own != found.shared
    assert found.own == pytest.approx(found.shared, abs=0.05)
    low, high = found.shared_better_by.low, found.shared_better_by.high
    assert low < found.own - found.shared < high
    assert found.is_own_better == (high < 0)


def test_venues_whose_kinds_differ_in_all_are_better_off_with_models_of_their_own():
    """What fills at one kind is what never fills at the other, in every feature."""
    rows = market(rows=1_800)
    opposite = rows.venue == "V2"
    filled = np.where(opposite, ~rows.filled, rows.filled) & rows.known
    rows = replace(rows, filled=filled, time_ns=np.where(filled, rows.horizon_ns // 2, rows.horizon_ns))
    found = trained(rows, Store()).record.walk_forward.by_kind
    assert found.own < found.shared
