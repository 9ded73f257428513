"""A client's order: what it asked for, what was filled of it, and which of its requests wait for an answer.

`TRANSITIONS` says which fact may follow in which status. A fact that has no row changes nothing and `apply` returns
False. Fills, busts and corrections have no rows: they count in every status, because they have happened at a venue
whatever we believed of the order. The client's order never counts more than the client gave: what a venue fills beyond
that is `excess_qty`, the house's to settle.

Every field changes in `apply` and nowhere else.
"""

import msgspec

from domain.facts import (
    AnyFact,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentDoneForDay,
    ParentReinstated,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentSuspended,
    ParentTriggered,
)
from domain.fields import CxlRejReason, ExecRestatementReason, OrdStatus, OrdType

NEW = OrdStatus.NEW
PARTIALLY_FILLED = OrdStatus.PARTIALLY_FILLED
FILLED = OrdStatus.FILLED
CANCELED = OrdStatus.CANCELED

STOPS = frozenset({OrdType.STOP, OrdType.STOP_LIMIT})

TRANSITIONS: dict[tuple[OrdStatus, type], OrdStatus] = {
    (NEW, ParentCancelRequested): NEW,
    (NEW, ParentReplaceRequested): NEW,
    (NEW, ParentReplaced): NEW,
    (NEW, ParentRestated): NEW,
    (NEW, ParentTriggered): NEW,
    (NEW, ParentDoneForDay): NEW,
    (NEW, ParentSuspended): NEW,
    (NEW, ParentReinstated): NEW,
    (NEW, ParentDone): CANCELED,  # or EXPIRED or FILLED: the fact names it
    (PARTIALLY_FILLED, ParentCancelRequested): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentReplaceRequested): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentReplaced): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentRestated): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentTriggered): PARTIALLY_FILLED,  # a replace made a stop of an order that had fills
    (PARTIALLY_FILLED, ParentDoneForDay): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentSuspended): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentReinstated): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentDone): CANCELED,
    (FILLED, ParentDone): FILLED,
    (FILLED, ParentReplaceRequested): FILLED,  # for more than is filled (FIX matrix C.1.c), also after it was done
    (FILLED, ParentCancelRequested): FILLED,  # behind such a request
    (FILLED, ParentReplaced): PARTIALLY_FILLED,  # the new quantity reopens it
    (FILLED, ParentRestated): PARTIALLY_FILLED,
}
_REOPENING = (ParentReplaceRequested, ParentCancelRequested, ParentReplaced, ParentRestated)

Request = ParentCancelRequested | ParentReplaceRequested


class Execution(msgspec.Struct, gc=False):
    """A fill as it counts now, after its corrections. `qty` is the venue's, `client_qty` the client's part of it."""

    child_id: str
    qty: int
    client_qty: int
    px: int
    version: int  # of the order when it was last reported: that makes the ExecID(17) of the report
    at_ns: int


