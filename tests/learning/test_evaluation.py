import math

import numpy as np
import pytest

from learning.evaluation import Evaluation, Metrics, constant, evaluate, logistic, metrics, venue_table
from tests.learning.market import draw


def test_metrics_by_hand():
    p = np.array([0.9, 0.6, 0.6, 0.2])
    filled = np.array([True, True, False, False])
    found = metrics(p, filled, np.ones(4))
    assert found.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.4) + math.log(0.8)) / 4)
    assert found.brier == pytest.approx((0.01 + 0.16 + 0.36 + 0.04) / 4)
    assert found.auc == pytest.approx(3.5 / 4)  # one pair of four is tied
    # .9 stands alone, .6 and .6 are one group with half filled, .2 stands alone.
    assert found.calibration_error == pytest.approx((0.1 + 2 * 0.1 + 0.2) / 4)


def test_a_weight_is_so_many_rows():
    rng = np.random.default_rng(0)
    p, filled, weights = rng.random(300), rng.random(300) < 0.4, rng.integers(0, 4, 300)
    repeated = [np.repeat(column, weights) for column in (p, filled)]
    weighted, many = metrics(p, filled, weights.astype(float)), metrics(*repeated, np.ones(weights.sum()))
    assert weighted.log_loss == pytest.approx(many.log_loss)
    assert weighted.brier == pytest.approx(many.brier)
    assert weighted.auc == pytest.approx(many.auc)
    assert weighted.calibration_error == pytest.approx(many.calibration_error, abs=0.02)


def test_auc_where_all_outcomes_are_the_same_is_no_number():
    assert math.isnan(metrics(np.array([0.2, 0.3]), np.array([True, True]), np.ones(2)).auc)


def test_calibration_error_sees_what_is_off_everywhere():
    rng = np.random.default_rng(1)
    p = rng.random(50_000)
    filled = rng.random(50_000) < p
    assert metrics(p, filled, np.ones(50_000)).calibration_error < 0.01
    assert metrics(p * 0.8, filled, np.ones(50_000)).calibration_error == pytest.approx(0.1, abs=0.01)


def test_baselines_learn_from_the_earlier_rows_only():
    earlier, later = draw(4_000, 1, censoring_per_s=0.0).rows, draw(1_000, 2).rows
    earlier.filled[:] = np.where(earlier.venue == "V1", np.arange(4_000) % 10 < 8, np.arange(4_000) % 10 < 2)
    rate = earlier.filled.mean()
    assert constant(earlier, later) == pytest.approx(np.full(1_000, rate))
    later.venue[:10] = "V9"
    table = venue_table(earlier, later)
    assert table[:10] == pytest.approx(np.full(10, rate))  # a venue that it never saw
    assert table[10:][later.venue[10:] == "V1"] == pytest.approx(0.8, abs=0.03)
    assert table[10:][later.venue[10:] == "V2"] == pytest.approx(0.2, abs=0.03)


def test_the_logistic_regression_finds_a_logistic_truth():
    rng = np.random.default_rng(5)
    earlier, later = (draw(count, seed, censoring_per_s=0.0).rows for count, seed in ((6_000, 1), (2_000, 2)))
    truth = [
        1 / (1 + np.exp(-(0.5 + 1.2 * rows.features[:, 3] - 0.7 * rows.features[:, 5]))) for rows in (earlier, later)
    ]
    earlier.filled[:] = rng.random(len(earlier)) < truth[0]
    assert np.abs(logistic(earlier, later) - truth[1]).mean() < 0.02


def test_censored_rows_count_through_their_weights():
    """The better of two predictions is the true one, although known outcomes alone favour the other."""
    earlier = draw(4_000, 1).rows
    drawn = draw(30_000, 3, censoring_per_s=0.15, spread=0.0, horizons_s=(10.0,))
    rows, known = drawn.rows, drawn.rows.known
    too_high = np.full(len(rows), rows.filled[known].mean())
    honest = np.full(len(rows), drawn.truth.mean())
    assert too_high[0] > honest[0] + 0.03
    assert metrics(too_high[known], rows.filled[known], np.ones(known.sum())).brier < metrics(
        honest[known], rows.filled[known], np.ones(known.sum())
    ).brier  # fmt: skip
    assert evaluate(honest, rows, earlier).model.brier < evaluate(too_high, rows, earlier).model.brier
    found = evaluate(honest, rows, earlier)
    assert found.fill_rate == pytest.approx(honest[0], abs=0.02)
    assert (found.rows, found.censored) == (known.sum(), (~known).sum())


@pytest.mark.parametrize(
    ("log_loss", "brier", "beats"), [(0.5, 0.2, True), (0.6, 0.2, False), (0.5, 0.24, False), (0.55, 0.2, False)]
)
def test_beating_means_both_losses_of_both_baselines(log_loss, brier, beats):
    def of(log_loss, brier):
        return Metrics(log_loss, brier, 0.5, 0.0)

    found = Evaluation(
        rows=1, censored=0, fill_rate=0.5, model=of(log_loss, brier), constant=of(0.69, 0.25),
        venue_table=of(0.55, 0.24), logistic=of(0.1, 0.1),
    )  # fmt: skip
    assert found.beats_baselines is beats
