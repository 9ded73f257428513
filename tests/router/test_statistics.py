"""What recent outcomes teach, and what is no evidence."""

import pytest

from domain.facts import (
    ChildCanceled,
    ChildCancelRequested,
    ChildFilled,
    ChildRejected,
    ChildSubmitted,
    MarkoutMeasured,
)
from domain.fields import Action, LastLiquidityInd, OrdRejReason, Side
from domain.orders import ChildOrder
from router.statistics import (
    ASSUMED,
    MARKOUT_NS,
    MARKOUT_PRIOR_COUNT,
    MEMORY,
    PRIOR_COUNT,
    VenueStatistics,
)


class Desk:
    """Applies facts to a child and the statistics in the order in which the router does."""

    def __init__(self) -> None:
        self.statistics = VenueStatistics()
        self.children = 0

    def submit(self, *, action=Action.POST, qty=100, venue="LIT1", side=Side.BUY, horizon_ns=1) -> ChildOrder:
        self.children += 1
        fact = ChildSubmitted(
            at_ns=0, child_id=f"C{self.children}", parent_id="P1", decision_id=1, candidate=0, venue=venue,
            account="ACC", symbol="ALFA", side=side, order_qty=qty, action=action, px=1_000_000, min_qty=0,
            quote_id="", horizon_ns=horizon_ns,
        )  # fmt: skip
        self.statistics.apply_submitted(fact)
        return ChildOrder(fact)

    def fill(self, child, qty, at_ns=0, mid2_px=0):
        fact = ChildFilled(
            at_ns=at_ns, child_id=child.child_id, venue="LIT1", exec_id="", last_qty=qty, last_px=1_000_000,
            liquidity=LastLiquidityInd.ADDED, mid2_px=mid2_px,
        )  # fmt: skip
        self._apply(child, fact)
        self.statistics.apply_filled(child, fact)

    def mark_out(self, child, mid2_px, later_mid2_px, after_ns=MARKOUT_NS):
        fill = ChildFilled(
            at_ns=0, child_id=child.child_id, venue="", exec_id="E", last_qty=1, last_px=1,
            liquidity=LastLiquidityInd.ADDED, mid2_px=mid2_px,
        )  # fmt: skip
        measured = MarkoutMeasured(
            at_ns=after_ns, child_id=child.child_id, exec_id="E", after_ns=after_ns, mid2_px=later_mid2_px
        )
        self.statistics.apply_markout(child.submitted, fill, measured)

    def cancel(self, child, reason):
        if reason:
            child.apply(ChildCancelRequested(at_ns=0, child_id=child.child_id, cancel_id="X", reason=reason))
        self._end(child, ChildCanceled(at_ns=0, child_id=child.child_id, text=""))

    def reject(self, child):
        self._end(child, ChildRejected(at_ns=0, child_id=child.child_id, reason=OrdRejReason.OTHER, text=""))

    def _end(self, child, fact):
        self._apply(child, fact)
        self.statistics.apply_ended(child, fact)

    def _apply(self, child, fact):
        was_qty = child.leaves_qty
        child.apply(fact)
        self.statistics.apply_leaves(child.submitted, child.leaves_qty - was_qty)


FILL_RATE, FILLED_FRACTION, REJECT_RATE, MARKOUT_BPS = ASSUMED[Action.POST]


def after_one(assumed, outcome, prior_count=PRIOR_COUNT):
    return assumed + (outcome - assumed) / (prior_count + 1)


OUTCOMES = [
    # what happened, fill rate, filled fraction, reject rate
    (lambda d, c: d.fill(c, 100), 1, 1.0, 0),
    (lambda d, c: (d.fill(c, 30), d.fill(c, 70)), 1, 1.0, 0),
    (lambda d, c: (d.fill(c, 40), d.cancel(c, "horizon")), 1, 0.4, 0),
    (lambda d, c: d.cancel(c, "horizon"), 0, None, 0),
    (lambda d, c: d.reject(c), 0, None, 1),
    (lambda d, c: (d.cancel(c, "horizon"), d.fill(c, 50)), 0, None, 0),  # a late fill: the outcome was counted
    (lambda d, c: (d.fill(c, 100), d.fill(c, 20)), 1, 1.0, 0),  # an overfill counts once
    # right-censored: it was not given its time
    (lambda d, c: d.cancel(c, "parent_cancel"), None, None, None),
    (lambda d, c: (d.fill(c, 40), d.cancel(c, "shutdown")), None, None, None),
    (lambda d, c: d.cancel(c, ""), None, None, None),
    (lambda d, c: d.fill(c, 40), None, None, None),
]


