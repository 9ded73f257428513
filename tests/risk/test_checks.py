"""Each limit rejects just beyond its value and passes at it, and the text names the limit and both values."""

from datetime import time

import msgspec
import pytest

from domain.commands import NewParent, ReplaceParent
from domain.facts import ChildSubmitted, ParentAccepted
from domain.fields import Action, OrdRejReason, OrdType, Side, TimeInForce
from domain.instructions import Instructions
from domain.instruments import Instrument, TradingHours
from domain.orders import ChildOrder, ParentOrder
from domain.prices import PX_SCALE
from risk.checks import check_child, check_parent, check_replace, check_reprice
from risk.exposure import Exposure
from risk.kill_switch import KillSwitch
from risk.limits import AccountLimits, RiskLimits
from risk.locates import Locates
from risk.rate import MessageRate

NOW_NS = 1_700_000_000_000_000_000  # Tuesday 2023-11-14 22:13:20 UTC
INSTRUMENT = Instrument("ALFA", tick_px=100, lot_qty=10)
MID2_PX = 2 * 100 * PX_SCALE
LIMITS = RiskLimits(
    max_order_qty=10_000,
    max_order_notional=900_000,
    max_child_qty=2_000,
    price_collar_bps=500,
    max_gross_exposure=1_000_000,
    max_messages_per_second=3,
    accounts={"ACC": AccountLimits(max_gross_exposure=1_000_000), "SMALL": AccountLimits(50_000, 20_000)},
    venue_messages_per_second={"SLOW": 1},
    restricted=("BAD",),
)
PARENT = NewParent(
    client="EMS1", cl_ord_id="A1", account="ACC", symbol="ALFA", side=Side.BUY, order_qty=1_000,
    ord_type=OrdType.LIMIT, limit_px=100 * PX_SCALE, time_in_force=TimeInForce.DAY, strategy="sweep", params={},
)  # fmt: skip
CHILD = ChildSubmitted(
    at_ns=NOW_NS, child_id="C1", parent_id="P1", decision_id=1, candidate=0, venue="LIT1", account="ACC",
    symbol="ALFA", side=Side.BUY, order_qty=1_000, action=Action.POST, px=100 * PX_SCALE, min_qty=0, quote_id="",
    horizon_ns=1,
)  # fmt: skip
MARKET = {"ord_type": OrdType.MARKET, "limit_px": 0}
change = msgspec.structs.replace


def held(account: str, qty: int, px: int) -> Exposure:
    exposure = Exposure()
    exposure.apply_submitted("C0", account, "ALFA", Side.BUY, qty, px)
    exposure.apply_filled("C0", account, "ALFA", Side.BUY, qty, px)
    return exposure


def parent_reject(
    order=PARENT,
    *,
    instrument=INSTRUMENT,
    mid2_px=MID2_PX,
    limits=LIMITS,
    exposure=None,
    kill=(),
    duplicate=False,
    locates=None,
):
    kill_switch = KillSwitch()
    for scope in kill:
        kill_switch.apply_set(scope, "ops", "drill")
    exposure, locates = exposure or Exposure(), locates or Locates()
    return check_parent(order, instrument, mid2_px, NOW_NS, limits, exposure, kill_switch, duplicate, locates)


def child_reject(
    child=CHILD,
    unallocated=10_000,
    *,
    instrument=INSTRUMENT,
    mid2_px=MID2_PX,
    limits=LIMITS,
    exposure=None,
    sent=0,
    kill=(),
):
    kill_switch = KillSwitch()
    for scope in kill:
        kill_switch.apply_set(scope, "ops", "drill")
    rate = MessageRate()
    for _ in range(sent):
        rate.apply(child.venue, NOW_NS - 1)
    exposure = exposure or Exposure()
    return check_child(
        child, unallocated, "EMS1", "sweep", instrument, mid2_px, limits, exposure, rate, kill_switch, NOW_NS
    )


PARENT_PASSES = [
    {},
    MARKET,
    {"order_qty": 9_000},  # 900,000.00 exactly
    {"limit_px": 95 * PX_SCALE},
    {"limit_px": 105 * PX_SCALE, "order_qty": 10},
    {"account": "SMALL", "order_qty": 200},
    {"side": Side.SELL, "limit_px": 99 * PX_SCALE},
]


