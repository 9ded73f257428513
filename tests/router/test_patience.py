"""A venue that leaves an order or a request without an answer is asked, and what should be gone is cancelled again."""

from domain.facts import (
    ChildAcknowledged,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildRejected,
    ChildStatus,
    ChildUncertain,
    ExecutionUnknown,
)
from domain.fields import Action, CxlRejReason, OrdRejReason, OrdStatus
from router.asking import CANCEL_RETRY_NS
from router.timers import PATIENCE_NS
from tests.router.test_engine import Harness, kinds
from tests.router.test_quoting import of


def resting(acknowledged: bool = True) -> tuple[Harness, str]:
    """A desk with one child that rests, far from its horizon."""
    desk = Harness()
    desk.new(order_qty=100, limit_px=99_9900, ord_type="2")
    (child_id,) = desk.open_children()
    assert desk.state.children[child_id].submitted.action is Action.POST
    if acknowledged:
        desk.report(ChildAcknowledged(at_ns=desk.now_ns, child_id=child_id, venue_order_id="V"))
    return desk, child_id


def refused(desk: Harness, child_id: str, ord_status: OrdStatus) -> list:
    reason = CxlRejReason.UNKNOWN_ORDER if ord_status is OrdStatus.REJECTED else CxlRejReason.BROKER_OPTION
    return desk.report(
        ChildCancelRejected(at_ns=desk.now_ns, child_id=child_id, reason=reason, text="no", ord_status=ord_status)
    )


def status(desk: Harness, child_id: str, ord_status: OrdStatus = OrdStatus.NEW) -> list:
    return desk.report(ChildStatus(at_ns=desk.now_ns, child_id=child_id, ord_status=ord_status, cum_qty=0))


def test_an_order_that_is_not_acknowledged_is_asked_for() -> None:
    desk, child_id = resting(acknowledged=False)
    assert not of(desk.pass_time(PATIENCE_NS - 1), ChildUncertain)
    assert [fact.child_id for fact in of(desk.pass_time(1), ChildUncertain)] == [child_id]


def test_one_that_is_acknowledged_is_left_alone() -> None:
    desk, _ = resting()
    assert not of(desk.pass_time(PATIENCE_NS), ChildUncertain)


def test_a_cancel_without_an_answer_is_asked_for_and_sent_again() -> None:
    desk, child_id = resting()
    desk.cancel("A", "X")
    assert [fact.child_id for fact in of(desk.pass_time(PATIENCE_NS), ChildUncertain)] == [child_id]
    (again,) = of(status(desk, child_id), ChildCancelRequested)
    assert (again.child_id, again.reason) == (child_id, "parent_cancel")


def test_a_cancel_that_is_refused_for_an_order_that_lives_on_is_sent_again_a_little_later() -> None:
    desk, child_id = resting()
    desk.cancel("A", "X")
    assert kinds(refused(desk, child_id, OrdStatus.NEW)) == [ChildCancelRejected]
    assert not of(desk.pass_time(CANCEL_RETRY_NS - 1), ChildCancelRequested)
    assert [fact.child_id for fact in of(desk.pass_time(1), ChildCancelRequested)] == [child_id]


def test_a_cancel_that_is_refused_because_there_is_no_order_is_asked_for() -> None:
    desk, child_id = resting()
    desk.cancel("A", "X")
    assert kinds(refused(desk, child_id, OrdStatus.REJECTED)) == [ChildCancelRejected, ChildUncertain]


def test_a_cancel_that_came_before_the_order_is_sent_again_when_the_order_is_there() -> None:
    desk, child_id = resting(acknowledged=False)
    desk.cancel("A", "X")
    refused(desk, child_id, OrdStatus.REJECTED)
    facts = desk.report(ChildAcknowledged(at_ns=desk.now_ns, child_id=child_id, venue_order_id="V"))
    assert kinds(facts) == [ChildAcknowledged, ChildCancelRequested]


def test_an_order_that_comes_back_from_the_dead_is_alarmed_and_cancelled() -> None:
    desk, child_id = resting(acknowledged=False)
    desk.report(ChildRejected(at_ns=desk.now_ns, child_id=child_id, reason=OrdRejReason.UNKNOWN_ORDER, text=""))
    facts = desk.report(ChildAcknowledged(at_ns=desk.now_ns, child_id=child_id, venue_order_id="V"))
    assert kinds(facts) == [ExecutionUnknown, ChildCancelRequested]
