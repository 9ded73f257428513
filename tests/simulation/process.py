"""A node as a process with a disk, and a watch on every output: what is decided, written, held back, lost and sent.

Between node and disk are the parts that the daemon has there, `service.journaled` and `service.keeper`.
"""

from collections.abc import Callable, Mapping

from domain.facts import AnyFact
from service.config import JournalConfig
from service.journal import JournalWriteError
from service.journaled import JournaledNode
from service.keeper import Keeper
from service.node import Node, NodeOutput
from tests.service.platform import LEAVES, UNWRITTEN, Process
from tests.simulation.disk import Disk
from tests.simulation.watch import Watch


class _Quiet(JournaledNode):
    """Logs and measures nothing: both would bring real time into a virtual one."""

    def _afterwards(self, started_ns: int, facts: list[AnyFact]) -> None:
        pass


class WatchedProcess(Process):
    """`stops`: what a file stops. `trace` is told of each output that leaves, `say` why a process ended."""

    def __init__(
        self, node: Node, disk: Disk, stops: Callable[[], Mapping[str, tuple[str, str]]], say: Callable[[str], None]
    ) -> None:
        super().__init__(node)
        self.watch = Watch({client.name for client in node.config.clients})
        self.trace: Callable[[NodeOutput], None] | None = None
        self._disk = disk
        self._stops = stops
        self._say = say
        self._released: list[NodeOutput] = []
        self._noted = 0  # facts that the watch has seen
        self.journal = disk.written
        self.adopt(node)

    def adopt(self, node: Node) -> None:
        """The node that a start made, before its first input."""
        disk = self._disk
        disk.opened()
        node.stops = self._stops
        self._journaled = _Quiet(node, disk, lambda act: None)
        if disk.syncs:
            self._journaled._commit = disk
        self._journaled.release_to(self._released.append)
        commit = disk if disk.syncs else None
        self._keeper = Keeper(self._journaled, disk, JournalConfig(), self._released.append, commit, disk.free)

    def timer(self, now_ns: int) -> NodeOutput:
        output = NodeOutput()
        if 0 < self._disk.due_ns <= now_ns:
            self._journaled._synced(self._disk.synced())
            output = self._leave()
        if self.node is not None:
            output = _together(output, self.perform(self.node.timer(now_ns)))
        return output

    def next_timer_ns(self) -> int | None:
        node_ns, sync_ns = super().next_timer_ns(), self._disk.due_ns
        return min(node_ns, sync_ns) if node_ns is not None and sync_ns else node_ns or sync_ns or None

    def look(self, now_ns: int) -> NodeOutput:
        """At the room on the disk."""
        try:
            self._keeper._watch_room(now_ns)
        except JournalWriteError as error:
            self._end(str(error), whole=False)
        return self._leave()

    def perform(self, output: NodeOutput) -> NodeOutput:
        self.inputs += 1
        self.watch.decided(output, self._stops())
        if self.node is not None:
            for notice in self.node.links.take_notices():
                self._say(f"{notice.event}: {notice.text}")
        dies = self.inputs == self.dies_after or self.dies_at in map(type, output.facts)
        if dies and self.leaves == UNWRITTEN:
            self._end("killed, its last input unwritten", whole=False)
            return NodeOutput()
        try:
            output = self._journaled.run(lambda: output)
        except JournalWriteError as error:
            self._end(str(error), whole=False)
            return NodeOutput()
        if dies:
            output = NodeOutput(LEAVES[self.leaves](output.writes), [], output.facts)
        self._note(output)
        if dies:
            self._end("killed", whole=True)
        return output

    @property
    def holds(self) -> int:
        """Outputs that wait for the disk."""
        return self._journaled.holds

    def end(self) -> None:
        """A stop that was asked for: nothing that was written is lost, though it may not have left."""
        self._disk.sync()
        self._end("stopped", whole=True)

    def _end(self, why: str, *, whole: bool) -> None:
        """`whole`: all that the node knew was written, though it may not have been synced."""
        self._say(why)
        self.dies_at, self.dies_after = None, 0
        self.dead, self.node = self.node, None
        lost = self._disk.crashed()
        if lost or not whole:
            self.dead = None
        if lost:
            self._say(f"{lost} batches were not on the disk")
        # What was written and has not left counts all the same: the next start goes on from there.
        written = [fact for batch in self.recorded() for fact in batch]
        self._note(NodeOutput(facts=written[self._noted :]))

    def _leave(self) -> NodeOutput:
        """What was held back until now."""
        output = NodeOutput()
        for released in self._released:
            self._note(released)
            output = _together(output, released)
        self._released.clear()
        return output

    def _note(self, output: NodeOutput) -> None:
        if self.trace is not None:
            self.trace(output)
        self.watch.output(output)
        self._noted += len(output.facts)
        self.sent += [data for _, data in output.writes]


def _together(first: NodeOutput, second: NodeOutput) -> NodeOutput:
    return NodeOutput(first.writes + second.writes, first.closes + second.closes, first.facts + second.facts)
