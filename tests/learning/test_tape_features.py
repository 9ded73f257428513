"""Features of a tape: each of a few by hand, mirrored sides alike, and none that knows what comes later."""

from math import exp, log, log1p, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fields import Side
from learning.tape_events import TouchEvent, TouchKind
from learning.tape_features import FEATURES, Decaying, Level, TapeFeatures
from learning.tape_joins import joins
from tests.learning.tapes import OPEN_NS, day

S = 1_000_000_000
BID, ASK = 1_000_000, 1_000_400


def seen(events: list[TouchEvent], side: Side, now_ns: int) -> dict[str, float]:
    features = TapeFeatures()
    for event in events:
        features.apply(event)
    return dict(zip(FEATURES, features.row(side, now_ns), strict=True))


def event(at_s: float, kind: TouchKind, side: Side, px: int, qty: int, bid: int, ask: int) -> TouchEvent:
    return TouchEvent(round(at_s * S), kind, 1, qty, px, side, bid, 300, ask, 100)


STORY = [
    event(1000, TouchKind.SUBMITTED, Side.BUY, BID - 100, 300, BID - 100, ASK),
    event(1010, TouchKind.SUBMITTED, Side.BUY, BID, 300, BID, ASK),
    event(1012, TouchKind.EXECUTED, Side.BUY, BID, 50, BID, ASK),
    event(1015, TouchKind.EXECUTED_HIDDEN, Side.SELL, ASK - 100, 10, BID, ASK),
]


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (
            Side.BUY,
            {
                "spread_ticks": 4.0,
                "imbalance": -0.5,
                "microprice_bps": 0.5 * 200 / 1_000_200 * 1e4,
                "queue_ahead": log1p(3),
                "far_qty": log1p(1),
                "last_trade_ticks": 3.0,
                "return_bps_5": -(2_000_400 / 2_000_300 - 1) * 1e4 / 2,
                "volatility_bps_5": (2_000_400 / 2_000_300 - 1) * 1e4 * sqrt(log(2) / 5 / 2),
                "spread_less_mean_20": -exp(-log(2) * 5 / 20),
                "signed_flow_1": 0.5 * 2**-3,
                "near_executed_1": log1p(2**-3),
                "near_submitted_5": log1p(0.5 + 0.5**3),
                "near_canceled_60": 0.0,
                "near_executed_age": log1p(3),
                "near_moved_age": log1p(5),
                "near_orders": 1.0,
                "front_age": log1p(5),
                "far_executed_age": log1p(300),
                "far_orders": 0.0,
            },
        ),
        (
            Side.SELL,
            {
                "spread_ticks": 4.0,
                "imbalance": 0.5,
                "queue_ahead": log1p(1),
                "last_trade_ticks": 1.0,
                "return_bps_5": (2_000_400 / 2_000_300 - 1) * 1e4 / 2,
                "signed_flow_1": -0.5 * 2**-3,
                "near_executed_1": 0.0,
                "near_moved_age": log1p(300),
                "far_executed_age": log1p(3),
                "far_orders": 1.0,
            },
        ),
    ],
)
def test_by_hand(side: Side, expected: dict[str, float]) -> None:
    row = seen(STORY, side, 1015 * S)
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_deep_tape_counts_only_what_happens_at_the_touch() -> None:
    deeper = [
        event(1011, TouchKind.SUBMITTED, Side.BUY, BID - 300, 900, BID, ASK),
        event(1011, TouchKind.CANCELED, Side.BUY, BID - 300, 900, BID, ASK),
    ]
    assert seen([*STORY[:2], *deeper, *STORY[2:]], Side.BUY, 1015 * S) == seen(STORY, Side.BUY, 1015 * S)


def test_orders_that_came_at_another_price_are_not_at_this_one() -> None:
    back = event(1016, TouchKind.CANCELED, Side.BUY, BID, 300, BID - 100, ASK)._replace(order_id=2)
    row = seen([*STORY, back], Side.BUY, 1020 * S)
    assert (row["near_orders"], row["front_age"], row["near_moved_age"]) == (0.0, log1p(300), log1p(4))


def test_sums_halve_with_every_half_life() -> None:
    decaying = Decaying((1.0, 10.0))
    decaying.add(8.0, 0)
    decaying.add(1.0, 2 * S)
    assert decaying.at(2 * S) == pytest.approx([3.0, 8 * 2**-0.2 + 1])
    assert decaying.at(3 * S) == pytest.approx([1.5, (8 * 2**-0.2 + 1) * 2**-0.1])


def test_a_level_is_compared_with_its_mean_over_time() -> None:
    level = Level((10.0,))
    level.set(5.0, 0)
    assert level.less_means(100 * S) == [0.0]
    level.set(9.0, 100 * S)
    level.set(9.0, 105 * S)
    assert level.less_means(100 * S + 10 * S) == pytest.approx([2.0])  # the mean is half way there


def test_mirrored_markets_have_the_same_rows() -> None:
    events = list(day(3, 600))
    low, high = 1_000_000, 1_000_200

    def flip(event: TouchEvent) -> TouchEvent:
        return event._replace(
            side=Side.SELL if event.side is Side.BUY else Side.BUY,
            px=low + high - event.px,
            bid_px=low + high - event.ask_px,
            bid_qty=event.ask_qty,
            ask_px=low + high - event.bid_px,
            ask_qty=event.bid_qty,
        )

    now_ns = events[-1].time_ns + S
    for side, other in ((Side.BUY, Side.SELL), (Side.SELL, Side.BUY)):
        row = seen(events, side, now_ns)
        # In bps of a mid that isn't quite the same.
        assert seen([flip(event) for event in events], other, now_ns) == pytest.approx(row, rel=1e-2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), other=st.integers(1001, 2000), cut_s=st.integers(20, 100))
def test_what_comes_later_changes_no_row(seed: int, other: int, cut_s: int) -> None:
    cut_ns = OPEN_NS + cut_s * S
    past = [event for event in day(seed, 120) if event.time_ns <= cut_ns]
    futures = [[event for event in day(later, 150) if event.time_ns > cut_ns] for later in (seed, other)]
    assert futures[0] != futures[1]
    rows = [
        [(join.at_ns, join.side, join.features) for join in joins(past + future, 10 * S) if join.at_ns <= cut_ns]
        for future in futures
    ]
    assert rows[0]
    assert rows[0] == rows[1]