@pytest.mark.parametrize("changes", PARENT_PASSES)
def test_a_parent_at_its_limits_passes(changes):
    assert parent_reject(change(PARENT, **changes)) is None


PARENT_REJECTS = [
    ({"order_qty": 0}, OrdRejReason.INCORRECT_QUANTITY, "order_qty 0 is not positive"),
    ({"order_qty": -10}, OrdRejReason.INCORRECT_QUANTITY, "order_qty -10 is not positive"),
    ({"order_qty": 15}, OrdRejReason.INCORRECT_QUANTITY, "lot_qty 10: order_qty 15 is not a multiple"),
    ({"order_qty": 10_010}, OrdRejReason.ORDER_EXCEEDS_LIMIT, "max_order_qty 10000 exceeded: order_qty 10010"),
    (
        {"order_qty": 9_010},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_order_notional 900000 exceeded: order notional 901000.00",
    ),
    (
        {"order_qty": 9_010, **MARKET},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_order_notional 900000 exceeded: order notional 901000.00",
    ),
    (  # a sell may get more than its limit, so the mid counts
        {"order_qty": 9_010, "side": Side.SELL, "limit_px": 99 * PX_SCALE},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_order_notional 900000 exceeded: order notional 901000.00",
    ),
    (
        {"account": "SMALL", "order_qty": 210},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_order_notional 20000 exceeded: order notional 21000.00",
    ),
    ({"account": "NOBODY"}, OrdRejReason.UNKNOWN_ACCOUNT, "unknown account 'NOBODY'"),
    ({"account": ""}, OrdRejReason.UNKNOWN_ACCOUNT, "unknown account ''"),
    (
        {"limit_px": 100 * PX_SCALE + 50},
        OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC,
        "tick_px 0.01: price 100.005 is not a multiple",
    ),
    ({"limit_px": 0}, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "price 0.00 is not positive"),
    (
        {"limit_px": 105 * PX_SCALE + 100},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "price_collar_bps 500 exceeded: price 105.01 is 501.0 bps from 100.00",
    ),
    (
        {"limit_px": 95 * PX_SCALE - 100},
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "price_collar_bps 500 exceeded: price 94.99 is 501.0 bps from 100.00",
    ),
]


@pytest.mark.parametrize(("changes", "reason", "text"), PARENT_REJECTS)
def test_a_parent_beyond_a_limit_is_rejected(changes, reason, text):
    reject = parent_reject(change(PARENT, **changes))
    assert (reject.reason, reject.text) == (reason, text)


CLOSED = change(INSTRUMENT, hours=TradingHours(time(9, 30), time(16), "America/New_York"))  # it is 17:13 there
OPEN = change(INSTRUMENT, hours=TradingHours(time(9, 30), time(17, 14), "America/New_York"))
WORLD_REJECTS = [
    ({"duplicate": True}, "duplicate_order", OrdRejReason.DUPLICATE_ORDER, "duplicate ClOrdID(11) A1"),
    ({"instrument": None}, "symbol", OrdRejReason.UNKNOWN_SYMBOL, "unknown symbol 'ALFA'"),
    (
        {"instrument": CLOSED},
        "hours",
        OrdRejReason.EXCHANGE_CLOSED,
        "market closed: symbol ALFA trades 09:30-16:00 America/New_York",
    ),
    (
        {"limits": change(LIMITS, restricted=("ALFA",))},
        "restricted",
        OrdRejReason.BROKER_OPTION,
        "restricted: symbol ALFA",
    ),
    ({"mid2_px": 0}, "reference_price", OrdRejReason.BROKER_OPTION, "no reference price"),
    (
        {"kill": ["strategy:sweep"]},
        "kill_switch",
        OrdRejReason.BROKER_OPTION,
        "kill switch strategy:sweep set by ops: drill",
    ),
    (
        {"exposure": held("ACC", 9_010, 100 * PX_SCALE)},
        "max_gross_exposure",
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_gross_exposure 1000000 exceeded: account ACC 901000.00 plus 100000.00",
    ),
    (
        {"exposure": held("OTHER", 9_010, 100 * PX_SCALE)},
        "max_gross_exposure",
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "max_gross_exposure 1000000 exceeded: firm 901000.00 plus 100000.00",
    ),
]


