"""An independent account of a node, kept from what it journals and writes alone, and checked with every output.

It shares nothing with the router's state: quantities are added up here once more, from the facts, and every message on
the wire is read for its sequence number.
"""

from collections import Counter
from dataclasses import dataclass, field

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildExpired,
    ChildFilled,
    ChildRejected,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    KillSwitchReleased,
    KillSwitchSet,
    MessageSent,
    ParentAccepted,
    ParentReplaced,
    SessionReset,
)
from service.node import NodeOutput

RECONCILE_NS = 10_000_000_000  # after a restart, as long as the example config says
MOST_WRITES = 3_000  # in a second of the node's clock; the busiest of honest runs has some hundred
_SETTLE = (ChildAcknowledged, ChildCanceled, ChildExpired, ChildFilled, ChildRejected, ChildStatus)


class Wrong(AssertionError):  # noqa: N818 - it describes the run
    """Something that must never be, in words."""


@dataclass(slots=True)
class _Parent:
    client: str
    order_qty: int
    cum_qty: int = 0
    children: set[str] = field(default_factory=set)  # open ones


@dataclass(slots=True)
class _Child:
    parent_id: str
    order_qty: int
    cum_qty: int = 0
    is_open: bool = True


class Watch:
    """`clients`: who hears reports. One watch sees a node and all that take over from it after a restart."""

    def __init__(self, clients: set[str]) -> None:
        self.fill_count = 0
        self._clients = clients
        self._parents: dict[str, _Parent] = {}
        self._children: dict[str, _Child] = {}
        self._executions: set[tuple[str, str]] = set()
        self._killed: set[str] = set()
        self._sent_orders: Counter[str] = Counter()
        self._last_seq: dict[tuple[str, str], int] = {}
        self._second = self._sent_in = 0
        self._started_ns = 0
        self._is_starting = False
        self._unsettled: set[str] = set()  # children that the last start was not sure of and no venue spoke of since

    def started(self, now_ns: int) -> None:
        """A new node has taken over; its first output is the next one."""
        self._started_ns = now_ns
        self._is_starting = True
        self._unsettled.clear()

    def output(self, output: NodeOutput) -> None:
        """Wrong if it, after all that went before, breaks a rule."""
        for fact in output.facts:
            self._fact(fact)
        fills = sum(isinstance(fact, ChildFilled) and self._client_of(fact) in self._clients for fact in output.facts)
        told = sum(isinstance(fact, MessageSent) and _is_fill(fact.raw) for fact in output.facts)
        if fills != told:
            raise Wrong(f"{fills} fills were counted and {told} reported in one batch")
        for _, data in output.writes:
            self._bytes(data)
        self._calm(output)
        self._is_starting = False

    def _calm(self, output: NodeOutput) -> None:
        """Two machines that answer each other without end fill journals and disks before anybody looks."""
        if output.facts:
            second = output.facts[0].at_ns // 1_000_000_000
            self._sent_in = self._sent_in + len(output.writes) if second == self._second else len(output.writes)
            self._second = second
            if self._sent_in > MOST_WRITES:
                raise Wrong(f"{self._sent_in} writes within a second")

    def _client_of(self, fill: ChildFilled) -> str:
        return self._parents[self._children[fill.child_id].parent_id].client

    def _fact(self, fact: AnyFact) -> None:
        if isinstance(fact, _SETTLE):
            self._unsettled.discard(fact.child_id)
        elif isinstance(fact, ChildUncertain) and self._is_starting:
            self._unsettled.add(fact.child_id)
        match fact:
            case ParentAccepted():
                self._parents[fact.parent_id] = _Parent(fact.client, fact.order_qty)
            case ParentReplaced():
                self._parents[fact.parent_id].order_qty = fact.order_qty
            case ChildSubmitted():
                self._submitted(fact)
            case ChildFilled():
                self._filled(fact)
            case ChildCanceled() | ChildExpired() | ChildRejected():
                self._children[fact.child_id].is_open = False
                self._parents[self._children[fact.child_id].parent_id].children.discard(fact.child_id)
            case KillSwitchSet():
                self._killed.add(fact.scope)
            case KillSwitchReleased():
                self._killed.discard(fact.scope)
            case SessionReset(session=session):
                sender, _, target = session.partition("->")
                self._last_seq.pop((sender, target), None)
            case MessageSent(msg_type="D", raw=raw):
                cl_ord_id = _field(raw, b"11")
                self._sent_orders[cl_ord_id] += 1
                if self._sent_orders[cl_ord_id] > 1:
                    raise Wrong(f"order {cl_ord_id} was written twice")

    def _submitted(self, fact: ChildSubmitted) -> None:
        parent = self._parents[fact.parent_id]
        blocked = self._killed & {"firm", f"client:{parent.client}", f"venue:{fact.venue}", f"symbol:{fact.symbol}"}
        if blocked:
            raise Wrong(f"{fact.child_id} was sent while {', '.join(blocked)} is stopped")
        if self._unsettled and fact.at_ns < self._started_ns + RECONCILE_NS:
            raise Wrong(f"{fact.child_id} was sent before {', '.join(self._unsettled)} were settled after the restart")
        if fact.child_id in self._children:
            raise Wrong(f"{fact.child_id} was submitted twice")
        self._children[fact.child_id] = _Child(fact.parent_id, fact.order_qty)
        parent.children.add(fact.child_id)
        at_risk = parent.cum_qty + sum(c.order_qty - c.cum_qty for c in map(self._children.get, parent.children) if c)
        if at_risk > parent.order_qty:
            raise Wrong(f"{fact.parent_id}: {at_risk} of {parent.order_qty} are filled or out with {fact.child_id}")

    def _filled(self, fact: ChildFilled) -> None:
        if (fact.venue, fact.exec_id) in self._executions:
            raise Wrong(f"fill {fact.exec_id} of {fact.venue} was counted twice")
        self._executions.add((fact.venue, fact.exec_id))
        self.fill_count += 1
        child = self._children[fact.child_id]
        child.cum_qty += fact.last_qty
        parent = self._parents[child.parent_id]
        parent.cum_qty += fact.last_qty
        if child.cum_qty >= child.order_qty:
            parent.children.discard(fact.child_id)

    def _bytes(self, data: bytes) -> None:
        for message in data.split(b"8=FIX")[1:]:
            session = _field(message, b"49"), _field(message, b"56")
            seq, last = int(_field(message, b"34")), self._last_seq.get(session, 0)
            if b"\x0143=Y\x01" in message:
                continue
            if b"\x01141=Y\x01" in message:
                last = 0
            # What was said while nobody listened shows as a gap at the next Logon(A), and is asked for then.
            if seq != last + 1 and not (seq > last and b"\x0135=A\x01" in message):
                raise Wrong(f"{'->'.join(session)}: MsgSeqNum(34) {seq} follows {last}")
            self._last_seq[session] = seq


def _field(message: bytes, tag: bytes) -> str:
    return message.partition(b"\x01" + tag + b"=")[2].partition(b"\x01")[0].decode()


def _is_fill(raw: bytes) -> bool:
    return b"\x0135=8\x01" in raw and _field(raw, b"150") in ("1", "2", "F")
