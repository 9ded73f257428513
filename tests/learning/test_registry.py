import msgspec
import pytest

from learning.registry import models, register, set_champion
from learning.training import TrainingConfig, train
from router.model import METADATA_FILE, ModelRefused, OnnxModel, champion
from tests.learning.market import SCHEMA, draw

SMALL = TrainingConfig(rounds=3)


@pytest.fixture(scope="module")
def trained():
    return [train(draw(1_000, seed).rows, SMALL) for seed in (1, 2)]


def test_a_registered_model_serves(tmp_path, trained):
    registry = tmp_path / "models"
    model_id = register(registry, trained[0], created_ns=5)
    assert model_id == trained[0].model_id
    model = OnnxModel.load(registry / model_id, SCHEMA)
    assert (model.model_id, model.schema_hash) == (model_id, SCHEMA)
    assert (model.metadata.created_ns, model.metadata.files.keys()) == (5, {"model.onnx", "model.ubj", "markout.ubj"})
    assert [path.name for path in registry.iterdir()] == [model_id]  # nothing half-written is left


def test_registering_again_changes_nothing(tmp_path, trained):
    first = register(tmp_path, trained[0], created_ns=5)
    before = (tmp_path / first / METADATA_FILE).read_bytes()
    assert register(tmp_path, trained[0], created_ns=6) == first
    assert (tmp_path / first / METADATA_FILE).read_bytes() == before


def test_what_a_broken_off_write_left_is_no_model(tmp_path, trained):
    (tmp_path / f".{trained[0].model_id}.1").mkdir()
    assert models(tmp_path) == []
    register(tmp_path, trained[0], created_ns=1)
    assert [model.model_id for model in models(tmp_path)] == [trained[0].model_id]


def test_the_champion_is_what_was_set_last(tmp_path, trained):
    assert champion(tmp_path) is None
    ids = [register(tmp_path, model, created_ns) for created_ns, model in enumerate(trained)]
    assert champion(tmp_path) is None  # registering is not promoting
    for model_id in ids:
        set_champion(tmp_path, model_id)
        assert champion(tmp_path) == tmp_path / model_id
    assert [(model.model_id, model.is_champion) for model in models(tmp_path)] == [(ids[0], False), (ids[1], True)]


def test_what_is_no_model_does_not_become_champion(tmp_path, trained):
    set_champion(tmp_path, register(tmp_path, trained[0], created_ns=0))
    with pytest.raises(ModelRefused, match=r"000000000000/metadata\.json: No such file"):
        set_champion(tmp_path, "000000000000")
    assert champion(tmp_path) == tmp_path / trained[0].model_id


def test_the_list_has_the_oldest_first_and_says_what_is_broken(tmp_path, trained):
    older, newer = (register(tmp_path, model, created_ns) for model, created_ns in zip(trained, (7, 9), strict=True))
    (tmp_path / "0ff1ce000000").mkdir()
    found = models(tmp_path)
    assert [model.model_id for model in found] == [older, newer, "0ff1ce000000"]
    assert found[0].record == trained[0].record
    assert "metadata.json: No such file" in found[2].problem
    assert models(tmp_path / "nowhere") == []


def test_the_record_in_the_metadata_is_readable_by_people(tmp_path, trained):
    text = (tmp_path / register(tmp_path, trained[0], 0) / METADATA_FILE).read_text()
    assert '\n  "training": {\n    "version"' in text
    assert msgspec.json.decode(text)["training"]["config"]["rounds"] == 3
