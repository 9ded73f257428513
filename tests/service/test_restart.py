"""Nothing is lost and nothing happens twice, whatever is cut, killed or stopped between EMS, router and venues.

Each test ends with `Platform.check`: the books of all three sides agree to the share, the EMSs (which check every word)
have nothing to complain of, no order went to a venue twice, and the journal alone gives the state that the node has.
"""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import ReleaseKillSwitch, SetKillSwitch
from domain.facts import (
    ChildCancelRequested,
    ChildFilled,
    ChildRejected,
    ChildSubmitted,
    ChildUncertain,
    ExecutionUnknown,
    KillSwitchSet,
    MessageReceived,
    ModelLoaded,
    ParentAccepted,
    ParentDone,
    ParentRestated,
    VenueDown,
    VenueUp,
)
from domain.fields import ExecType, OrdStatus, Side
from fix.message import parse
from tests.service.platform import LEAVES, MS, SECOND_NS, VENUES, Platform, orders_in, patient_plan, small_config

BUSY_S = 4.5  # the patient plans are in full swing


def of(platform: Platform, kind: type) -> list:
    return [fact for fact in platform.facts if type(fact) is kind]


def open_children(platform: Platform) -> list:
    return [child for children in platform.node.state.open_children.values() for child in children.values()]


def busy(seed: int, **changes) -> Platform:
    """In the middle of its work: children resting at venues, parents half done, for both clients."""
    config = small_config(**changes)
    platform = Platform(
        seed=seed, config=config, plans={client.name: patient_plan(config, client.name) for client in config.clients}
    )
    platform.run(BUSY_S)
    assert {child.submitted.venue for child in open_children(platform)} >= {"ARGO"}
    assert {parent.accepted.client for parent in platform.node.state.open_parents.values()} == {"EMS1", "EMS2"}
    return platform


def test_a_day_without_trouble():
    platform = Platform()
    platform.finish()
    platform.check()
    orders = [order for client in platform.ems.values() for order in client.orders.values()]
    assert {order.settled_status for order in orders} >= {OrdStatus.FILLED, OrdStatus.CANCELED}
    assert any(len(order.cl_ord_ids) > 1 for order in orders)  # replaced on the way
    assert {fact.venue for fact in of(platform, ChildFilled)} >= {"ARGO", "BRIG", "FORD"}
    assert not of(platform, ExecutionUnknown)


def test_the_same_seed_gives_the_same_journal_to_the_byte():
    def journal(seed: int) -> list[bytes]:
        platform = Platform(seed=seed)
        platform.run(6)
        platform.crash()
        platform.finish()
        return platform.process.journal

    assert journal(4) == journal(4)
    assert journal(4) != journal(5)


# --- a crash ---


@cache
def inputs_of_a_day() -> int:
    platform = Platform()
    platform.finish()
    return platform.process.inputs


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_crash_at_any_input_loses_nothing(data: st.DataObject):
    """Killed after its facts were written and none, some or all of the bytes had left; up to three times in a day."""
    platform = Platform()
    for _ in range(data.draw(st.integers(1, 3), "crashes")):
        left = max(inputs_of_a_day() - platform.process.inputs, 10)
        platform.process.dies_after = platform.process.inputs + data.draw(st.integers(1, left), "dies after")
        platform.process.leaves = data.draw(st.sampled_from(sorted(LEAVES)), "leaves")
        platform.downtime_ns = data.draw(st.sampled_from([1, 300, 8_000]), "downtime") * MS
        while platform.process.dies_after and not platform.is_done:
            platform.run(0.5)
    platform.finish()
    platform.check()


def test_a_crash_before_the_orders_bytes_left_is_noticed():
    """The venue never got the order: it says so when it is asked, and the shares go somewhere else."""
    platform = Platform(seed=2)
    platform.process.dies_at, platform.process.leaves = ChildSubmitted, "nothing"
    while platform.process.dies_at:
        platform.run(0.01)
    platform.run(1)
    lost = of(platform, ChildSubmitted)[0]
    assert lost.child_id not in orders_in(platform.process.sent)
    assert [fact.text for fact in of(platform, ChildRejected) if fact.child_id == lost.child_id] == [
        "status: the venue does not know the order"
    ]
    platform.finish()
    platform.check()


