"""Orders of a client that stays away, orders that leave the memory, and children about which a venue is asked again."""

import itertools

import msgspec
import pytest

from domain.facts import (
    ChildStatus,
    ChildUncertain,
    ClientDown,
    ClientUp,
    ExecutionUnknown,
    MessageSent,
    OrdersPaused,
    OrdersRetired,
    ParentDone,
    ParentEnding,
)
from domain.fields import OrdStatus, Side
from fix.message import parse
from service.telling import ASK_NS
from tests.service.platform import VENUES, Platform, patient_plan, small_config
from tests.service.test_restart import busy, of, open_children


def cancelling(grace_s: float) -> dict:
    """EMS1 wants its orders canceled when it is gone for longer than that; EMS2 does not."""
    config = small_config()
    first, second = config.clients
    changed = msgspec.structs.replace(first, on_disconnect="cancel", disconnect_grace_s=grace_s)
    return {"clients": (changed, second)}


def busy_with(seed: int, **changes) -> Platform:
    config = msgspec.structs.replace(small_config(), **changes)
    platform = Platform(
        seed=seed, config=config, plans={client.name: patient_plan(config, client.name) for client in config.clients}
    )
    platform.run(4.5)
    return platform


def ended(platform: Platform) -> set[str]:
    return {fact.parent_id for fact in of(platform, ParentDone) if "disconnected" in fact.text}


@pytest.mark.parametrize("restart", [False, True])
def test_orders_of_a_client_that_stays_away_are_canceled_after_its_grace(restart: bool):
    platform = busy_with(3, **cancelling(3.0))
    theirs = {
        parent.parent_id for parent in platform.node.state.open_parents.values() if parent.accepted.client == "EMS1"
    }
    assert theirs
    platform.kept_away.add("EMS1")
    platform.cut("EMS1")
    platform.run(1.5)
    if restart:  # half of the grace has passed
        platform.crash(down_s=0.5)
    platform.run(1.5 if restart else 2.5)
    assert ended(platform) and ended(platform) <= theirs
    assert not any(parent.accepted.client == "EMS1" for parent in platform.node.state.open_parents.values())
    assert any(parent.accepted.client == "EMS2" for parent in platform.node.state.open_parents.values())
    platform.kept_away.clear()
    platform.finish()
    platform.check()


def test_a_client_that_is_back_in_time_keeps_its_orders():
    platform = busy_with(3, **cancelling(3.0))
    platform.kept_away.add("EMS1")
    platform.cut("EMS1")
    platform.run(2)
    platform.kept_away.clear()
    platform.run(5)
    assert not of(platform, ParentEnding)
    assert [fact.client for fact in of(platform, ClientDown)] == ["EMS1"]
    assert [fact.client for fact in of(platform, ClientUp)][-1] == "EMS1"
    platform.finish()
    platform.check()


def test_an_order_that_a_stop_was_to_cancel_is_not_worked_again_after_it():
    platform = busy(2, service__on_shutdown="cancel")
    platform.kept_away.add("ARGO")
    platform.cut("ARGO")
    platform.run(0.05)
    platform.begin_shutdown()
    while not platform.node.is_drained:
        platform.run(0.01)
    platform.end_shutdown()
    left = set(platform.node.state.open_parents)
    assert left
    platform.run(0.1)
    before = len(platform.facts)
    platform.kept_away.clear()
    platform.crash()
    platform.run(3)
    assert not left & set(platform.node.state.open_parents)
    children = [fact for fact in platform.facts[before:] if getattr(fact, "parent_id", "") in left]
    assert {type(fact).__name__ for fact in children} <= {"ParentRestated", "ParentDone"}
    platform.finish()
    platform.check()


def test_a_stop_that_is_cut_short_cancels_after_the_restart():
    platform = busy(2, service__on_shutdown="cancel")
    platform.begin_shutdown()  # and killed before any venue could answer
    left = set(platform.node.state.open_parents)
    assert left
    platform.crash()
    platform.run(3)
    assert not left & set(platform.node.state.open_parents)
    platform.finish()
    platform.check()


