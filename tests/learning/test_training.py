import msgspec
import numpy as np
import pytest

from learning.evaluation import metrics
from learning.training import NotEnoughData, TrainingConfig, TrainingRecord, hazard_gradient, train
from router.model import HazardBins, OnnxModel
from tests.learning.market import SCHEMA, SECOND, draw

CONFIG = TrainingConfig()


def served(trained):
    return OnnxModel(trained.metadata, trained.files["model.onnx"])


def kaplan_meier(time_ns, filled, horizon_ns):
    """1 - S(horizon), by the product-limit estimator."""
    order = np.lexsort((~filled, time_ns))
    at_risk = np.arange(len(order), 0, -1)
    factors = np.where(filled[order] & (time_ns[order] <= horizon_ns), 1 - 1 / at_risk, 1.0)
    return 1 - factors.prod()


def test_heavy_censoring_does_not_bias_it():
    """Six in ten resting orders are cut off before their horizon. Calling them misses halves the fill probability."""
    drawn = draw(12_000, 2, censoring_per_s=0.4, spread=0.0, horizons_s=(10.0,))
    rows = drawn.rows
    resting = rows.take(~rows.immediate)
    assert (~resting.known).mean() > 0.55
    model = served(train(rows, CONFIG))
    for horizon_s, tolerance in ((1.0, 0.02), (3.0, 0.03), (10.0, 0.06)):
        horizons_ns = np.full(len(resting), int(horizon_s * SECOND))
        truth = 1 - np.exp(-np.exp(-2.0) * horizon_s)
        predicted = model.fill_probabilities(resting.features, horizons_ns).mean()
        assert predicted == pytest.approx(truth, abs=tolerance)
        assert predicted == pytest.approx(
            kaplan_meier(resting.time_ns, resting.filled, horizon_s * SECOND), abs=tolerance
        )
    # The same rows, with every censored one called a miss.
    missed = draw(12_000, 2, censoring_per_s=0.4, spread=0.0, horizons_s=(10.0,)).rows
    missed.time_ns[~missed.known] = missed.settled_ns[~missed.known] = missed.horizon_ns[~missed.known]
    missed.known[:] = True
    biased = served(train(missed, CONFIG)).fill_probabilities(resting.features, resting.horizon_ns).mean()
    truth = 1 - np.exp(-np.exp(-2.0) * 10)
    assert biased < truth - 0.35


def test_it_finds_the_true_probabilities_and_beats_what_is_simpler():
    trained = train(draw(8_000, 1).rows, CONFIG)
    found = trained.evaluation
    assert found.beats_baselines
    assert found.model.log_loss < found.logistic.log_loss - 0.03
    assert found.model.log_loss < found.venue_table.log_loss - 0.1
    assert found.model.auc > 0.78
    later = draw(4_000, 77)
    probability = served(trained).fill_probabilities(later.rows.features, later.rows.horizon_ns)
    assert np.sqrt(np.mean((probability - later.truth) ** 2)) < 0.08
    assert abs(np.mean(probability - later.truth)) < 0.02


def test_it_does_not_claim_to_beat_what_it_does_not_beat():
    """What was learned holds no longer in the stretch that judges."""
    rows = draw(4_000, 1, censoring_per_s=0.0).rows
    late = np.arange(len(rows)) >= 3_200
    rows.filled[late] = ~rows.filled[late]
    assert not train(rows, CONFIG).evaluation.beats_baselines


def test_the_same_rows_and_seed_give_the_same_model():
    rows = draw(2_000, 3).rows
    first, again = train(rows, CONFIG, version="1"), train(rows, CONFIG, version="1")
    assert (first.model_id, first.files) == (again.model_id, again.files)
    others = [
        train(rows, TrainingConfig(seed=2), version="1"),
        train(rows, CONFIG, version="2"),
        train(draw(2_000, 4).rows, CONFIG, version="1"),
    ]
    assert len({first.model_id, *(other.model_id for other in others)}) == 4


def test_the_record_says_how_it_came_to_be():
    rows = draw(2_000, 3).rows
    done = []
    trained = train(rows, CONFIG, lambda *rounds: done.append(rounds), version="0.1")
    assert done == [(number, CONFIG.rounds) for number in range(1, CONFIG.rounds + 1)]
    record = msgspec.json.decode(trained.metadata.training, type=TrainingRecord)
    assert record == trained.record
    assert (record.version, record.config, record.data_hash) == ("0.1", CONFIG, rows.data_hash())
    assert trained.metadata.schema_hash == SCHEMA
    windows = (record.fitted, record.calibrated, record.held_out)
    assert all(window.rows > 300 for window in windows)
    assert record.fitted.to_ns < record.calibrated.from_ns <= record.calibrated.to_ns < record.held_out.from_ns
    evaluation = record.evaluation
    assert evaluation.rows + evaluation.censored == record.held_out.rows