class ParentOrder:
    """From the ParentAccepted that created it.

    `ord_status` is what the client is told: pending requests outrank the rest, as FIX's order of precedence says.
    """

    __slots__ = (
        "accepted",
        "cl_ord_id",
        "cum_qty",
        "day_ns",
        "done",
        "done_for_day",
        "excess_qty",
        "instructions",
        "last_qty",
        "last_version",
        "limit_px",
        "notional_px",
        "ord_type",
        "order_qty",
        "orig_cl_ord_id",
        "params",
        "pending",
        "prior_notional_px",
        "prior_qty",
        "status",
        "suspended",
        "traded_as",
        "triggered",
        "version",
    )

    def __init__(self, accepted: ParentAccepted) -> None:
        self.accepted = accepted
        self.cl_ord_id = accepted.cl_ord_id  # of the last accepted request
        self.orig_cl_ord_id = ""  # the one before, "" while no request was accepted
        self.traded_as = accepted.cl_ord_id  # of the last accepted order or replace: what fills carry, whenever
        self.order_qty = accepted.order_qty
        self.ord_type = accepted.ord_type
        self.limit_px = accepted.limit_px
        self.params = accepted.params
        self.instructions = accepted.instructions
        self.status = NEW
        self.done = False
        self.done_for_day = False  # of an order that goes on another day
        self.suspended = False  # its market is halted
        self.triggered = False  # of a stop
        self.cum_qty = 0
        self.notional_px = 0
        self.excess_qty = 0
        self.day_ns = 0  # since when it works today, 0 on its first day
        self.prior_qty = 0  # filled on earlier days
        self.prior_notional_px = 0
        self.last_qty = 0  # the client's part of the last fill or correction
        self.last_version = 0  # of the report that the last bust or correction is about, 0: the client heard of none
        self.pending: list[Request] = []  # in the order in which they came
        self.version = 1  # facts applied so far; makes ExecID(17) unique and the same in a replay

    @property
    def parent_id(self) -> str:
        return self.accepted.parent_id

    @property
    def is_open(self) -> bool:
        return not self.done

    @property
    def awaits_trigger(self) -> bool:
        return self.ord_type in STOPS and not self.triggered

    @property
    def leaves_qty(self) -> int:
        return max(self.order_qty - self.cum_qty, 0) if self.is_open else 0

    @property
    def pending_cancel(self) -> ParentCancelRequested | None:
        return next((request for request in self.pending if isinstance(request, ParentCancelRequested)), None)

    @property
    def ord_status(self) -> OrdStatus:
        asked = [request for request in self.pending if request.cl_ord_id]  # the client knows nothing of the others
        if any(isinstance(request, ParentCancelRequested) for request in asked):
            return OrdStatus.PENDING_CANCEL
        if asked:
            return OrdStatus.PENDING_REPLACE
        if self.done or self.status is FILLED:
            return self.status
        if self.done_for_day:
            return OrdStatus.DONE_FOR_DAY
        return OrdStatus.SUSPENDED if self.suspended else self.status

    def apply(self, fact: AnyFact, execution: Execution | None = None) -> bool:
        """Whether the fact was legal in this status; if not, nothing changed.

        `execution` is the fill, as it counted until now, that a bust or a correction is about.
        """
        match fact:
            case ChildFilled():
                self.last_qty = self._count(0, 0, fact.last_qty, fact.last_px)
                self.excess_qty += fact.last_qty - self.last_qty
            case ChildFillBusted() if execution is not None:
                self._recount(execution, 0, 0)
            case ChildFillCorrected() if execution is not None:
                self._recount(execution, fact.last_qty, fact.last_px)
            case ParentRequestRejected():
                if fact.reason is not CxlRejReason.DUPLICATE_CL_ORD_ID:  # that id may be one that waits
                    self._answered(fact.cl_ord_id)
            case _:
                following = TRANSITIONS.get((self.status, type(fact)))
                if following is None or (self.done and not (self.status is FILLED and isinstance(fact, _REOPENING))):
                    return False
                self._change(fact)
        self.version += 1
        return True

    def _change(self, fact: AnyFact) -> None:
        match fact:
            case ParentCancelRequested() | ParentReplaceRequested():
                self.pending.append(fact)
            case ParentReplaced():
                self._answered(fact.cl_ord_id)
                self.orig_cl_ord_id, self.cl_ord_id = self.cl_ord_id, fact.cl_ord_id
                self.traded_as = fact.cl_ord_id
                self.params = fact.params
                self.instructions = fact.instructions
                self.ord_type = fact.ord_type or self.ord_type
                self._resize(fact.order_qty, fact.limit_px)
            case ParentRestated():
                if fact.order_qty:
                    self._answered("")
                    self._resize(fact.order_qty, fact.limit_px)
                if fact.reason is ExecRestatementReason.GT_RENEWAL:
                    self.done_for_day, self.day_ns = False, fact.at_ns
                    self.prior_qty, self.prior_notional_px = self.cum_qty, self.notional_px
            case ParentTriggered():
                self.triggered = True
            case ParentDoneForDay():
                self.done_for_day = True
            case ParentSuspended():
                self.suspended = True
            case ParentReinstated():
                self.suspended = False
            case ParentDone():
                self.done = True
                self.status = fact.ord_status
                if fact.cl_ord_id:
                    self.orig_cl_ord_id, self.cl_ord_id = self.cl_ord_id, fact.cl_ord_id
                self.pending.clear()

    def _answered(self, cl_ord_id: str) -> None:
        """The first pending request with this id ("" is an operator's) waits no longer."""
        for index, request in enumerate(self.pending):
            if request.cl_ord_id == cl_ord_id:
                del self.pending[index]
                return

    def _resize(self, order_qty: int, limit_px: int) -> None:
        self.order_qty, self.limit_px = order_qty, limit_px
        self.status = self._filled_status()
        self.done = self.done and self.status is FILLED

    def _count(self, was_qty: int, was_px: int, qty: int, px: int) -> int:
        """Counts a fill that counted with `was_qty` until now, at most what the client gave; what it counts with."""
        others_qty = self.cum_qty - was_qty
        counted_qty = min(qty, max(self.order_qty - others_qty, 0))
        self.cum_qty = others_qty + counted_qty
        self.notional_px += counted_qty * px - was_qty * was_px
        if not self.done or self.status is FILLED:
            # A bust takes a filled order back to where it was, open (FIX matrix J.1.a); one that was canceled or has
            # expired stays so (J.1.b).
            self.status = self._filled_status()
            self.done = self.done and self.status is FILLED
        return counted_qty

    def _recount(self, execution: Execution, qty: int, px: int) -> None:
        was_qty, was_px = execution.client_qty, execution.px
        self.last_qty = self._count(was_qty, was_px, qty, px)
        self.excess_qty += (qty - self.last_qty) - (execution.qty - was_qty)
        self.last_version = execution.version if was_qty else 0
        if execution.at_ns < self.day_ns:
            self.prior_qty += self.last_qty - was_qty
            self.prior_notional_px += self.last_qty * px - was_qty * was_px

    def _filled_status(self) -> OrdStatus:
        if self.cum_qty >= self.order_qty:
            return FILLED
        return PARTIALLY_FILLED if self.cum_qty else NEW


Executions = dict[tuple[str, str], Execution]  # by (venue, ExecID(17))


def apply_execution(
    parent: ParentOrder, fact: ChildFilled | ChildFillBusted | ChildFillCorrected, executions: Executions
) -> None:
    """Counts a fill, or what became of one, and keeps in `executions` how it counts from now on.

    A corrected or busted fill is known by both ids, since a venue may refer to the first or to the last.
    """
    if isinstance(fact, ChildFilled):
        parent.apply(fact)
        executions[fact.venue, fact.exec_id] = Execution(
            fact.child_id, fact.last_qty, parent.last_qty, fact.last_px, parent.version, fact.at_ns
        )
        return
    execution = executions[fact.venue, fact.exec_id] = executions[fact.venue, fact.exec_ref_id]
    parent.apply(fact, execution)
    execution.qty = fact.last_qty if isinstance(fact, ChildFillCorrected) else 0
    execution.px = fact.last_px
    execution.client_qty, execution.version = parent.last_qty, parent.version
