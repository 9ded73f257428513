"""What the answer to an OrderStatusRequest(H) makes of a child; each row is a venue's answer and what follows."""

import pytest

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildDisputed,
    ChildFilled,
    ChildRejected,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    ExecutionUnknown,
)
from domain.fields import Action, LastLiquidityInd, OrdStatus, Side
from domain.orders import ChildOrder
from router.settlement import TAKE_OVER_NS, answered, falls_short, is_counted

SUBMITTED = ChildSubmitted(
    at_ns=1, child_id="C", parent_id="P", decision_id=1, candidate=0, venue="ARGO", account="A", symbol="ALFA",
    side=Side.BUY, order_qty=1000, action=Action.POST, px=10_0000, min_qty=0, quote_id="", horizon_ns=1,
)  # fmt: skip
ACKNOWLEDGED = ChildAcknowledged(at_ns=2, child_id="C", venue_order_id="V")


def fill(qty: int, px: int, **more: object) -> ChildFilled:
    liquidity = LastLiquidityInd.ADDED
    return ChildFilled(
        at_ns=3, child_id="C", venue="ARGO", exec_id=f"E{qty}", last_qty=qty, last_px=px, liquidity=liquidity, **more
    )


FILL = fill(300, 10_0000)


def child(*facts: AnyFact) -> ChildOrder:
    order = ChildOrder(SUBMITTED)
    for fact in (*facts, ChildUncertain(at_ns=4, child_id="C")):
        order.apply(fact)
    return order


def answer(order: ChildOrder, ord_status: OrdStatus, cum_qty: int, notional_px: int = 0, now_ns: int = 5) -> list:
    status = ChildStatus(at_ns=now_ns, child_id="C", ord_status=ord_status, cum_qty=cum_qty, notional_px=notional_px)
    facts = []
    for fact in answered(order, status, 20_0000, now_ns):
        order.apply(fact)
        facts.append(fact)
    return facts


@pytest.mark.parametrize(
    ("before", "ord_status", "cum_qty", "kinds", "becomes"),
    [
        ((), OrdStatus.NEW, 0, [ChildStatus, ChildAcknowledged], OrdStatus.NEW),
        ((), OrdStatus.REJECTED, 0, [ChildStatus, ChildRejected], OrdStatus.REJECTED),
        ((ACKNOWLEDGED,), OrdStatus.NEW, 0, [ChildStatus], OrdStatus.NEW),
        ((ACKNOWLEDGED,), OrdStatus.CANCELED, 0, [ChildStatus, ChildCanceled], OrdStatus.CANCELED),
        ((ACKNOWLEDGED,), OrdStatus.EXPIRED, 0, [ChildStatus, ChildCanceled], OrdStatus.CANCELED),
        ((ACKNOWLEDGED,), OrdStatus.REJECTED, 0, [ChildStatus, ChildCanceled], OrdStatus.CANCELED),
        ((ACKNOWLEDGED, FILL), OrdStatus.PARTIALLY_FILLED, 300, [ChildStatus], OrdStatus.PARTIALLY_FILLED),
        ((ACKNOWLEDGED, FILL), OrdStatus.DONE_FOR_DAY, 300, [ChildStatus, ChildCanceled], OrdStatus.CANCELED),
    ],
)
def test_an_answer_that_agrees_makes_the_child_certain(before, ord_status, cum_qty, kinds, becomes):
    order = child(*before)
    facts = answer(order, ord_status, cum_qty)
    assert [type(fact) for fact in facts] == kinds
    assert order.ord_status is becomes and not order.uncertain


