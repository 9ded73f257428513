import hashlib
import shutil

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.registry import register, set_champion
from learning.training import TrainingConfig, train
from router.model import (
    Calibration,
    HazardBins,
    ModelRefused,
    OnnxModel,
    PriorModel,
    champion,
    content_id,
    encode_metadata,
    read_metadata,
)
from tests.learning.market import NAMES, SCHEMA, draw

SECOND = 1_000_000_000
EDGES = (1.0, 3.0, 10.0)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    rows = draw(1_500, 1).rows
    ids = [register(directory, train(rows, TrainingConfig(rounds=5, seed=seed)), 0) for seed in (1, 2)]
    fewer = TrainingConfig(rounds=5, bin_edges_s=(1.0, 10.0))
    ids.append(register(directory, train(rows, fewer), 0))
    return [directory / model_id for model_id in ids]


@pytest.fixture
def place(registry, tmp_path):
    return shutil.copytree(registry[0], tmp_path / "model")


# --- from hazards to P(fill) ---

HAZARDS = (0.5, 0.2, 0.1)
# horizon in seconds -> survival by hand
HORIZONS = {
    0: 0.5,
    0.4: 0.5,
    1: 0.5,
    2: 0.5 * 0.8**0.5,
    3: 0.5 * 0.8,
    6.5: 0.5 * 0.8 * 0.9**0.5,
    10: 0.5 * 0.8 * 0.9,
    24: 0.5 * 0.8 * 0.9**3,
}


@pytest.mark.parametrize("horizon_s", HORIZONS)
def test_survival_by_hand(horizon_s):
    margins = np.log(np.array(HAZARDS) / (1 - np.array(HAZARDS))).astype(np.float32)[None, :]
    found = HazardBins(EDGES).survival(margins, np.array([int(horizon_s * SECOND)]))
    assert found == pytest.approx([HORIZONS[horizon_s]], abs=1e-7)


def test_rows_have_their_own_horizons_and_are_not_mixed_up_with_earlier_calls():
    bins = HazardBins(EDGES)
    margins = np.log(np.array(HAZARDS) / (1 - np.array(HAZARDS))).astype(np.float32)[None, :].repeat(2, axis=0)
    rng = np.random.default_rng(0)
    for _ in range(700):
        horizons_s = rng.choice(list(HORIZONS), 2)
        found = bins.survival(margins, (horizons_s * SECOND).astype(np.int64))
        assert found == pytest.approx([HORIZONS[h] for h in horizons_s], abs=1e-7)


@given(
    st.lists(st.floats(-80, 80, width=32), min_size=3, max_size=3),
    st.lists(st.integers(0, 100 * SECOND), min_size=2, max_size=6),
)
def test_survival_is_a_probability_that_never_rises_with_the_horizon(margins, horizons_ns):
    horizons_ns = np.array(sorted(horizons_ns), dtype=np.int64)
    rows = np.array([margins] * len(horizons_ns), dtype=np.float32)
    found = HazardBins(EDGES).survival(rows, horizons_ns)
    assert (found >= 0).all() and (found <= 1).all()
    assert (np.diff(found) <= 1e-12).all()


@pytest.mark.parametrize(("time_s", "index"), [(0, 0), (0.5, 0), (1, 0), (1.001, 1), (3, 1), (10, 2), (99, 2)])
def test_the_bin_of_a_time(time_s, index):
    assert HazardBins(EDGES).index(np.array([int(time_s * SECOND)])).tolist() == [index]


def test_the_prior_is_the_venues_own_column():
    features = np.array([[1, 0.25, 9], [2, 0.75, 9]], dtype=np.float32)
    prior = PriorModel(1, SCHEMA)
    assert (prior.model_id, prior.schema_hash) == ("prior", SCHEMA)
    found, markouts = prior.predict(features, np.array([0, SECOND]))
    assert markouts is None
    assert (found.tolist(), found.dtype) == ([0.25, 0.75], np.float64)


