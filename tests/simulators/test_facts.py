"""Every measure on days whose answer is known by construction."""

from dataclasses import replace

import numpy as np
import pytest

from domain.fields import Side
from simulators.facts import BANDS, Distributions, Facts, distances, measure
from simulators.lobster import TapeKind, TapeRow
from simulators.recording import Recording, record_tape

SECOND_NS = 1_000_000_000
NONE = np.empty(0, np.int64)
_COUNTS = ("executed", "lit_qty", "off_qty")


def day(mid_px, signs=(), trade_ns=None, trade_qty=None, **counts) -> Recording:
    """A day with a mid a second, 100 shares on each side, and a market order a second half-way between the quotes."""
    mid_px = np.asarray(mid_px)
    quote_ns = np.arange(1, len(mid_px) + 1) * SECOND_NS
    signs = np.asarray(signs, np.int64)
    return Recording(
        quote_ns=quote_ns,
        bid_px=np.asarray(np.round(mid_px) - 100, np.int64),
        bid_qty=np.full(len(mid_px), 100),
        ask_px=np.asarray(np.round(mid_px) + 100, np.int64),
        ask_qty=np.full(len(mid_px), 100),
        trade_ns=quote_ns[: len(signs)] + SECOND_NS // 2 if trade_ns is None else trade_ns,
        trade_sign=signs,
        trade_qty=np.full(len(signs), 100) if trade_qty is None else trade_qty,
        **{
            "submitted_qty": NONE,
            "submitted_behind_px": NONE,
            "executed": 0,
            "lifetime_ns": NONE,
            "lit_qty": 0,
            "off_qty": 0,
        }
        | counts,
    )


def facts(recording: Recording) -> Facts:
    return measure("day", [recording]).facts


def walk(steps) -> np.ndarray:
    return 1_000_000_00 * np.exp(np.cumsum(steps))


def test_a_normal_random_walk_has_kurtosis_3_a_flat_signature_and_no_clusters():
    found = facts(day(walk(np.random.default_rng(1).normal(0, 1e-4, 40_000))))
    assert found.kurtosis_1s == pytest.approx(3.0, abs=0.1)
    assert found.kurtosis_10s == pytest.approx(3.0, abs=0.25)
    assert found.signature_1s_120s == pytest.approx(1.0, abs=0.1)
    assert found.abs_return_acf_10s == pytest.approx(0.0, abs=0.05)


def test_rare_jumps_are_kurtosis_and_a_bouncing_mid_is_a_steep_signature():
    random = np.random.default_rng(2)
    steps = random.normal(0, 1e-4, 40_000)
    jumps = np.where(random.random(40_000) < 0.01, 10.0, 1.0)
    # Kurtosis of a mixture: 3 (1 - p + p f^4) / (1 - p + p f^2)^2.
    assert facts(day(walk(steps * jumps))).kurtosis_1s == pytest.approx(3 * 100.99 / 1.99**2, rel=0.2)
    bounce = np.where(np.arange(40_000) % 2, 1e-4, -1e-4)
    assert facts(day(walk(steps) * (1 + bounce))).signature_1s_120s > 4.0


