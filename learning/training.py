"""Rows into a model: one booster whose trees give the hazard of every bin of time at once.

The time of the rows is cut in three: the booster learns from the first stretch, the calibration from the second, and
the third only judges. Between two stretches lies the longest horizon, so that no outcome reaches over, and a parent's
rows stay on the side on which it started. The same rows, config and version give the same bytes.

One tree with a weight per bin in each leaf, instead of a tree for each bin: the bins share what makes orders fill, it
takes fewer rows to learn, and serving walks 30 trees instead of 150, in a third of the time. The trees are shallow: on
a few thousand orders depth 3 came nearer to the truth than 4 or 5, and it is faster to serve.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from learning import calibration, markout
from learning.dataset import Dataset
from learning.effects import Effect, effects
from learning.evaluation import Evaluation, evaluate
from learning.export import person_period_to_onnx, to_onnx
from learning.markout import MarkoutConfig, MarkoutScore
from learning.walk_forward import WalkForward
from router.model import (
    MARKOUT_FILE,
    NATIVE_FILE,
    ONNX_FILE,
    Calibration,
    HazardBins,
    ModelMetadata,
    OnnxModel,
    content_id,
)

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  # rounds done, rounds in all
Boost = Callable[[Dataset, "TrainingConfig", Progress], xgboost.Booster]


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bins end where orders are decided: immediate ones in the first, resting ones over half a minute."""

    bin_edges_s: tuple[float, ...] = (0.25, 1.0, 3.0, 10.0, 30.0)
    rounds: int = 30
    max_depth: int = 3
    eta: float = 0.25
    min_child_weight: float = 5.0
    reg_lambda: float = 5.0
    subsample: float = 0.8
    colsample_bytree: float = 1.0
    seed: int = 1
    nthread: int = 1
    calibration_share: float = 0.2  # of the rows, before those held out
    held_out_share: float = 0.2  # of the rows, the latest
    min_rows: int = 100  # in each stretch, with a known outcome
    embargo_s: float = 300.0  # between two stretches beyond the longest horizon: five half-lives of the slowest feature
    head: MarkoutConfig = MarkoutConfig()  # of markouts


class Window(msgspec.Struct, frozen=True):
    """A stretch of time [from_ns, to_ns] and the rows in it."""

    from_ns: int
    to_ns: int
    rows: int


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a model came to be; `training` of its metadata."""

    version: str  # of the software
    xgboost: str
    config: TrainingConfig
    data_hash: str
    fitted: Window
    calibrated: Window
    held_out: Window
    evaluation: Evaluation
    markout: MarkoutScore | None = None  # on the same rows; None without enough fills
    walk_forward: WalkForward | None = None  # by day, where there were days; `evaluation` is then that of all of them
    effects: list[Effect] = []  # the largest first
    engine: str = "xgboost"
    data_hashes: dict[str, str] = {}  # of each day's rows, where there were days


@dataclass(frozen=True)
class TrainedModel:
    """All that registry.register writes. Its id doesn't depend on when it is registered."""

    metadata: ModelMetadata
    record: TrainingRecord
    files: dict[str, bytes]

    @property
    def model_id(self) -> str:
        return self.metadata.model_id

    @property
    def evaluation(self) -> Evaluation:
        return self.record.evaluation


@dataclass(frozen=True)
class Fitted:
    """A calibrated model without a record of how it came to be."""

    metadata: ModelMetadata
    files: dict[str, bytes]

    def model(self) -> OnnxModel:
        return OnnxModel(self.metadata, self.files[ONNX_FILE])


class NotEnoughData(Exception):  # noqa: N818 - not an error: the prior goes on serving
    """Too few rows to learn from; the text says how many of what were there."""