# --- what is loaded is what was registered ---


def test_a_sound_model_serves(place, registry):
    model = OnnxModel.load(place, SCHEMA)
    rows = draw(50, 3).rows
    found = model.fill_probabilities(rows.features, rows.horizon_ns)
    assert (found.shape, found.dtype) == ((50,), np.float64)
    assert (found > 0).all() and (found < 1).all() and found.std() > 0.05
    single = [model.fill_probabilities(rows.features[i : i + 1], rows.horizon_ns[i : i + 1])[0] for i in range(50)]
    assert found == pytest.approx(single, abs=1e-12)
    assert model.model_id == registry[0].name


def rewrite(place, **changes):
    """As someone would who knows how the hashes are made."""
    metadata = msgspec.structs.replace(read_metadata(place), **changes)
    metadata = msgspec.structs.replace(metadata, model_id=content_id(metadata))
    (place / "metadata.json").write_bytes(encode_metadata(metadata))


def swap(place, name, data):
    (place / name).write_bytes(data)
    rewrite(place, files={**read_metadata(place).files, name: hashlib.sha256(data).hexdigest()})


def edit(place, old, new):
    text = (place / "metadata.json").read_text()
    assert old in text
    (place / "metadata.json").write_text(text.replace(old, new, 1))


def flip(place, name, position):
    data = bytearray((place / name).read_bytes())
    data[position] ^= 1
    (place / name).write_bytes(data)


def truncate(place, name, share):
    data = (place / name).read_bytes()
    (place / name).write_bytes(data[: int(len(data) * share)])


def more_features(place):
    rewrite(place, feature_names=(*NAMES, "one_more"))


