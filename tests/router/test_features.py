"""Features: known numbers in a known market, and what must hold in any."""

from math import log1p

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.facts import ChildSubmitted
from domain.fields import Action, Side
from domain.instruments import Instrument
from domain.market import TradePrinted
from router.candidates import candidates
from router.features import FEATURES, FILL_PRIOR, features, schema_hash
from router.policy import ExecutionPolicy
from router.statistics import VenueStatistics
from router.strategies import Slice
from tests.router.markets import INSTRUMENT, NOW_NS, TICK_PX, VENUES, market, markets, mirrored, usual

INDEX = {name: index for index, name in enumerate(sorted(VENUES))}
CALM = Slice(1_000, 0.25, True)


def rows(side=Side.BUY, view=None, statistics=None, wanted=CALM, instrument=INSTRUMENT, now_ns=NOW_NS):
    """{(venue, action): {feature: value}}"""
    view = view or usual()
    found = candidates(side, 0, wanted, view, VENUES, instrument, ExecutionPolicy(), now_ns)
    matrix = features(found, side, wanted, view, instrument, VENUES, statistics or VenueStatistics(), INDEX, now_ns)
    assert matrix.dtype == np.float32 and matrix.shape == (len(found), len(FEATURES))
    return {
        (c.venue, str(c.action)): dict(zip(FEATURES, row.tolist(), strict=True))
        for c, row in zip(found, matrix, strict=True)
    }


def test_the_market_as_a_buyer_sees_it():
    row = rows()["LIT1", "post"]
    assert row["spread_ticks"] == 3
    assert row["imbalance"] == pytest.approx(-100 / 500)  # 200 offered, 300 bid
    assert row["microprice_bps"] == pytest.approx(0.2 * 150 / 1_000_150 * 1e4)  # bids outweigh: it leans away
    assert row["urgency"] == 0.25
    assert row["book_age_s"] == 2


# (venue, action), feature, value
ROWS = [
    (("LIT1", "post"), "aggression_ticks", -1.5),
    (("LIT2", "post"), "aggression_ticks", -2.5),
    (("LIT1", "improve"), "aggression_ticks", -0.5),
    (("LIT1", "take"), "aggression_ticks", 1.5),
    (("DARK", "mid_peg"), "aggression_ticks", 0),
    (("DEAL", "take_quote"), "aggression_ticks", 2.5),
    (("LIT1", "post"), "at_best", 1),
    (("LIT2", "post"), "at_best", 0),
    (("LIT2", "improve"), "at_best", 1),
    (("LIT1", "take"), "at_best", 1),
    (("LIT2", "take"), "at_best", 0),
    (("DEAL", "take_quote"), "at_best", 0),
    (("LIT1", "post"), "queue_ahead", log1p(300)),
    (("LIT1", "improve"), "queue_ahead", 0),
    (("LIT1", "post"), "qty", log1p(1_000)),
    (("LIT1", "take"), "qty", log1p(200)),
    (("LIT1", "post"), "qty_share", 1_000 / 1_300),
    (("LIT1", "take"), "qty_share", 0.5),
    (("LIT1", "post"), "venue_near", log1p(300)),
    (("LIT1", "post"), "venue_far", log1p(200)),
    (("DARK", "mid_peg"), "venue_far", log1p(200)),
    (("LIT1", "post"), "horizon_s", 4),
    (("LIT1", "take"), "horizon_s", 0),
    (("DEAL", "take_quote"), "quote_left_s", 1),
    (("DARK", "mid_peg"), "book_age_s", 0),  # nothing is displayed there: the age of the whole view
    (("DARK", "mid_peg"), "venue_index", 0),
    (("LIT2", "take"), "venue_index", 3),
    (("LIT1", "post"), "fill_prior", 0.3),
    (("LIT2", "post"), "fill_prior", 0.15),  # a tick behind the best
    (("LIT1", "improve"), "fill_prior", 0.51),
    (("LIT1", "take"), "fill_prior", 0.95),
    (("DARK", "mid_peg"), "fill_prior", 0.3),
    (("DEAL", "take_quote"), "fill_prior", 0.8),
]


@pytest.mark.parametrize(("candidate", "feature", "value"), ROWS)
def test_a_candidate_in_numbers(candidate, feature, value):
    assert rows()[candidate][feature] == pytest.approx(value, rel=1e-6)