def test_a_fill_made_while_the_node_was_down_counts_once():
    platform = busy(seed=2)
    fills = len(of(platform, ChildFilled))
    killed_ns, resting = platform.now_ns, {child.child_id for child in open_children(platform)}
    platform.crash(down_s=10)
    restarted_ns = of(platform, ModelLoaded)[-1].at_ns
    assert {fact.child_id for fact in of(platform, ChildUncertain) if fact.at_ns == restarted_ns} == resting
    made = [entry for entry in platform.exchange.ledger if killed_ns < entry.at_ns < killed_ns + 9 * SECOND_NS]
    assert made
    counted = [(fill.venue, fill.exec_id) for fill in of(platform, ChildFilled)[fills:]]
    assert all(counted.count((entry.venue, entry.exec_id)) == 1 for entry in made)
    resent = [parse(fact.raw) for fact in of(platform, MessageReceived) if fact.session.startswith("FAIRLEAD->")]
    assert any(message.poss_dup and message.msg_type == "8" for message in resent)
    platform.finish()
    platform.check()


def test_the_ems_gets_what_it_missed_as_possible_duplicates():
    platform = busy(seed=3)
    ems = platform.ems["EMS1"]
    platform.kept_away.add("EMS1")
    platform.cut("EMS1")
    missed_from = ems.session.next_in
    platform.run(3)
    assert ems.session.next_in == missed_from
    next_out = platform.node.links.clients["EMS1"].store.next_out
    assert next_out > missed_from + 3  # its orders were worked on meanwhile
    platform.kept_away.clear()
    sent = len(platform.process.sent)
    platform.run(0.5)
    resent = [message for message in b"".join(platform.process.sent[sent:]).split(b"8=FIX") if b"\x0143=Y" in message]
    assert len([message for message in resent if b"\x0135=8" in message]) >= 3
    assert ems.session.next_in >= next_out
    platform.finish()
    platform.check()


# --- connections ---


@pytest.mark.parametrize("port", [*VENUES, "ARGOMD", "FORDMD", "EMS1", "EMS2"])
@pytest.mark.parametrize("away_s", [0.0, 40.0])
def test_any_connection_may_be_lost_and_comes_back(port: str, away_s: float):
    platform = busy(seed=5)
    platform.kept_away.add(port)
    platform.cut(port)
    platform.run(away_s)
    platform.kept_away.clear()
    platform.run(0.5)
    for _ in range(5):  # and is a shaky one from now on
        platform.cut(port)
        platform.run(0.45)
    platform.finish()
    platform.check()


def test_children_at_a_lost_venue_stay_at_risk_until_it_can_be_asked():
    platform = busy(seed=2)
    resting = [child for child in open_children(platform) if child.submitted.venue == "ARGO"]
    assert resting
    before = len(platform.facts)
    platform.kept_away.add("ARGO")
    platform.cut("ARGO")
    platform.run(2)
    assert all(child.uncertain and child.leaves_qty for child in resting)
    assert "ARGO" not in platform.node.state.venues_up
    lost = platform.facts[before:]
    assert [fact.venue for fact in lost if isinstance(fact, VenueDown)] == ["ARGO"]
    assert {fact.child_id for fact in lost if isinstance(fact, ChildUncertain)} == {c.child_id for c in resting}
    assert not [fact for fact in lost if isinstance(fact, ChildSubmitted) and fact.venue == "ARGO"]
    platform.kept_away.clear()
    platform.run(1)
    assert not any(child.uncertain for child in open_children(platform))
    assert [fact.venue for fact in of(platform, VenueUp)][-1] == "ARGO"
    platform.finish()
    platform.check()


def test_orders_under_way_when_a_venue_is_lost_are_not_sent_again():
    """They never arrived: the venue says so when it is asked, and other orders take their place."""
    platform = Platform(seed=2)
    platform.world.run_while(lambda: not of(platform, ChildSubmitted), platform.now_ns + 10 * SECOND_NS)
    lost = of(platform, ChildSubmitted)
    for venue in {child.venue for child in lost}:
        platform.cut(venue)
    platform.run(1)
    rejected = {fact.child_id: fact.text for fact in of(platform, ChildRejected)}
    assert all(rejected[child.child_id] == "status: the venue does not know the order" for child in lost)
    sent = orders_in(platform.process.sent)
    assert all(sent.count(child.child_id) == 1 for child in lost)
    platform.finish()
    platform.check()


