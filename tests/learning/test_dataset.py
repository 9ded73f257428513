from itertools import pairwise

import numpy as np
import pytest

from domain.facts import ChildCanceled, ChildFilled, ChildRejected
from domain.fields import Action, LastLiquidityInd, OrdRejReason
from learning.dataset import dataset
from learning.training import TrainingConfig, split
from router.model import HazardBins
from tests.learning.facts import SECOND, T0, candidate, child, decision, features
from tests.learning.market import draw

NAMES = ("fill_prior", "venue_index", "spread")


def fill(child_id, s, qty):
    return ChildFilled(
        at_ns=T0 + int(s * SECOND), child_id=child_id, venue="", exec_id="E", last_qty=qty, last_px=1,
        liquidity=LastLiquidityInd.ADDED,
    )  # fmt: skip


def journal():
    candidates = [
        candidate("LIT1"),
        candidate("DARK1", Action.MID_PEG, 0.2),
        candidate("DEAL1", Action.TAKE_QUOTE, 0.9),
    ]
    return [
        decision(candidates, features(3)),
        child("C1", 1, "DARK1", 10),
        child("C2", 2, "DEAL1", 0, qty=300),
        fill("C2", 0.1, 100),
        fill("C2", 0.1, 50),
        decision(candidates[:1], features(1, 7.0), 2, at_s=5),
        child("C3", 0, "LIT1", 3, 2, at_s=5, parent_id="P2"),
        ChildRejected(at_ns=T0 + 6 * SECOND, child_id="C3", reason=OrdRejReason.OTHER, text=""),
        child("C4", 0, "LIT1", 3, decision_id=99, at_s=6),
        ChildCanceled(at_ns=T0 + 8 * SECOND, child_id="C1", text=""),
    ]


def test_a_row_is_the_features_as_served_and_what_became_of_the_child():
    rows = dataset(journal(), NAMES)
    assert rows.child_id.tolist() == ["C1", "C2", "C3"]
    expected = np.stack([features(3)[1], features(3)[2], features(1, 7.0)[0]])
    assert rows.features.tobytes() == expected.tobytes()  # to the bit, NaN included
    assert rows.filled.tolist() == [False, True, False]
    assert rows.known.tolist() == [True, True, True]
    assert rows.time_ns.tolist() == [10 * SECOND, 0, 3 * SECOND]
    assert rows.settled_ns.tolist() == [8 * SECOND, 0, SECOND]
    assert rows.horizon_ns.tolist() == [10 * SECOND, 0, 3 * SECOND]
    assert rows.immediate.tolist() == [False, True, False]
    assert rows.filled_fraction.tolist() == [0.0, 0.5, 0.0]
    assert rows.predicted.tolist() == [0.2, 0.9, 0.4]
    assert rows.venue.tolist() == ["DARK1", "DEAL1", "LIT1"]
    assert rows.action.tolist() == ["post", "take", "post"]
    assert rows.parent_id.tolist() == ["P1", "P1", "P2"]
    assert rows.at_ns.tolist() == [T0, T0, T0 + 5 * SECOND]
    assert (rows.schema_hash, rows.left_out) == ("s1", 1)  # C4 has no decision


def test_the_last_schema_counts():
    other = [
        decision([candidate("LIT1")], features(1, width=2), 3, at_s=9, schema="s2"),
        child("C9", 0, "LIT1", 3, 3, at_s=9),
    ]
    rows = dataset(journal() + other, ("a", "b"))
    assert (rows.child_id.tolist(), rows.schema_hash, rows.left_out) == (["C9"], "s2", 4)


def test_other_features_than_named_are_refused():
    with pytest.raises(ValueError, match="3 features of a candidate, expected 2"):
        dataset(journal(), ("a", "b"))


def test_no_facts_no_rows():
    rows = dataset([], NAMES)
    assert (len(rows), rows.features.shape) == (0, (0, 3))


def test_the_hash_follows_the_content():
    rows = dataset(journal(), NAMES)
    assert rows.data_hash() == dataset(journal(), NAMES).data_hash()
    assert rows.data_hash() != dataset(journal()[:-1], NAMES).data_hash()


# horizon_s, time_s, filled, known -> events, exposure in bins (0, 1], (1, 3], (3, 10]
TARGETS = [
    (10, 10, False, True, [0, 0, 0], [1, 1, 1]),
    (10, 2, True, True, [0, 1, 0], [1, 1, 0]),
    (10, 0.3, True, True, [1, 0, 0], [1, 0, 0]),
    (10, 1, True, True, [1, 0, 0], [1, 0, 0]),
    (3, 3, False, True, [0, 0, 0], [1, 1, 0]),
    (2, 2, False, True, [0, 0, 0], [1, 0.5, 0]),
    (2, 1.5, True, True, [0, 1, 0], [1, 0.5, 0]),
    (10, 2, False, False, [0, 0, 0], [1, 0.5, 0]),
    (10, 0.25, False, False, [0, 0, 0], [0.25, 0, 0]),
    (0, 0, True, True, [1, 0, 0], [1, 0, 0]),
    (0, 0, False, True, [0, 0, 0], [1, 0, 0]),
    (0, 0, False, False, [0, 0, 0], [0, 0, 0]),
    (0.5, 0.5, False, True, [0, 0, 0], [1, 0, 0]),
    (24, 24, False, True, [0, 0, 0], [1, 1, 3]),
]


@pytest.mark.parametrize(("horizon_s", "time_s", "filled", "known", "events", "exposure"), TARGETS)
def test_a_row_is_at_risk_until_its_fill_or_censoring(horizon_s, time_s, filled, known, events, exposure):
    row = draw(1, 0).rows
    for name, value in (("horizon_ns", horizon_s * SECOND), ("time_ns", time_s * SECOND)):
        getattr(row, name)[0] = int(value)
    row.filled[0], row.known[0] = filled, known
    found = row.hazard_targets(HazardBins((1.0, 3.0, 10.0)))
    assert found[0].tolist() == [events]
    assert found[1][0] == pytest.approx(exposure)


def test_a_split_keeps_parents_together_and_outcomes_apart():
    rows = draw(4_000, 5).rows
    # Long parents that overlap: every 40th child belongs to the same one.
    rows.parent_id[:] = np.char.add("P", (np.arange(4_000) // 400 * 40 + np.arange(4_000) % 40).astype(np.str_))
    stretches = [rows.take(stretch) for stretch in split(rows, TrainingConfig())]
    assert all(len(stretch) > 300 for stretch in stretches)
    embargo_ns = rows.horizon_ns.max()
    for earlier, later in pairwise(stretches):
        assert not set(earlier.parent_id) & set(later.parent_id)
        assert (earlier.at_ns + earlier.horizon_ns).max() + embargo_ns <= later.at_ns.min()
