import pytest

from domain.facts import (
    ChildCanceled,
    ChildCancelRequested,
    ChildFilled,
    ChildRejected,
    ChildRiskRejected,
    LatencyMeasured,
    ParentAccepted,
    ParentDone,
    ParentRejected,
    ParentReplaced,
)
from domain.fields import Action, LastLiquidityInd, OrdRejReason, OrdStatus, OrdType, Side, TimeInForce
from learning.tca import summary
from tests.learning.facts import SECOND, T0, candidate, child, decision, features


def accepted(parent_id, side=Side.BUY, qty=1_000, arrival_mid2_px=2_000_000, tape=(0, 0)):
    return ParentAccepted(
        at_ns=T0, parent_id=parent_id, client="EMS1", cl_ord_id="c" + parent_id, account="A", symbol="ABC", side=side,
        order_qty=qty, ord_type=OrdType.MARKET, limit_px=0, time_in_force=TimeInForce.DAY, strategy="sweep", params={},
        arrival_mid2_px=arrival_mid2_px, tape_qty=tape[0], tape_notional_px=tape[1],
    )  # fmt: skip


def done(parent_id, tape):
    return ParentDone(
        at_ns=T0 + 60 * SECOND, parent_id=parent_id, ord_status=OrdStatus.FILLED, cl_ord_id="", text="",
        tape_qty=tape[0], tape_notional_px=tape[1],
    )  # fmt: skip


def fill(child_id, qty, px, s=1.0, exec_id="E"):
    return ChildFilled(
        at_ns=T0 + int(s * SECOND), child_id=child_id, venue="", exec_id=exec_id, last_qty=qty, last_px=px,
        liquidity=LastLiquidityInd.ADDED,
    )  # fmt: skip


def canceled(child_id, s):
    return ChildCanceled(at_ns=T0 + int(s * SECOND), child_id=child_id, text="")


def latency(us):
    return LatencyMeasured(at_ns=T0, parent_id="P1", order_in_to_child_out_ns=us * 1_000)


KINDS = {"LIT1": "lit", "DARK1": "dark", "DEAL1": "dealer"}
JOURNAL = [
    accepted("P1", qty=1_000, tape=(10_000, 10_000_000_000)),
    decision([candidate("LIT1", fill_probability=0.6), candidate("DEAL1", Action.TAKE_QUOTE, 0.9)], features(2)),
    child("C1", 0, "LIT1", 10, qty=400),
    child("C2", 1, "DEAL1", 0, qty=600),
    fill("C1", 100, 999_900),
    fill("C1", 300, 1_000_000, 2),
    fill("C2", 200, 1_000_200),
    canceled("C2", 0.1),
    latency(100),
    accepted("P2", Side.SELL, qty=500, arrival_mid2_px=2_000_400, tape=(15_000, 15_001_000_000)),
    decision([candidate("LIT1", fill_probability=0.2)], features(1), 2),
    child("C3", 0, "LIT1", 10, 2, parent_id="P2", qty=300, side=Side.SELL),
    ChildCancelRequested(at_ns=T0 + 10 * SECOND, child_id="C3", cancel_id="X", reason="horizon"),
    canceled("C3", 10),
    child("C4", 0, "LIT1", 10, 2, parent_id="P2", qty=100, side=Side.SELL),
    ChildCancelRequested(at_ns=T0 + 2 * SECOND, child_id="C4", cancel_id="X", reason="parent_replace"),
    canceled("C4", 2),
    child("C5", 0, "LIT1", 10, 2, parent_id="P2", qty=100, side=Side.SELL),
    fill("C5", 100, 1_000_000, 1),
    ParentReplaced(at_ns=T0, parent_id="P2", cl_ord_id="r", order_qty=400, limit_px=0, params={}),
    latency(300),
    done("P1", (20_000, 20_002_000_000)),
    ChildRiskRejected(
        at_ns=T0, parent_id="P2", decision_id=2, venue="LIT1", symbol="ABC", order_qty=1, px=1, limit="collar", text=""
    ),
    *(
        ParentRejected(
            at_ns=T0, parent_id="P9", client="EMS1", cl_ord_id="x", account="A", symbol="ABC", side=Side.BUY,
            order_qty=1, reason=OrdRejReason.OTHER, text="", limit=limit,
        )
        for limit in ("max_order_qty", "")
    ),
]  # fmt: skip


def test_a_day_by_hand():
    found = summary(JOURNAL, KINDS)
    assert (found.parents, found.parents_rejected, found.children, found.fills) == (2, 2, 5, 4)
    assert (found.shares_ordered, found.shares_filled, found.risk_rejects) == (1_400, 700, 2)
    # P1 bought 600 at 1,000,050 against 1,000,000: 0.5 bps. P2 sold 100 at 1,000,000 against 1,000,200: 2 bps.
    p1 = (100 * 999_900 + 300 * 1_000_000 + 200 * 1_000_200) / 600
    assert p1 == pytest.approx(1_000_050)
    arrival = (600 * 0.5 + 100 * 200 / 1_000_200 * 1e4) / 700
    assert found.slippage_arrival_bps == pytest.approx(arrival)
    # The market traded 10,000 at 1,000,200 while P1 was worked; P2 is still open.
    assert found.slippage_vwap_bps == pytest.approx((p1 - 1_000_200) / 1_000_200 * 1e4)
    assert found.latency_p50_us == pytest.approx(200)
    assert found.latency_p99_us == pytest.approx(298)


def test_venues_by_hand():
    venues = summary(JOURNAL, KINDS).venues
    assert list(venues) == ["LIT1", "DARK1", "DEAL1"]
    lit, dark, dealer = venues.values()
    assert (lit.kind, lit.children, lit.sent, lit.shares, lit.censored) == ("lit", 4, 900, 500, 1)
    assert lit.fill_rate == pytest.approx(500 / 900)
    # C1 and C5 filled at 1 s, C4 was cut at 2 s when C3 alone was left: C3 stands for both.
    assert lit.realised == pytest.approx((1 + 1 + 2 * 0) / 4)
    assert lit.predicted == pytest.approx((0.6 + 0.2 + 2 * 0.2) / 4)
    assert (dealer.children, dealer.shares, dealer.predicted, dealer.realised) == (1, 200, 0.9, 1.0)
    assert (dark.children, dark.fill_rate, dark.predicted, dark.realised) == (0, 0.0, None, None)


def test_a_last_look_decline_is_a_miss_and_an_unlisted_venue_is_shown():
    facts = [
        accepted("P1"),
        decision([candidate("NEW1", Action.TAKE_QUOTE, 0.8)], features(1)),
        child("C1", 0, "NEW1", 0),
        ChildRejected(at_ns=T0 + SECOND, child_id="C1", reason=OrdRejReason.BROKER_OPTION, text="last look"),
    ]
    (venue,) = summary(facts, {}).venues.values()
    assert (venue.kind, venue.realised, venue.predicted, venue.censored) == ("", 0.0, 0.8, 0)


def test_nothing_happened():
    found = summary([], KINDS)
    assert (found.parents, found.fills, found.slippage_arrival_bps, found.latency_p50_us) == (0, 0, None, None)


def test_fills_after_the_parent_was_done_count():
    facts = [accepted("P1"), child("C1"), done("P1", (1, 1_000_000)), fill("C1", 100, 1_000_100)]
    found = summary(facts, KINDS)
    assert found.shares_filled == 100
    assert found.slippage_vwap_bps == pytest.approx(1.0)
