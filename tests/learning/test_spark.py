"""Training on Spark in local mode: the same orders, the same hazard as on one machine, and a model that serves."""

import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("pyspark", reason="the extra 'spark' is not installed")
pytest.importorskip("sklearn", reason="the extra 'spark' is not installed")
if shutil.which("java") is None:
    pytest.skip("Spark needs a Java runtime, and there is no java here", allow_module_level=True)

from learning.registry import register
from learning.spark import SparkBoost, person_periods, session
from learning.training import TrainingConfig
from learning.training_days import train_days
from router.model import HazardBins, OnnxModel
from tests.learning.archives import days, write
from tests.learning.market import NAMES, SCHEMA
from tests.learning.test_walk_forward import Store

CONFIG = TrainingConfig()


@pytest.fixture(scope="module")
def spark():
    started = session("local[1]")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def rows():
    return days(2, 1500, len(NAMES), SCHEMA, NAMES)


@pytest.fixture(scope="module")
def archive(tmp_path_factory, rows):
    place = tmp_path_factory.mktemp("archive")
    write(place, rows)
    return place


def test_the_spread_rows_are_the_hazard_targets(spark, archive, rows):
    some = rows.take(np.arange(200))
    orders = SparkBoost(spark, archive).orders(some).orderBy("at_ns")
    assert orders.count() == 200
    events, exposure = some.hazard_targets(HazardBins(CONFIG.bin_edges_s))
    found = person_periods(orders, CONFIG.bin_edges_s).collect()
    expected = [
        (bin_, int(events[row, bin_]), 1.0 if events[row, bin_] else exposure[row, bin_])
        for row, bin_ in np.argwhere((exposure > 0) | (events > 0)).tolist()
    ]
    assert len(found) == len(expected)
    for row, (bin_, label, weight) in zip(found, expected, strict=True):
        assert (row.features[len(NAMES)], row.label) == (bin_, label)
        assert row.weight == pytest.approx(weight)


def test_it_learns_what_one_machine_learns_and_serves(spark, archive, rows, tmp_path):
    alone = train_days(rows, CONFIG, {}, Store(), str)
    boost = SparkBoost(spark, archive)
    trained = train_days(rows, CONFIG, {}, Store(), str, boost=boost, engine="spark")
    assert trained.metadata.native == "person_period"
    assert trained.record.evaluation.beats_baselines
    assert trained.record.evaluation.model.log_loss == pytest.approx(alone.record.evaluation.model.log_loss, abs=0.03)
    model_id = register(tmp_path, trained, 1)
    model = OnnxModel.load(tmp_path / model_id, SCHEMA)  # checks the parity of ONNX and the booster
    of_one = OnnxModel(alone.metadata, alone.files["model.onnx"])
    some = rows.take(np.arange(500))
    said, expected = (m.fill_probabilities(some.features, some.horizon_ns) for m in (model, of_one))
    assert np.corrcoef(said, expected)[0, 1] > 0.9