@pytest.mark.parametrize(("world", "limit", "reason", "text"), WORLD_REJECTS)
def test_a_parent_is_rejected_where_the_world_forbids_it(world, limit, reason, text):
    reject = parent_reject(**world)
    assert (reject.limit, reject.reason, reject.text) == (limit, reason, text)


@pytest.mark.parametrize(
    "world",
    [
        {"instrument": OPEN},
        {"exposure": held("ACC", 9_000, 100 * PX_SCALE)},
        {"kill": ["strategy:twap", "client:EMS2"]},
        {"limits": change(LIMITS, restricted=("BAD",))},
        {"limits": change(LIMITS, max_order_qty=1_000)},
    ],
)
def test_a_parent_passes_where_the_world_just_allows_it(world):
    assert parent_reject(**world) is None


def test_a_market_order_needs_a_reference_price_too():
    assert parent_reject(change(PARENT, **MARKET), mid2_px=0).text == "no reference price"


def test_limits_that_are_not_set_let_nothing_pass():
    limits = RiskLimits(accounts={"ACC": AccountLimits(1_000_000)})
    assert parent_reject(limits=limits).text == "max_order_qty 0 exceeded: order_qty 1000"
    assert child_reject(limits=limits).text == "max_child_qty 0 exceeded: order_qty 1000"


def test_an_account_at_its_limit_can_trade_its_way_out():
    exposure = held("ACC", 10_000, 100 * PX_SCALE)
    closing = change(PARENT, side=Side.SELL, order_qty=5_000)
    assert parent_reject(exposure=exposure).limit == "max_gross_exposure"
    assert parent_reject(closing, exposure=exposure) is None


CHILD_PASSES = [
    ({"order_qty": 2_000}, {}),
    ({"order_qty": 1_000}, {"unallocated": 1_000}),
    ({"order_qty": 15}, {"unallocated": 15}),  # what odd fills left of the parent
    ({"px": 105 * PX_SCALE}, {}),
    ({"px": 95 * PX_SCALE}, {}),
    ({"px": 100 * PX_SCALE + 50, "action": Action.MID_PEG}, {}),
    ({"account": "SMALL", "order_qty": 200}, {}),
    ({}, {"sent": 2}),
    ({}, {"exposure": held("ACC", 9_000, 100 * PX_SCALE)}),
    ({}, {"kill": ["venue:LIT2", "symbol:BETA"]}),
    ({}, {"instrument": OPEN}),
]


@pytest.mark.parametrize(("changes", "world"), CHILD_PASSES)
def test_a_child_at_its_limits_passes(changes, world):
    assert child_reject(change(CHILD, **changes), **world) is None


CHILD_REJECTS = [
    ({}, {"unallocated": 990}, "conservation: order_qty 1000 exceeds the parent's unallocated 990"),
    ({"order_qty": 0}, {}, "order_qty 0 is not positive"),
    ({"order_qty": 15}, {"unallocated": 16}, "lot_qty 10: order_qty 15 is not a multiple"),
    ({"order_qty": 2_010}, {}, "max_child_qty 2000 exceeded: order_qty 2010"),
    ({"px": 100 * PX_SCALE + 50}, {}, "tick_px 0.01: price 100.005 is not a multiple"),
    ({"px": 0}, {}, "price 0.00 is not positive"),
    ({"px": 105 * PX_SCALE + 100}, {}, "price_collar_bps 500 exceeded: price 105.01 is 501.0 bps from 100.00"),
    (
        {"px": 94 * PX_SCALE, "action": Action.MID_PEG},
        {},
        "price_collar_bps 500 exceeded: price 94.00 is 600.0 bps from 100.00",
    ),
    ({"account": "SMALL", "order_qty": 210}, {}, "max_order_notional 20000 exceeded: order notional 21000.00"),
    ({"account": "NOBODY"}, {}, "unknown account 'NOBODY'"),
    ({}, {"sent": 3}, "max_messages_per_second 3 exceeded: venue LIT1 already got 3"),
    ({"venue": "SLOW"}, {"sent": 1}, "max_messages_per_second 1 exceeded: venue SLOW already got 1"),
    ({}, {"mid2_px": 0}, "no reference price"),
    ({}, {"instrument": None}, "unknown symbol 'ALFA'"),
    ({}, {"instrument": CLOSED}, "market closed: symbol ALFA trades 09:30-16:00 America/New_York"),
    ({}, {"limits": change(LIMITS, restricted=("ALFA",))}, "restricted: symbol ALFA"),
    (
        {},
        {"exposure": held("ACC", 9_010, 100 * PX_SCALE)},
        "max_gross_exposure 1000000 exceeded: account ACC 901000.00 plus 100000.00",
    ),
    ({}, {"kill": ["venue:LIT1"]}, "kill switch venue:LIT1 set by ops: drill"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "world", "text"), CHILD_REJECTS)
