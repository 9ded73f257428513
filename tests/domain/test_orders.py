"""The order state machines: tables for the surprising rows, and any sequence of facts keeps the quantities right."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.facts import (
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
)
from domain.fields import (
    Action,
    CxlRejReason,
    CxlRejResponseTo,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from domain.orders import FINAL, ChildOrder, Execution, ParentOrder

PARENT = ParentAccepted(
    at_ns=1, parent_id="P1", client="EMS1", cl_ord_id="A", account="ACC", symbol="ALFA", side=Side.BUY, order_qty=1000,
    ord_type=OrdType.MARKET, limit_px=0, time_in_force=TimeInForce.DAY, strategy="sweep", params={},
    arrival_mid2_px=2_000_000, tape_qty=0, tape_notional_px=0,
)  # fmt: skip
CHILD = ChildSubmitted(
    at_ns=1, child_id="C1", parent_id="P1", decision_id=1, candidate=0, venue="ARGO", account="ACC", symbol="ALFA",
    side=Side.BUY, order_qty=100, action=Action.POST, px=1_000_000, min_qty=0, quote_id="", horizon_ns=10**9,
)  # fmt: skip
ACK = ChildAcknowledged(at_ns=2, child_id="C1", venue_order_id="V1")
CANCELED = ChildCanceled(at_ns=2, child_id="C1", text="")
REJECTED = ChildRejected(at_ns=2, child_id="C1", reason=OrdRejReason.OTHER, text="")
EXPIRED = ChildExpired(at_ns=2, child_id="C1", text="")
CANCEL = ChildCancelRequested(at_ns=2, child_id="C1", cancel_id="X1", reason="horizon")
UNCERTAIN = ChildUncertain(at_ns=2, child_id="C1")


def fill(qty: int, px: int = 1_000_000) -> ChildFilled:
    return ChildFilled(
        at_ns=3, child_id="C1", venue="ARGO", exec_id="E", last_qty=qty, last_px=px, liquidity=LastLiquidityInd.ADDED
    )


@pytest.mark.parametrize(
    ("facts", "ord_status", "cum_qty", "leaves_qty"),
    [
        ([], OrdStatus.PENDING_NEW, 0, 100),
        ([ACK], OrdStatus.NEW, 0, 100),
        ([fill(40), ACK], OrdStatus.PARTIALLY_FILLED, 40, 60),  # the acknowledgement overtaken by a fill
        ([ACK, fill(40), fill(60)], OrdStatus.FILLED, 100, 0),
        ([CANCELED], OrdStatus.CANCELED, 0, 0),  # immediate-or-cancel, never acknowledged
        ([ACK, fill(40), CANCELED], OrdStatus.CANCELED, 40, 0),
        ([ACK, CANCELED, fill(40)], OrdStatus.CANCELED, 40, 0),  # a late fill counts, the status stays
        ([ACK, REJECTED], OrdStatus.REJECTED, 0, 0),  # last look
        ([ACK, fill(100), fill(50)], OrdStatus.FILLED, 150, 0),  # an overfill is real
        ([ACK, fill(40), EXPIRED], OrdStatus.EXPIRED, 40, 0),
    ],
)
def test_a_childs_life(facts: list, ord_status: OrdStatus, cum_qty: int, leaves_qty: int) -> None:
    child = ChildOrder(CHILD)
    for fact in facts:
        assert child.apply(fact)
    assert (child.ord_status, child.cum_qty, child.leaves_qty) == (ord_status, cum_qty, leaves_qty)


@pytest.mark.parametrize("facts", [[ACK, fill(100)], [ACK, CANCELED], [REJECTED]])
@pytest.mark.parametrize("illegal", [CANCELED, EXPIRED, CANCEL])
def test_an_illegal_fact_changes_nothing_and_says_so(facts: list, illegal: object) -> None:
    child = ChildOrder(CHILD)
    for fact in facts:
        child.apply(fact)
    before = [getattr(child, name) for name in ChildOrder.__slots__]
    assert not child.apply(illegal)
    assert [getattr(child, name) for name in ChildOrder.__slots__] == before


def test_an_uncertain_child_keeps_its_quantity_at_risk_until_the_venue_answers() -> None:
    child = ChildOrder(CHILD)
    child.apply(ACK)
    child.apply(UNCERTAIN)
    assert child.uncertain and child.leaves_qty == 100
    child.apply(ChildStatus(at_ns=5, child_id="C1", ord_status=OrdStatus.NEW, cum_qty=0))
    assert not child.uncertain


class ChildMachine(RuleBasedStateMachine):
    """Any facts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.child = ChildOrder(CHILD)
        self.filled = 0
        self.final: OrdStatus | None = None

    @rule(fact=st.sampled_from([ACK, CANCELED, REJECTED, EXPIRED, CANCEL, UNCERTAIN]))
    def event(self, fact: object) -> None:
        self.child.apply(fact)

    @rule(cum_qty=st.integers(0, 100))
    def status(self, cum_qty: int) -> None:
        self.child.apply(ChildStatus(at_ns=9, child_id="C1", ord_status=OrdStatus.NEW, cum_qty=cum_qty))

    @rule()
    def cancel_rejected(self) -> None:
        self.child.apply(ChildCancelRejected(at_ns=9, child_id="C1", reason=CxlRejReason.TOO_LATE, text=""))
        assert not self.child.pending_cancel_id

    @rule(qty=st.integers(1, 120))
    def fill(self, qty: int) -> None:
        self.child.apply(fill(qty))
        self.filled += qty

    @invariant()
    def quantities_add_up(self) -> None:
        child = self.child
        assert child.cum_qty == self.filled and child.notional_px == self.filled * 1_000_000
        if child.is_open:
            assert child.cum_qty + child.leaves_qty == 100 and child.cum_qty < 100
        else:
            assert child.leaves_qty == 0

    @invariant()
    def a_final_status_stays(self) -> None:
        if self.final is not None:
            assert self.child.ord_status is self.final
        elif self.child.ord_status in FINAL:
            self.final = self.child.ord_status


