import pytest

from domain.facts import ChildFilled, MarkoutMeasured
from domain.fields import LastLiquidityInd, Side
from domain.market import BookSnapshot, MarketView
from router.markouts import AFTER_NS, FORGOTTEN_NS, LATE_NS, DueMarkouts, markout_bps
from tests.learning.facts import SECOND, T0, child


def fill(child_id="C1", at_ns=T0, mid2_px=2_000_000, exec_id="E1"):
    return ChildFilled(
        at_ns=at_ns, child_id=child_id, venue="LIT1", exec_id=exec_id, last_qty=100, last_px=1_000_000,
        liquidity=LastLiquidityInd.ADDED, mid2_px=mid2_px,
    )  # fmt: skip


def market(mid_px=1_000_000, now_ns=T0):
    view = MarketView()
    view.apply(BookSnapshot("LIT1", "ABC", ((mid_px - 100, 100),), ((mid_px + 100, 100),)), now_ns)
    return view


def measured(due, view, now_ns):
    """The facts, each applied before the next is asked for."""
    facts = []
    for fact in due.measure(view, now_ns):
        due.apply_measured(fact)
        facts.append((fact.child_id, fact.after_ns, fact.mid2_px))
    return facts


def test_each_fill_is_marked_out_three_times_and_then_forgotten():
    due, view = DueMarkouts(), market()
    due.apply_filled(child("C1"), fill("C1"))
    due.apply_filled(child("C2"), fill("C2", T0 + 9 * SECOND))
    found = []
    while (now_ns := due.next_ns()) is not None:
        assert measured(due, view, now_ns - 1) == []
        found += [(now_ns - T0, *row[:2]) for row in measured(due, view, now_ns)]
    one, ten, sixty = AFTER_NS
    assert found == [
        (SECOND, "C1", one),
        (10 * SECOND, "C2", one),
        (10 * SECOND, "C1", ten),
        (19 * SECOND, "C2", ten),
        (60 * SECOND, "C1", sixty),
        (69 * SECOND, "C2", sixty),
    ]
    assert not due.fills


@pytest.mark.parametrize(("late_ns", "mid2_px"), [(0, 2_000_000), (LATE_NS, 2_000_000), (LATE_NS + 1, 0)])
def test_a_mid_that_is_looked_at_too_late_is_none(late_ns, mid2_px):
    due = DueMarkouts()
    due.apply_filled(child(), fill())
    assert measured(due, market(), T0 + SECOND + late_ns) == [("C1", SECOND, mid2_px)]


def test_a_fill_without_a_mid_is_not_marked_out():
    due = DueMarkouts()
    due.apply_filled(child(), fill(mid2_px=0))
    assert due.next_ns() is None


def test_facts_alone_bring_it_back_and_what_nobody_measured_is_dropped():
    due = DueMarkouts()
    due.apply_filled(child("C1"), fill("C1"))
    due.apply_filled(child("C2"), fill("C2", T0 + 60 * SECOND + FORGOTTEN_NS + 1))
    assert {key[0] for key in due.fills} == {"C2"}
    assert due.next_ns() == T0 + 61 * SECOND + FORGOTTEN_NS + 1


def test_facts_in_another_order_leave_the_same():
    due = DueMarkouts()
    for name in ("C1", "C2"):
        due.apply_filled(child(name), fill(name))
    facts = list(reversed(list(_ahead(due))))
    for fact in facts:
        assert due.apply_measured(fact) is not None
    assert due.next_ns() == T0 + AFTER_NS[1]
    assert due.apply_measured(MarkoutMeasured(at_ns=0, child_id="C9", exec_id="E", after_ns=1, mid2_px=1)) is None


def _ahead(due):
    """The first markout of each fill, measured by another that is made from the same facts."""
    other = DueMarkouts()
    for filled in due.fills.values():
        other.apply_filled(filled.order, filled.fill)
    for fact in other.measure(market(), T0 + SECOND):
        other.apply_measured(fact)
        yield fact


@pytest.mark.parametrize(("side", "expected"), [(Side.BUY, 1.0), (Side.SELL, -1.0)])
def test_a_markout_is_positive_where_the_price_went_against_us(side, expected):
    assert markout_bps(child(side=side), fill(), 1_999_800) == pytest.approx(expected)
