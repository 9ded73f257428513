"""Costs by hand, in a market whose mid is 100.015."""

from math import pi, sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.fields import Side
from domain.market import BookSnapshot
from router.candidates import candidates
from router.policy import ExecutionPolicy
from router.scoring import score
from router.statistics import VenueStatistics
from router.strategies import Slice
from tests.router.markets import INSTRUMENT, NOW_NS, TICK_PX, VENUES, markets, usual

PER_PX = 1e4 / 1_000_150


def scores(probability, side=Side.BUY, wanted=None, view=None, policy=None):
    wanted, view = wanted or Slice(1_000, 0.0, True), view or usual()
    found = candidates(side, 0, wanted, view, VENUES, INSTRUMENT, policy or ExecutionPolicy(), NOW_NS)
    result = score(found, [probability] * len(found), side, wanted, view, VENUES, VenueStatistics())
    return {(c.venue, str(c.action)): s for c, s in zip(found, result, strict=True)}


PARTS = [  # price in Px against the mid, fee in Px, markout in bps
    (Side.BUY, ("LIT1", "post"), -150, -20, 0.3),
    (Side.BUY, ("LIT1", "improve"), -50, -20, 0.4),
    (Side.BUY, ("LIT1", "take"), 150, 30, 0),
    (Side.BUY, ("LIT2", "take"), 250, -10, 0),
    (Side.BUY, ("DARK", "mid_peg"), 0, 10, 0.15),
    (Side.BUY, ("DEAL", "take_quote"), 250, 0, 0),
    (Side.SELL, ("LIT1", "post"), -150, -20, 0.3),
    (Side.SELL, ("LIT1", "take"), 150, 30, 0),
]


@pytest.mark.parametrize(("side", "candidate", "price_px", "fee_px", "markout_bps"), PARTS)
def test_the_parts_of_a_cost(side, candidate, price_px, fee_px, markout_bps):
    found = scores(1.0, side)[candidate]
    assert found.price_bps == pytest.approx(price_px * PER_PX)
    assert found.fee_bps == pytest.approx(fee_px * PER_PX)
    assert found.markout_bps == pytest.approx(markout_bps)
    filled_bps, part = (price_px + fee_px) * PER_PX + markout_bps, found.filled_fraction
    assert 0 < part < 1
    assert found.cost_bps == pytest.approx(part * filled_bps + (1 - part) * found.no_fill_bps)


def test_a_deep_take_pays_the_average_of_the_levels_that_it_needs():
    found = scores(1.0, wanted=Slice(2_000, 1.0, False))["LIT1", "take"]  # 200 at 10003, 400 at 10004, 600 at 10005
    assert found.price_bps == pytest.approx((200 * 150 + 400 * 250 + 600 * 350) / 1_200 * PER_PX)
    found = scores(1.0, wanted=Slice(250, 1.0, False))["LIT1", "take"]
    assert found.price_bps == pytest.approx((200 * 150 + 50 * 250) / 250 * PER_PX)


def moving():
    """LIT1 100.01/100.03 alone, after a move: the mid is 100.02."""
    view = usual()
    moved = tuple((px * TICK_PX, qty) for px, qty in ((10_001, 300),))
    view.apply(BookSnapshot("LIT1", "ALFA", moved, ((10_003 * TICK_PX, 200),)), NOW_NS)
    assert view.volatility_bps > 0
    return view


@pytest.mark.parametrize(("urgency", "rest_s"), [(0.0, 5.0), (1.0, 1.0)])
def test_what_does_not_fill_crosses_later_at_the_cheapest_take_and_bears_the_risk_until_then(urgency, rest_s):
    view = moving()
    found = scores(0.0, view=view, wanted=Slice(200, urgency, True))
    crossing_bps = (100 + 30) * 1e4 / 1_000_200  # at LIT1; LIT2 is a tick dearer, and cheaper by 0.40 of one
    adverse_bps = urgency * view.volatility_bps / sqrt(2 * pi)
    assert found["LIT1", "post"].cost_bps == pytest.approx(crossing_bps + adverse_bps * sqrt(rest_s))
    assert found["LIT1", "take"].cost_bps == pytest.approx(crossing_bps + adverse_bps)
    dear = found["DEAL", "take_quote"]  # a dealer who refuses: later it costs no less than now
    assert dear.price_bps + dear.fee_bps > crossing_bps
    assert dear.cost_bps == pytest.approx(dear.price_bps + dear.fee_bps + adverse_bps)


@given(markets, st.sampled_from(list(Side)), st.floats(0, 1), st.floats(0, 1))
def test_a_take_that_is_less_likely_to_fill_is_never_cheaper(view, side, less, more):
    assume(view.mid2_px and less < more)
    likely = scores(more, side, Slice(100, 1.0, False), view)
    for candidate, found in scores(less, side, Slice(100, 1.0, False), view).items():
        assert found.cost_bps >= likely[candidate].cost_bps + min(found.markout_bps, 0.0) - 1e-9


def test_where_nothing_can_be_taken_what_does_not_fill_crosses_at_the_usual_price():
    found = scores(0.0, view=moving(), policy=ExecutionPolicy(actions=("post",)))
    # Half of two ticks, and the mean of the lit taker fees, 30 and -10.
    assert found["LIT1", "post"].cost_bps == pytest.approx((100 + 10) * 1e4 / 1_000_200)


@pytest.mark.parametrize(("patience_s", "tries"), [(0, 0), (5, 0), (10, 1), (24, 3)])
def test_what_does_not_fill_can_be_tried_again_as_long_as_there_is_patience(patience_s, tries):
    wanted = Slice(200, 0.0, True, patience_s * 1_000_000_000)
    found = scores(
        0.4, view=moving(), wanted=wanted, policy=ExecutionPolicy(actions=("post", "take"), excluded_venues=("LIT2",))
    )
    post, take = found["LIT1", "post"], found["LIT1", "take"]
    filled_bps, crossing_bps = (part.price_bps + part.fee_bps + part.markout_bps for part in (post, take))
    missed = 1 - 0.4 * post.filled_fraction
    assert post.no_fill_bps == pytest.approx(filled_bps + missed**tries * (crossing_bps - filled_bps))


def test_waiting_is_worth_the_more_the_longer_it_lasts():
    costs = [scores(0.3, wanted=Slice(500, 0.0, True, s * 1_000_000_000))["LIT1", "post"].cost_bps for s in (0, 10, 30)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1] + 0.1


@given(markets, st.sampled_from(list(Side)), st.floats(0, 1), st.integers(1, 3_000), st.sampled_from([0.0, 1.0]))
def test_in_any_market_a_cost_lies_between_filling_and_not(view, side, probability, qty, urgency):
    assume(view.mid2_px)
    wanted = Slice(qty, urgency, True)
    for found in scores(probability, side, wanted, view).values():
        filled_bps = found.price_bps + found.fee_bps + found.markout_bps
        low, high = sorted((filled_bps, found.no_fill_bps))
        assert low - 1e-9 <= found.cost_bps <= high + 1e-9
