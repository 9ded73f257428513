"""A few runs of the world of faults, and proof that it would notice: a node with a bug planted is caught."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from domain.facts import AnyFact, ChildFilled, ChildStatus
from fix.messages import ExecutionReport, NewOrderSingle
from service.node import Node, NodeOutput
from tests.simulation.__main__ import main
from tests.simulation.trial import Trial

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
        node.engine._uncertain = list

    every_node(trial, plant)


def forgets_the_kill_switch_in_a_restart(trial: Trial) -> None:
    every_node(trial, lambda node: node.state.kill_switch.scopes.clear())


def every_node(trial: Trial, plant: Callable[[Node], object]) -> None:
    """Now, and each time that one is made from the journal."""
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
    ],
)
def test_a_planted_bug_is_caught(bug: Callable[[Trial], None]):
    for seed in range(1, SEEDS_TO_CATCH + 1):
        trial = Trial(seed)
        bug(trial)
        try:
            trial.run_trial()
        except Exception:  # a rule that is broken, or a node that can not go on
            return
    pytest.fail(f"{SEEDS_TO_CATCH} runs did not notice")
