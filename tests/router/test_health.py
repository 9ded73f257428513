"""Venues against what was said of their orders: corrections at once, an alarm for what has changed, none for chance."""

import numpy as np
import pytest

from domain.facts import ChildFilled, ChildSubmitted, MarkoutMeasured, VenueDrifted, VenueSteadied
from domain.fields import Action, LastLiquidityInd, Side, VenueKind
from router.candidates import Candidate
from router.health import HALF_LIFE_NS, MARKOUT_NS, NO_CORRECTION, VenueHealth, corrected

SECOND = 1_000_000_000
APART_NS = 11 * SECOND  # so that each order and each fill counts for itself
MID2_PX = 2_000_000


def candidate(venue="V1", action=Action.POST):
    return Candidate(venue, VenueKind.LIT, action, 100, 100, horizon_ns=SECOND)


class Desk:
    """Orders whose outcome is known, each told to the health as facts would."""

    def __init__(self):
        self.health = VenueHealth()
        self.at_ns = 0
        self.told = []

    def order(self, said, filled, *, venue="V1", action=Action.POST, said_bps=0.0, found_bps=0.0, apart_ns=APART_NS):
        self.at_ns += apart_ns
        order = ChildSubmitted(
            at_ns=self.at_ns, child_id="C", parent_id="P", decision_id=1, candidate=0, venue=venue, account="A",
            symbol="ALFA", side=Side.BUY, order_qty=100, action=action, px=100, min_qty=0, quote_id="",
            horizon_ns=SECOND, fill_probability=said, markout_bps=said_bps,
        )  # fmt: skip
        self.health.apply_order(order, filled, self.at_ns)
        if filled:
            fill = ChildFilled(
                at_ns=self.at_ns, child_id="C", venue=venue, exec_id="E", last_qty=100, last_px=100,
                liquidity=LastLiquidityInd.ADDED, mid2_px=MID2_PX,
            )  # fmt: skip
            later2_px = round(MID2_PX * (1 - found_bps / 1e4))
            measured = MarkoutMeasured(
                at_ns=self.at_ns + MARKOUT_NS, child_id="C", exec_id="E", after_ns=MARKOUT_NS, mid2_px=later2_px
            )
            self.health.apply_markout(order, fill, measured)
        for fact in self.health.news(self.at_ns):
            self.told.append(fact)
            (self.health.apply_drifted if isinstance(fact, VenueDrifted) else self.health.apply_steadied)(fact)

    def correction(self, later_ns=0, **of):
        return self.health.corrections([candidate(**of)], self.at_ns + later_ns)[0]

    def play(self, rng, orders, *, fills=1.0, lost_bps=0.0, off=1.0):
        """Orders whose P(fill) is said wrongly by the factor `off`, at a venue that fills `fills` of what it used to.

        The number of orders until a fact told of an alarm, None where none did.
        """
        before = len(self.told)
        for number in range(1, orders + 1):
            p = rng.uniform(0.1, 0.9)
            filled = bool(rng.random() < p * fills)
            self.order(min(p * off, 1.0), filled, said_bps=0.2, found_bps=rng.normal(0.2 + lost_bps, 3.0))
            if len(self.told) > before:
                return number
        return None


def test_nothing_seen_is_no_correction():
    assert Desk().correction() == NO_CORRECTION


def test_fills_are_corrected_to_what_is_found_and_fade_with_time():
    desk = Desk()
    for number in range(200):
        desk.order(0.8, number % 2 == 0, said_bps=0.5, found_bps=2.5, apart_ns=SECOND)
    found = desk.correction()
    assert found.fill_factor == pytest.approx(0.5 / 0.8, rel=0.05)
    assert 1.2 < found.markout_bps < 2.0
    faded = desk.correction(later_ns=4 * HALF_LIFE_NS)
    assert found.fill_factor < faded.fill_factor < 1.0
    assert 0.0 < faded.markout_bps < found.markout_bps
    assert desk.correction(later_ns=40 * HALF_LIFE_NS) == pytest.approx(NO_CORRECTION, abs=1e-6)


def test_another_action_at_the_venue_learns_of_it_and_another_venue_does_not():
    desk = Desk()
    for _ in range(100):
        desk.order(0.9, False, apart_ns=SECOND)
    assert desk.correction().fill_factor < 0.1
    assert desk.correction(action=Action.TAKE).fill_factor < 0.2
    assert desk.correction(venue="V2") == NO_CORRECTION
    for _ in range(100):
        desk.order(0.9, True, action=Action.TAKE, apart_ns=SECOND)
    assert desk.correction(action=Action.TAKE).fill_factor > 0.9
    assert desk.correction().fill_factor < 0.2


def test_what_is_decided_by_stays_a_probability_and_recent_markouts_need_no_correction():
    up, down = NO_CORRECTION._replace(fill_factor=2.0, markout_bps=0.5), NO_CORRECTION._replace(fill_factor=0.5)
    assert corrected([up, down], [0.8, 0.8], [0.1, 0.2]) == ([1.0, 0.4], [0.6, 0.2])
    assert corrected([up], [0.3], None) == ([0.6], None)


@pytest.mark.parametrize(
    ("changed", "text"), [({"lost_bps": 3.0}, "about to turn"), ({"fills": 0.5}, "fills less")], ids=str
)
@pytest.mark.parametrize("off", [1.0, 0.6])
def test_a_venue_that_turns_is_told_within_500_orders_and_steadies_when_it_turns_back(changed, text, off):
    """Toxic: a standard deviation more lost at each fill. Rejecting: half of the fills are gone. A model may be off."""
    for seed in range(10):
        rng, desk = np.random.default_rng(seed), Desk()
        assert desk.play(rng, 1_500, off=off) is None
        assert desk.play(rng, 500, off=off, **changed) is not None
        assert text in desk.told[-1].text
        assert desk.health.told == {"V1": desk.told[-1].text}
        assert desk.play(rng, 700, off=off) is not None
        assert isinstance(desk.told[-1], VenueSteadied)
        assert desk.health.told == {}


def test_a_venue_that_stays_hardly_ever_alarms():
    alarms = sum(Desk().play(np.random.default_rng(100 + seed), 2_000) is not None for seed in range(40))
    assert alarms == 0  # in 80,000 orders


def test_orders_that_meet_the_same_book_are_one():
    desk = Desk()
    for _ in range(300):
        desk.order(0.9, True)
    for _ in range(300):
        desk.order(0.9, False, apart_ns=SECOND // 500)
    assert desk.told == []
    assert desk.correction().fill_factor < 0.2  # but the next decision knows


def test_an_order_of_which_nothing_was_said_counts_for_nothing():
    desk = Desk()
    for _ in range(100):
        desk.order(None, False)
    assert desk.health.venues == {}