def test_a_child_beyond_a_limit_is_rejected(changes, world, text):
    assert child_reject(change(CHILD, **changes), **world).text == text


def replace_reject(exposure=None, mid2_px=MID2_PX, kill=(), **changes):
    accepted = ParentAccepted(
        at_ns=1, parent_id="P1", client="EMS1", cl_ord_id="A1", account="ACC", symbol="ALFA", side=Side.BUY,
        order_qty=1_000, ord_type=OrdType.LIMIT, limit_px=100 * PX_SCALE, time_in_force=TimeInForce.DAY,
        strategy="sweep", params={}, arrival_mid2_px=0, tape_qty=0, tape_notional_px=0,
    )  # fmt: skip
    command = ReplaceParent(
        client="EMS1", cl_ord_id="A2", orig_cl_ord_id="A1", symbol="ALFA", side=Side.BUY, order_qty=1_000,
        ord_type=OrdType.LIMIT, limit_px=100 * PX_SCALE, params={},
    )  # fmt: skip
    kill_switch = KillSwitch()
    for scope in kill:
        kill_switch.apply_set(scope, "ops", "drill")
    command = change(command, **changes)
    exposure = exposure or Exposure()
    return check_replace(
        command, ParentOrder(accepted), INSTRUMENT, mid2_px, NOW_NS, LIMITS, exposure, kill_switch, Locates()
    )


REPLACE_REJECTS = [
    ({"order_qty": 0}, "order_qty 0 is not positive"),
    ({"order_qty": 10_010}, "max_order_qty 10000 exceeded: order_qty 10010"),
    ({"limit_px": 106 * PX_SCALE}, "price_collar_bps 500 exceeded: price 106.00 is 600.0 bps from 100.00"),
    ({"mid2_px": 0}, "no reference price"),
    ({"kill": ["client:EMS1"]}, "kill switch client:EMS1 set by ops: drill"),
    (
        {"order_qty": 2_010, "exposure": held("ACC", 9_000, 100 * PX_SCALE)},
        "max_gross_exposure 1000000 exceeded: account ACC 900000.00 plus 101000.00",
    ),
]


@pytest.mark.parametrize(("changes", "text"), REPLACE_REJECTS)
def test_a_replace_beyond_a_limit_is_rejected(changes, text):
    assert replace_reject(**changes).text == text


@pytest.mark.parametrize("changes", [{}, {"order_qty": 500}, {"order_qty": 2_000}, {"limit_px": 95 * PX_SCALE}])
def test_a_replace_asks_for_exposure_only_for_the_shares_that_it_adds(changes):
    assert replace_reject(exposure=held("ACC", 9_000, 100 * PX_SCALE), **changes) is None


# --- stops, pegs, auctions and short sales ---