def test_quantities_are_in_lots():
    statistics = resting(70)
    found = rows(statistics=statistics, instrument=Instrument("ALFA", tick_px=TICK_PX, lot_qty=10))
    post, dark = found["LIT1", "post"], found["DARK", "mid_peg"]
    quantities = [post[name] for name in ("queue_ahead", "own_resting", "qty", "venue_near", "venue_far")]
    assert quantities == pytest.approx([log1p(qty / 10) for qty in (300, 70, 1_000, 300, 200)])
    assert [dark[name] for name in ("venue_near", "venue_far")] == pytest.approx([log1p(30), log1p(20)])


def test_ages_and_what_is_left_of_a_quote_go_with_time():
    found = rows(now_ns=NOW_NS + 250_000_000)
    assert found["LIT1", "post"]["book_age_s"] == 2.25
    assert found["DARK", "mid_peg"]["book_age_s"] == 0.25
    assert found["DEAL", "take_quote"]["quote_left_s"] == 0.75


@pytest.mark.parametrize(("side", "quote", "at_best"), [
    (Side.BUY, (9_999, 10, 10_003, 10), 1), (Side.BUY, (9_999, 10, 10_004, 10), 0),
    (Side.SELL, (10_000, 10, 10_004, 10), 1), (Side.SELL, (9_999, 10, 10_004, 10), 0),
])  # fmt: skip
def test_a_quote_may_be_as_good_as_the_best_price(side, quote, at_best):
    view = market(bids1=((10_000, 300),), asks1=((10_003, 200),), quote=quote)
    assert rows(side, view)["DEAL", "take_quote"]["at_best"] == at_best


def test_one_action_is_set_and_the_prior_has_its_column():
    for (_, action), row in rows().items():
        assert [name for name in Action if row.get(f"action_{name}")] == [action]
    assert FEATURES[FILL_PRIOR] == "fill_prior"


def test_selling_pressure_helps_a_buyer():
    view = usual()
    view.apply(TradePrinted("LIT1", "ALFA", 10_000 * TICK_PX, 250, Side.SELL), NOW_NS)
    assert rows(Side.BUY, view)["LIT1", "post"]["signed_flow"] == pytest.approx(0.5)
    assert rows(Side.SELL, view)["LIT1", "post"]["signed_flow"] == pytest.approx(-0.5)


def resting(qty):
    statistics = VenueStatistics()
    statistics.apply_submitted(
        ChildSubmitted(
            at_ns=1, child_id="C1", parent_id="P1", decision_id=1, candidate=0, venue="LIT1", account="ACC",
            symbol="ALFA", side=Side.BUY, order_qty=qty, action=Action.POST, px=1, min_qty=0, quote_id="", horizon_ns=1,
        )
    )  # fmt: skip
    return statistics


def test_what_we_rest_ourselves_is_known():
    statistics = resting(70)
    found = rows(statistics=statistics)
    assert found["LIT1", "post"]["own_resting"] == pytest.approx(log1p(70))
    assert found["LIT1", "take"]["own_resting"] == found["LIT2", "post"]["own_resting"] == 0
    assert rows(Side.SELL, statistics=statistics)["LIT1", "post"]["own_resting"] == 0


@given(markets, st.sampled_from(list(Side)), st.builds(Slice, st.integers(1, 3_000), st.floats(0, 1), st.booleans()))
def test_in_any_market_rows_are_finite_and_the_mirrored_market_has_the_same(view, side, wanted):
    assume(view.mid2_px)
    found = rows(side, view, wanted=wanted)
    assert all(np.isfinite(list(row.values())).all() for row in found.values())
    other = Side.SELL if side is Side.BUY else Side.BUY
    mirror = rows(other, mirrored(view), wanted=wanted)
    assert mirror.keys() == found.keys()
    for key, row in found.items():
        row["volatility_bps"] = mirror[key]["volatility_bps"]  # in bps of the mids on the way, which are not mirrored
        assert mirror[key] == pytest.approx(row, rel=1e-5, abs=1e-6)


def test_the_schema_is_named_by_features_and_venues_in_any_order():
    assert schema_hash(["B", "A"]) == schema_hash(["A", "B"]) != schema_hash(["A", "C"])
    assert len(schema_hash(VENUES)) == 16 and len(set(FEATURES)) == len(FEATURES)
