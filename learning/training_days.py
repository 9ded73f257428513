"""A model of many days, and what such a model is worth on days that it has not seen.

Each day is judged by a model of the days before. What a fold said is kept under the hash of all that it depends on, so
a run that was stopped goes on where it was, and one more day costs one more fold. The model that comes out is of all
days; it is judged by the folds, never by rows that it learned from.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import numpy as np
import xgboost

from learning import markout
from learning.archive_rows import DAY_NS
from learning.dataset import Dataset, Floats
from learning.effects import effects
from learning.evaluation import baselines, judge
from learning.training import (
    Boost,
    Fitted,
    NotEnoughData,
    TrainedModel,
    TrainingConfig,
    TrainingRecord,
    finished,
    fit,
    stretches,
    window,
)
from learning.walk_forward import DayScore, Fold, Judged, alike, compare_kinds, day_score, folds, pooled
from learning.walk_forward import judge as judge_days

Arrays = dict[str, Floats]
Progress = Callable[[str, int, int], None]  # what, done, of


class FoldStore(Protocol):
    """Keeps what folds said."""

    def get(self, key: str) -> Arrays | None: ...

    def put(self, key: str, arrays: Arrays) -> None: ...


def train_days(
    rows: Dataset,
    config: TrainingConfig,
    kinds: Mapping[str, str],
    store: FoldStore,
    day_text: Callable[[int], str],
    progress: Progress = lambda what, done, total: None,
    version: str = "",
    boost: Boost | None = None,
    engine: str = "xgboost",
) -> TrainedModel:
    """A model of all `rows`, judged day by day; NotEnoughData where no day can be judged or all are too few."""
    embargo_ns = int(config.embargo_s * 1e9) + int(rows.horizon_ns.max(initial=0))
    days = folds(rows, embargo_ns)
    parts: list[Judged] = []
    scores: list[DayScore] = []
    taken: list[np.ndarray] = []
    heads: list[Floats] = []
    own: list[Floats] = []
    with_own: set[str] = set()
    for number, fold in enumerate(days):
        progress(f"judge {day_text(fold.day)}", number, len(days) + 1)
        said = _fold(rows, fold, config, store, version, boost, engine, kinds)
        if said is None:
            continue
        test = rows.take(fold.test)
        names = [name.removeprefix("p ") for name in said if name.startswith("p ")]
        probability = {name: said[f"p {name}"] for name in names}
        parts.append(Judged(test, test.weights(), probability, {name: said[f"alike {name}"] for name in names}))
        scores.append(day_score(day_text(fold.day), parts[-1]))
        taken.append(np.flatnonzero(fold.test))
        own.append(said["own model of its kind"])
        with_own |= {name.removeprefix("kind ") for name in said if name.startswith("kind ")}
        heads.append(np.stack([said["markout model"], said["markout table"], said["markout constant"]], axis=1))
    if not parts:
        raise NotEnoughData(f"{len(days) + 1 if len(rows) else 0} days with orders, none of which could be judged")
    progress("fit", len(days), len(days) + 1)
    fitted, first, second = _fit_all(rows, config, embargo_ns, boost)
    judged = pooled(parts, rows.take(np.concatenate(taken)))
    simpler = {name: p for name, p in judged.probability.items() if name != "model"}
    record = TrainingRecord(
        version=version,
        xgboost=xgboost.__version__,
        config=config,
        data_hash=rows.data_hash(),
        fitted=window(first),
        calibrated=window(second),
        held_out=window(judged.rows),
        evaluation=judge(judged.probability["model"], simpler, judged.rows.filled, judged.weights),
        markout=_markout_score(judged.rows, np.concatenate(heads), config),
        walk_forward=msgspec.structs.replace(
            judge_days(judged, scores, kinds, embargo_ns, config.seed),
            by_kind=compare_kinds(judged, np.concatenate(own), with_own, config.seed),
        ),
        effects=effects(fitted.model(), judged.rows),
        engine=engine,
        data_hashes=_by_day(rows, day_text),
    )
    progress("done", len(days) + 1, len(days) + 1)
    return finished(fitted, record)


def _by_day(rows: Dataset, day_text: Callable[[int], str]) -> dict[str, str]:
    """The hash of the rows decided on each day: which day's data are others than those of another model."""
    day = rows.at_ns // DAY_NS
    return {day_text(number): rows.take(day == number).data_hash() for number in np.unique(day).tolist()}