def test_volatile_minutes_are_an_autocorrelation_of_absolute_returns():
    calm_and_wild = np.where(np.arange(40_000) // 300 % 2, 3e-4, 0.5e-4)
    assert facts(day(walk(np.random.default_rng(3).normal(0, calm_and_wild)))).abs_return_acf_10s > 0.25


def test_signs_in_runs_of_four():
    signs = np.repeat(np.random.default_rng(4).choice([-1, 1], 5000), 4)
    found = facts(day(np.full(20_001, 1e6), signs))
    assert found.sign_acf_1 == pytest.approx(0.75, abs=0.03)
    assert found.sign_acf_2 == pytest.approx(0.5, abs=0.03)
    assert found.sign_acf_5 == pytest.approx(0.0, abs=0.04)


def test_the_response_is_the_move_after_the_order_to_its_side():
    signs = np.tile([1, -1], 500)
    # The mid moves 1 bp to the side of the order half a second after it, and never comes back.
    mid_px = 1e8 * (1 + 1e-4 * np.concatenate(([0], np.cumsum(signs))))
    found = facts(day(mid_px, signs))
    assert found.response_1s_bps == pytest.approx(1.0, abs=0.01)
    assert found.response_10s_bps == pytest.approx(0.0, abs=0.01)  # ten alternating orders


def test_the_return_on_signed_volume_and_the_imbalance_on_the_next_move():
    random = np.random.default_rng(5)
    signs = random.choice([-1, 1], 20_000)
    noise = random.normal(0, 1e-4, 20_001)
    driven = walk(np.concatenate(([0.0], 1e-4 * signs)) + noise)
    quiet = day(driven, signs)
    assert facts(quiet).r2_signed_volume_10s == pytest.approx(0.5, abs=0.06)
    ahead = np.sign(np.concatenate((driven[10:] - driven[:-10], np.zeros(10))))
    told = replace(quiet, bid_qty=np.asarray(100 + 50 * ahead, np.int64))
    assert facts(told).imbalance_corr_10s > 0.7
    assert facts(quiet).imbalance_corr_10s is None  # it never differs


def test_counts_pauses_and_shares():
    trade_ns = np.repeat(np.arange(1, 2001), 2) * SECOND_NS + np.tile([0, SECOND_NS // 10], 2000)
    recording = day(
        np.full(3000, 1e6),
        np.ones(4000),
        trade_ns,
        submitted_qty=np.full(1000, 100),
        submitted_behind_px=np.zeros(1000, np.int64),
        executed=150,
        lit_qty=650,
        off_qty=350,
        lifetime_ns=np.full(50, 2 * SECOND_NS),
    )
    measured = measure("day", [recording])
    assert measured.facts.executed_over_submitted == 0.15
    assert measured.facts.off_exchange_share == 0.35
    assert measured.facts.interarrival_cv == pytest.approx(0.8, abs=0.01)  # pauses of 0.1 and 0.9 s
    assert measured.lifetime_s == 2.0
    assert measured.spread_px == 200.0


def test_a_day_that_says_nothing_says_none_and_days_are_averaged():
    silent = facts(day([1e6, 1e6, 1e6]))
    assert all(getattr(silent, key) is None for key in Facts.__struct_fields__)
    one, two = day([1e6] * 50, lit_qty=100), day([1e6] * 50, lit_qty=50, off_qty=50)
    assert measure("both", [one, two]).facts.off_exchange_share == 0.25
    assert measure("both", [one, day([1e6] * 50)]).facts.off_exchange_share == 0.0


def test_the_bands_are_those_of_the_facts():
    assert tuple(BANDS) == Facts.__struct_fields__


def test_distances_of_the_same_and_of_disjoint_books():
    random = np.random.default_rng(6)
    ours = Distributions(*(random.random(5000) for _ in range(4)), np.empty(0))
    theirs = Distributions(ours.spread_bps + 5.0, ours.depth, ours.imbalance + 0.1, ours.pause * 2.0, ours.order_qty)
    apart = distances(ours, theirs)
    assert apart["spread_bps"] == (pytest.approx(2.0), pytest.approx(5.0))
    assert apart["depth"] == (0.0, 0.0)
    assert 0.1 < apart["imbalance"][0] < 0.6
    assert apart["imbalance"][1] == pytest.approx(0.1)
    assert apart["pause"][1] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(apart["order_qty"]).all()  # nobody submitted anything


def row(second: float, kind: TapeKind, order_id: int, qty: int, side: Side = Side.SELL) -> TapeRow:
    return TapeRow(int(second * SECOND_NS), kind, order_id, qty, 1_0100, side, ((1_0000, 300),), ((1_0100, 200),), 1)


def test_a_tape_is_recorded():
    recording = record_tape(
        [
            row(1, TapeKind.SUBMITTED, 1, 100),
            row(2, TapeKind.SUBMITTED, 2, 100),
            row(3, TapeKind.EXECUTED, 1, 60),  # one market order that meets three orders
            row(3, TapeKind.EXECUTED, 1, 40),
            row(3, TapeKind.EXECUTED, 9, 20),
            row(3, TapeKind.EXECUTED, 8, 20, Side.BUY),  # and one of the other side
            row(4, TapeKind.EXECUTED_HIDDEN, 0, 35),
            row(5, TapeKind.DELETED, 2, 100),
            row(6, TapeKind.DELETED, 7, 100),  # of an order from before the day
        ]
    )
    assert recording.trade_sign.tolist() == [1, -1]
    assert recording.trade_qty.tolist() == [120, 20]
    assert (recording.submitted, recording.executed) == (2, 4)
    assert (recording.lit_qty, recording.off_qty) == (140, 35)
    assert recording.lifetime_ns.tolist() == [3 * SECOND_NS]
    assert (recording.bid_px[0], recording.bid_qty[0], recording.ask_px[0], recording.ask_qty[0]) == (
        *(1_0000, 300),
        *(1_0100, 200),
    )
    with pytest.raises(ValueError, match="never shows a bid and an ask"):
        record_tape([])
