"""The study of a tape: what may be learned from, what a prediction may know, and what the figures come from."""

import numpy as np
import pytest

from learning.logistic import Floats
from learning.tape_features import FEATURES
from learning.tape_joins import joins
from learning.tape_study import EMBARGO_NS, TapeRows, TapeTooShort, study, table, walk_forward
from tests.learning.tapes import OPEN_NS, S, day

HORIZON_NS = 10 * S
TEST_FROM_NS = OPEN_NS + 2400 * S


@pytest.fixture(scope="module")
def rows() -> TapeRows:
    return TapeRows.of(joins(day(1, 3600, per_second=2.0), HORIZON_NS))


@pytest.fixture(scope="module")
def walked(rows: TapeRows) -> tuple[Floats, Floats]:
    return walk_forward(rows, HORIZON_NS, TEST_FROM_NS)


def test_the_model_tells_more_than_a_constant_and_nobody_learns_from_the_embargo(rows: TapeRows) -> None:
    told: list[tuple[int, int]] = []
    evaluation = study(rows, HORIZON_NS, TEST_FROM_NS, lambda done, total: told.append((done, total)))
    assert evaluation.test_from_s == TEST_FROM_NS / S
    assert evaluation.rows_test == (rows.at_ns >= TEST_FROM_NS).sum()
    assert evaluation.rows_train == (rows.at_ns <= TEST_FROM_NS - EMBARGO_NS - HORIZON_NS).sum()
    assert evaluation.constant.auc == 0.5
    for figures in (evaluation.model, evaluation.model_at_start, evaluation.logistic):
        assert figures.log_loss < evaluation.constant.log_loss - 0.02
        assert figures.auc > 0.65
    assert told == [(1, 2), (2, 2)]
    embargoed = (rows.at_ns + HORIZON_NS > TEST_FROM_NS - EMBARGO_NS) & (rows.at_ns < TEST_FROM_NS)
    assert embargoed.sum() > 50
    turned = study(TapeRows(rows.features, rows.filled ^ embargoed, rows.at_ns), HORIZON_NS, TEST_FROM_NS)
    learned_once = ("rows_train", "rows_test", "logistic", "table", "constant")
    assert [getattr(turned, name) for name in learned_once] == [getattr(evaluation, name) for name in learned_once]


def test_the_same_rows_give_the_same_predictions(rows: TapeRows, walked: tuple[Floats, Floats]) -> None:
    for was, is_now in zip(walked, walk_forward(rows, HORIZON_NS, TEST_FROM_NS), strict=True):
        assert np.array_equal(was, is_now, equal_nan=True)


def test_a_prediction_knows_no_outcome_that_was_open_then(rows: TapeRows, walked: tuple[Floats, Floats]) -> None:
    """Outcomes, and all rows, after a moment in the test leave what was predicted by then as it was."""
    changed_from_ns = TEST_FROM_NS + 460 * S
    later = rows.at_ns + HORIZON_NS > changed_from_ns
    other = TapeRows(np.where(later[:, None], -rows.features, rows.features), rows.filled ^ later, rows.at_ns)
    before = (rows.at_ns >= TEST_FROM_NS) & (rows.at_ns + HORIZON_NS <= changed_from_ns)
    for was, is_now in zip(walked, walk_forward(other, HORIZON_NS, TEST_FROM_NS), strict=True):
        assert np.isfinite(was[rows.at_ns >= TEST_FROM_NS]).all()
        assert (was[before] == is_now[before]).all()


def test_the_model_as_it_was_learns_nothing_of_the_test(rows: TapeRows, walked: tuple[Floats, Floats]) -> None:
    test = rows.at_ns >= TEST_FROM_NS
    turned = TapeRows(rows.features, rows.filled ^ test, rows.at_ns)
    online, at_start = walked
    turned_online, turned_at_start = walk_forward(turned, HORIZON_NS, TEST_FROM_NS)
    assert (at_start[test] == turned_at_start[test]).all()
    assert (online[test] != turned_online[test]).any()


def test_the_table_is_the_fill_rate_of_a_cell() -> None:
    spreads = np.repeat([1.0, 2.0, 3.0, 4.0], 100)
    features = np.zeros((400, len(FEATURES)))
    features[:, FEATURES.index("spread_ticks")] = spreads
    filled = np.arange(400) % 100 < 20 * spreads  # 20, 40, 60, 80 of a hundred
    earlier = TapeRows(features, filled, np.arange(400))
    assert table(earlier, earlier.take(np.arange(400) % 100 == 0)) == pytest.approx(
        [(rate + 10 * 0.5) / 110 for rate in (20, 40, 60, 80)]
    )


@pytest.mark.parametrize(
    ("test_from_s", "says"),
    [
        (OPEN_NS // S + 200, "before 34400 s, .* expected at least 200"),
        (OPEN_NS // S + 3550, "from 37750 s, .* expected at least 200"),
        (OPEN_NS // S - 10, "0 joins before"),
        (86_000, "0 joins from"),
    ],
)
def test_too_little_to_learn_from_or_to_judge_on(rows: TapeRows, test_from_s: int, says: str) -> None:
    with pytest.raises(TapeTooShort, match=says):
        study(rows, HORIZON_NS, test_from_s * S)


def test_nothing_but_misses_teaches_nothing(rows: TapeRows) -> None:
    with pytest.raises(TapeTooShort, match="0 of them filled"):
        study(TapeRows(rows.features, np.zeros(len(rows), dtype=np.bool_), rows.at_ns), HORIZON_NS, TEST_FROM_NS)


def test_by_default_the_last_of_the_time_judges(rows: TapeRows) -> None:
    share = (rows.at_ns >= rows.default_test_from_ns()).mean()
    assert share == pytest.approx(0.3, abs=0.01)
    with pytest.raises(TapeTooShort, match="no order could have joined"):
        TapeRows.of([]).default_test_from_ns()
