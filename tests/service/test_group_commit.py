"""Nothing leaves before it is on the disk, everything leaves in order, and one sync serves all that came meanwhile."""

import threading
from pathlib import Path

import pytest

from domain.facts import VenueUp
from service.examples import daemon_config
from service.journal import Journal, JournalWriteError, read
from service.journaled import JournaledNode
from service.node import Node, NodeOutput
from tests.service.platform import START_NS


class Loop:
    """Calls from the syncing thread, run when the test says so."""

    def __init__(self) -> None:
        self.calls: list = []
        self.arrived = threading.Semaphore(0)

    def later(self, function, *arguments) -> None:
        self.calls.append((function, arguments))
        self.arrived.release()

    def turn(self) -> None:
        assert self.arrived.acquire(timeout=10)
        function, arguments = self.calls.pop(0)
        function(*arguments)


class Desk:
    """A node that answers each input with a fact and a byte, on a disk that syncs when it is told to."""

    def __init__(self, path: Path) -> None:
        config = daemon_config()
        node = Node(config, None, "", START_NS)
        self.journal = Journal.open(path / "journal", "disk")
        self.loop, self.sent, self.syncs = Loop(), [], 0
        self.may_sync, self.syncing = threading.Semaphore(0), threading.Semaphore(0)
        self.journal.sync = self.sync
        self.error: OSError | None = None
        self.endpoint = JournaledNode(node, self.journal, lambda act: act())
        self.commit = self.endpoint.commit_in_groups(self.loop.later)
        self.endpoint.release_to(lambda output: self.sent.extend(data for _, data in output.writes))

    def sync(self) -> None:
        self.syncing.release()
        assert self.may_sync.acquire(timeout=10)
        if self.error is not None:
            raise self.error
        self.syncs += 1

    def input(self, number: int, *, facts: bool = True) -> NodeOutput:
        recorded = [VenueUp(at_ns=number, venue="ARGO")] if facts else []
        return self.endpoint.run(lambda: NodeOutput([(1, b"%d" % number)], [], recorded))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_inputs_go_on_while_the_disk_works_and_one_sync_serves_all_that_came_meanwhile(desk: Desk):
    assert desk.input(0).writes == []
    assert desk.syncing.acquire(timeout=10)
    for number in range(1, 50):
        assert desk.input(number, facts=number % 3 > 0).writes == []  # also what has no fact keeps its place
    assert desk.sent == []
    assert len(list(read(desk.journal.path))) == 1 + 49 - 16  # written, all of them, while nothing left
    desk.may_sync.release()
    desk.loop.turn()
    assert desk.sent == [b"0"]
    desk.may_sync.release()
    desk.loop.turn()
    assert desk.sent == [b"%d" % number for number in range(50)]
    assert desk.syncs == 2
    assert desk.endpoint.holds == 0


def test_with_nothing_held_what_has_no_fact_leaves_at_once(desk: Desk):
    assert desk.input(1, facts=False).writes == [(1, b"1")]


def test_a_failed_sync_ends_everything(desk: Desk):
    desk.error = OSError(5, "Input/output error")
    desk.input(0)
    desk.may_sync.release()
    with pytest.raises(JournalWriteError, match="Input/output error"):
        desk.loop.turn()
    assert desk.input(1) == NodeOutput()
    assert desk.sent == []
    assert len(list(read(desk.journal.path))) == 1


def test_a_sync_that_hangs_shows(desk: Desk):
    assert desk.commit.waited_s() == 0.0
    desk.input(0)
    assert desk.syncing.acquire(timeout=10)
    assert desk.commit.waited_s() > 0.0
    desk.may_sync.release()
    desk.loop.turn()
    desk.commit.close()
    assert desk.commit.waited_s() == 0.0