def test_without_market_data_a_venue_gets_nothing_and_the_others_go_on():
    platform = busy(seed=6)
    platform.kept_away.add("ARGOMD")
    platform.cut("ARGOMD")
    platform.run(0.2)  # what was decided before
    before = len(platform.facts)
    platform.run(1.5)
    sent_to = {fact.venue for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)}
    assert sent_to and "ARGO" not in sent_to
    platform.kept_away.clear()
    platform.finish()
    platform.check()


def test_cancels_asked_for_while_a_venue_is_away_are_answered_when_it_is_back():
    platform = busy(seed=2)
    resting = next(child for child in open_children(platform) if child.submitted.venue == "ARGO")
    parent = platform.node.state.parents[resting.submitted.parent_id]
    ems = platform.ems[parent.accepted.client]
    order = ems.books.by_id[parent.accepted.cl_ord_id]
    platform.kept_away.add("ARGO")
    platform.cut("ARGO")
    platform.run(0.1)
    ems.cancel(order.cl_ord_id)
    platform.world.wake(parent.accepted.client)
    platform.run(1)
    assert order.ord_status is OrdStatus.PENDING_CANCEL  # the truth about its shares is not known
    platform.kept_away.clear()
    platform.run(1)
    assert order.is_final
    platform.finish()
    platform.check()


# --- a clean stop ---


def stopped(platform: Platform) -> None:
    platform.begin_shutdown()
    resting = [child.child_id for child in open_children(platform) if child.submitted.horizon_ns]
    asked = {fact.child_id for fact in of(platform, ChildCancelRequested)}
    assert set(resting) <= asked
    began_ns, before = platform.now_ns, len(platform.facts)
    while not platform.node.is_drained:
        platform.run(0.01)
        assert platform.now_ns < began_ns + SECOND_NS
    assert open_children(platform) == []
    assert not [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)]
    platform.end_shutdown()
    platform.run(0.1)
    assert not any(platform.world.is_open(link) for link in platform.links.values())


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_stop_holds_the_orders_and_the_restart_goes_on_with_them(seed: int):
    platform = busy(seed)
    held = set(platform.node.state.open_parents)
    numbers = {name: client.session.next_in for name, client in platform.ems.items()}
    stopped(platform)
    orders = {
        order.cl_ord_id: order for client in platform.ems.values() for order in client.orders.values() if order.reports
    }
    parents = platform.node.state.parents
    for parent_id in held & set(platform.node.state.open_parents):
        order = orders[parents[parent_id].accepted.cl_ord_id]
        assert not order.is_final
        held_reports = [report for report in order.reports if report.exec_type is ExecType.RESTATED]
        assert held_reports and "held: shutting down" in held_reports[-1].text
    open_before = set(platform.node.state.open_parents)
    assert open_before
    platform.crash()
    assert set(platform.node.state.parents) >= open_before
    restated = [fact for fact in of(platform, ParentRestated) if "resumed" in fact.text]
    assert {fact.parent_id for fact in restated} == open_before
    platform.finish()
    platform.check()
    for name, client in platform.ems.items():  # one numbering over the whole day: nobody reset it
        assert client.session.next_in > numbers[name]


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_stop_that_cancels_tells_the_clients_and_leaves_nothing_open(seed: int):
    platform = busy(seed, service__on_shutdown="cancel")
    open_parents = set(platform.node.state.open_parents)
    stopped(platform)
    assert not platform.node.state.open_parents
    canceled = {fact.parent_id: fact for fact in of(platform, ParentDone) if "shutting down" in fact.text}
    assert canceled and set(canceled) <= open_parents
    for client in platform.ems.values():
        for order in client.orders.values():
            assert order.is_final, order
    platform.crash()
    platform.finish()  # with what the plans still had in store
    platform.check()