@pytest.mark.parametrize(("happens", "fill_rate", "filled_fraction", "reject_rate"), OUTCOMES)
def test_what_an_order_that_rested_teaches(happens, fill_rate, filled_fraction, reject_rate):
    desk = Desk()
    happens(desk, desk.submit())
    found = desk.statistics.of("LIT1", Action.POST)
    for value, assumed, outcome in (
        (found.fill_rate, FILL_RATE, fill_rate),
        (found.filled_fraction, FILLED_FRACTION, filled_fraction),
        (found.reject_rate, REJECT_RATE, reject_rate),
    ):
        assert value == pytest.approx(assumed if outcome is None else after_one(assumed, outcome))


def test_an_immediate_order_that_found_nothing_had_its_time():
    desk = Desk()
    desk.cancel(desk.submit(action=Action.TAKE, horizon_ns=0), "")
    assert desk.statistics.of("LIT1", Action.TAKE).fill_rate == pytest.approx(after_one(ASSUMED[Action.TAKE][0], 0))


def test_each_venue_and_action_learns_for_itself():
    desk = Desk()
    desk.reject(desk.submit(venue="LIT2"))
    assert desk.statistics.of("LIT1", Action.POST).reject_rate == REJECT_RATE
    assert desk.statistics.of("LIT2", Action.IMPROVE).reject_rate == ASSUMED[Action.IMPROVE][2]
    assert desk.statistics.of("LIT2", Action.POST).reject_rate > REJECT_RATE


def test_half_of_the_weight_lies_on_the_last_fifty():
    desk = Desk()
    for _ in range(1_000):
        desk.fill(desk.submit(), 100)
    assert desk.statistics.of("LIT1", Action.POST).fill_rate > 0.99
    for _ in range(50):
        desk.cancel(desk.submit(), "horizon")
    assert desk.statistics.of("LIT1", Action.POST).fill_rate == pytest.approx((1 - 1 / MEMORY) ** 50, rel=1e-3)
    assert pytest.approx(0.5, abs=0.01) == (1 - 1 / MEMORY) ** 50


def test_our_own_resting_shares_come_and_go():
    desk = Desk()

    def resting(side=Side.BUY):
        return desk.statistics.resting_qty("LIT1", "ALFA", side)

    one, two = desk.submit(qty=100), desk.submit(qty=50)
    desk.submit(qty=70, action=Action.TAKE, horizon_ns=0)
    desk.submit(qty=30, side=Side.SELL)
    assert (resting(), resting(Side.SELL), resting(Side.SELL_SHORT)) == (150, 30, 30)
    desk.fill(one, 40)
    assert resting() == 110
    desk.fill(one, 70)  # 10 more than were left
    assert resting() == 50
    desk.fill(one, 5)
    desk.fill(two, 20)
    desk.cancel(two, "horizon")
    desk.fill(two, 20)  # late
    assert resting() == 0


MARKOUTS = [
    # side, mid at the fill, mid later, after, markout
    (Side.BUY, 2_000_000, 1_999_800, MARKOUT_NS, 1.0),
    (Side.SELL, 2_000_000, 1_999_800, MARKOUT_NS, -1.0),
    (Side.BUY, 2_000_000, 2_000_200, MARKOUT_NS, -1.0),
    (Side.BUY, 2_000_000, 1_999_800, 10 * MARKOUT_NS, None),  # another horizon
    (Side.BUY, 2_000_000, 0, MARKOUT_NS, None),  # nobody could say
]


@pytest.mark.parametrize(("side", "mid2_px", "later_mid2_px", "after_ns", "markout_bps"), MARKOUTS)
def test_a_fill_is_marked_out_against_the_mid_later(side, mid2_px, later_mid2_px, after_ns, markout_bps):
    desk = Desk()
    desk.mark_out(desk.submit(side=side), mid2_px, later_mid2_px, after_ns)
    found = desk.statistics.of("LIT1", Action.POST).markout_bps
    assert found == pytest.approx(
        MARKOUT_BPS if markout_bps is None else after_one(MARKOUT_BPS, markout_bps, MARKOUT_PRIOR_COUNT)
    )
    assert desk.statistics.of("LIT2", Action.POST).markout_bps == MARKOUT_BPS


def test_markouts_are_averaged():
    desk = Desk()
    for later_mid2_px in (1_999_800, 2_000_000):
        desk.mark_out(desk.submit(), 2_000_000, later_mid2_px)
    first = after_one(MARKOUT_BPS, 1.0, MARKOUT_PRIOR_COUNT)
    expected = first + (0.0 - first) / (MARKOUT_PRIOR_COUNT + 2)
    assert desk.statistics.of("LIT1", Action.POST).markout_bps == pytest.approx(expected)