def test_orders_that_are_done_leave_the_memory_and_their_ids_stay_used():
    config = small_config()
    config = msgspec.structs.replace(config, journal=msgspec.structs.replace(config.journal, keep_orders=3))
    platform = Platform(seed=1, config=config)
    platform.finish()
    platform.run(3)
    state = platform.node.state
    gone = [parent_id for fact in of(platform, OrdersRetired) for parent_id in fact.parent_ids]
    assert len(gone) == len(set(gone)) > 5
    assert len(state.parents) == 3
    assert {child.submitted.parent_id for child in state.children.values()} <= state.parents.keys()
    assert {fact.parent_id for fact in of(platform, ParentDone)} == state.parents.keys() | set(gone)
    for keyed in (state.open_children, state.done_parents, state._trails):
        assert keyed.keys() == state.parents.keys()
    assert set(state.parent_by_cl_ord_id.values()) == state.parents.keys()
    assert set(state.child_by_request_id.values()) <= state.children.keys()
    assert sum(len(trail.executions) for trail in state._trails.values()) == len(state.executions)
    client, first = next((name, next(iter(ems.orders))) for name, ems in platform.ems.items())
    assert (client, first) not in state.parent_by_cl_ord_id
    assert state.is_used(client, first)
    platform.check()


def test_while_orders_are_paused_nothing_new_goes_out_and_cancels_do():
    platform = busy(3)
    platform.perform(platform.process.perform(platform.node.pause("the disk is full", platform.now_ns)))
    platform.run(0.2)
    before = len(platform.facts)
    ems = platform.ems["EMS1"]
    refused = ems.new_order("LATE", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
    resting = next(
        order
        for order in ems.orders.values()
        if order.settled_status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED) and not order.is_final
    )
    ems.cancel(resting.cl_ord_id)
    platform.world.wake("EMS1")
    platform.crash()  # it holds over a restart
    platform.run(3)
    assert refused.settled_status is OrdStatus.REJECTED and "the disk is full" in refused.text
    assert resting.is_final
    assert not [fact for fact in platform.facts[before:] if type(fact).__name__ in ("ChildSubmitted", "ParentAccepted")]
    platform.perform(platform.process.perform(platform.node.unpause("room again", platform.now_ns)))
    platform.run(1)
    assert [fact for fact in platform.facts[before:] if type(fact).__name__ == "ChildSubmitted"]
    assert len(of(platform, OrdersPaused)) == 1
    platform.finish()
    platform.check()


def test_a_venue_is_asked_again_while_its_answers_do_not_agree_with_what_we_counted():
    platform = busy(2)
    child = next(child for child in open_children(platform) if child.submitted.venue == "ARGO")
    node, state = platform.node, platform.node.state
    before = len(platform.facts)
    now_ns = platform.now_ns
    facts = iter([ChildUncertain(at_ns=now_ns, child_id=child.child_id)])
    node._commit(facts, now_ns)
    node._ask_status(node.links.venues["ARGO"], now_ns)
    child.cum_qty += 1  # as if a fill had been counted that the venue does not know
    platform.perform(platform.process.perform(node._output(now_ns)))
    platform.run(8)
    asked = [
        fact.at_ns
        for fact in platform.facts[before:]
        if isinstance(fact, MessageSent) and fact.msg_type == "H" and parse(fact.raw).get(11) == child.child_id
    ]
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert len(waits) >= 2 and waits[0] >= ASK_NS
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(waits))
    disputed = [fact for fact in platform.facts[before:] if isinstance(fact, ExecutionUnknown)]
    assert disputed and child.uncertain
    child.cum_qty -= 1
    platform.run(9)
    assert [fact for fact in platform.facts[before:] if isinstance(fact, ChildStatus)]
    assert not child.uncertain
    platform.run(17)
    assert not node._ask_again
    assert state.venues_up == set(VENUES)
