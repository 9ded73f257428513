import numpy as np
import pytest

from domain.facts import (
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildExpired,
    ChildFilled,
    ChildRejected,
    ChildUncertain,
    EpochStarted,
    VenueDown,
)
from domain.fields import CxlRejReason, LastLiquidityInd, OrdRejReason
from learning.labels import ChildLives, Label, censoring_weights
from tests.learning.facts import SECOND, T0, child


def at(seconds):
    return T0 + int(seconds * SECOND)


def acknowledged(s):
    return ChildAcknowledged(at_ns=at(s), child_id="C1", venue_order_id="V1")


def fill(s, qty=100, exec_id="E1"):
    return ChildFilled(
        at_ns=at(s), child_id="C1", venue="LIT1", exec_id=exec_id, last_qty=qty, last_px=1_000_000,
        liquidity=LastLiquidityInd.ADDED,
    )  # fmt: skip


def rejected(s):
    return ChildRejected(at_ns=at(s), child_id="C1", reason=OrdRejReason.BROKER_OPTION, text="last look")


def asked(s, reason):
    return ChildCancelRequested(at_ns=at(s), child_id="C1", cancel_id="X1", reason=reason)


def cancel_rejected(s):
    return ChildCancelRejected(at_ns=at(s), child_id="C1", reason=CxlRejReason.TOO_LATE, text="")


def canceled(s):
    return ChildCanceled(at_ns=at(s), child_id="C1", text="")


def expired(s):
    return ChildExpired(at_ns=at(s), child_id="C1", text="")


def uncertain(s):
    return ChildUncertain(at_ns=at(s), child_id="C1")


def later(s):
    return VenueDown(at_ns=at(s), venue="ELSEWHERE", text="")


# horizon, life -> (seconds, filled, known, settled seconds)
LIVES = {
    "filled": (10, [acknowledged(0.1), fill(4)], (4, True, True, 4)),
    "filled in parts: the first counts": (10, [fill(2, 40), fill(6, 60, "E2")], (2, True, True, 2)),
    "part filled, rest canceled": (10, [fill(2, 40), asked(3, "parent_cancel"), canceled(3)], (2, True, True, 2)),
    "rested to its horizon": (10, [asked(10, "horizon"), canceled(10.01)], (10, False, True, 10)),
    "filled while the cancel was under way": (10, [asked(10, "horizon"), fill(10.02)], (10, True, True, 10)),
    "filled after it was canceled": (10, [asked(10, "horizon"), canceled(10.01), fill(11)], (10, True, True, 10)),
    "left to rest, then filled": (10, [acknowledged(0.1), fill(40)], (10, False, True, 10)),
    "left to rest, filled while canceled": (10, [asked(60, "parent_cancel"), fill(60.1)], (10, False, True, 10)),
    "client canceled early": (10, [asked(3, "parent_cancel"), canceled(3.5)], (3.5, False, False, 3.5)),
    "repriced early": (10, [asked(2, "reprice"), canceled(2)], (2, False, False, 2)),
    "cancel refused, then filled": (10, [asked(3, "reprice"), cancel_rejected(3), fill(3)], (3, True, True, 3)),
    "cancel refused, then ended by the venue": (
        10, [asked(3, "reprice"), cancel_rejected(3), canceled(4)], (10, False, True, 4)),
    "rejected": (10, [rejected(0.2)], (10, False, True, 0.2)),
    "venue canceled it unasked": (10, [acknowledged(0.1), canceled(1)], (10, False, True, 1)),
    "session ended": (10, [expired(4)], (4, False, False, 4)),
    "connection lost": (10, [uncertain(4), canceled(20)], (4, False, False, 4)),
    "connection lost, fill heard of later": (10, [uncertain(4), fill(20)], (10, True, True, 10)),
    "still open": (10, [acknowledged(0.1), later(6)], (6, False, False, 6)),
    "still open past its horizon": (10, [acknowledged(0.1), later(16)], (10, False, True, 10)),
    "nothing heard": (10, [], (0, False, False, 0)),
    "immediate, filled": (0, [fill(0.1)], (0, True, True, 0)),
    "immediate, nothing there": (0, [canceled(0.1)], (0, False, True, 0)),
    "immediate, expired by the venue": (0, [expired(0.1)], (0, False, True, 0)),
    "immediate, declined after the hold": (0, [acknowledged(0.1), rejected(0.3)], (0, False, True, 0)),
    "immediate, no answer yet": (0, [later(5)], (0, False, False, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", LIVES)
def test_each_life_has_its_label(name):
    horizon_s, life, (time_s, filled, known, settled_s) = LIVES[name]
    lives = ChildLives()
    for fact in [child(horizon_s=horizon_s), *life]:
        lives.apply(fact)
    ((followed, label),) = lives.labelled()
    assert label == Label(int(time_s * SECOND), filled, known, int(settled_s * SECOND))
    assert followed.filled_qty == sum(fact.last_qty for fact in life if isinstance(fact, ChildFilled))


def test_a_new_journal_gives_out_the_same_ids_again():
    epoch = EpochStarted(at_ns=T0 - SECOND, epoch="E", version="")
    lives = ChildLives()
    for fact in [epoch, child(), fill(4), later(60), epoch, child(), later(3)]:
        lives.apply(fact)
    assert [label for _, label in lives.labelled()] == [
        Label(4 * SECOND, True, True, 4 * SECOND),
        Label(3 * SECOND, False, False, 3 * SECOND),
    ]


def test_facts_of_unknown_children_are_ignored():
    lives = ChildLives()
    lives.apply(fill(1))
    assert list(lives.labelled()) == []


def test_weights_by_hand():
    # Resting orders settle at 1 (filled), 2 (cut), 3 (filled), 4 (cut), 5 (missed). Not cut: 3/4 after 2, 3/8 after 4.
    settled = np.array([5, 1, 4, 0, 3, 2, 0])
    known = np.array([True, True, False, True, True, False, False])
    immediate = np.array([False, False, False, True, False, False, True])
    weights = censoring_weights(settled, known, immediate)
    assert weights.tolist() == pytest.approx([8 / 3, 1, 0, 1, 4 / 3, 0, 0])
    assert censoring_weights(settled, known, immediate, clip=2.0)[0] == 2.0


def test_known_outcomes_alone_show_too_many_fills_and_the_weights_mend_it():
    rng = np.random.default_rng(3)
    count, horizon = 40_000, 10.0
    fill_s, cut_s = rng.exponential(10, count), rng.exponential(8, count)
    filled = fill_s < np.minimum(cut_s, horizon)
    known = filled | (cut_s >= horizon)
    settled = (np.minimum(np.minimum(fill_s, cut_s), horizon) * SECOND).astype(np.int64)
    truth = 1 - np.exp(-1)
    weights = censoring_weights(settled, known, np.zeros(count, dtype=bool))
    assert filled[known].mean() > truth + 0.1
    assert filled.mean() < truth - 0.1
    assert np.average(filled, weights=weights) == pytest.approx(truth, abs=0.015)
