"""Exploration through the engine: its bounds hold whatever happens, its propensities are how often it does, and it
keeps away from where a client or a limit would feel it."""

import random
from collections import defaultdict

import pytest
from msgspec.structs import replace

from domain.commands import SetKillSwitch
from domain.facts import ChildSubmitted, DecisionMade, ParentAccepted, TradingStatusChanged
from domain.fields import OrdType, TimeInForce, TradingStatus
from domain.instructions import Instructions
from risk.limits import AccountLimits
from router.policy import ExecutionPolicy
from router.state import State
from service.snapshot import state_hash
from tests.router.test_engine import LIMITS, SECOND_NS, Harness, of

POLICY = ExecutionPolicy(exploration=0.5)
TWAP = {"strategy": "twap", "params": {"duration_s": "100", "slices": "5"}}


def worked(seed: int, orders: int = 12, policy: ExecutionPolicy = POLICY) -> Harness:
    """A desk that worked some orders, with fills and cancels by chance."""
    desk, rng = Harness(policy=policy, seed=seed), random.Random(seed)
    for number in range(orders):
        desk.show_market(ask_px=100_0200 + 100 * rng.randrange(3))
        desk.new(f"O{number}", order_qty=rng.randrange(1_000, 9_000, 100), **TWAP)
        for child_id in desk.open_children():
            if rng.random() < 0.5:
                desk.fill(child_id, desk.state.children[child_id].leaves_qty, f"{child_id}F")
        desk.acknowledge()
        desk.pass_time(SECOND_NS)
        for child_id in desk.open_children():
            if rng.random() < 0.5:
                desk.canceled(child_id)
    return desk


@pytest.mark.parametrize("most_bps", [0.2, 0.01])
def test_at_every_decision_both_bounds_hold_and_a_recovery_has_the_same_room(most_bps):
    explored = 0
    for seed in range(20):
        desk = worked(seed, policy=replace(POLICY, max_explored_bps=most_bps))
        sent_px = explored_px = 0
        cost, order_qty = defaultdict(float), {}
        for fact in desk.facts:
            if isinstance(fact, ParentAccepted):
                order_qty[fact.parent_id] = fact.order_qty
            elif isinstance(fact, DecisionMade) and fact.explored_qty:
                explored += 1
                explored_px += fact.explored_qty * (fact.bid_px + fact.ask_px) // 2
                assert explored_px <= 0.02 * sent_px
                cost[fact.parent_id] += fact.explored_bps * fact.slice_qty / order_qty[fact.parent_id]
                assert cost[fact.parent_id] <= most_bps + 1e-12
            elif isinstance(fact, ChildSubmitted):
                sent_px += fact.order_qty * fact.px
        again = State()
        for fact in desk.facts:
            again.apply(fact)
        assert state_hash(again) == state_hash(desk.state)
        assert again.explored.explored_px == explored_px
    assert explored > 20  # the bounds were reached for, not merely kept


def test_the_recorded_propensities_are_how_often_it_happens():
    """Over seeds, each decision in the state in which it was made: also where the room lets only some be tried.

    With a wider bound on shares, so that there is enough to count.
    """
    policy = replace(POLICY, max_explored_share=0.4)
    seen = defaultdict(lambda: [0, 0.0, 0.0, 0])  # kind of decision, venue, action -> chosen, expected, variance, count
    for seed in range(250):
        for fact in of(worked(seed, 8, policy).facts, DecisionMade):
            tried = sum(0.0 < candidate.propensity < 1.0 for candidate in fact.candidates)
            near = "room" if tried > 3 else "near" if tried else "none"
            for candidate in fact.candidates:
                chance = candidate.propensity
                counted = seen[near, candidate.venue, candidate.action]
                counted[0] += candidate.chosen_qty > 0
                counted[1] += chance
                counted[2] += chance * (1.0 - chance)
                counted[3] += 1
                assert chance not in (0.0, 1.0) or bool(candidate.chosen_qty) is bool(chance)
    tested = {key: counted for key, counted in seen.items() if counted[2] > 10.0}
    assert {near for near, _, _ in tested} == {"room", "near"}
    tried, hoped = (sum(counted[i] for counted in tested.values() if counted[1] < 0.5 * counted[3]) for i in (0, 1))
    assert tried == pytest.approx(hoped, rel=0.05)
    for key, (chosen, expected, variance, count) in tested.items():
        assert abs(chosen - expected) < 4.0 * variance**0.5, (key, chosen, expected, count)


