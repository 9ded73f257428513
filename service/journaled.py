"""A node whose every batch is in the journal before its bytes leave. The only place where a batch meets the disk.

Order of things for every input: the node decides, its facts are written, with `durability = "disk"` they are synced,
then the bytes leave. What can wait (logging, measuring) is done after the bytes are gone.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from domain.facts import AnyFact, ChildSubmitted, LatencyMeasured, ParentAccepted
from fix.endpoint import Link
from service.group_commit import GroupCommit
from service.journal import Journal, JournalWriteError
from service.logs import log_fact
from service.node import Node, NodeOutput

log = structlog.get_logger()


class _Held(NamedTuple):
    number: int  # of the batch that has to be on the disk first
    output: NodeOutput
    started_ns: int


class JournaledNode:
    """An `fix.endpoint.Endpoint`. `later` runs a function after the bytes of this input were written.

    Once an input failed, in the node or on its way to the journal, the node may know what the journal does not: nothing
    more goes in, is written or leaves, and only a restart goes on.
    """

    def __init__(self, node: Node, journal: Journal, later: Callable[[Callable[[], None]], object]) -> None:
        self.node = node
        self._journal = journal
        self._later = later
        self._is_broken = False
        self._commit: GroupCommit | None = None
        self._held: deque[_Held] = deque()
        self._perform: Callable[[NodeOutput], None] | None = None

    def commit_in_groups(self, later: Callable[..., object]) -> GroupCommit:
        """From here on outputs wait for the disk. `later` carries a call from a thread into this one."""
        self._commit = GroupCommit(self._journal.sync, later, self._synced, self._failed)
        return self._commit

    def release_to(self, perform: Callable[[NodeOutput], None]) -> None:
        """Who writes what was held."""
        self._perform = perform
        if self._commit is None:
            self._synced(self._journal.batches)

    def connected(self, link: Link, port: str, now_ns: int) -> NodeOutput:
        return self.run(self.node.connected, link, port, now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> NodeOutput:
        return self.run(self.node.receive, link, data, now_ns)

    def disconnected(self, link: Link, now_ns: int) -> NodeOutput:
        return self.run(self.node.disconnected, link, now_ns)

    def timer(self, now_ns: int) -> NodeOutput:
        return self.run(self.node.timer, now_ns)

    def next_timer_ns(self) -> int | None:
        return None if self._is_broken else self.node.next_timer_ns()

    @property
    def holds(self) -> int:
        """Outputs that wait for the disk."""
        return len(self._held)

    def run(self, act: Callable[..., NodeOutput], *arguments: Any) -> NodeOutput:
        """One input: `act` is a method of the node. What it raises ends everything."""
        started_ns = time.perf_counter_ns()
        if self._is_broken:
            return NodeOutput()
        self._is_broken = True  # unless it gets through
        output = act(*arguments)
        if output.facts:
            self._journal.append(output.facts)
            if self._journal.is_short and not self.node.state.paused:
                # At once: what is left of the reserve is for cancels and fills.
                paused = self.node.pause("the journal's disk is full", output.facts[-1].at_ns)
                self._journal.append(paused.facts)
                output.facts += paused.facts
                output.writes += paused.writes
        self._is_broken = False
        if self._commit is not None and (output.facts or (self._held and (output.writes or output.closes))):
            self._held.append(_Held(self._journal.batches, output, started_ns))
            if output.facts:
                self._commit.ask(self._journal.batches)
            output = NodeOutput()
        elif output.facts:
            facts = output.facts
            self._later(lambda: self._afterwards(started_ns, facts))
        for notice in self.node.links.take_notices():
            report = log.info if notice.event == "session_ended" else log.warning
            report(notice.event, text=notice.text)
        return output

    def _synced(self, number: int) -> None:
        while self._perform is not None and not self._is_broken and self._held and self._held[0].number <= number:
            held = self._held.popleft()
            self._perform(held.output)
            if held.output.facts:
                self._afterwards(held.started_ns, held.output.facts)

    def _failed(self, error: OSError) -> None:
        self._is_broken = True
        raise JournalWriteError(self._journal.path, error)

    def _afterwards(self, started_ns: int, facts: list[AnyFact]) -> None:
        elapsed_ns = time.perf_counter_ns() - started_ns
        accepted = [fact.parent_id for fact in facts if isinstance(fact, ParentAccepted)]
        if accepted and not self._is_broken:
            routed = {fact.parent_id for fact in facts if isinstance(fact, ChildSubmitted)}
            now_ns = time.time_ns()
            measured: list[AnyFact] = [
                LatencyMeasured(at_ns=now_ns, parent_id=parent_id, order_in_to_child_out_ns=elapsed_ns)
                for parent_id in accepted
                if parent_id in routed
            ]
            self._journal.append(measured)
        for fact in facts:
            log_fact(fact)
