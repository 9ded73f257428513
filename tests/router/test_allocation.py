"""Who gets how much: a table, and what holds for any candidates and costs."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.fields import Action, Side, VenueKind
from router.allocation import allocate
from router.candidates import Candidate, candidates
from router.exploration import Room
from router.policy import ExecutionPolicy
from router.scoring import Score, score
from router.statistics import VenueStatistics
from router.strategies import Slice
from tests.router.markets import INSTRUMENT, NOW_NS, VENUES, markets

REST_NS = 1_000_000_000
POLICY = ExecutionPolicy(min_child_qty=100, max_child_qty=5_000, max_passive_share=0.5, min_dark_share=0.2)
CALM, URGENT = Slice(1_000, 0.0, True), Slice(1_000, 1.0, True)


def post(venue="LIT1", action=Action.POST):
    return Candidate(venue, VenueKind.LIT, action, 100, 1_000_000, horizon_ns=REST_NS)


def take(venue="LIT1", qty=200):
    return Candidate(venue, VenueKind.LIT, Action.TAKE, 100, qty)


def quote(venue="DEAL", qty=800):
    return Candidate(venue, VenueKind.DEALER, Action.TAKE_QUOTE, 100, qty, quote_id="Q1")


def peg(venue="DARK", min_qty=100):
    return Candidate(venue, VenueKind.DARK, Action.MID_PEG, 100, 1_000_000, min_qty, horizon_ns=REST_NS)


def share(costs, wanted=CALM, policy=POLICY, lot_qty=1, decision_id=1, room=None):
    """`costs` are (candidate, cost in bps)."""
    scores = [Score(0.0, 0.0, 0.0, 0.0, cost_bps, 1.0) for _, cost_bps in costs]
    found = [candidate for candidate, _ in costs]
    return allocate(wanted, found, scores, policy, lot_qty, 7, decision_id, room).allocations


CASES = [
    (
        "the cheapest take gets what is displayed, the next the rest",
        [(take("LIT1", 300), 2.0), (take("LIT2", 800), 1.0)],
        {},
        [(200, ""), (800, "")],
    ),
    (
        "orders that rest share the slice",
        [(post("LIT1"), 1.0), (post("LIT2"), 2.0), (post("LIT3"), 3.0)],
        {},
        [(500, ""), (500, ""), (0, "costlier than LIT2 post at 2.00 bps")],
    ),
    (
        "what can rest cheaper than a take leaves nothing to it",
        [(post("LIT1"), 1.0), (take("LIT1", 300), 2.0)],
        {},
        [(1_000, ""), (0, "costlier than LIT1 post at 1.00 bps")],
    ),
    (
        "a take that is cheaper goes first, the rest rests",
        [(post("LIT1"), 1.0), (take("LIT1", 300), 0.5)],
        {},
        [(700, ""), (300, "")],
    ),
    (
        "an urgent slice takes whatever resting would save",
        [(post("LIT1"), -1.0), (take("LIT1", 1_000), 2.0)],
        {"wanted": URGENT},
        [(0, "urgent: filled by what is immediate, the last LIT1 take at 2.00 bps"), (1_000, "")],
    ),
    (
        "and what it can't take rests",
        [(post("LIT1"), -1.0), (take("LIT1", 300), 2.0)],
        {"wanted": URGENT},
        [(700, ""), (300, "")],
    ),
    (
        "one order rests at a venue",
        [(post("LIT1"), 2.0), (post("LIT1", Action.IMPROVE), 1.0), (post("LIT2"), 3.0)],
        {},
        [(0, "improve rests at LIT1 already"), (500, ""), (500, "")],
    ),
    (
        "the dark gets its share of the slice and no more",
        [(peg("DARK1"), 1.0), (peg("DARK2"), 2.0), (take("LIT1", 600), 3.0)],
        {"policy": ExecutionPolicy(max_dark_share=0.6, max_passive_share=0.5)},
        [(500, ""), (100, ""), (400, "")],
    ),
    (
        "the dark gets its reserve although it costs more",
        [(post("LIT1"), 1.0), (post("LIT2"), 2.0), (peg("DARK1"), 4.0), (peg("DARK2"), 3.0)],
        {},
        [(500, ""), (300, ""), (0, "costlier than LIT2 post at 2.00 bps"), (200, "")],
    ),
    (
        "also where a take costs less than the dark",
        [(post("LIT1"), 1.0), (post("LIT2"), 2.0), (take("LIT3", 900), 2.5), (peg("DARK1"), 3.0)],
        {},
        [(500, ""), (300, ""), (0, "costlier than LIT2 post at 2.00 bps"), (200, "")],
    ),
    (
        "but nothing of a slice that can't wait, nor less than a child",
        [(post("LIT1"), 1.0), (post("LIT2"), 2.0), (peg("DARK1"), 4.0)],
        {"wanted": Slice(300, 0.0, True)},
        [(150, ""), (150, ""), (0, "costlier than LIT2 post at 2.00 bps")],
    ),
    (
        "the dark with no share left",
        [(peg("DARK1"), 1.0), (peg("DARK2"), 2.0), (take("LIT1", 600), 3.0)],
        {},
        [(500, ""), (0, "policy: max_dark_share leaves 0, a child needs 100"), (500, "")],
    ),
    (
        "dealers get their share",
        [(quote(qty=800), 1.0), (take("LIT1", 600), 2.0)],
        {"wanted": URGENT},
        [(500, ""), (500, "")],
    ),
    (
        "a child is never smaller than the policy says",
        [(take("LIT1", 99), 1.0), (take("LIT2", 950), 2.0), (take("LIT3", 500), 3.0)],
        {},
        [(0, "99 available, a child needs 100"), (950, ""), (0, "50 of the slice left, a child needs 100")],
    ),
    (
        "but as small as the slice",
        [(take("LIT1", 60), 1.0), (take("LIT2", 59), 0.0)],
        {"wanted": Slice(60, 1.0, True)},
        [(60, ""), (0, "59 available, a child needs 60")],
    ),
    (
        "MinQty needs room",
        [(peg(min_qty=600), 1.0), (take("LIT1", 1_000), 2.0)],
        {},
        [(0, "policy: max_dark_share leaves 500, a child needs 600"), (1_000, "")],
    ),
    (
        "no child is larger than the policy says",
        [(post("LIT1"), 1.0), (take("LIT1", 1_000), 2.0)],
        {"policy": ExecutionPolicy(max_child_qty=300, max_passive_share=0.5)},
        [(300, ""), (300, "")],
    ),
    (
        "no more children than the policy says",
        [(take("LIT1"), 1.0), (take("LIT2"), 2.0), (take("LIT3"), 3.0)],
        {"policy": ExecutionPolicy(max_children_per_decision=2, max_passive_share=0.5)},
        [(200, ""), (200, ""), (0, "policy: max_children_per_decision 2")],
    ),
    (
        "lots are whole",
        [(take("LIT1", 250), 1.0), (take("LIT2", 150), 2.0), (post("LIT3"), 3.0)],
        {"lot_qty": 100},
        [(200, ""), (100, ""), (700, "")],
    ),
    (
        "the odd rest of a parent goes with its last child",
        [(post("LIT1"), 2.0), (take("LIT1", 400), 1.0)],
        {"wanted": Slice(530, 0.0, True), "lot_qty": 100},
        [(100, ""), (400, "")],  # the last one has no room for 30 more
    ),
    (
        "where it has room",
        [(take("LIT1", 400), 1.0), (post("LIT1"), 2.0)],
        {"wanted": Slice(530, 0.0, True), "lot_qty": 100},
        [(400, ""), (130, "")],
    ),
    (
        "less than a lot is one child",
        [(take("LIT1", 29), 1.0), (post("LIT1"), 2.0)],
        {"wanted": Slice(30, 0.0, True), "lot_qty": 100},
        [(0, "29 available, a child needs 30"), (30, "")],
    ),
]


@pytest.mark.parametrize(("what", "costs", "asked", "expected"), CASES, ids=[case[0] for case in CASES])
def test_allocation(what, costs, asked, expected):
    allocations = share(costs, **asked)
    assert [(a.qty, a.note) for a in allocations] == expected
    assert [a.propensity for a in allocations] == [1.0 if qty else 0.0 for qty, _ in expected]


WIDE = ExecutionPolicy(max_passive_share=0.5, explored_slice_share=1.0)
ROOM = Room(0.3, 1_000, 1e9)
THREE = [(take("LIT1", 1_000), 1.0), (take("LIT2", 1_000), 2.0), (take("LIT3", 1_000), 3.0)]


def test_exploration_records_the_probability_with_which_it_chooses():
    """The ranking with 0.7, each of the two others with 0.15; and that is how often it happens."""
    decisions = [share(THREE, policy=WIDE, room=ROOM, decision_id=number) for number in range(20_000)]
    for allocations in decisions[:100]:
        assert [a.propensity for a in allocations] == pytest.approx([0.7, 0.15, 0.15])
        assert sum(a.qty for a in allocations) == 1_000
    frequencies = [sum(a[index].qty > 0 for a in decisions) / len(decisions) for index in range(3)]
    assert frequencies == pytest.approx([0.7, 0.15, 0.15], abs=0.01)


def test_what_is_tried_is_a_small_child_and_the_ranking_gets_the_rest():
    policy = ExecutionPolicy(explored_slice_share=0.1)
    tried = next(a for a in (share(THREE, policy=policy, room=ROOM, decision_id=n) for n in range(100)) if a[2].qty)
    assert [a.qty for a in tried] == [900, 0, 100]
    assert [a.propensity for a in tried] == pytest.approx([1.0, 0.15, 0.15])


def test_the_propensity_counts_every_way_to_be_chosen():
    """Two of three rest whatever is tried; the third where it goes first."""
    costs = [(post("LIT1"), 1.0), (post("LIT2"), 2.0), (post("LIT3"), 3.0)]
    propensities = [a.propensity for a in share(costs, policy=WIDE, room=ROOM)]
    assert propensities == pytest.approx([1.0, 1.0, 0.3])


ROOMS = [
    ("shares for the child", Room(0.3, 100, 1e9), [1.0, 0.15, 0.15]),
    ("a share too few", Room(0.3, 99, 1e9), [1.0, 0.0, 0.0]),
    # A tenth of the slice costs 2 bps more: 0.2 bps of the slice.
    ("cost for both", Room(0.3, 100, 0.2), [1.0, 0.15, 0.15]),
    ("cost for the cheaper one", Room(0.3, 100, 0.199), [1.0, 0.3, 0.0]),
    ("cost for none", Room(0.3, 100, 0.099), [1.0, 0.0, 0.0]),
]


@pytest.mark.parametrize(("what", "room", "expected"), ROOMS, ids=[case[0] for case in ROOMS])
def test_near_its_bounds_a_decision_explores_what_fits_with_the_propensities_of_that(what, room, expected):
    policy = ExecutionPolicy(explored_slice_share=0.1)
    decisions = [share(THREE, policy=policy, room=room, decision_id=number) for number in range(4_000)]
    assert [a.propensity for a in decisions[0]] == pytest.approx(expected)
    frequencies = [sum(a[index].qty > 0 for a in decisions) / len(decisions) for index in range(3)]
    assert frequencies == pytest.approx(expected, abs=0.025)


def test_a_decision_explores_the_same_way_every_time():
    assert share(THREE, room=ROOM, decision_id=3) == share(THREE, room=ROOM, decision_id=3)


def test_what_an_exploration_passed_over_says_so():
    found = (share(THREE, policy=WIDE, room=ROOM, decision_id=n) for n in range(100))
    explored = next(a for a in found if a[2].qty)
    assert explored[0].note == "filled after an exploration, the last LIT3 take at 3.00 bps"


@given(
    view=markets,
    side=st.sampled_from(list(Side)),
    wanted=st.builds(Slice, st.integers(1, 3_000), st.sampled_from([0.0, 0.4, 1.0]), st.booleans()),
    probabilities=st.lists(st.floats(0, 1), min_size=8, max_size=8),
    lot_qty=st.sampled_from([1, 10, 100]),
    policy=st.builds(
        ExecutionPolicy,
        min_child_qty=st.integers(1, 200),
        max_child_qty=st.integers(200, 2_000),
        max_children_per_decision=st.integers(1, 4),
        max_passive_share=st.floats(0, 1),
        max_dark_share=st.floats(0, 1),
        max_dealer_share=st.floats(0, 1),
        explored_slice_share=st.sampled_from([0.1, 1.0]),
    ),
    room=st.none() | st.builds(Room, st.just(0.5), st.integers(1, 3_000), st.floats(0, 5)),
    decision_id=st.integers(1, 1_000),
)
def test_in_any_market_the_children_fit_the_slice_and_the_policy(
    view, side, wanted, probabilities, lot_qty, policy, room, decision_id
):
    assume(view.mid2_px)
    found = candidates(side, 0, wanted, view, VENUES, INSTRUMENT, policy, NOW_NS)
    scores = score(found, probabilities[: len(found)], side, wanted, view, VENUES, VenueStatistics())
    allocated = allocate(wanted, found, scores, policy, lot_qty, 7, decision_id, room)
    allocations = allocated.allocations
    if room is None:
        assert allocated.explored_qty == 0
    else:
        ranking = allocate(wanted, found, scores, policy, lot_qty, 7, decision_id).allocations
        moved_qty = sum(max(a.qty - b.qty, 0) for a, b in zip(allocations, ranking, strict=True))
        assert moved_qty == allocated.explored_qty <= room.qty and 0.0 <= allocated.explored_bps <= room.bps
        assert sum(a.qty for a in allocations) >= sum(a.qty for a in ranking)
    assert len(allocations) == len(found)
    chosen = [(c, a) for c, a in zip(found, allocations, strict=True) if a.qty]
    assert sum(a.qty for _, a in chosen) <= wanted.qty
    assert len(chosen) <= policy.max_children_per_decision
    for candidate, allocation in zip(found, allocations, strict=True):
        assert bool(allocation.qty) != bool(allocation.note)
        assert 0.0 <= allocation.propensity <= 1.0 and (allocation.propensity > 0.0 or not allocation.qty)
        if allocation.qty:
            smallest = max(min(policy.min_child_qty, wanted.qty - wanted.qty % lot_qty), candidate.min_qty)
            assert smallest <= allocation.qty <= min(candidate.max_qty, policy.max_child_qty)
    for kind, allowed in ((VenueKind.DARK, policy.max_dark_share), (VenueKind.DEALER, policy.max_dealer_share)):
        odd_qty = wanted.qty % lot_qty
        assert sum(a.qty for c, a in chosen if c.kind is kind) <= allowed * wanted.qty + odd_qty
    resting = [c.venue for c, _ in chosen if c.action in (Action.POST, Action.IMPROVE)]
    assert len(set(resting)) == len(resting)
    lot_qty = lot_qty if wanted.qty >= lot_qty else 1  # less than a lot goes wherever there is some
    odd = [a for _, a in chosen if a.qty % lot_qty]
    assert not odd or (odd == [chosen[-1][1]] and sum(a.qty for _, a in chosen) == wanted.qty)