@pytest.mark.parametrize("on_shutdown", ["hold", "cancel"])
def test_a_stop_while_a_venue_is_away_tells_the_client_and_settles_after_the_restart(on_shutdown: str):
    platform = busy(2, service__on_shutdown=on_shutdown)
    uncertain = [child for child in open_children(platform) if child.submitted.venue == "ARGO"]
    platform.kept_away.add("ARGO")
    platform.cut("ARGO")
    platform.run(0.05)
    platform.begin_shutdown()
    while not platform.node.is_drained:
        platform.run(0.01)
    platform.end_shutdown()
    platform.run(0.1)
    for child in uncertain:
        accepted = platform.node.state.parents[child.submitted.parent_id].accepted
        last = platform.ems[accepted.client].orders[accepted.cl_ord_id].reports[-1]
        assert last.exec_type is ExecType.RESTATED and last.text.startswith("held: "), last
    platform.kept_away.clear()
    platform.crash()
    platform.finish()
    platform.check()


def test_no_new_orders_during_a_stop():
    platform = busy(2)
    platform.begin_shutdown()
    order = platform.ems["EMS1"].new_order("LATE", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
    platform.world.wake("EMS1")
    platform.run(0.1)
    assert order.settled_status is OrdStatus.REJECTED and order.text == "shutting down: no new orders"
    platform.end_shutdown()
    platform.crash()
    platform.finish()
    platform.check()


# --- the kill switch ---


def test_a_kill_switch_empties_the_market_refuses_what_is_new_and_can_be_released():
    platform = busy(3)
    platform.operator(SetKillSwitch("firm", "ops", "drill"))
    before = len(platform.facts)
    platform.run(0.5)
    assert open_children(platform) == []
    order = platform.ems["EMS1"].new_order("STOPPED", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
    platform.world.wake("EMS1")
    platform.run(2)
    assert order.settled_status is OrdStatus.REJECTED and "kill switch" in order.text and "drill" in order.text
    assert not [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted | ParentAccepted)]
    platform.crash()  # it holds over a restart
    platform.run(1)
    assert platform.node.state.kill_switch.scopes
    assert not [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted | ParentAccepted)]
    platform.operator(ReleaseKillSwitch("firm", "ops"))
    platform.finish()
    platform.check()
    assert [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)]


@pytest.mark.parametrize(
    "scope",
    ["client:EMS1", "account:ACC1", "venue:ARGO", "strategy:twap", "symbol:ALFA"],
)
def test_a_kill_switch_stops_its_scope_and_nothing_else(scope: str):
    platform = busy(3)
    platform.operator(SetKillSwitch(scope, "ops", "drill"))
    before = len(platform.facts)
    platform.run(1.5)
    kind, _, name = scope.partition(":")
    accepted = {fact.parent_id: fact for fact in of(platform, ParentAccepted)}

    def scope_of(child: ChildSubmitted) -> str:
        return child.venue if kind == "venue" else getattr(accepted[child.parent_id], kind)

    sent = [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)]
    sent += [child.submitted for child in open_children(platform)]
    assert sent and all(scope_of(child) != name for child in sent)
    platform.operator(ReleaseKillSwitch(scope, "ops"))
    platform.finish()
    platform.check()
    assert len(of(platform, KillSwitchSet)) == 1


def test_after_a_restart_nothing_is_sent_before_the_venues_have_answered_for_what_was_open():
    platform = busy(2)
    platform.kept_away.add("ARGO")
    platform.crash(down_s=1)
    started_ns, before = of(platform, ModelLoaded)[-1].at_ns, len(platform.facts)
    at_argo = {child.child_id for child in open_children(platform) if child.submitted.venue == "ARGO"}
    assert at_argo
    timeout_s = platform.config.policy.reconcile_timeout_ms / 1000
    while platform.now_ns < started_ns + (timeout_s - 0.1) * SECOND_NS:
        platform.run(0.1)
    assert not [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)]
    platform.run(0.6)  # ARGO has not answered: it is held and alarmed, the rest of the orders goes on elsewhere
    held = [fact for fact in of(platform, ExecutionUnknown) if "no answer from the venue" in fact.text]
    assert {fact.child_id for fact in held} == at_argo
    sent = [fact for fact in platform.facts[before:] if isinstance(fact, ChildSubmitted)]
    assert sent and all(fact.venue != "ARGO" for fact in sent)
    platform.kept_away.clear()
    platform.finish()
    platform.check()
