"""P(fill): what a model answers, how its numbers become a probability, and when an artifact is refused.

A model is a discrete-time hazard: for each bin of time since submission the log-odds that an order that is still
unfilled fills in that bin. P(fill within h) follows for any h and never falls with h. A second head, where a model has
one, is the markout to expect of a fill. An artifact is a directory that holds the trained boosters, the same trees as
one ONNX graph, and metadata that names the hash of each. It serves only if every byte is what was registered, if it was
trained on the features that this router computes, and if ONNX Runtime and the boosters give the same answers: a model
that is almost right is worse than the prior per venue.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Features = NDArray[np.float32]
Nanoseconds = NDArray[np.int64]
Floats = NDArray[np.float64]

METADATA_FILE = "metadata.json"
ONNX_FILE = "model.onnx"
NATIVE_FILE = "model.ubj"
MARKOUT_FILE = "markout.ubj"
CHAMPION_FILE = "champion"
INPUT, OUTPUT = "features", "margins"
PARITY_TOLERANCE = 1e-5  # of a probability; float32 sums of 200 leaves differ by about 1e-7
_PROBE_ROWS = 512
_EXPOSURES_KEPT = 256
_ROWS_BOUND = 64  # as many candidates as a decision may have with its arrays kept
_MODEL_ID = re.compile(r"[0-9a-f]{12}")


class FillModel(Protocol):
    @property
    def model_id(self) -> str: ...

    @property
    def schema_hash(self) -> str: ...

    def predict(self, features: Features, horizons_ns: Nanoseconds) -> tuple[Floats, Floats | None]:
        """P(fill within the horizon) and markout given a fill, bps: float64 [n] each, of float32 [n, F], int64 [n].

        A horizon of 0 is an immediate order: whether it fills at all. No markouts from a model without that head.
        """
        ...


class ModelRefused(Exception):  # noqa: N818 - a refusal, not a failure of ours
    """An artifact that must not serve; the text names the file, what was wrong and what was expected."""


class PriorModel:
    """What the config assumes of each venue, for as long as there is no model."""

    model_id = "prior"

    def __init__(self, fill_prior_column: int, schema_hash: str) -> None:
        self.schema_hash = schema_hash
        self._column = fill_prior_column

    def predict(self, features: Features, horizons_ns: Nanoseconds) -> tuple[Floats, Floats | None]:
        return features[:, self._column].astype(np.float64), None


class HazardBins:
    """Time since submission cut at `edges_s` (ascending, in seconds): (0, e0], (e0, e1], ...; the last bin is open.

    The first bin is the time in which an immediate order has its answer, so a horizon below e0 means e0.
    """

    def __init__(self, edges_s: tuple[float, ...]) -> None:
        edges_ns = np.array(edges_s, dtype=np.float64) * 1e9
        starts_ns = np.concatenate([[0.0], edges_ns[:-1]])
        self.count = len(edges_s)
        self.first_edge_ns = int(edges_ns[0])
        self._starts_ns = starts_ns
        self._per_ns = 1.0 / (edges_ns - starts_ns)
        self._offsets = starts_ns * self._per_ns
        self._caps = np.concatenate([np.ones(self.count - 1), [np.inf]])
        self._seen: dict[bytes, Floats] = {}

    def index(self, time_ns: Nanoseconds) -> NDArray[np.intp]:
        """The bin in which each time lies."""
        return np.maximum(np.searchsorted(self._starts_ns, time_ns, side="left") - 1, 0)

    def exposure(self, time_ns: Nanoseconds) -> Floats:
        """The share of each bin that lies before each time, [n, bins]; past its edge the last bin counts on."""
        shares: Floats = time_ns[:, None] * self._per_ns - self._offsets
        np.maximum(shares, 0.0, out=shares)
        np.minimum(shares, self._caps, out=shares)
        return shares

    def survival(self, margins: NDArray[np.float32], horizons_ns: Nanoseconds) -> Floats:
        """1 - P(fill within the horizon), [n], of the bins' log-odds, [n, bins].

        prod (1 - hazard_k) ** exposure_k: survival over discrete bins (Singer and Willett 1993), with a constant hazard
        inside the bin in which the horizon ends.
        """
        # The same few columns of horizons come with every decision, and their exposure is a third of the work.
        key = horizons_ns.tobytes()
        exposure = self._seen.get(key)
        if exposure is None:
            if len(self._seen) == _EXPOSURES_KEPT:
                self._seen.clear()
            exposure = self._seen[key] = self.exposure(np.maximum(horizons_ns, self.first_edge_ns))
        # log(1 + e^margin) = -log(1 - hazard), without overflow.
        survival: Floats = np.exp(-np.vecdot(np.logaddexp(0.0, margins, dtype=np.float64), exposure))
        return survival


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A never falling map of raw onto calibrated probability, as knots that are joined by straight lines."""

    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __post_init__(self) -> None:
        raw, calibrated = np.array(self.raw), np.array(self.calibrated)
        if len(raw) != len(calibrated) or len(raw) < 2:
            raise ValueError(
                f"{len(raw)} raw and {len(calibrated)} calibrated knots, expected as many of both, 2 or more"
            )
        if not (np.diff(raw) > 0).all() or not (np.diff(calibrated) >= 0).all():
            raise ValueError("knots fall, expected raw to rise and calibrated not to fall")
        if not (calibrated[0] >= 0 and calibrated[-1] <= 1):
            raise ValueError(f"calibrated knots reach {calibrated[0]}..{calibrated[-1]}, expected 0..1")


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model directory says of itself. `model_id` is the hash of all the rest but `created_ns`.

    A field that was added later has a default, which is left out of the hash, so that older models keep their id.
    """

    model_id: str
    created_ns: int
    schema_hash: str
    feature_names: tuple[str, ...]
    bin_edges_s: tuple[float, ...]
    calibration: Calibration
    files: dict[str, str]  # name -> SHA-256
    training: msgspec.Raw  # how it came to be, a learning.training.TrainingRecord; serving doesn't need it
    has_markout: bool = False  # a last output: the markout in bps to expect of a fill
    # "bins": a tree has a weight for each bin in its leaves. "person_period": the bin is the last feature.
    native: Literal["bins", "person_period"] = "bins"

    def __post_init__(self) -> None:
        edges = np.array(self.bin_edges_s)
        if not len(edges) or not (np.diff(edges, prepend=0.0) > 0).all() or not np.isfinite(edges).all():
            raise ValueError(f"bin_edges_s {self.bin_edges_s}, expected seconds that rise from above 0")


def encode_metadata(metadata: ModelMetadata) -> bytes:
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n"


def content_id(metadata: ModelMetadata) -> str:
    """The id that a model with this metadata has: the first 12 hex digits of a SHA-256."""
    content = msgspec.json.decode(msgspec.json.encode(metadata))
    del content["model_id"], content["created_ns"]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]


def read_metadata(directory: Path) -> ModelMetadata:
    """The metadata of a model directory; ModelRefused where it is missing, malformed or not what was registered."""
    path = directory / METADATA_FILE
    try:
        metadata = msgspec.json.decode(_read(path), type=ModelMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelRefused(f"{path}: {error}; expected the metadata of a model") from error
    expected = content_id(metadata)
    if metadata.model_id != expected:
        raise ModelRefused(f"{path}: model_id is {metadata.model_id!r}, expected {expected!r} of this content")
    return metadata


def valid_id(model_id: str) -> bool:
    return _MODEL_ID.fullmatch(model_id) is not None


def champion(directory: Path) -> Path | None:
    """The directory of the model that a registry says should serve; None where it names none.

    ModelRefused where the pointer is not the id of a model.
    """
    path = directory / CHAMPION_FILE
    if not path.exists():
        return None
    model_id = _read(path).decode("ascii", "replace").strip()
    if not valid_id(model_id):
        raise ModelRefused(f"{path}: names {model_id[:40]!r}, expected the 12 hex digits of a model id")
    return directory / model_id


class OnnxModel:
    """A registered model, served by ONNX Runtime on one thread: one batched call a decision."""

    def __init__(self, metadata: ModelMetadata, onnx: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.metadata = metadata
        self.model_id = metadata.model_id
        self.schema_hash = metadata.schema_hash
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self._bins = HazardBins(metadata.bin_edges_s)
        self._outputs = self._bins.count + metadata.has_markout
        self._bound: dict[int, tuple[Any, Features, Features]] = {}
        # The calibration as a function of survival, which spares a subtraction in every call.
        self._survival = 1.0 - np.array(metadata.calibration.raw)[::-1]
        self._calibrated = np.array(metadata.calibration.calibrated)[::-1]

    @classmethod
    def load(cls, directory: Path, schema_hash: str) -> "OnnxModel":
        """The model in `directory`, checked; ModelRefused if anything about it is not as it has to be."""
        metadata = read_metadata(directory)
        if metadata.schema_hash != schema_hash:
            raise ModelRefused(
                f"{directory / METADATA_FILE}: trained on features of schema {metadata.schema_hash!r}, "
                f"expected {schema_hash!r}, which this router computes"
            )
        onnx = _checked(directory / ONNX_FILE, metadata)
        try:
            model = cls(metadata, onnx)
            model.margins(np.zeros((1, len(metadata.feature_names)), dtype=np.float32))
        except Exception as error:  # ONNX Runtime raises its own classes straight from Exception
            raise ModelRefused(f"{directory / ONNX_FILE}: {error}; expected a model that ONNX Runtime runs") from error
        model.check_parity(directory)
        return model

    def predict(self, features: Features, horizons_ns: Nanoseconds) -> tuple[Floats, Floats | None]:
        margins = self.margins(features)
        if not self.metadata.has_markout:
            return self._probabilities(margins, horizons_ns), None
        return self._probabilities(margins[:, :-1], horizons_ns), margins[:, -1].astype(np.float64)

    def fill_probabilities(self, features: Features, horizons_ns: Nanoseconds) -> Floats:
        return self.predict(features, horizons_ns)[0]

    def _probabilities(self, margins: NDArray[np.float32], horizons_ns: Nanoseconds) -> Floats:
        calibrated: Floats = np.interp(self._bins.survival(margins, horizons_ns), self._survival, self._calibrated)
        return calibrated

    def margins(self, features: Features) -> NDArray[np.float32]:
        """Log-odds of the hazard in each bin, and the markout where the model has it: float32 [n, outputs].

        The next call with as many rows overwrites them.
        """
        rows = len(features)
        binding, bound_features, bound_margins = self._bound.get(rows) or self._bind(rows)
        np.copyto(bound_features, features)
        self._session.run_with_iobinding(binding)
        return bound_margins

    def _bind(self, rows: int) -> tuple[Any, Features, Features]:
        """Arrays of so many rows that ONNX Runtime reads and writes in place: 10 rows take 5 us less than by value."""
        features = np.zeros((rows, len(self.metadata.feature_names)), dtype=np.float32)
        margins = np.zeros((rows, self._outputs), dtype=np.float32)
        binding = self._session.io_binding()
        binding.bind_cpu_input(INPUT, features)
        binding.bind_output(OUTPUT, "cpu", 0, np.float32, margins.shape, margins.ctypes.data)
        bound = binding, features, margins
        if rows <= _ROWS_BOUND:
            self._bound[rows] = bound
        return bound

    def check_parity(self, directory: Path) -> float:
        """The largest difference between ONNX and boosters on the probe, in a probability or in tenths of a bp.

        ModelRefused above PARITY_TOLERANCE, and for boosters that are not of these features.
        """
        native = self._native_margins(directory / NATIVE_FILE)
        served = self.margins(native.probe)[:, : self._bins.count]
        if native.margins.shape != served.shape:
            raise ModelRefused(
                f"{directory / NATIVE_FILE}: {native.margins.shape[1]} outputs, expected {served.shape[1]}"
            )
        worst = _largest(np.abs(_hazard(native.margins) - _hazard(served)), directory, NATIVE_FILE)
        if self.metadata.has_markout:
            head = self._native_margins(directory / MARKOUT_FILE, outputs=1)
            markouts = self.margins(head.probe)[:, -1:]
            worst = max(worst, _largest(np.abs(head.margins - markouts) / 10, directory, MARKOUT_FILE))
        return worst

    def _native_margins(self, path: Path, outputs: int = 0) -> "_Native":
        import xgboost  # only here: serving doesn't need it, and it is a second of start-up

        width = len(self.metadata.feature_names)
        long = self.metadata.native == "person_period" and not outputs
        data = _checked(path, self.metadata)
        try:
            booster = xgboost.Booster(model_file=bytearray(data))
            trees = msgspec.json.decode(booster.save_raw("json"))
            probe = _probe(trees, width + long)[:, :width]
            asked = np.repeat(probe, self._bins.count, axis=0) if long else probe
            if long:
                bins = np.tile(np.arange(self._bins.count, dtype=np.float32), len(probe))
                asked = np.column_stack([asked, bins])
            margins = booster.inplace_predict(asked, predict_type="margin").reshape(len(probe), -1)
        except (xgboost.core.XGBoostError, ValueError, IndexError) as error:
            raise ModelRefused(f"{path}: {error}; expected a booster of these features") from error
        return _Native(np.ascontiguousarray(probe), margins)


class _Native(NamedTuple):
    probe: Features
    margins: NDArray[np.float32]


def _largest(difference: Floats, directory: Path, native: str) -> float:
    of_rows = difference.max(axis=1)
    row = int(of_rows.argmax())
    if not of_rows[row] <= PARITY_TOLERANCE:
        raise ModelRefused(
            f"{directory / ONNX_FILE}: differs from {native} by {of_rows[row]:.2g} in a probability "
            f"(row {row} of the probe), expected at most {PARITY_TOLERANCE:g}"
        )
    return float(of_rows[row])


def _hazard(margins: NDArray[np.float32]) -> Floats:
    hazard: Floats = np.exp(-np.logaddexp(0.0, -margins, dtype=np.float64))
    return hazard


def _probe(booster: Any, features: int) -> Features:
    """Rows on, just below and just above the thresholds of the booster's own splits, and rows with missing values.

    These are the places where two implementations of the same trees can part.
    """
    rng = np.random.default_rng(0)
    thresholds: list[list[float]] = [[0.0] for _ in range(features)]
    for tree in booster["learner"]["gradient_booster"]["model"]["trees"]:
        for feature, threshold, left in zip(
            tree["split_indices"], tree["split_conditions"], tree["left_children"], strict=True
        ):
            if left != -1:
                thresholds[feature].append(threshold)
    columns = []
    for values in thresholds:
        on = np.array(values, dtype=np.float32)
        below, above = np.nextafter(on, np.float32(-np.inf)), np.nextafter(on, np.float32(np.inf))
        choices = np.concatenate([on, below, above, np.full(max(len(on) // 8, 1), np.nan, dtype=np.float32)])
        columns.append(rng.choice(choices, _PROBE_ROWS))
    return np.stack(columns, axis=1)


def _checked(path: Path, metadata: ModelMetadata) -> bytes:
    data = _read(path)
    expected = metadata.files.get(path.name, "none")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ModelRefused(f"{path}: {len(data)} bytes with SHA-256 {found[:12]}, expected {expected[:12]}")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: {error.strerror}; expected a file of a registered model") from error