def test_a_new_day_has_to_send_before_it_may_try():
    desk = worked(1)
    desk.now_ns += 86_400 * SECOND_NS
    desk.show_market()
    facts = desk.new("NEXT", order_qty=8_000, **TWAP)
    assert [fact.room_qty for fact in of(facts, DecisionMade)] == [0]


def exploring(limits=LIMITS, before=lambda desk: None, wait_s=0, filled_qty=0, policy=POLICY, **order) -> bool:
    """Whether the last decision of an order has room, after shares enough were sent."""
    desk = Harness(limits=limits, policy=policy)
    for number in range(8):
        desk.new(f"O{number}", order_qty=9_000)
    before(desk)
    facts = desk.new("LAST", **{"order_qty": 4_000, **TWAP, **order})
    left_qty = filled_qty
    for child in of(facts, ChildSubmitted) if filled_qty or wait_s else ():
        qty = min(child.order_qty, left_qty)
        left_qty -= qty
        if qty:
            facts += desk.fill(child.child_id, qty, f"{child.child_id}F")
        if qty < child.order_qty and wait_s:
            desk.now_ns += wait_s * SECOND_NS
            desk.show_market()
            wait_s = 0
        if qty < child.order_qty:
            facts += desk.canceled(child.child_id)
    return of(facts, DecisionMade)[-1].room_qty > 0


def kill(desk) -> None:
    desk.commit(desk.engine.operator(SetKillSwitch("venue:FORD", "ops", "test"), desk.now_ns))


def halt(desk) -> None:
    desk.commit(
        [TradingStatusChanged(at_ns=desk.now_ns, venue="BRIG", symbol="ALFA", status=TradingStatus.HALTED, text="")]
    )


def limit(px: int) -> dict:
    return {"ord_type": OrdType.LIMIT, "limit_px": px}


ONE = {"params": {"duration_s": "1000", "slices": "1"}}
UNTIL = {"time_in_force": TimeInForce.GOOD_TILL_DATE, "instructions": Instructions(expire_ns=1_100 * SECOND_NS)}
SMALL = replace(LIMITS, accounts={"ACC": AccountLimits(max_gross_exposure=8_000_000)})
NONE = [
    ("by default", {"policy": ExecutionPolicy()}),
    ("when urgent", {"strategy": "sweep", "params": {}}),
    ("in the last tenth of the quantity", ONE | {"filled_qty": 3_600}),
    ("in the last tenth of the time", ONE | UNTIL | {"filled_qty": 100, "wait_s": 91}),
    ("near the parent's limit", limit(100_0300)),
    ("near the account's exposure", {"limits": SMALL}),
    ("near a venue's message rate", {"limits": replace(LIMITS, venue_messages_per_second={"ARGO": 9})}),
    ("while a kill switch is set, even of a dealer", {"before": kill}),
    ("while a venue halts the symbol", {"before": halt}),
    ("a policy without notional to explore", {"policy": replace(POLICY, max_explored_share=0.0)}),
    ("a policy without cost to explore", {"policy": replace(POLICY, max_explored_bps=0.0)}),
]


@pytest.mark.parametrize(("what", "changes"), NONE, ids=[case[0] for case in NONE])
def test_nothing_is_tried(what, changes):
    assert exploring()
    assert exploring(**limit(100_0800))
    assert exploring(**ONE, filled_qty=3_500)
    assert exploring(**ONE, **UNTIL, filled_qty=100, wait_s=89)
    assert not exploring(**changes)