def _fit_all(
    rows: Dataset, config: TrainingConfig, embargo_ns: int, boost: Boost | None
) -> tuple[Fitted, Dataset, Dataset]:
    first, second = (rows.take(part) for part in stretches(rows, [1.0 - config.calibration_share], embargo_ns))
    return fit(first, second, config, boost=boost), first, second


def _fold(
    rows: Dataset,
    fold: Fold,
    config: TrainingConfig,
    store: FoldStore,
    version: str,
    boost: Boost | None,
    engine: str,
    kinds: Mapping[str, str],
) -> Arrays | None:
    """What each predictor says of the fold's day; None where there is too little to learn from before it."""
    train, test = rows.take(fold.train), rows.take(fold.test)
    identity = (
        *(train.data_hash(), test.data_hash(), msgspec.json.encode(config), version, xgboost.__version__, engine),
        sorted(kinds.items()),
    )
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:24]
    said = store.get(key)
    if said is not None:
        return said
    try:
        embargo_ns = int(config.embargo_s * 1e9) + int(train.horizon_ns.max(initial=0))
        fitted, _, _ = _fit_all(train, config, embargo_ns, boost)
    except NotEnoughData:
        return None
    model, equal = fitted.model(), alike(test)
    probability, markouts = model.predict(test.features, test.horizon_ns)
    said = {"p model": probability, "alike model": model.predict(test.features, equal.horizon_ns)[0]}
    said |= {f"p {name}": p for name, p in baselines(train, test).items()}
    said |= {f"alike {name}": p for name, p in baselines(train, equal).items()}
    table = markout.table(train, test, config.head)
    marked = train.markout_bps[np.isfinite(train.markout_bps)]
    clip_bps = config.head.clip_bps
    mean_bps = float(np.clip(marked, -clip_bps, clip_bps).mean()) if len(marked) else 0.0
    # Without the head scoring falls back on recent means, for which the table stands.
    said |= {
        "markout model": table if markouts is None else markouts,
        "markout table": table,
        "markout constant": np.full(len(test), mean_bps),
    }
    said |= _own_models(train, test, probability, config, kinds)
    store.put(key, said)
    return said


def _own_models(
    train: Dataset, test: Dataset, shared: Floats, config: TrainingConfig, kinds: Mapping[str, str]
) -> Arrays:
    """What a model of each kind of venue says of its orders; `shared` where there is too little for one."""
    own, found = shared.copy(), {}
    earlier, later = (np.array([kinds.get(venue, "") for venue in rows.venue.tolist()]) for rows in (train, test))
    for kind in sorted({*later.tolist()} - {""}):
        of = later == kind
        some, asked = train.take(earlier == kind), test.take(of)
        embargo_ns = int(config.embargo_s * 1e9) + int(train.horizon_ns.max(initial=0))
        if len(some) < config.min_rows:
            continue
        try:
            fitted, _, _ = _fit_all(some, config, embargo_ns, None)
        except NotEnoughData:
            continue
        own[of] = fitted.model().fill_probabilities(asked.features, asked.horizon_ns)
        found[f"kind {kind}"] = np.ones(1)
    return {"own model of its kind": own} | found


def _markout_score(rows: Dataset, said: Floats, config: TrainingConfig) -> markout.MarkoutScore | None:
    marked = np.isfinite(rows.markout_bps)
    if not marked.any():
        return None
    target = np.clip(rows.markout_bps[marked], -config.head.clip_bps, config.head.clip_bps)
    model, table, constant = (float(np.mean((said[marked, k] - target) ** 2)) for k in range(3))
    return markout.MarkoutScore(
        rows=int(marked.sum()), mean_bps=float(target.mean()), model=model, table=table, constant=constant
    )
