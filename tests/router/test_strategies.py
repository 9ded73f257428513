"""When and how much: the parameters that a client may send, and the schedules that follow."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import NewParent, ReplaceParent
from domain.facts import ChildFilled, ParentAccepted, ParentReplaced
from domain.fields import LastLiquidityInd, OrdType, Side, TimeInForce
from domain.orders import ParentOrder
from router import strategies
from router.strategies.twap import GRACE_NS

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
ORDER = NewParent(
    client="EMS1", cl_ord_id="A1", account="ACC", symbol="ALFA", side=Side.BUY, order_qty=1_000,
    ord_type=OrdType.MARKET, limit_px=0, time_in_force=TimeInForce.DAY, strategy="twap",
    params={"duration_s": "100", "slices": "10"},
)  # fmt: skip
change = msgspec.structs.replace


def parent(cum_qty=0, **changes) -> ParentOrder:
    order = change(ORDER, **changes)
    accepted = ParentAccepted(
        at_ns=START_NS, parent_id="P1", client=order.client, cl_ord_id=order.cl_ord_id, account=order.account,
        symbol=order.symbol, side=order.side, order_qty=order.order_qty, ord_type=order.ord_type,
        limit_px=order.limit_px, time_in_force=order.time_in_force, strategy=order.strategy,
        params=strategies.parse(order, START_NS), arrival_mid2_px=0, tape_qty=0, tape_notional_px=0,
    )  # fmt: skip
    opened = ParentOrder(accepted)
    if cum_qty:
        opened.apply(
            ChildFilled(
                at_ns=START_NS, child_id="C1", venue="LIT1", exec_id="1", last_qty=cum_qty, last_px=1,
                liquidity=LastLiquidityInd.ADDED,
            )
        )  # fmt: skip
    return opened


PARSED = [
    ({"duration_s": "60", "slices": "5"}, {"duration_s": 60, "slices": 5}),
    ({"duration_s": "95"}, {"duration_s": 95, "slices": 9}),
    ({"duration_s": "1"}, {"duration_s": 1, "slices": 1}),
    ({"duration_s": "86400"}, {"duration_s": 86_400, "slices": 1_000}),
    ({"duration_s": "86400", "slices": "1000"}, {"duration_s": 86_400, "slices": 1_000}),
]


@pytest.mark.parametrize(("params", "expected"), PARSED)
def test_the_parameters_of_a_twap(params, expected):
    schedule = {"start_ns": START_NS, "end_ns": START_NS + expected["duration_s"] * SECOND_NS}
    assert strategies.parse(change(ORDER, params=params), START_NS) == expected | schedule


REFUSED = [
    ({"params": {}}, "duration_s is missing: expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "0"}}, "duration_s '0': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "86401"}}, "duration_s '86401': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "-5"}}, "duration_s '-5': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "1.5"}}, "duration_s '1.5': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": ""}}, "duration_s '': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "٣"}}, "duration_s '٣': expected a whole number from 1 to 86400"),
    ({"params": {"duration_s": "60", "slices": "0"}}, "slices '0': expected a whole number from 1 to 1000"),
    ({"params": {"duration_s": "60", "slices": "1001"}}, "slices '1001': expected a whole number from 1 to 1000"),
    ({"params": {"duration_s": "60", "pace": "1"}}, "unknown parameter 'pace': expected duration_s, slices"),
    ({"strategy": "sweep"}, "unknown parameter 'duration_s': expected none"),
    ({"strategy": "vwap"}, "unknown strategy 'vwap': expected sweep, twap"),
    ({"ord_type": OrdType.PEGGED}, "OrdType(40) P: twap expects 1, 2"),
    ({"time_in_force": TimeInForce.IMMEDIATE_OR_CANCEL}, "TimeInForce(59) 3: twap expects 0, 1, 6"),
    (
        {"time_in_force": TimeInForce.GOOD_TILL_CROSSING, "strategy": "sweep"},
        "TimeInForce(59) 5: sweep expects 0, 1, 2, 3, 4, 6, 7",
    ),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED)
def test_what_a_strategy_can_not_do_is_refused_with_what_it_can(changes, text):
    with pytest.raises(ValueError) as error:
        strategies.parse(change(ORDER, **changes), START_NS)
    assert str(error.value) == text


def replaced(params, now_ns=START_NS + 30 * SECOND_NS):
    command = ReplaceParent(
        client="EMS1", cl_ord_id="A2", orig_cl_ord_id="A1", symbol="ALFA", side=Side.BUY, order_qty=1_000,
        ord_type=OrdType.MARKET, limit_px=0, params=params,
    )  # fmt: skip
    return strategies.parse_replace(command, parent(), now_ns)


def test_a_replaced_sweep_has_no_schedule_that_could_be_past():
    command = ReplaceParent(
        client="EMS1", cl_ord_id="A2", orig_cl_ord_id="A1", symbol="ALFA", side=Side.BUY, order_qty=1_000,
        ord_type=OrdType.MARKET, limit_px=0, params={},
    )  # fmt: skip
    sweep = parent(strategy="sweep", params={})
    assert strategies.parse_replace(command, sweep, START_NS + SECOND_NS) == {"start_ns": START_NS}


def test_a_replace_changes_what_it_sends_and_the_start_stays():
    assert replaced({"slices": "20"}) == {
        "duration_s": 100, "slices": 20, "start_ns": START_NS, "end_ns": START_NS + 100 * SECOND_NS,
    }  # fmt: skip
    assert replaced({"duration_s": "31"})["end_ns"] == START_NS + 31 * SECOND_NS


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"duration_s": "30"}, "duration_s 30: that end is already past"),
        ({"slices": "x"}, "slices 'x': expected a whole number from 1 to 1000"),
        ({"pace": "1"}, "unknown parameter 'pace': expected duration_s, slices"),
    ],
)
def test_a_replace_that_can_not_be_done(params, text):
    with pytest.raises(ValueError) as error:
        replaced(params)
    assert str(error.value) == text


# 1000 shares in 100 s, ten slices of 100: seconds passed, filled, open -> quantity and urgency
SCHEDULE = [
    (0, 0, 0, (100, 0.0)),
    (0, 0, 100, None),
    (0, 0, 30, (70, 0.0)),
    (5, 0, 0, (100, 0.5)),
    (9.9, 100, 0, None),
    (10, 100, 0, (100, 0.0)),
    (10, 0, 100, (100, 1.0)),  # a whole slice behind: what is open is no progress
    (50, 520, 0, (80, 0.0)),  # ahead
    (50, 480, 0, (120, 0.2)),
    (50, 700, 0, None),
    (89, 890, 0, (10, 0.0)),
    (90, 900, 0, (100, 1.0)),  # the last tenth of the time
    (200, 900, 40, (60, 1.0)),
    (200, 900, 100, None),
]


@pytest.mark.parametrize(("seconds", "cum_qty", "open_qty", "expected"), SCHEDULE)
def test_a_twap_follows_its_line(seconds, cum_qty, open_qty, expected):
    wanted = strategies.next_slice(parent(cum_qty), open_qty, START_NS + int(seconds * SECOND_NS), 1)
    assert (wanted and (wanted.qty, pytest.approx(wanted.urgency))) == expected
    assert wanted is None or wanted.passive


def test_lots_are_whole_until_the_last_slice():
    odd = parent(50, order_qty=1_050)
    assert strategies.next_slice(odd, 0, START_NS + 15 * SECOND_NS, 100).qty == 100  # 210 due, 160 missing
    assert strategies.next_slice(odd, 0, START_NS + 95 * SECOND_NS, 100).qty == 1_000
    assert strategies.next_slice(parent(order_qty=1_030), 0, START_NS + 95 * SECOND_NS, 100).qty == 1_030


def test_a_replace_moves_the_line():
    larger = parent()
    larger.apply(
        ParentReplaced(
            at_ns=START_NS, parent_id="P1", cl_ord_id="A2", order_qty=2_000, limit_px=0, params=larger.params
        )
    )
    assert strategies.next_slice(larger, 0, START_NS, 1).qty == 200


WAKES = [
    ("10", 0, 10),
    ("10", 9.9, 10),
    ("10", 10, 20),
    ("10", 90, 100),
    ("10", 100, 105),
    ("10", 104, 105),
    ("10", 105, None),
    ("2", 50, 90),  # in the last tenth of the time it becomes urgent
    ("2", 90, 100),
    ("100", 100, 105),
]


@pytest.mark.parametrize(("slices", "seconds", "expected"), WAKES)
def test_a_twap_wakes_for_each_slice_and_its_end(slices, seconds, expected):
    order = parent(params={"duration_s": "100", "slices": slices})
    wake_ns = strategies.next_wake_ns(order, START_NS + int(seconds * SECOND_NS))
    assert wake_ns == (expected and START_NS + expected * SECOND_NS)


def test_a_twap_is_over_after_its_grace():
    end_ns = START_NS + 100 * SECOND_NS
    assert [strategies.is_over(parent(), end_ns + later) for later in (0, GRACE_NS - 1, GRACE_NS)] == [0, 0, 1]


@given(
    order_qty=st.integers(1, 10_000),
    duration_s=st.integers(1, 300),
    slices=st.integers(1, 60),
    lot_qty=st.sampled_from([1, 10, 100]),
    filled=st.lists(st.floats(0, 1), min_size=1, max_size=40),
)
def test_a_twap_that_is_woken_as_it_asks_never_asks_too_much_and_asks_for_all(
    order_qty, duration_s, slices, lot_qty, filled
):
    """Each slice fills by a drawn part at once; the rest is cancelled. After the end everything has been asked for."""
    params = {"duration_s": str(duration_s), "slices": str(slices)}
    order = parent(order_qty=order_qty, params=params)
    now_ns, number = START_NS, 0
    while now_ns is not None and not strategies.is_over(order, now_ns):
        wanted = strategies.next_slice(order, 0, now_ns, lot_qty)
        if wanted is not None:
            assert 0 < wanted.qty <= order.leaves_qty and 0.0 <= wanted.urgency <= 1.0
            is_last = now_ns >= START_NS + duration_s * SECOND_NS * (slices - 1) // slices
            assert wanted.qty % lot_qty == 0 or is_last
            part = int(wanted.qty * filled[number % len(filled)])
            number += 1
            if part:
                order.apply(
                    ChildFilled(
                        at_ns=now_ns, child_id="C", venue="V", exec_id=str(number), last_qty=part, last_px=1,
                        liquidity=LastLiquidityInd.REMOVED,
                    )
                )  # fmt: skip
        if now_ns >= START_NS + duration_s * SECOND_NS:
            assert (wanted.qty if wanted else 0) == order.order_qty - order.cum_qty + (part if wanted else 0)
        following_ns = strategies.next_wake_ns(order, now_ns)
        assert following_ns is None or following_ns > now_ns
        now_ns = following_ns
    assert now_ns == START_NS + duration_s * SECOND_NS + GRACE_NS


SWEEPS = [
    (TimeInForce.DAY, 0, 0, (1_000, 1.0, True)),
    (TimeInForce.GOOD_TILL_CANCEL, 300, 200, (500, 1.0, True)),
    (TimeInForce.IMMEDIATE_OR_CANCEL, 0, 0, (1_000, 1.0, False)),
    (TimeInForce.DAY, 600, 400, None),
]


@pytest.mark.parametrize(("time_in_force", "cum_qty", "open_qty", "expected"), SWEEPS)
def test_a_sweep_wants_everything_now(time_in_force, cum_qty, open_qty, expected):
    order = parent(cum_qty, strategy="sweep", params={}, time_in_force=time_in_force)
    wanted = strategies.next_slice(order, open_qty, START_NS + 1, 1)
    assert (wanted and (wanted.qty, wanted.urgency, wanted.passive)) == expected
    assert strategies.next_wake_ns(order, START_NS) is None and not strategies.is_over(order, START_NS + 1)


def test_every_parameter_explains_itself():
    for strategy in strategies.STRATEGIES.values():
        for parameter in strategy.PARAMETERS:
            assert parameter.help and (parameter.required != bool(parameter.default))
