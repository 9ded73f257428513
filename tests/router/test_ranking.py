"""The rankings that learning is compared with, in a market whose numbers are known."""

import numpy as np
import pytest

from domain.facts import DecisionMade
from domain.fields import Side
from router.candidates import candidates
from router.features import FEATURES, features
from router.policy import ExecutionPolicy
from router.ranking import RecentRates, ranked
from router.scoring import score
from router.statistics import VenueStatistics
from router.strategies import Slice
from tests.router.markets import INSTRUMENT, NOW_NS, VENUES, market, usual
from tests.router.test_engine import Harness

WANTED = Slice(1_000, 0.0, True)
VIEW = usual()


def order(ranking, probability=0.5, view=VIEW, side=Side.BUY, decision_id=1):
    """The names of all candidates, the first one first, and their costs."""
    found = candidates(side, 0, WANTED, view, VENUES, INSTRUMENT, ExecutionPolicy(), NOW_NS)
    statistics = VenueStatistics()
    index = {name: number for number, name in enumerate(sorted(VENUES))}
    rows = features(found, side, WANTED, view, INSTRUMENT, VENUES, statistics, index, NOW_NS)
    scores = score(found, [probability] * len(found), side, WANTED, view, VENUES, statistics)
    costs = [one.cost_bps for one in ranked(ranking, found, rows, scores, 1.0, 7, decision_id)]
    names = [f"{candidate.venue} {candidate.action}" for candidate in found]
    return [name for _, name in sorted(zip(costs, names, strict=True))], costs


def test_static_goes_by_price_and_fee_and_does_not_care_what_fills():
    names, costs = order("static")
    # LIT1 alone is at the best bid of 100.00; an improvement is a tick dearer, the midpoint another half.
    assert names == [
        "LIT1 post", "LIT1 improve", "LIT2 improve", "DARK mid_peg", "LIT1 take", "LIT2 take", "DEAL take_quote",
        "LIT2 post",
    ]  # fmt: skip
    assert order("static", probability=0.01) == (names, costs)
    assert order("learned", probability=0.01)[0] != names


def test_where_price_and_fee_are_the_same_the_larger_size_goes_first():
    for large in ("LIT1", "LIT2"):
        sizes = {"LIT1": 100, "LIT2": 100, large: 900}
        view = market(
            bids1=((10_000, sizes["LIT1"]),), asks1=((10_003, 100),),
            bids2=((10_000, sizes["LIT2"]),), asks2=((10_003, 100),),
        )  # fmt: skip
        same = dict.fromkeys(("LIT1", "LIT2"), VENUES["LIT1"])
        found = candidates(Side.BUY, 0, WANTED, view, same, INSTRUMENT, ExecutionPolicy(), NOW_NS)
        statistics = VenueStatistics()
        rows = features(found, Side.BUY, WANTED, view, INSTRUMENT, same, statistics, {"LIT1": 0, "LIT2": 1}, NOW_NS)
        scores = score(found, [0.5] * len(found), Side.BUY, WANTED, view, same, statistics)
        costs = ranked("static", found, rows, scores, 1.0, 7, 1)
        assert found[min(range(len(found)), key=lambda i: costs[i].cost_bps)].venue == large


def test_random_is_another_order_each_time_and_the_same_again():
    orders = {tuple(order("random", decision_id=number)[0]) for number in range(20)}
    assert len(orders) > 15
    assert order("random", decision_id=3) == order("random", decision_id=3)


def test_the_table_is_the_recent_fill_rate():
    rows = np.zeros((2, len(FEATURES)), dtype=np.float32)
    rows[:, FEATURES.index("fill_rate")] = (0.25, 0.75)
    probabilities, markouts = RecentRates("table", "x").predict(rows, np.array([0, 5], dtype=np.int64))
    assert probabilities.tolist() == [0.25, 0.75]
    assert markouts is None


@pytest.mark.parametrize("ranking", ["learned", "table", "static", "random"])
def test_a_decision_names_what_ranked_it(ranking):
    desk = Harness(policy=ExecutionPolicy(ranking=ranking))
    facts = desk.new()
    made = next(fact for fact in facts if isinstance(fact, DecisionMade))
    assert made.model_id == ("prior" if ranking == "learned" else ranking)
    assert sum(candidate.chosen_qty for candidate in made.candidates) == made.slice_qty
