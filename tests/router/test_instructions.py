"""Orders with instructions, against any market: what must never happen, whatever venues and prices do."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import (
    ChildCancelRequested,
    ChildReplaceRequested,
    ChildSubmitted,
    ParentDone,
    ParentRejected,
    ParentTriggered,
)
from domain.fields import Action, ExecInst, OrdStatus, OrdType, Side, TimeInForce
from domain.instructions import Instructions
from domain.market import LevelChange, TradePrinted
from router import pegs
from router.display import show_qty
from router.policy import ExecutionPolicy
from tests.router.test_engine import SECOND_NS, Harness, of

TICK = 100
BID, ASK = 100_0000, 100_0200


def move(desk: Harness, update) -> list:
    """A market-data update, as the node hands it on."""
    desk.market.apply(update, desk.now_ns)
    return desk.commit(desk.engine.market_moved(update, desk.now_ns))


def trade(desk: Harness, px: int) -> list:
    return move(desk, TradePrinted("ARGO", "ALFA", px, 100))


def level(desk: Harness, side: Side, px: int, qty: int, venue: str = "ARGO") -> list:
    return move(desk, LevelChange(venue, "ALFA", side, px, qty))


def shown_qty(desk: Harness) -> int:
    """What is displayed in lit books at most: what a venue has not confirmed to be gone is there."""
    children = [child for children in desk.state.open_children.values() for child in children.values()]
    resting = [child for child in children if child.submitted.action in (Action.POST, Action.IMPROVE)]
    return sum(min(child.leaves_qty, child.submitted.instructions.display_qty or 10**9) for child in resting)


# --- stops ---

prints = st.lists(st.integers(-30, 30).map(lambda ticks: BID + ticks * TICK), max_size=12)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@given(prints=prints, ticks=st.integers(-20, 20), limited=st.booleans())
def test_a_stop_never_sends_before_a_trade_at_its_price_and_always_then(side, prints, ticks, limited) -> None:
    desk = Harness()
    stop_px = BID + ticks * TICK
    changes = {"ord_type": OrdType.STOP_LIMIT, "limit_px": stop_px} if limited else {"ord_type": OrdType.STOP}
    desk.new(side=side, instructions=Instructions(stop_px=stop_px), **changes)
    was_triggered = False
    for px in prints:
        facts = trade(desk, px)
        reached = side.sign * px >= side.sign * stop_px
        assert bool(of(facts, ParentTriggered)) == (reached and not was_triggered)
        was_triggered = was_triggered or reached
        assert was_triggered or not of(desk.facts, ChildSubmitted)
    if was_triggered and not limited:
        assert of(desk.facts, ChildSubmitted)


@pytest.mark.parametrize(
    ("policy", "px", "text"),
    [("quote", 0, "triggered by an offer of 100.02"), ("either", 0, "triggered by an offer of 100.02")],
)
def test_a_quote_triggers_where_the_policy_says_so_also_at_once(policy: str, px: int, text: str) -> None:
    desk = Harness(policy=ExecutionPolicy(stop_trigger=policy))
    facts = desk.new(ord_type=OrdType.STOP, instructions=Instructions(stop_px=ASK))
    assert of(facts, ParentTriggered)[0].text == text
    assert of(facts, ChildSubmitted)
    waits = desk.new("B", ord_type=OrdType.STOP, instructions=Instructions(stop_px=ASK + TICK))
    assert not of(waits, ParentTriggered)
    assert not level(desk, Side.SELL, ASK, 0)  # at one of two venues
    assert of(level(desk, Side.SELL, ASK, 0, "BRIG"), ParentTriggered)


def test_a_triggered_stop_keeps_its_price() -> None:
    desk = Harness()
    desk.new(ord_type=OrdType.STOP_LIMIT, limit_px=BID - 5 * TICK, instructions=Instructions(stop_px=ASK))
    trade(desk, ASK)
    for child_id in desk.open_children():
        desk.canceled(child_id)
    changed = Instructions(stop_px=ASK + TICK)
    facts = desk.replace(
        "A",
        "B",
        1000,
        ord_type=OrdType.STOP_LIMIT,
        limit_px=BID - 5 * TICK,
        instructions=changed,
        instructed=frozenset({"stop_px"}),
    )
    assert facts[-1].text == "a replace can't change StopPx(99): the stop was triggered"


# --- post only, smallest fills, fill or kill ---

sides = st.sampled_from([Side.BUY, Side.SELL])
quantities = st.integers(1, 3_000)


@given(side=sides, qty=quantities, ticks=st.integers(-10, 10), spread=st.integers(1, 5), rests=st.booleans())
def test_post_only_never_takes(side, qty, ticks, spread, rests) -> None:
    desk = Harness()
    desk.show_market(BID, BID + spread * TICK)
    asked = Instructions(exec_inst=(ExecInst.POST_ONLY,))
    strategy = {} if rests else {"strategy": "twap", "params": {"duration_s": "60"}}
    desk.new(
        side=side, order_qty=qty, ord_type=OrdType.LIMIT, limit_px=BID + ticks * TICK, instructions=asked, **strategy
    )
    for _ in range(4):
        desk.pass_time(20 * SECOND_NS)
        for child_id in desk.open_children():
            desk.canceled(child_id)
    for child in of(desk.facts, ChildSubmitted):
        assert child.action in (Action.POST, Action.IMPROVE)
        far_px = BID + spread * TICK if side is Side.BUY else BID
        assert side.sign * child.px < side.sign * far_px


@given(side=sides, qty=quantities, min_qty=quantities, shown=quantities, immediate=st.booleans())
def test_nothing_smaller_than_the_smallest_fill_is_asked_for(side, qty, min_qty, shown, immediate) -> None:
    desk = Harness(minimums=("ARGO",))
    desk.show_market(qty=shown)
    asked = Instructions(min_qty=min(min_qty, qty))
    kind = TimeInForce.IMMEDIATE_OR_CANCEL if immediate else TimeInForce.DAY
    desk.new(side=side, order_qty=qty, time_in_force=kind, instructions=asked)
    for child in of(desk.facts, ChildSubmitted):
        assert child.action not in (Action.POST, Action.IMPROVE)
        assert child.order_qty >= asked.min_qty
        assert child.min_qty >= asked.min_qty
        assert child.venue != "BRIG"  # a book that can't be told the smallest fill


def test_a_book_that_knows_the_smallest_fill_is_taken_from() -> None:
    desk = Harness(minimums=("ARGO",))
    asked = Instructions(min_qty=300)
    children = of(desk.new(order_qty=400, instructions=asked), ChildSubmitted)
    assert ("ARGO", Action.TAKE, 300) in [(child.venue, child.action, child.min_qty) for child in children]


@given(side=sides, qty=quantities, shown=st.integers(0, 1_500), ticks=st.integers(-5, 5))
def test_fill_or_kill_is_one_child_for_all_or_none(side, qty, shown, ticks) -> None:
    desk = Harness()
    desk.show_market(qty=max(shown, 1))
    limit_px = (ASK if side is Side.BUY else BID) + side.sign * ticks * TICK
    facts = desk.new(
        side=side, order_qty=qty, ord_type=OrdType.LIMIT, limit_px=limit_px, time_in_force=TimeInForce.FILL_OR_KILL
    )
    children = of(facts, ChildSubmitted)
    if children:
        assert [(child.order_qty, child.time_in_force) for child in children] == [(qty, TimeInForce.FILL_OR_KILL)]
        assert side.sign * children[0].px <= side.sign * limit_px
        facts = desk.canceled(children[0].child_id)
    assert (of(facts, ParentDone)[0].ord_status, of(desk.facts, ChildSubmitted)) == (OrdStatus.CANCELED, children)


# --- what is shown ---


@given(
    qty=st.integers(100, 3_000),
    display=st.integers(1, 1_000),
    fills=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400)), max_size=10),
    icebergs=st.booleans(),
    ticks=st.integers(-5, 0),
)
def test_never_more_is_shown_than_asked(qty, display, fills, icebergs, ticks) -> None:
    desk = Harness(icebergs=("ARGO",) if icebergs else ())
    display = min(display, qty)
    numbers = count()
    asked = Instructions(display_qty=display)
    desk.new(order_qty=qty, ord_type=OrdType.LIMIT, limit_px=BID + ticks * TICK, instructions=asked)
    assert 0 <= shown_qty(desk) <= display
    for which, fill_qty in fills:
        children = desk.open_children()
        if not children:
            break
        child_id = children[which % len(children)]
        leaves_qty = desk.state.children[child_id].leaves_qty
        desk.fill(child_id, min(fill_qty, leaves_qty), f"E{next(numbers)}")
        assert shown_qty(desk) <= display
        desk.pass_time(SECOND_NS)
        assert shown_qty(desk) <= display


def test_more_is_shown_when_half_was_filled_and_not_before() -> None:
    desk = Harness()
    asked = Instructions(display_qty=400)
    desk.new(order_qty=1_000, ord_type=OrdType.LIMIT, limit_px=BID, instructions=asked)
    parent = next(iter(desk.state.open_parents.values()))
    children = desk.state.open_children[parent.parent_id]
    assert shown_qty(desk) == 400
    assert show_qty(parent, children.values()) == 0
    child_id, *_ = desk.open_children()
    assert not of(desk.fill(child_id, 100, "E1"), ChildSubmitted)
    assert shown_qty(desk) == 300
    desk.fill(child_id, 100, "E2")
    assert shown_qty(desk) == 400


def test_an_iceberg_is_sent_whole_and_shows_a_part() -> None:
    desk = Harness(icebergs=("ARGO", "BRIG"))
    desk.new(order_qty=1_000, ord_type=OrdType.LIMIT, limit_px=BID, instructions=Instructions(display_qty=400))
    children = of(desk.facts, ChildSubmitted)
    assert sum(child.instructions.display_qty for child in children) == 400
    assert sum(child.order_qty for child in children) == 1_000


# --- pegs ---


def peg(desk: Harness, inst: ExecInst, offset_px: int = 0, **changes) -> list:
    asked = Instructions(exec_inst=(inst,), peg_offset_px=offset_px)
    return desk.new(ord_type=OrdType.PEGGED, instructions=asked, **changes)


@pytest.mark.parametrize(
    ("side", "inst", "offset_px", "limit_px", "px"),
    [
        (Side.BUY, ExecInst.PRIMARY_PEG, 0, 0, BID),
        (Side.BUY, ExecInst.PRIMARY_PEG, -200, 0, BID - 200),
        (Side.BUY, ExecInst.PRIMARY_PEG, 100, 0, BID + 100),
        (Side.BUY, ExecInst.PRIMARY_PEG, 0, BID - 300, BID - 300),
        (Side.SELL, ExecInst.PRIMARY_PEG, 0, 0, ASK),
        (Side.SELL, ExecInst.PRIMARY_PEG, 200, 0, ASK + 200),
        (Side.SELL, ExecInst.PRIMARY_PEG, 0, ASK + 300, ASK + 300),
        (Side.BUY, ExecInst.MARKET_PEG, -100, 0, ASK - 100),
        (Side.SELL, ExecInst.MARKET_PEG, 100, 0, BID + 100),
        (Side.BUY, ExecInst.MID_PRICE_PEG, -50, 0, BID),  # on the tick, and not above what was asked
        (Side.SELL, ExecInst.MID_PRICE_PEG, 50, 0, ASK),
    ],
)
def test_where_a_peg_rests(side: Side, inst: ExecInst, offset_px: int, limit_px: int, px: int) -> None:
    children = of(peg(Harness(), inst, offset_px, side=side, limit_px=limit_px), ChildSubmitted)
    assert {(child.px, child.action) for child in children} == {(px, Action.POST)}
    assert sum(child.order_qty for child in children) == 1_000


def test_a_midpoint_peg_is_for_venues_that_follow_it_by_themselves() -> None:
    children = of(peg(Harness(), ExecInst.MID_PRICE_PEG), ChildSubmitted)
    assert [(child.venue, child.action, child.order_qty) for child in children] == [("DUSK", Action.MID_PEG, 1_000)]


def test_a_peg_that_crosses_takes_no_further_than_its_price() -> None:
    children = of(peg(Harness(), ExecInst.MARKET_PEG), ChildSubmitted)
    assert {(child.action, child.px) for child in children} == {(Action.TAKE, ASK)}


def test_a_peg_does_not_follow_itself() -> None:
    desk = Harness()
    peg(desk, ExecInst.PRIMARY_PEG, 100)
    children = [child for child in desk.state.children.values() if child.is_open]
    own = pegs.displayed(children)
    for (venue, px), qty in own.items():
        level(desk, Side.BUY, px, qty, venue)
    assert desk.market.symbol("ALFA").bid_px == BID + 100
    desk.acknowledge()
    assert not desk.pass_time(10 * SECOND_NS)
    parent = next(iter(desk.state.open_parents.values()))
    assert pegs.peg_px(parent, desk.market.symbol("ALFA"), own, TICK) == BID + 100


def test_a_peg_moves_at_its_pace_by_replace_or_by_cancel() -> None:
    desk = Harness(replaces=("ARGO",))
    peg(desk, ExecInst.PRIMARY_PEG)
    assert not level(desk, Side.BUY, BID + 100, 900)  # too soon after it came
    facts = desk.pass_time(500_000_000)
    assert {(type(fact), desk.state.children[fact.child_id].submitted.venue) for fact in facts} == {
        (ChildReplaceRequested, "ARGO"),
        (ChildCancelRequested, "BRIG"),
    }
    assert of(facts, ChildReplaceRequested)[0].px == BID + 100
    assert not level(desk, Side.BUY, BID + 100, 0)
    canceled = of(facts, ChildCancelRequested)[0].child_id
    again = of(desk.canceled(canceled), ChildSubmitted)
    assert {child.px for child in again} == {BID}


# --- auctions and ends ---


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ord_type": OrdType.MARKET_ON_CLOSE}, "no venue holds the closing auction of ALFA"),
        ({"time_in_force": TimeInForce.AT_THE_OPENING}, "no venue holds the opening auction of ALFA"),
        ({"instructions": Instructions(expire_ns=1)}, "ExpireTime(126) or ExpireDate(432) is past"),
    ],
)
def test_what_can_not_be_worked_is_refused(changes: dict, text: str) -> None:
    assert of(Harness().new(**changes), ParentRejected)[0].text == text


def test_good_till_date_ends_on_time() -> None:
    desk = Harness()
    expire_ns = desk.now_ns + 60 * SECOND_NS
    asked = Instructions(expire_ns=expire_ns)
    desk.new(time_in_force=TimeInForce.GOOD_TILL_DATE, ord_type=OrdType.LIMIT, limit_px=BID - 500, instructions=asked)
    desk.pass_time(59 * SECOND_NS)
    assert not of(desk.facts, ParentDone)
    facts = desk.pass_time(SECOND_NS)
    for child_id in desk.open_children():
        facts += desk.canceled(child_id)
    assert of(facts, ParentDone)[-1].ord_status is OrdStatus.EXPIRED