class ParentMachine(RuleBasedStateMachine):
    """Requests, fills, busts, corrections and ends in any order, also some that the engine never produces."""

    def __init__(self) -> None:
        super().__init__()
        self.parent = ParentOrder(PARENT)
        self.executions: list[Execution] = []
        self.requests = 0

    def apply(self, fact: object, execution: Execution | None = None) -> bool:
        before, state = self.parent.version, self.seen()
        if self.parent.apply(fact, execution):
            assert self.parent.version == before + 1  # so that each report has an ExecID of its own
            return True
        assert (self.parent.version, self.seen()) == (before, state)
        return False

    def seen(self) -> tuple:
        parent = self.parent
        return parent.ord_status, parent.order_qty, parent.cum_qty, parent.leaves_qty, list(parent.pending)

    @rule(qty=st.integers(1, 700))
    def fill(self, qty: int) -> None:
        before = self.parent.cum_qty
        self.apply(fill(qty))
        assert self.parent.cum_qty == before + self.parent.last_qty
        self.executions.append(Execution("C1", qty, self.parent.last_qty, 1_000_000, self.parent.version, 1))

    @precondition(lambda self: self.executions)
    @rule(pick=st.integers(0, 10**6), qty=st.integers(0, 700))
    def take_back(self, pick: int, qty: int) -> None:
        execution = self.executions[pick % len(self.executions)]
        common = {"at_ns": 2, "child_id": "C1", "venue": "ARGO", "exec_id": "E", "exec_ref_id": "E0"}
        if qty:
            fact = ChildFillCorrected(
                **common, was_qty=execution.qty, was_px=1_000_000, last_qty=qty, last_px=1_000_000
            )
        else:
            fact = ChildFillBusted(**common, last_qty=execution.qty, last_px=1_000_000)
        was_done = self.parent.done and self.parent.status is not OrdStatus.FILLED
        self.apply(fact, execution)
        assert not was_done or self.parent.done  # what was canceled or has expired stays so
        execution.qty, execution.client_qty = qty, self.parent.last_qty
        execution.version = self.parent.version

    @rule()
    def cancel(self) -> None:
        self.requests += 1
        self.apply(ParentCancelRequested(at_ns=2, parent_id="P1", cl_ord_id=f"R{self.requests}"))

    @rule(order_qty=st.integers(1, 3000))
    def replace(self, order_qty: int) -> None:
        self.requests += 1
        self.apply(
            ParentReplaceRequested(
                at_ns=2, parent_id="P1", cl_ord_id=f"R{self.requests}", order_qty=order_qty, limit_px=0, params={}
            )
        )

    @precondition(lambda self: self.parent.pending)
    @rule()
    def answer(self) -> None:
        request = self.parent.pending[0]
        if isinstance(request, ParentReplaceRequested):
            order_qty = max(request.order_qty, self.parent.cum_qty)
            assert self.apply(
                ParentReplaced(
                    at_ns=3, parent_id="P1", cl_ord_id=request.cl_ord_id, order_qty=order_qty, limit_px=0, params={}
                )
            )
            assert (self.parent.order_qty, self.parent.cl_ord_id) == (order_qty, request.cl_ord_id)
            assert self.parent.traded_as == request.cl_ord_id
        else:
            self.reject(request.cl_ord_id, CxlRejReason.TOO_LATE)
        assert request not in self.parent.pending

    @precondition(lambda self: self.parent.pending)
    @rule()
    def say_it_again(self) -> None:
        """A duplicate of what waits is refused, and goes on waiting."""
        pending = list(self.parent.pending)
        self.reject(pending[0].cl_ord_id, CxlRejReason.DUPLICATE_CL_ORD_ID)
        assert self.parent.pending == pending

    def reject(self, cl_ord_id: str, reason: CxlRejReason) -> None:
        self.apply(
            ParentRequestRejected(
                at_ns=3, parent_id="P1", client="EMS1", cl_ord_id=cl_ord_id, orig_cl_ord_id="A",
                ord_status=OrdStatus.NEW, response_to=CxlRejResponseTo.ORDER_CANCEL_REQUEST, reason=reason, text="",
            )
        )  # fmt: skip

    @rule(ord_status=st.sampled_from([OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY]))
    def end(self, ord_status: OrdStatus) -> None:
        if self.parent.status is OrdStatus.FILLED:
            ord_status = OrdStatus.FILLED  # the engine knows no other end of it
        self.apply(
            ParentDone(
                at_ns=4, parent_id="P1", ord_status=ord_status, cl_ord_id="", text="", tape_qty=0, tape_notional_px=0
            )
        )

    @invariant()
    def quantities_add_up(self) -> None:
        parent = self.parent
        assert parent.cum_qty == sum(execution.client_qty for execution in self.executions)
        assert parent.notional_px == parent.cum_qty * 1_000_000
        assert parent.cum_qty + parent.excess_qty == sum(execution.qty for execution in self.executions)
        assert 0 <= parent.cum_qty <= parent.order_qty
        if parent.is_open:
            assert parent.order_qty == parent.cum_qty + parent.leaves_qty
            assert (parent.status is OrdStatus.FILLED) == (parent.cum_qty == parent.order_qty)
        else:
            assert parent.leaves_qty == 0

    @invariant()
    def a_pending_request_outranks_the_rest(self) -> None:
        kinds = {type(request) for request in self.parent.pending}
        if ParentCancelRequested in kinds:
            assert self.parent.ord_status is OrdStatus.PENDING_CANCEL
        elif kinds:
            assert self.parent.ord_status is OrdStatus.PENDING_REPLACE


ChildMachine.TestCase.settings = ParentMachine.TestCase.settings = settings(max_examples=100, deadline=None)
TestChild = ChildMachine.TestCase
TestParent = ParentMachine.TestCase