STOP = {"ord_type": OrdType.STOP, "limit_px": 0, "instructions": Instructions(stop_px=110 * PX_SCALE)}
STOP_LIMIT = STOP | {"ord_type": OrdType.STOP_LIMIT}
PEG = {"ord_type": OrdType.PEGGED}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (STOP, None),  # far from the market, as it should be
        (STOP | {"instructions": Instructions(stop_px=1100001)}, "tick_px 0.01: price 110.0001 is not a multiple"),
        (STOP_LIMIT | {"limit_px": 115 * PX_SCALE}, None),
        (
            STOP_LIMIT | {"limit_px": 116 * PX_SCALE},
            "price_collar_bps 500 exceeded: price 116.00 is 545.5 bps from 110.00",
        ),
        # What it may cost is what the stop says, not what the market is.
        (STOP | {"order_qty": 8_300}, "max_order_notional 900000 exceeded: order notional 913000.00"),
        (
            STOP | {"order_qty": 8_300, "side": Side.SELL},
            "max_order_notional 900000 exceeded: order notional 913000.00",
        ),
        (PEG | {"limit_px": 200 * PX_SCALE}, None),  # it bounds how far the peg follows
        (PEG | {"limit_px": 0}, None),
        (PEG | {"limit_px": 1000001}, "tick_px 0.01: price 100.0001 is not a multiple"),
    ],
)
def test_stops_and_pegs_are_judged_by_their_own_prices(changes, text):
    reject = parent_reject(change(PARENT, **changes))
    assert (reject and reject.text) == text


def test_only_an_order_for_the_opening_may_come_before_it():
    closed = change(INSTRUMENT, hours=TradingHours(time(0), time(0, 1)))
    opening = change(PARENT, time_in_force=TimeInForce.AT_THE_OPENING)
    assert parent_reject(opening, instrument=closed) is None
    assert parent_reject(instrument=closed).limit == "hours"


SHORT = change(PARENT, side=Side.SELL_SHORT, instructions=Instructions(locate_reqd=True))


def short_limits(located_qty):
    account = AccountLimits(1_000_000, short_sales=True, locates={"ALFA": located_qty})
    return change(LIMITS, accounts={"ACC": account})


def test_short_sales_need_permission_and_where_we_locate_them_shares():
    assert parent_reject(SHORT).text == "account ACC may not sell short"
    assert parent_reject(SHORT, limits=short_limits(1_000)) is None
    short = parent_reject(SHORT, limits=short_limits(999))
    assert short.text == "locates 999 exceeded: ALFA has 0 in use, 1000 more asked for"
    assert parent_reject(change(SHORT, instructions=Instructions(locate_reqd=False)), limits=short_limits(0)) is None


def test_locates_are_used_by_orders_given_back_by_what_is_not_sold_and_new_each_day():
    locates = Locates()
    accepted = ParentAccepted(
        at_ns=NOW_NS, parent_id="P1", client="EMS1", cl_ord_id="A", account="ACC", symbol="ALFA", side=Side.SELL_SHORT,
        order_qty=600, ord_type=OrdType.LIMIT, limit_px=100 * PX_SCALE, time_in_force=TimeInForce.DAY,
        strategy="sweep", params={}, arrival_mid2_px=0, tape_qty=0, tape_notional_px=0,
        instructions=Instructions(locate_reqd=True),
    )  # fmt: skip
    locates.apply_changed(ParentOrder(accepted), 600, NOW_NS)
    text = "locates 1500 exceeded: ALFA has 600 in use, 1000 more asked for"
    assert parent_reject(SHORT, limits=short_limits(1_500), locates=locates).text == text
    locates.apply_changed(ParentOrder(accepted), -100, NOW_NS)
    assert parent_reject(SHORT, limits=short_limits(1_500), locates=locates) is None
    assert locates.used_qty("ACC", "ALFA", NOW_NS) == 500
    assert locates.used_qty("ACC", "ALFA", NOW_NS + 24 * 3600 * 10**9) == 0


def test_a_child_is_moved_only_to_a_price_and_at_a_pace_that_limits_allow():
    child, rate = ChildOrder(CHILD), MessageRate()

    def moved(px):
        return check_reprice(child, px, INSTRUMENT, MID2_PX, LIMITS, rate, NOW_NS)

    assert moved(101 * PX_SCALE) is None
    assert moved(120 * PX_SCALE).limit == "price_collar_bps"
    for _ in range(3):
        rate.apply("LIT1", NOW_NS)
    assert moved(101 * PX_SCALE).limit == "max_messages_per_second"
