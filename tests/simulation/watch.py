"""An independent account of a node, kept from what it journals and writes alone, and checked with every output.

It shares nothing with the router's state: quantities are added up here once more, from the facts, and every message on
the wire is read for its sequence number.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildReplaceRequested,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    ExecutionUnknown,
    KillSwitchReleased,
    KillSwitchSet,
    MessageReceived,
    MessageSent,
    OrdersPaused,
    OrdersResumed,
    ParentAccepted,
    ParentReplaced,
    SessionReset,
    ShutdownBegan,
    Started,
)
from service.node import NodeOutput
from tests.simulation.told import Executions, Parent, Wrong, field_of

RECONCILE_NS = 10_000_000_000  # after a restart, as long as the example config says
MOST_WRITES = 3_000  # in a second of the node's clock; the busiest of honest runs has some hundred
_SETTLE = (ChildAcknowledged, ChildCanceled, ChildExpired, ChildFilled, ChildRejected, ChildReplaced, ChildStatus)


@dataclass(slots=True)
class _Child:
    parent_id: str
    order_qty: int
    cum_qty: int = 0
    asked_qty: int = 0  # by a replace that has no answer
    is_open: bool = True

    @property
    def at_risk_qty(self) -> int:
        return max(self.order_qty, self.asked_qty) - self.cum_qty if self.is_open else 0


class Watch:
    """`clients`: who hears reports. One watch sees a node and all that take over from it after a restart."""

    def __init__(self, clients: set[str]) -> None:
        self.fill_count = 0
        self.parents: dict[str, Parent] = {}
        self._executions = Executions(clients)
        self._children: dict[str, _Child] = {}
        self._killed: set[str] = set()
        self._halted = ""  # why nothing new may be sent: the disk, or a stop
        self._sent_orders: Counter[str] = Counter()
        self._last_seq: dict[tuple[str, str], int] = {}
        self._last_recorded: dict[str, int] = {}  # MsgSeqNum(34) of what was last handed on to the application
        self._last_heard: dict[str, int] = {}
        self._second = self._sent_in = 0
        self._started_ns = 0
        self._is_starting = False
        self._unsettled: set[str] = set()  # children that the last start was not sure of and no venue spoke of since

    def started(self, now_ns: int) -> None:
        """A new node has taken over; its first output is the next one."""
        self._started_ns = now_ns
        self._is_starting = True
        self._unsettled.clear()

    def decided(self, output: NodeOutput, stops: Mapping[str, tuple[str, str]]) -> None:
        """Wrong if something was to be sent that a file has stopped, whatever facts say of it."""
        if stops:
            for fact in output.facts:
                if isinstance(fact, ChildSubmitted):
                    self._check_scopes(fact, set(stops))

    def output(self, output: NodeOutput) -> None:
        """Wrong if it, after all that went before, breaks a rule."""
        for fact in output.facts:
            self._fact(fact)
        self._executions.end_of_batch()
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

    def _fact(self, fact: AnyFact) -> None:
        if isinstance(fact, _SETTLE):
            self._unsettled.discard(fact.child_id)
        elif isinstance(fact, ChildUncertain) and self._is_starting:
            self._unsettled.add(fact.child_id)
        match fact:
            case MessageReceived():
                self._heard(fact)
            case MessageSent():
                self._said(fact)
            case ParentAccepted():
                self.parents[fact.parent_id] = Parent(fact)
            case ParentReplaced():
                self.parents[fact.parent_id].order_qty = fact.order_qty
            case ChildSubmitted():
                self._submitted(fact)
            case ChildFilled():
                self._filled(fact)
            case ChildFillBusted() | ChildFillCorrected():
                child = self._children[fact.child_id]
                child.cum_qty += self._executions.amended(fact, self.parents[child.parent_id])
            case ExecutionUnknown():
                self._executions.alarmed()
            case ChildReplaceRequested():
                self._children[fact.child_id].asked_qty = fact.order_qty
                self._check_risk(self._children[fact.child_id].parent_id, fact.replace_id)
            case ChildReplaced():
                child = self._children[fact.child_id]
                child.order_qty, child.asked_qty = fact.order_qty, 0
                child.is_open = child.is_open and child.cum_qty < child.order_qty
            case ChildReplaceRejected():
                self._children[fact.child_id].asked_qty = 0
            case ChildCanceled() | ChildExpired() | ChildRejected():
                self._children[fact.child_id].is_open = False
            case KillSwitchSet():
                self._killed.add(fact.scope)
            case KillSwitchReleased():
                if not fact.by:
                    raise Wrong(f"{fact.scope} was released by nobody")
                self._killed.discard(fact.scope)
            case OrdersPaused() | ShutdownBegan():
                self._halted = type(fact).__name__
            case OrdersResumed():
                self._halted = ""
            case Started():
                self._halted = self._halted if self._halted == OrdersPaused.__name__ else ""
            case SessionReset(session=session):
                sender, _, target = session.partition("->")
                self._last_seq.pop((sender, target), None)
                self._last_recorded.pop(session, None)
                self._last_heard.pop(session, None)

    def _submitted(self, fact: ChildSubmitted) -> None:
        self._check_scopes(fact, self._killed)
        if self._halted:
            raise Wrong(f"{fact.child_id} was sent after {self._halted}")
        if self._unsettled and fact.at_ns < self._started_ns + RECONCILE_NS:
            raise Wrong(f"{fact.child_id} was sent before {', '.join(self._unsettled)} were settled after the restart")
        if fact.child_id in self._children:
            raise Wrong(f"{fact.child_id} was submitted twice")
        self._children[fact.child_id] = _Child(fact.parent_id, fact.order_qty)
        self.parents[fact.parent_id].children.append(fact.child_id)
        self._check_risk(fact.parent_id, fact.child_id)

    def _check_scopes(self, child: ChildSubmitted, stopped: set[str]) -> None:
        order = self.parents[child.parent_id].accepted if child.parent_id in self.parents else None
        held = {"firm", f"venue:{child.venue}", f"symbol:{child.symbol}", f"account:{child.account}"} & stopped
        if order is not None:
            held |= {f"client:{order.client}", f"strategy:{order.strategy}"} & stopped
        if held:
            raise Wrong(f"{child.child_id} was sent while {', '.join(held)} is stopped")

    def _check_risk(self, parent_id: str, what: str) -> None:
        """Never more filled for the client and out at venues than the client gave. What is in excess is ours."""
        parent = self.parents[parent_id]
        at_risk = parent.cum_qty + sum(self._children[child_id].at_risk_qty for child_id in parent.children)
        if at_risk > parent.order_qty:
            raise Wrong(f"{parent_id}: {at_risk} of {parent.order_qty} are filled or out with {what}")

    def _filled(self, fact: ChildFilled) -> None:
        self.fill_count += 1
        child = self._children[fact.child_id]
        child.cum_qty += fact.last_qty
        child.is_open = child.is_open and child.cum_qty < child.order_qty
        self._executions.filled(fact, self.parents[child.parent_id])

    def _heard(self, fact: MessageReceived) -> None:
        """What was handed on was not handed on before. A peer may leave numbers out, and say so."""
        if fact.session.endswith("MD"):
            return  # these begin with 1 at each logon
        seq = int(field_of(fact.raw, b"34"))
        last = self._last_heard.get(fact.session, 0)
        if seq <= last:
            raise Wrong(f"{fact.session}: MsgSeqNum(34) {seq} was worked after {last}")
        self._last_heard[fact.session] = seq

    def _said(self, fact: MessageSent) -> None:
        """Each number of a session is recorded once, also of what is stored for a peer that is away."""
        last = self._last_recorded.get(fact.session, 0)
        if b"\x01141=Y\x01" not in fact.raw and fact.msg_seq_num <= last:
            raise Wrong(f"{fact.session}: MsgSeqNum(34) {fact.msg_seq_num} was used after {last}")
        self._last_recorded[fact.session] = fact.msg_seq_num
        if fact.msg_type == "D":
            cl_ord_id = field_of(fact.raw, b"11")
            self._sent_orders[cl_ord_id] += 1
            if self._sent_orders[cl_ord_id] > 1:
                raise Wrong(f"order {cl_ord_id} was written twice")
        elif fact.msg_type == "8":
            self._executions.told(fact.raw)

    def _bytes(self, data: bytes) -> None:
        for message in data.split(b"8=FIX")[1:]:
            session = field_of(message, b"49"), field_of(message, b"56")
            seq, last = int(field_of(message, b"34")), self._last_seq.get(session, 0)
            if b"\x0143=Y\x01" in message:
                continue
            if b"\x01141=Y\x01" in message:
                last = 0
            # What was said while nobody listened shows as a gap at the next Logon(A), and is asked for then.
            if seq != last + 1 and not (seq > last and b"\x0135=A\x01" in message):
                raise Wrong(f"{'->'.join(session)}: MsgSeqNum(34) {seq} follows {last}")
            self._last_seq[session] = seq