def train(
    rows: Dataset, config: TrainingConfig, progress: Progress = lambda done, total: None, version: str = ""
) -> TrainedModel:
    """A calibrated, evaluated model of `rows`; NotEnoughData where a stretch has too few."""
    cut = split(rows, config)
    first, second, third = (rows.take(stretch) for stretch in cut)
    require(third, "held out", config.min_rows)
    fitted = fit(first, second, config, progress)
    probability, markouts = fitted.model().predict(third.features, third.horizon_ns)
    earlier = rows.take(cut[0] | cut[1])
    record = TrainingRecord(
        version=version,
        xgboost=xgboost.__version__,
        config=config,
        data_hash=rows.data_hash(),
        fitted=window(first),
        calibrated=window(second),
        held_out=window(third),
        evaluation=evaluate(probability, third, earlier),
        markout=markout.score(markouts, third, earlier),
        effects=effects(fitted.model(), third),
    )
    return finished(fitted, record)


def finished(fitted: Fitted, record: TrainingRecord) -> TrainedModel:
    """The model with its record and the id that follows from both."""
    metadata = msgspec.structs.replace(fitted.metadata, training=msgspec.Raw(msgspec.json.encode(record)))
    metadata = msgspec.structs.replace(metadata, model_id=content_id(metadata))
    return TrainedModel(metadata, record, fitted.files)


def fit(
    first: Dataset,
    second: Dataset,
    config: TrainingConfig,
    progress: Progress = lambda done, total: None,
    boost: Boost | None = None,
) -> Fitted:
    """A model of the `first` rows, calibrated on the `second`; NotEnoughData where either has too few.

    What is calibrated is what will serve: ONNX Runtime, not the booster. The head for markouts is kept only if it beat
    a table of venue and action on the second rows.
    """
    for stretch, name in ((first, "to fit"), (second, "to calibrate")):
        require(stretch, name, config.min_rows)
    hazard = (boost or boost_bins)(first, config, progress)
    head = markout.fit(first, second, config.head, config.seed, config.nthread)
    bins = len(config.bin_edges_s)
    long = hazard.num_features() > first.features.shape[1]
    onnx = person_period_to_onnx(hazard, bins, head) if long else to_onnx(hazard, head)
    files = {ONNX_FILE: onnx, NATIVE_FILE: bytes(hazard.save_raw("ubj"))}
    if head is not None:
        files[MARKOUT_FILE] = bytes(head.save_raw("ubj"))
    uncalibrated = ModelMetadata(
        model_id="",
        created_ns=0,
        schema_hash=first.schema_hash,
        feature_names=first.feature_names,
        bin_edges_s=config.bin_edges_s,
        calibration=calibration.IDENTITY,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        training=msgspec.Raw(b"null"),
        has_markout=head is not None,
        native="person_period" if long else "bins",
    )
    calibrated = _calibrate(OnnxModel(uncalibrated, onnx), second)
    return Fitted(msgspec.structs.replace(uncalibrated, calibration=calibrated), files)


def split(rows: Dataset, config: TrainingConfig) -> list[NDArray[np.bool_]]:
    """Which rows are to fit, to calibrate and to judge, each later than those before."""
    if not len(rows):
        return [np.zeros(0, dtype=np.bool_)] * 3
    held_out = 1.0 - config.held_out_share
    return stretches(rows, [held_out - config.calibration_share, held_out], int(rows.horizon_ns.max()))


