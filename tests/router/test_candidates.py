"""What could be done: a table in a market with known numbers, and what holds in any market."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Action, Side, VenueKind
from domain.instruments import Instrument
from domain.market import DealerQuoted
from router.candidates import Candidate, candidates
from router.policy import ExecutionPolicy
from router.strategies import Slice
from tests.router.markets import INSTRUMENT, NOW_NS, TICK_PX, VENUES, market, markets, usual

POLICY = ExecutionPolicy(take_limit_ticks=5)
BUY, SELL = Side.BUY, Side.SELL
CALM, URGENT = Slice(1_000, 0.0, True), Slice(1_000, 1.0, True)


def look(side=BUY, limit=0, wanted=CALM, view=None, venues=VENUES, policy=POLICY):
    """(venue, action, ticks, max_qty) of each candidate."""
    found = candidates(side, limit * TICK_PX, wanted, view or usual(), venues, INSTRUMENT, policy, NOW_NS)
    return [(c.venue, str(c.action), c.px // TICK_PX, c.max_qty) for c in found]


CASES = [
    (
        "a calm buy",
        {},
        [
            ("LIT1", "post", 10_000, 1_000),
            ("LIT1", "improve", 10_001, 1_000),
            ("LIT1", "take", 10_003, 200),
            ("LIT2", "post", 9_999, 1_000),
            ("LIT2", "improve", 10_001, 1_000),
            ("LIT2", "take", 10_004, 100),
            ("DARK", "mid_peg", 10_003, 1_000),
            ("DEAL", "take_quote", 10_004, 1_000),
        ],
    ),
    (
        "a calm sell",
        {"side": SELL},
        [
            ("LIT1", "post", 10_003, 1_000),
            ("LIT1", "improve", 10_002, 1_000),
            ("LIT1", "take", 10_000, 300),
            ("LIT2", "post", 10_004, 1_000),
            ("LIT2", "improve", 10_002, 1_000),
            ("LIT2", "take", 9_999, 100),
            ("DARK", "mid_peg", 10_000, 1_000),
            ("DEAL", "take_quote", 9_999, 1_000),
        ],
    ),
    (
        "an urgent buy sweeps everything to one price: 10003 has 200, 10004 has 1000 with the dealer's 500",
        {"wanted": URGENT},
        [
            ("LIT1", "post", 10_000, 1_000),
            ("LIT1", "improve", 10_001, 1_000),
            ("LIT1", "take", 10_004, 600),
            ("LIT2", "post", 9_999, 1_000),
            ("LIT2", "improve", 10_001, 1_000),
            ("LIT2", "take", 10_004, 100),
            ("DARK", "mid_peg", 10_003, 1_000),
            ("DEAL", "take_quote", 10_004, 1_000),
        ],
    ),
    (
        "an urgent sell: 10000 has 300, 9999 has 600 and the dealer's 500",
        {"side": SELL, "wanted": Slice(1_000, 1.0, False)},
        [("LIT1", "take", 9_999, 800), ("LIT2", "take", 9_999, 100), ("DEAL", "take_quote", 9_999, 1_000)],
    ),
    (
        "an urgent slice that the first price just covers goes no deeper",
        {"wanted": Slice(200, 1.0, False), "venues": {"LIT1": VENUES["LIT1"]}},
        [("LIT1", "take", 10_003, 200)],
    ),
    (
        "nor does what the policy allows for exactly",
        {"wanted": Slice(3_000, 1.0, False), "policy": ExecutionPolicy(take_limit_ticks=2)},
        [("LIT1", "take", 10_005, 1_200), ("LIT2", "take", 10_005, 100), ("DEAL", "take_quote", 10_004, 1_000)],
    ),
    (
        "the policy bounds a sell too",
        {"side": SELL, "wanted": Slice(2_000, 1.0, False), "policy": ExecutionPolicy(take_limit_ticks=1)},
        [("LIT1", "take", 9_999, 800), ("LIT2", "take", 9_999, 100), ("DEAL", "take_quote", 9_999, 1_000)],
    ),
    (
        "the limit of a sell is kept",
        {"side": SELL, "limit": 10_001, "wanted": URGENT},
        [
            ("LIT1", "post", 10_003, 1_000),
            ("LIT1", "improve", 10_002, 1_000),
            ("LIT2", "post", 10_004, 1_000),
            ("LIT2", "improve", 10_002, 1_000),
            ("DARK", "mid_peg", 10_001, 1_000),
        ],
    ),
    (
        "a peg whose limit is the mid can still meet it",
        {"limit": 10_002, "venues": {"DARK": VENUES["DARK"]}, "view": market(((10_000, 5),), ((10_004, 5),))},
        [("DARK", "mid_peg", 10_002, 1_000)],
    ),
    (
        "one whose limit is worse for the other side can't",
        {
            "limit": 10_003,
            "side": SELL,
            "venues": {"DARK": VENUES["DARK"]},
            "view": market(((10_000, 5),), ((10_004, 5),)),
        },
        [],
    ),
    (
        "where the best bid elsewhere would cross a venue, nothing rests there",
        {"view": market(((10_002, 5),), ((10_005, 5),), (), ((10_002, 5),)), "venues": {"LIT2": VENUES["LIT2"]}},
        [("LIT2", "take", 10_002, 5)],
    ),
    (
        "what can't rest only takes",
        {"wanted": Slice(2_000, 1.0, False)},
        [("LIT1", "take", 10_005, 1_200), ("LIT2", "take", 10_005, 100), ("DEAL", "take_quote", 10_004, 1_000)],
    ),
    (
        "the limit is kept: no take, no improving, and a peg that can still meet the mid",
        {"limit": 10_002, "wanted": URGENT},
        [
            ("LIT1", "post", 10_000, 1_000),
            ("LIT1", "improve", 10_001, 1_000),
            ("LIT2", "post", 9_999, 1_000),
            ("LIT2", "improve", 10_001, 1_000),
            ("DARK", "mid_peg", 10_002, 1_000),
        ],
    ),
    (
        "a limit below the touch rests there",
        {"limit": 9_998, "wanted": URGENT},
        [("LIT1", "post", 9_998, 1_000), ("LIT2", "post", 9_998, 1_000)],
    ),
    (
        "the policy bounds how far through the best price a take goes",
        {"wanted": Slice(2_000, 1.0, False), "policy": ExecutionPolicy(take_limit_ticks=1)},
        [("LIT1", "take", 10_004, 600), ("LIT2", "take", 10_004, 100), ("DEAL", "take_quote", 10_004, 1_000)],
    ),
    (
        "the policy bounds what may be done and where",
        {"policy": ExecutionPolicy(actions=(Action.POST, Action.MID_PEG), excluded_venues=("LIT1",))},
        [("LIT2", "post", 9_999, 1_000), ("DARK", "mid_peg", 10_003, 1_000)],
    ),
    ("no bid, no candidates", {"view": market(asks1=((10_003, 200),))}, []),
    ("no offer, no candidates, whatever the limit", {"view": market(bids1=((10_000, 200),)), "limit": 10_000}, []),
    (
        "a spread of one tick can't be improved; an empty venue is joined at the best price",
        {
            "view": market(bids1=((10_000, 1),), asks1=((10_001, 5),)),
            "venues": {k: VENUES[k] for k in ("LIT1", "LIT2")},
        },
        [("LIT1", "post", 10_000, 1_000), ("LIT1", "take", 10_001, 5), ("LIT2", "post", 10_000, 1_000)],
    ),
    (
        "fewer shares than the dark venue accepts",
        {"wanted": Slice(49, 0.0, True), "venues": {"DARK": VENUES["DARK"]}},
        [],
    ),
]


@pytest.mark.parametrize(("what", "asked", "expected"), CASES, ids=[case[0] for case in CASES])
def test_candidates(what, asked, expected):
    assert look(**asked) == expected


QUOTES = [
    ("alive", {}, True),
    ("expires within the margin", {"valid_ns": 5_000_000}, False),
    ("lives just longer than the margin", {"valid_ns": 5_000_001}, True),
    ("nothing offered", {"quote": (9_999, 1_000, 10_004, 0)}, False),
    ("just not too far through the best price", {"quote": (9_999, 1_000, 10_008, 1_000)}, True),
    ("too far through the best price", {"quote": (9_999, 1_000, 10_009, 1_000)}, False),
    ("of no interest to a seller", {"side": SELL, "quote": (9_999, 0, 10_004, 1_000)}, False),
    ("just not too far for a seller", {"side": SELL, "quote": (9_995, 1_000, 10_004, 1_000)}, True),
    ("too far for a seller", {"side": SELL, "quote": (9_994, 1_000, 10_004, 1_000)}, False),
]


@pytest.mark.parametrize(("what", "changes", "taken"), QUOTES, ids=[case[0] for case in QUOTES])
def test_which_quotes_can_be_taken(what, changes, taken):
    sides = {"bids1": ((10_000, 300),), "asks1": ((10_003, 200),)}
    asked = {**sides, "quote": (9_999, 1_000, 10_004, 1_000), **changes}
    side = asked.pop("side", BUY)
    assert bool(look(side, view=market(**asked), venues={"DEAL": VENUES["DEAL"]})) is taken


def test_what_rests_says_how_long_and_behind_how_much():
    found = candidates(BUY, 9_999 * TICK_PX, Slice(1_000, 0.5, True), usual(), VENUES, INSTRUMENT, POLICY, NOW_NS)
    assert [(c.venue, c.horizon_ns, c.queue_ahead_qty) for c in found] == [
        ("LIT1", 3_000_000_000, 800),  # 300 at 10000 and 500 at 9999
        ("LIT2", 3_000_000_000, 100),
    ]
    found = candidates(SELL, 10_004 * TICK_PX, Slice(1_000, 0.5, True), usual(), VENUES, INSTRUMENT, POLICY, NOW_NS)
    assert [(c.venue, c.queue_ahead_qty) for c in found] == [("LIT1", 600), ("LIT2", 100)]


def test_several_dealers_count_with_their_common_share():
    """10 at 10001 and 500 of the slice from two dealers at 10002; the rest has to go to 10003."""
    view = market(bids1=((10_000, 300),), asks1=((10_001, 10), (10_003, 490), (10_004, 100)))
    for venue in ("DEAL", "DEAL2"):
        quote = DealerQuoted(venue, "ALFA", "Q", 0, 0, 10_002 * TICK_PX, 400, NOW_NS + 1_000_000_000)
        view.apply(quote, NOW_NS)
    venues = {"DEAL": VENUES["DEAL"], "DEAL2": VENUES["DEAL"], "LIT1": VENUES["LIT1"]}
    assert look(wanted=Slice(1_000, 1.0, False), view=view, venues=venues)[-1] == ("LIT1", "take", 10_003, 500)
    more_dealers = ExecutionPolicy(max_dealer_share=0.9)
    assert look(wanted=Slice(810, 1.0, False), view=view, venues=venues, policy=more_dealers)[-1][2:] == (10_003, 500)


@pytest.mark.parametrize(("side", "px"), [(BUY, 1_000_000), (SELL, 1_000_600)])
def test_a_price_off_the_tick_is_joined_from_behind(side, px):
    view = market(bids1=((10_001, 5),), asks1=((10_005, 5),))
    instrument = Instrument("ALFA", tick_px=200)
    found = candidates(side, 0, CALM, view, {"LIT1": VENUES["LIT1"]}, instrument, POLICY, NOW_NS)
    assert [(str(c.action), c.px) for c in found] == [("post", px)]


@pytest.mark.parametrize(("qty", "min_qty"), [(1_000, 100), (80, 80), (50, 50)])
def test_a_peg_asks_for_no_more_than_the_slice_as_minimum(qty, min_qty):
    venues = {"DARK": VENUES["DARK"]}
    found = candidates(BUY, 0, Slice(qty, 0.0, True), usual(), venues, INSTRUMENT, POLICY, NOW_NS)
    assert found == [
        Candidate("DARK", VenueKind.DARK, Action.MID_PEG, 10_003 * TICK_PX, qty, min_qty, "", 15_000_000_000)
    ]


@given(
    markets,
    st.sampled_from(list(Side)),
    st.sampled_from([0, *range(80, 121)]),
    st.builds(Slice, st.integers(1, 3_000), st.sampled_from([0.0, 0.4, 1.0]), st.booleans()),
    st.sampled_from([100, 200]),
    st.integers(0, 8),
)
def test_in_any_market_a_candidate_can_be_done(view, side, limit, wanted, tick_px, take_limit_ticks):
    instrument = Instrument("ALFA", tick_px=tick_px)
    limit_px = limit * 200
    policy = msgspec.structs.replace(POLICY, take_limit_ticks=take_limit_ticks)
    far_px = view.ask_px if side is BUY else view.bid_px
    for c in candidates(side, limit_px, wanted, view, VENUES, instrument, policy, NOW_NS):
        assert c.px > 0 and c.px % tick_px == 0 and c.max_qty > 0 and c.min_qty <= c.max_qty
        assert not limit_px or side.sign * c.px <= side.sign * limit_px
        assert (c.horizon_ns == 0) == (c.action in (Action.TAKE, Action.TAKE_QUOTE))
        assert wanted.passive or not c.horizon_ns
        book = view.books.get(c.venue)
        if c.action is Action.TAKE:
            assert c.max_qty == book.takeable(side, c.px)
        if not c.horizon_ns:
            assert side.sign * (c.px - far_px) <= take_limit_ticks * tick_px
        if c.action in (Action.POST, Action.IMPROVE):
            assert book.takeable(side, c.px) == 0  # it rests, and doesn't cross its own venue
