"""Executions as the venues reported them, and what of each the client has to hear: each once, and no share too many.

A client's order takes at most what the client gave. What a venue fills beyond that is the house's, has to raise an
alarm, and is none of the client's business, also when it is corrected or busted.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.facts import ChildFillBusted, ChildFillCorrected, ChildFilled, ParentAccepted


class Wrong(AssertionError):  # noqa: N818 - it describes the run
    """Something that must never be, in words."""


class Parent:
    """`cum_qty`: the client's part of what was filled."""

    def __init__(self, accepted: ParentAccepted) -> None:
        self.accepted = accepted
        self.order_qty = accepted.order_qty
        self.cum_qty = 0
        self.excess_qty = 0
        self.children: list[str] = []


@dataclass(slots=True)
class _Execution:
    child_id: str
    qty: int
    client_qty: int
    told_as: str = ""  # ExecID(17) of our last report on it that still counts


class _Due(NamedTuple):
    """A report that the client has to get now."""

    kind: str
    execution: _Execution
    what: str
    last_qty: int
    exec_ref_id: str


@dataclass(slots=True)
class Executions:
    """`clients`: who hears reports; another one is not in the config any more."""

    clients: set[str]
    _by_id: dict[tuple[str, str], _Execution] = field(default_factory=dict)
    _due: deque[_Due] = field(default_factory=deque)
    _alarms_due: int = 0

    def filled(self, fact: ChildFilled, parent: Parent) -> None:
        key = (fact.venue, fact.exec_id)
        if key in self._by_id:
            raise Wrong(f"fill {fact.exec_id} of {fact.venue} was counted twice")
        self._by_id[key] = execution = _Execution(fact.child_id, 0, 0)
        self._count(execution, fact.last_qty, parent, fact.exec_id)

    def amended(self, fact: ChildFillBusted | ChildFillCorrected, parent: Parent) -> int:
        """By how much the child's CumQty(14) changes."""
        if (fact.venue, fact.exec_id) in self._by_id:
            raise Wrong(f"{type(fact).__name__} {fact.exec_id} of {fact.venue} was counted twice")
        execution = self._by_id[fact.venue, fact.exec_id] = self._by_id[fact.venue, fact.exec_ref_id]
        was_qty, qty = execution.qty, 0 if isinstance(fact, ChildFillBusted) else fact.last_qty
        self._count(execution, qty, parent, fact.exec_id)
        return qty - was_qty

    def told(self, raw: bytes) -> None:
        """An ExecutionReport(8) that leaves, or is kept for a client who is away."""
        kind = _kind(raw)
        if not kind:
            return
        exec_id, last_qty = field_of(raw, b"17"), int(field_of(raw, b"32") or 0)
        if not self._due:
            raise Wrong(f"{kind} {exec_id} of {last_qty} shares was told, and nothing happened")
        due = self._due.popleft()
        said = (kind, last_qty if kind != "bust" else 0, field_of(raw, b"19"))
        if said != (due.kind, due.last_qty, due.exec_ref_id):
            raise Wrong(f"{due.what}: told {said}, expected {(due.kind, due.last_qty, due.exec_ref_id)}")
        due.execution.told_as = "" if kind == "bust" else exec_id

    def alarmed(self) -> None:
        self._alarms_due = 0

    def end_of_batch(self) -> None:
        if self._due:
            raise Wrong(f"{self._due[0].what}: {self._due[0].kind} was not told")
        if self._alarms_due:
            raise Wrong(f"{self._alarms_due} shares in excess, and no alarm")

    def _count(self, execution: _Execution, qty: int, parent: Parent, what: str) -> None:
        was_qty, excess_qty = execution.client_qty, execution.qty - execution.client_qty
        parent.cum_qty -= was_qty
        now_qty = min(qty, max(parent.order_qty - parent.cum_qty, 0))
        parent.cum_qty += now_qty
        more_qty = qty - now_qty - excess_qty
        parent.excess_qty += more_qty
        self._alarms_due += max(more_qty, 0)
        execution.qty, execution.client_qty = qty, now_qty
        if parent.accepted.client not in self.clients or not (was_qty or now_qty):
            return
        kind = "fill" if not was_qty else "correction" if now_qty else "bust"
        exec_ref_id = execution.told_as if was_qty else ""
        self._due.append(_Due(kind, execution, what, now_qty, exec_ref_id))


def field_of(message: bytes, tag: bytes) -> str:
    return message.partition(b"\x01" + tag + b"=")[2].partition(b"\x01")[0].decode()


def _kind(raw: bytes) -> str:
    trans_type, exec_type = field_of(raw, b"20"), field_of(raw, b"150")
    if trans_type == "1" or exec_type == "H":
        return "bust"
    if trans_type == "2" or exec_type == "G":
        return "correction"
    return "fill" if exec_type in ("1", "2", "F") and trans_type in ("", "0") else ""