def stretches(rows: Dataset, cuts: list[float], embargo_ns: int) -> list[NDArray[np.bool_]]:
    """The rows between the `cuts` (shares of all, ascending), each stretch later than those before.

    A parent's rows are of the stretch in which it began, or of none; `embargo_ns` after each cut are left out.
    """
    cuts_ns = np.quantile(rows.at_ns, cuts).astype(np.int64)
    _, parent = np.unique(rows.parent_id, return_inverse=True)
    started_ns = np.full(parent.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(started_ns, parent, rows.at_ns)
    stretch = np.searchsorted(cuts_ns, started_ns[parent], side="right")
    from_ns = np.array([rows.at_ns[0], *(cuts_ns + embargo_ns)])[stretch]
    to_ns = np.array([*cuts_ns, np.iinfo(np.int64).max])[stretch]
    inside = (rows.at_ns >= from_ns) & (rows.at_ns + rows.horizon_ns <= to_ns)
    return [inside & (stretch == number) for number in range(len(cuts) + 1)]


def hazard_gradient(margins: Floats, events: Floats, exposure: Floats) -> tuple[Floats, Floats]:
    """First and second derivative by the margin of the negative log-likelihood, each [rows, bins].

    With hazard h = 1 / (1 + e^-margin) and exposure f, a row survives a bin with probability (1 - h)^f. For f = 1 it is
    logistic regression on the person-period rows (Singer and Willett 1993); where f = 0 the row is not at risk and
    has no say. The second derivative is f h (1 - h): exact but for a fill in a bin that was watched in part.
    """
    hazard = np.exp(-np.logaddexp(0.0, -margins))
    cumulative = exposure * np.logaddexp(0.0, margins)
    # d/dm of -log(1 - e^-c): for f = 1 it is h - 1.
    of_fill = -exposure * hazard / np.expm1(np.clip(cumulative, 1e-12, 700.0))
    gradient = np.where(events > 0, of_fill, exposure * hazard)
    return gradient, exposure * np.maximum(hazard * (1.0 - hazard), 1e-6)


def boost_bins(rows: Dataset, config: TrainingConfig, progress: Progress) -> xgboost.Booster:
    events, exposure = rows.hazard_targets(HazardBins(config.bin_edges_s))

    def objective(margins: Any, _: xgboost.DMatrix) -> tuple[Floats, Floats]:
        return hazard_gradient(margins.reshape(events.shape).astype(np.float64), events, exposure)

    rate = np.clip((events.sum(axis=0) + 0.5) / (exposure.sum(axis=0) + 1.0), 1e-3, 1.0 - 1e-3)
    parameters = {
        "tree_method": "hist",
        "multi_strategy": "multi_output_tree",
        "num_target": events.shape[1],
        "base_score": np.log(rate / (1.0 - rate)).tolist(),
        "disable_default_eval_metric": True,
        "max_depth": config.max_depth,
        "eta": config.eta,
        "min_child_weight": config.min_child_weight,
        "reg_lambda": config.reg_lambda,
        "subsample": config.subsample,
        "colsample_bytree": config.colsample_bytree,
        "seed": config.seed,
        "nthread": config.nthread,
    }
    data = xgboost.DMatrix(rows.features, label=events, nthread=config.nthread)
    return xgboost.train(parameters, data, config.rounds, obj=objective, callbacks=[_Rounds(progress, config.rounds)])


def _calibrate(model: OnnxModel, rows: Dataset) -> Calibration:
    """The calibration of `model` at the rows' own horizons and at the shorter ones that bins end at.

    With the own horizons alone it would be free to bend what is asked of a shorter one.
    """
    edges_ns = [int(edge_s * 1e9) for edge_s in model.metadata.bin_edges_s]
    # Each row counts once in all, however often it is asked.
    share = 1.0 / (1 + np.searchsorted(edges_ns, rows.horizon_ns))
    asked = [(rows, share), *((rows.within(edge_ns), share[rows.horizon_ns > edge_ns]) for edge_ns in edges_ns)]
    return calibration.fit(
        np.concatenate([model.fill_probabilities(stretch.features, stretch.horizon_ns) for stretch, _ in asked]),
        np.concatenate([stretch.filled for stretch, _ in asked]),
        np.concatenate([stretch.weights() * share for stretch, share in asked]),
    )


class _Rounds(xgboost.callback.TrainingCallback):
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._progress(epoch + 1, self._total)
        return False


def require(stretch: Dataset, name: str, rows: int) -> None:
    known = stretch.known
    filled = int(stretch.filled.sum())
    if known.sum() < rows or not 0 < filled < known.sum():
        raise NotEnoughData(
            f"{int(known.sum())} orders {name} with a known outcome, {filled} of them filled; "
            f"expected at least {rows}, some filled and some not"
        )


def window(stretch: Dataset) -> Window:
    return Window(int(stretch.at_ns[0]), int(stretch.at_ns[-1]), len(stretch))