@pytest.mark.parametrize("count", [0, 4, 400])
def test_too_few_rows_are_said_to_be_too_few(count):
    with pytest.raises(NotEnoughData, match="expected at least 100"):
        train(draw(count, 1).rows, CONFIG)


def test_rows_that_all_miss_teach_nothing():
    rows = draw(2_000, 1).rows
    rows.filled[:], rows.known[:] = False, True
    with pytest.raises(NotEnoughData, match="0 of them filled"):
        train(rows, CONFIG)


def test_p_never_falls_with_the_horizon():
    rows = draw(2_000, 6)
    model = served(train(rows.rows, CONFIG))
    curve = [
        model.fill_probabilities(rows.rows.features[:200], np.full(200, int(seconds * SECOND)))
        for seconds in (0, 0.1, 0.25, 0.5, 1, 2, 3, 7, 10, 20, 30, 300)
    ]
    assert (np.diff(curve, axis=0) >= 0).all()
    assert (np.diff(curve, axis=0)[4:-1] > 0).mean() > 0.9


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(1)
    margins = rng.normal(size=(200, 3)) * 3
    exposure = rng.choice([0.0, 0.3, 1.0, 2.5], size=(200, 3))
    events = (rng.random((200, 3)) < 0.4) & (exposure > 0)

    def loss(margins):
        survival = np.exp(-exposure * np.logaddexp(0, margins))
        return np.where(events, -np.log(np.maximum(1 - survival, 1e-300)), -np.log(survival))

    gradient, hessian = hazard_gradient(margins, events.astype(float), exposure)
    step = 1e-5
    assert gradient == pytest.approx((loss(margins + step) - loss(margins - step)) / (2 * step), abs=1e-6)
    whole = (exposure == 1.0) | ~events
    up, down = (hazard_gradient(margins + d, events.astype(float), exposure)[0] for d in (step, -step))
    assert hessian[whole] == pytest.approx(((up - down) / (2 * step))[whole], abs=1e-5)
    assert (gradient[exposure == 0] == 0).all()
    assert (hessian[exposure == 0] == 0).all()


def test_hazards_by_hand():
    """Two bins, no features to tell rows apart: of 10 at risk 4 fill in the first, of the 4 then watched 1 fills."""
    bins = HazardBins((1.0, 3.0))
    rows = draw(10, 0).rows
    rows.horizon_ns[:] = 3 * SECOND
    rows.filled[:] = [True] * 4 + [False] * 2 + [True] + [False] * 3
    rows.known[:] = [True] * 4 + [False] * 2 + [True] * 4
    rows.time_ns[:] = np.array([0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]) * SECOND
    events, exposure = rows.hazard_targets(bins)
    assert (events.sum(axis=0).tolist(), exposure.sum(axis=0).tolist()) == ([4.0, 1.0], [10.0, 4.0])
    hazard = events.sum(axis=0) / exposure.sum(axis=0)
    margins = np.log(hazard / (1 - hazard)).astype(np.float32)[None, :]
    # The gradient vanishes there, and P(fill within 3 s) is Kaplan and Meier's: 1 - 6/10 * 3/4.
    gradient, _ = hazard_gradient(np.repeat(margins, 10, axis=0).astype(float), events, exposure)
    assert gradient.sum(axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert bins.survival(margins, np.array([3 * SECOND])) == pytest.approx([0.45])
    assert kaplan_meier(rows.time_ns, rows.filled, 3 * SECOND) == pytest.approx(0.55)


def test_metrics_of_the_served_model_are_those_that_were_recorded():
    rows = draw(3_000, 9, censoring_per_s=0.0).rows
    trained = train(rows, CONFIG)
    third = rows.take((rows.at_ns >= trained.record.held_out.from_ns) & (rows.at_ns <= trained.record.held_out.to_ns))
    assert len(third) == trained.record.held_out.rows
    again = metrics(
        served(trained).fill_probabilities(third.features, third.horizon_ns), third.filled, np.ones(len(third))
    )
    assert again == trained.evaluation.model
