"""Allocation over dark venues: near the best there is, also after a change, and no more believed than was seen."""

import pytest

import router.dark
from domain.facts import ChildCanceled, ChildCancelRequested, ChildFilled, ChildSubmitted
from domain.fields import Action, LastLiquidityInd, Side, VenueKind
from domain.orders import ChildOrder
from router.allocation import allocate
from router.candidates import Candidate
from router.dark import ENOUGH, HALF_LIFE, MOST, DarkPools, ProductLimit, split
from router.policy import ExecutionPolicy
from router.scoring import Score
from router.strategies import Slice
from study.dark import study


def test_it_comes_near_to_who_knows_and_finds_a_change():
    found = study(6)
    assert found["after_500_rounds"]["mean"] > 0.95
    assert found["200_rounds_after_a_change"]["mean"] > 0.95
    assert found["right_after_a_change"]["mean"] < found["200_rounds_after_a_change"]["mean"]


@pytest.fixture
def unfading(monkeypatch):
    monkeypatch.setattr(router.dark, "_KEEP", 1.0)


def test_the_estimate_is_kaplan_and_meiers(unfading):
    """By hand: 10 rounds of 3 pieces, of which 2 filled none, 3 one, 1 two, 4 all that was sent."""
    one = ProductLimit()
    for filled, times in ((0, 2), (1, 3), (2, 1), (3, 4)):
        for _ in range(times):
            one.apply(3, filled)
    # At risk of ending at 0, 1, 2 pieces: 10, 8, 5. What lies beyond 3 was never tried: one size more is believed.
    assert one.tails == pytest.approx([8 / 10, 5 / 10, 4 / 10, 4 / 10])


def test_what_was_cut_off_is_no_end(unfading):
    one = ProductLimit()
    for _ in range(20):
        one.apply(1, 1)
    assert one.tails == pytest.approx([1.0, 1.0])
    one.apply(MOST + 5, MOST + 5)
    assert one.tails == pytest.approx([1.0, 1.0])


def test_what_is_not_known_is_tried_and_what_fades_is_tried_again():
    one = ProductLimit()
    assert one.tails == [1.0]
    for _ in range(50):
        one.apply(2, 0)
    assert one.tails[0] == pytest.approx(0.0, abs=1e-9)
    rounds = 0
    while one.tails[0] < 1.0:
        one.apply(0, 0)
        rounds += 1
    assert 2 * HALF_LIFE < rounds < 5 * HALF_LIFE
    assert ENOUGH > 1


@pytest.mark.parametrize(
    ("worth", "least", "total", "expected"),
    [
        ([[0.9, 0.5, 0.1], [0.6, 0.4, 0.3]], 1, 4, [2, 2]),
        ([[0.9, 0.5, 0.1], [0.6, 0.4, 0.3]], 1, 9, [3, 3]),
        ([[0.0, 0.0], [0.2, 0.0]], 1, 5, [0, 1]),
        ([[0.5, 0.5], [0.5, 0.5]], 1, 2, [1, 1]),
        ([[0.5]], 1, 0, [0]),
        ([[0.9, 0.1, 0.1], [0.4, 0.4, 0.4]], 2, 3, [3, 0]),  # what comes together is worth its mean
        ([[0.9, 0.1, 0.1], [0.4, 0.4, 0.4]], 2, 4, [2, 2]),
        ([[0.9, 0.9], [0.4, 0.4]], 3, 2, [0, 0]),
    ],
)
def test_each_piece_goes_where_it_is_worth_most(worth, least, total, expected):
    keys = range(len(worth))
    most = {key: len(worth[key]) for key in keys}
    sent = split(dict(enumerate(worth)), total, dict.fromkeys(keys, least), most)
    assert [sent[key] for key in keys] == expected


def ended(filled_qty, reason, venue="POOL"):
    child = ChildOrder(
        ChildSubmitted(
            at_ns=0, child_id="C", parent_id="P", decision_id=1, candidate=0, venue=venue, account="A", symbol="ALFA",
            side=Side.BUY, order_qty=500, action=Action.MID_PEG, px=100, min_qty=0, quote_id="", horizon_ns=1,
        )
    )  # fmt: skip
    if filled_qty:
        child.apply(
            ChildFilled(
                at_ns=0, child_id="C", venue=venue, exec_id="E", last_qty=filled_qty, last_px=100,
                liquidity=LastLiquidityInd.ADDED,
            )
        )  # fmt: skip
    child.apply(ChildCancelRequested(at_ns=0, child_id="C", cancel_id="X", reason=reason))
    child.apply(ChildCanceled(at_ns=0, child_id="C", text=""))
    return child


def test_an_order_that_was_cut_short_tells_what_was_there_at_least():
    cut, whole = DarkPools(), DarkPools()
    for _ in range(8):
        cut.apply_ended(ended(200, "late"), known=False)
        whole.apply_ended(ended(200, "horizon"), known=True)
    assert cut.tails("ALFA", "POOL") == pytest.approx([1.0, 1.0, 1.0])
    assert whole.tails("ALFA", "POOL") == pytest.approx([1.0, 1.0, 0.0, 0.0])
    nothing = DarkPools()
    nothing.apply_ended(ended(0, "late"), known=False)
    assert nothing.tails("ALFA", "POOL") == DarkPools().tails("ALFA", "POOL")


DARKS = [Candidate(venue, VenueKind.DARK, Action.MID_PEG, 100, 5_000, horizon_ns=10**9) for venue in ("D1", "D2")]
LIT = Candidate("L1", VenueKind.LIT, Action.POST, 100, 5_000, horizon_ns=10**9)


def allocations(pools, costs=(1.0, 1.1, 2.0), qty=2_000, **policy):
    found = [*DARKS, LIT]
    scores = [Score(0.0, 0.0, 0.1, 3.0, cost, 1.0) for cost in costs]
    tails = pools.of("ALFA", found)
    allocated = allocate(Slice(qty, 0.0, True), found, scores, ExecutionPolicy(**policy), 100, 1, 1, None, tails)
    assert sum(one.qty for one in allocated.allocations) <= qty
    return [one.qty for one in allocated.allocations]


def seen(**there):
    """Pools of which it is known that just so many pieces are there."""
    pools = DarkPools()
    for _ in range(60):
        for venue, pieces in there.items():
            pools.apply("ALFA", venue, 12, pieces)
    return pools


def test_the_dark_part_goes_where_the_shares_are():
    dark_qty = sum(allocations(DarkPools())[:2])
    assert dark_qty == 1_000
    first, second, lit = allocations(seen(D1=1, D2=6))
    assert (first, second, lit) == (400, 600, 1_000)  # what nobody is known to have: where the ranking had it
    assert allocations(seen(D1=0, D2=12))[:2] == [0, 1_000]
    assert allocations(seen(D1=12, D2=0))[:2] == [1_000, 0]


def test_how_much_is_dark_and_how_many_children_stay_as_the_policy_has_them():
    pools = seen(D1=2, D2=6)
    assert sum(allocations(pools, max_dark_share=0.2)[:2]) == 400
    assert sum(qty > 0 for qty in allocations(pools, max_children_per_decision=1)) == 1
    assert all(qty <= 400 for qty in allocations(pools, max_child_qty=400, qty=1_200))
