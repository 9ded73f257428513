"""A few runs of the world of faults, and proof that it would notice: a node with a bug planted is caught."""

import traceback
from collections.abc import Callable, Iterator
from itertools import count
from typing import ClassVar

import msgspec
import pytest

from domain.facts import AnyFact, ChildFilled, ChildStatus, OrdersPaused, ParentAccepted
from domain.fields import ExecType, OrdStatus
from domain.orders import ParentOrder
from fix.messages import ExecutionReport, NewOrderSingle
from risk.kill_switch import KillSwitch
from risk.reject import Reject
from router.parents import Appliers
from router.state import State
from service.node import Node, NodeOutput
from tests.service.platform import VENUES
from tests.simulation.__main__ import main
from tests.simulation.trial import Trial
from tests.simulation.weather import SECOND_NS, Event

SEEDS_TO_CATCH = 150


@pytest.mark.parametrize("seed", range(1, 31))
def test_faults_lose_nothing_and_repeat_nothing(seed: int):
    Trial(seed).run_trial()


def test_the_same_seed_gives_the_same_run_to_the_byte():
    def journal() -> list[bytes]:
        trial = Trial(7)
        trial.run_trial()
        return trial.process.journal

    assert journal() == journal()


def test_a_failure_names_its_seed_and_how_to_see_it_again(monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ["simulation", "--seeds", "2", "--jobs", "1", "--from", "3"])
    assert main() == 0
    assert capfd.readouterr().out.endswith("\n2 passed, 0 failed\n")


# --- bugs ---


def loses_a_fill(trial: Trial) -> None:
    """A fill that is heard of and neither counted nor reported, nor looked for when the venue tells of the order."""

    def plant(node: Node) -> None:
        told, report, numbers = set(), node.engine.child_report, count(1)

        def lossy(fact: AnyFact, now_ns: int) -> Iterator[AnyFact]:
            if isinstance(fact, ChildFilled) and fact.exec_id not in told and next(numbers) % 10 == 0:
                return iter(())
            if isinstance(fact, ChildStatus):
                return iter(())
            if isinstance(fact, ChildFilled):
                told.add(fact.exec_id)
            return report(fact, now_ns)

        node.engine.child_report = lossy

    every_node(trial, plant)


def counts_a_fill_twice(trial: Trial) -> None:
    """The memory of what was counted is lost; a resend then counts again."""
    every_node(trial, lambda node: node.state.executions.clear())


def sends_an_order_twice(trial: Trial) -> None:
    def plant(node: Node) -> None:
        send, numbers = node._send, count(1)

        def twice(peer, message, now_ns):
            if isinstance(message, NewOrderSingle) and next(numbers) % 10 == 0:
                send(peer, message, now_ns)
            return send(peer, message, now_ns)

        node._send = twice

    every_node(trial, plant)


def forgets_a_report(trial: Trial) -> None:
    def plant(node: Node) -> None:
        send, numbers = node._send, count(1)

        def lossy(peer, message, now_ns):
            # What is never said takes no number either, so that no gap gives it away.
            if isinstance(message, ExecutionReport) and next(numbers) % 10 == 0:
                return None
            return send(peer, message, now_ns)

        node._send = lossy

    every_node(trial, plant)


def skips_a_journal_write(trial: Trial) -> None:
    """A batch that leaves and is not written: nobody notices before the next crash."""
    perform, numbers = trial.process.perform, count(1)

    def careless(output: NodeOutput) -> NodeOutput:
        output = perform(output)
        if output.facts and next(numbers) % 25 == 0 and trial.process.journal:
            trial.process.journal.pop()
        return output

    trial.process.perform = careless


def works_on_before_the_venues_answered(trial: Trial) -> None:
    def plant(node: Node) -> None:
        node.engine.uncertain = list

    every_node(trial, plant)


def forgets_the_kill_switch_in_a_restart(trial: Trial) -> None:
    meets(trial, Event(3 * SECOND_NS, "kill", "symbol:ALFA", 5 * SECOND_NS), Event(4 * SECOND_NS, "stop", "node", 1))
    every_node(trial, lambda node: node.state.kill_switch.scopes.clear())


def lets_one_through_the_kill_switch(trial: Trial) -> None:
    """One look in three finds nothing."""
    meets(trial, Event(4 * SECOND_NS, "kill", "venue:ARGO", 4 * SECOND_NS))
    numbers = count(1)

    class Leaky(KillSwitch):
        def blocks(self, **order: str) -> Reject | None:
            found = super().blocks(**order)
            return None if found is not None and next(numbers) % 3 == 0 else found

    Leaky.__name__ = KillSwitch.__name__
    without_snapshots(trial)

    def plant(node: Node) -> None:
        node.state.kill_switch.__class__ = Leaky

    every_node(trial, plant)


def does_not_look_at_the_kill_file(trial: Trial) -> None:
    meets(trial, Event(4 * SECOND_NS, "kill file", "symbol:ALFA", 4 * SECOND_NS))

    def plant(node: Node) -> None:
        node.stops = dict

    every_node(trial, plant)


def sends_on_while_the_disk_is_full(trial: Trial) -> None:
    meets(trial, Event(4 * SECOND_NS, "disk", "node", 4 * SECOND_NS, "full"))
    applies(trial, OrdersPaused, lambda state, fact: None)


