"""What several tests of the service need and takes seconds to make."""

from pathlib import Path

import pytest

from learning.dataset import dataset
from learning.registry import register, set_champion
from learning.training import TrainedModel, TrainingConfig, train
from router.features import FEATURES
from service.examples import daemon_config, simulators_config
from service.training import produce


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    """A small model of the example venues."""
    simulators = simulators_config()
    facts = produce(daemon_config(), simulators.market(), simulators.latency_ns(), 160, 3)
    return train(dataset(facts, FEATURES), TrainingConfig(rounds=5, min_rows=10))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, trained: TrainedModel) -> Path:
    """A registry with that model, which serves. Nobody may change it."""
    models = tmp_path_factory.mktemp("models")
    register(models, trained, 1)
    set_champion(models, trained.model_id)
    return models