def test_shares_that_no_report_ever_told_of_are_taken_over_when_the_venue_says_them_twice():
    order = child(ACKNOWLEDGED, fill(300, 10_0000))
    missing = (OrdStatus.FILLED, 1000, 300 * 10_0000 + 400 * 9_9900 + 300 * 9_9800)
    assert [type(fact) for fact in answer(order, *missing)] == [ChildDisputed, ExecutionUnknown]
    assert answer(order, *missing, now_ns=4 + TAKE_OVER_NS) == []  # a resend may be under way
    assert order.uncertain and order.cum_qty == 300
    filled, alarm, status = answer(order, *missing, now_ns=5 + TAKE_OVER_NS)
    assert (filled.last_qty, filled.last_px, filled.taken_over) == (700, 9_9857, True)
    assert isinstance(status, ChildStatus) and alarm.last_qty == 700 and "taken over" in alarm.text
    assert order.ord_status is OrdStatus.FILLED and order.cum_qty == 1000 and not order.uncertain


def test_another_difference_than_before_has_to_be_said_twice_itself():
    order = child(ACKNOWLEDGED)
    answer(order, OrdStatus.PARTIALLY_FILLED, 100, 100 * 10_0000)
    facts = answer(order, OrdStatus.PARTIALLY_FILLED, 200, 200 * 10_0000, now_ns=5 + TAKE_OVER_NS)
    assert [type(fact) for fact in facts] == [ChildDisputed, ExecutionUnknown]


@pytest.mark.parametrize(
    ("cum_qty", "notional_px"),
    [(100, 100 * 10_0000), (700, 0), (700, 1)],  # less than counted; no price; none is left for the missing ones
)
def test_what_only_a_person_can_settle_is_held_for_ever_and_alarmed_once(cum_qty: int, notional_px: int):
    order = child(ACKNOWLEDGED, fill(300, 10_0000))
    facts = [answer(order, OrdStatus.FILLED, cum_qty, notional_px, n * TAKE_OVER_NS) for n in range(1, 9)]
    assert [type(fact) for fact in facts[0]] == [ChildDisputed, ExecutionUnknown]
    assert "held until somebody settles it" in facts[0][1].text
    assert not any(facts[1:])
    assert order.uncertain and order.cum_qty == 300


def test_a_report_that_comes_after_all_is_known_by_its_cum_qty():
    order = child(ACKNOWLEDGED, fill(300, 10_0000, cum_qty=300))
    assert not is_counted(order, fill(200, 10_0000, cum_qty=200))  # nothing was taken over: it is a fill like any other
    for now_ns in (5, 5 + TAKE_OVER_NS):
        answer(order, OrdStatus.PARTIALLY_FILLED, 700, 700 * 10_0000, now_ns)
    assert is_counted(order, fill(400, 10_0000, cum_qty=700))
    assert not is_counted(order, fill(100, 10_0000, cum_qty=800))
    assert not is_counted(order, fill(100, 10_0000))  # it does not say which: rather counted and alarmed as an overfill


def test_an_end_with_more_than_was_heard_of_is_no_end_before_the_venue_was_asked():
    order = ChildOrder(SUBMITTED)
    order.apply(ACKNOWLEDGED)
    for kinds in ([ChildUncertain, ChildDisputed, ExecutionUnknown], []):
        facts = []
        for fact in falls_short(order, 98, 5):
            order.apply(fact)
            facts.append(fact)
        assert [type(fact) for fact in facts] == kinds
    assert order.is_open and order.uncertain
    facts = answer(order, OrdStatus.CANCELED, 98, 98 * 10_0000, now_ns=5 + TAKE_OVER_NS)
    assert [type(fact) for fact in facts] == [ChildFilled, ExecutionUnknown, ChildStatus, ChildCanceled]
    assert order.ord_status is OrdStatus.CANCELED and order.cum_qty == 98


def test_a_fill_that_is_heard_of_settles_no_dispute_about_another():
    order = child(ACKNOWLEDGED)
    answer(order, OrdStatus.PARTIALLY_FILLED, 100, 100 * 10_0000)
    order.apply(fill(50, 10_0000, cum_qty=150))
    assert order.uncertain
    facts = answer(order, OrdStatus.PARTIALLY_FILLED, 150, 150 * 10_0000, now_ns=5 + TAKE_OVER_NS)
    assert [type(fact) for fact in facts] == [ChildFilled, ExecutionUnknown, ChildStatus]
    assert (order.cum_qty, order.taken_over_qty, order.uncertain) == (150, 100, False)