def applies(trial: Trial, kind: type, applier: Callable[[State, AnyFact], None]) -> None:
    class Faulty(State):
        APPLIERS: ClassVar[Appliers] = {**State.APPLIERS, kind: applier}

    Faulty.__name__ = State.__name__
    without_snapshots(trial)

    def plant(node: Node) -> None:
        node.state.__class__ = Faulty

    every_node(trial, plant)


def alters_reports(trial: Trial, alter: Callable[[Node, ExecutionReport], ExecutionReport | None]) -> None:
    """What a client is told goes through `alter`; None is not told."""

    def plant(node: Node) -> None:
        send = node._send

        def altered(peer, message, now_ns):
            if isinstance(message, ExecutionReport):
                message = alter(node, message)
            return None if message is None else send(peer, message, now_ns)

        node._send = altered

    every_node(trial, plant)


def does_not_tell_of_a_bust(trial: Trial) -> None:
    def is_bust(report: ExecutionReport) -> bool:
        return report.exec_type is ExecType.TRADE_CANCEL or report.exec_trans_type == "1"

    alters_reports(trial, lambda node, report: None if is_bust(report) else report)


def names_another_fill_in_a_correction(trial: Trial) -> None:
    def alter(node: Node, report: ExecutionReport) -> ExecutionReport:
        if not report.exec_ref_id:
            return report
        return msgspec.structs.replace(report, exec_ref_id=report.exec_ref_id + "0")

    alters_reports(trial, alter)


def tells_a_client_of_an_overfill(trial: Trial) -> None:
    """Whatever a venue fills beyond an order is counted for the client, and told."""

    meets(trial, *(Event(n * SECOND_NS, "overfill", venue, 1) for n, venue in enumerate(VENUES, start=4)))

    def accept(state: State, fact: ParentAccepted) -> None:
        State.APPLIERS[ParentAccepted](state, fact)
        state.parents[fact.parent_id].__class__ = Generous

    applies(trial, ParentAccepted, accept)
    honest = trial.on_restart

    def again(node: Node) -> None:
        honest(node)
        for parent in node.state.parents.values():
            parent.__class__ = Generous

    trial.on_restart = again


class Generous(ParentOrder):
    __slots__ = ()

    def _count(self, was_qty: int, was_px: int, qty: int, px: int) -> int:
        self.cum_qty += qty - was_qty
        self.notional_px += qty * px - was_qty * was_px
        if not self.done or self.status is OrdStatus.FILLED:
            self.status = self._filled_status()
            self.done = self.done and self.status is OrdStatus.FILLED
        return qty


Generous.__name__ = ParentOrder.__name__  # a comparison of states is not to notice


def says_wrong_leaves_after_a_replace(trial: Trial) -> None:
    def alter(node: Node, report: ExecutionReport) -> ExecutionReport:
        if report.exec_type is not ExecType.REPLACED:
            return report
        return msgspec.structs.replace(report, leaves_qty=report.leaves_qty + 100)

    alters_reports(trial, alter)


def uses_a_number_twice(trial: Trial) -> None:
    def plant(node: Node) -> None:
        send, numbers = node._send, count(1)

        def again(peer, message, now_ns):
            if next(numbers) % 20 == 0 and peer.store.next_out > 2:
                peer.store.next_out -= 1
            return send(peer, message, now_ns)

        node._send = again

    every_node(trial, plant)


def lets_bytes_go_before_the_disk_has_them(trial: Trial) -> None:
    """A power cut then loses what others have seen."""
    adopt = trial.process.adopt

    def careless(node: Node) -> None:
        adopt(node)
        trial.process._journaled._commit = None

    careless(trial.node)
    trial.process.adopt = careless


def meets(trial: Trial, *events: Event) -> None:
    """What the bug needs to show is drawn too seldom to be waited for; all else stays as it is drawn."""
    trial.events = sorted([*trial.events, *events])


def without_snapshots(trial: Trial) -> None:
    """They take no classes of a test."""
    trial.events = [event for event in trial.events if event.kind != "snapshot"]


def every_node(trial: Trial, plant: Callable[[Node], object]) -> None:
    """Now, and each time that one is made from the journal. A replay would have honest code, and is left out."""
    trial._check_decisions = lambda: None
    plant(trial.node)
    trial.on_restart = plant


@pytest.mark.parametrize(
    "bug",
    [
        loses_a_fill,
        counts_a_fill_twice,
        sends_an_order_twice,
        forgets_a_report,
        skips_a_journal_write,
        works_on_before_the_venues_answered,
        forgets_the_kill_switch_in_a_restart,
        lets_one_through_the_kill_switch,
        does_not_look_at_the_kill_file,
        sends_on_while_the_disk_is_full,
        does_not_tell_of_a_bust,
        names_another_fill_in_a_correction,
        tells_a_client_of_an_overfill,
        says_wrong_leaves_after_a_replace,
        uses_a_number_twice,
        lets_bytes_go_before_the_disk_has_them,
    ],
)
def test_a_planted_bug_is_caught(bug: Callable[[Trial], None]):
    for seed in range(1, SEEDS_TO_CATCH + 1):
        trial = Trial(seed)
        bug(trial)
        try:
            trial.run_trial()
        except Exception as error:  # a rule that is broken, or a node that can not go on
            where = traceback.extract_tb(error.__traceback__)[-1].filename
            assert where != __file__, "the bug itself is broken"
            return
    pytest.fail(f"{SEEDS_TO_CATCH} runs did not notice")