DAMAGE = {
    "no directory": (lambda place, _: shutil.rmtree(place), "metadata.json: No such file"),
    "no onnx": (lambda place, _: (place / "model.onnx").unlink(), "model.onnx: No such file"),
    "no booster": (lambda place, _: (place / "model.ubj").unlink(), "model.ubj: No such file"),
    "no metadata": (lambda place, _: (place / "metadata.json").unlink(), "metadata.json: No such file"),
    "onnx altered": (lambda place, _: flip(place, "model.onnx", 500), "model.onnx: .* bytes with SHA-256 .*, expected"),
    "booster altered": (lambda place, _: flip(place, "model.ubj", 500), "model.ubj: .* with SHA-256 .*, expected"),
    "onnx truncated": (lambda place, _: truncate(place, "model.onnx", 0.5), "model.onnx: .* bytes with SHA-256"),
    "onnx empty": (lambda place, _: truncate(place, "model.onnx", 0), "model.onnx: 0 bytes with SHA-256"),
    "metadata truncated": (lambda place, _: truncate(place, "metadata.json", 0.5), "metadata.json: .* truncated"),
    "metadata empty": (lambda place, _: truncate(place, "metadata.json", 0), "metadata.json: .*expected the metadata"),
    "metadata is no text": (
        lambda place, _: (place / "metadata.json").write_bytes(b"\xff\xfe\x00garbage"),
        "metadata.json: .*expected the metadata",
    ),
    "a key that does not exist": (
        lambda place, _: edit(place, '"created_ns"', '"created_by": 1, "created_ns"'),
        "metadata.json: .*created_by",
    ),
    "calibration altered": (
        lambda place, _: edit(place, '"raw": [', '"raw": [-1.0,'),
        "metadata.json: 68 raw and 67 calibrated knots",
    ),
    "record altered": (
        lambda place, _: edit(place, '"seed": 1', '"seed": 3'),
        "model_id is '.*', expected '.*' of this",
    ),
    "id altered": (lambda place, _: edit(place, '"model_id": "', '"model_id": "x'), "model_id is 'x"),
    "onnx of another model": (
        lambda place, others: swap(place, "model.onnx", (others[1] / "model.onnx").read_bytes()),
        r"model.onnx: differs from model.ubj by \d.* in a probability .*, expected at most 1e-05",
    ),
    "booster of another model": (
        lambda place, others: swap(place, "model.ubj", (others[1] / "model.ubj").read_bytes()),
        "model.onnx: differs from model.ubj",
    ),
    "markouts of another model": (
        lambda place, others: swap(place, "markout.ubj", (others[1] / "markout.ubj").read_bytes()),
        "model.onnx: differs from markout.ubj",
    ),
    "no markouts": (lambda place, _: (place / "markout.ubj").unlink(), "markout.ubj: No such file"),
    "onnx with other bins": (
        lambda place, others: swap(place, "model.onnx", (others[2] / "model.onnx").read_bytes()),
        "model.onnx: .*index: 1 Got: 6 Expected: 3.*expected a model that ONNX Runtime runs",
    ),
    "booster with other bins": (
        lambda place, others: swap(place, "model.ubj", (others[2] / "model.ubj").read_bytes()),
        "model.ubj: 2 outputs, expected 5",
    ),
    "onnx that is none": (
        lambda place, _: swap(place, "model.onnx", b"not a model"),
        "model.onnx: .*expected a model that ONNX Runtime runs",
    ),
    "booster that is none": (
        lambda place, _: swap(place, "model.ubj", b"{not a model"),
        "model.ubj: .*expected a booster of these features",
    ),
    "other features": (lambda place, _: more_features(place), "model.onnx: .*expected a model that ONNX Runtime runs"),
    "bins that fall": (lambda place, _: edit(place, "0.25,", "2.5,"), "metadata.json: bin_edges_s"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_model_is_refused_and_the_text_says_why(name, place, registry):
    damage, text = DAMAGE[name]
    damage(place, registry)
    with pytest.raises(ModelRefused, match=f"(?s){text}") as refused:
        OnnxModel.load(place, SCHEMA)
    assert str(refused.value).startswith(str(place))


def test_a_model_of_other_features_is_refused(place):
    with pytest.raises(ModelRefused, match=f"schema '{SCHEMA}', expected 'other', which this router computes"):
        OnnxModel.load(place, "other")


@pytest.mark.parametrize(
    ("raw", "calibrated", "text"),
    [
        ((0.0,), (0.0,), "2 or more"),
        ((0.0, 1.0), (0.0, 0.5, 1.0), "2 raw and 3"),
        ((0.0, 0.0), (0.0, 1.0), "fall"),
        ((0.0, 1.0), (0.6, 0.5), "fall"),
        ((0.0, 1.0), (0.0, 1.1), "expected 0..1"),
        ((0.0, float("nan")), (0.0, 1.0), "fall"),
    ],
)
def test_a_calibration_that_is_none(raw, calibrated, text):
    with pytest.raises(ValueError, match=text):
        Calibration(raw, calibrated)


# --- the pointer ---


def test_the_pointer_names_the_champion(registry):
    directory = registry[0].parent
    assert champion(directory / "nowhere") is None
    set_champion(directory, registry[1].name)
    assert champion(directory) == registry[1]


@pytest.mark.parametrize("content", [b"", b"../../etc", b"\xff\x00", b"0123456789ab/..", b"0123456789AB"])
def test_a_pointer_to_what_can_be_no_model_is_refused(content, tmp_path):
    (tmp_path / "champion").write_bytes(content)
    with pytest.raises(ModelRefused, match=r"champion: names .*expected the 12 hex digits of a model id"):
        champion(tmp_path)


def test_a_champion_that_is_gone_is_refused_when_loaded(tmp_path):
    (tmp_path / "champion").write_text("0123456789ab\n")
    with pytest.raises(ModelRefused, match=r"0123456789ab/metadata\.json: No such file"):
        OnnxModel.load(champion(tmp_path), SCHEMA)
