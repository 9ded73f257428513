"""An archive of a made-up market whose fill probabilities are known, over several days."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from learning.archive import _table, day_text
from learning.dataset import Dataset
from tests.learning.market import SECOND, draw

DAY = 86_400 * SECOND
FIRST_DAY = 19_700


def days(count: int, rows: int, width: int, schema: str, names: tuple[str, ...], seed: int = 1) -> Dataset:
    """`rows` children a day, over its first hours, with columns of zeros up to `width` features."""
    parts = []
    for number in range(count):
        one = draw(rows, seed * 1000 + number).rows
        features = np.zeros((rows, width), dtype=np.float32)
        features[:, : one.features.shape[1]] = one.features
        parts.append(
            replace(
                one,
                feature_names=names,
                schema_hash=schema,
                features=features,
                at_ns=(FIRST_DAY + number) * DAY + np.arange(rows) * 10 * SECOND,
                parent_id=np.char.add(f"P{number}-", (np.arange(rows) // 4).astype(np.str_)),
                child_id=np.char.add(f"C{number}-", np.arange(rows).astype(np.str_)),
            )
        )
    first = parts[0]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(first).items()
        if isinstance(value, np.ndarray)
    }
    return replace(first, **columns)


def write(place: Path, rows: Dataset) -> None:
    """The children and outcomes of these rows, as learning.archive writes them."""
    from pyarrow import parquet

    for day in np.unique(rows.at_ns // DAY).tolist():
        some = rows.take(rows.at_ns // DAY == day)
        children, outcomes = [], []
        for i in range(len(some)):
            row = {name: getattr(some, name)[i].item() for name in ("at_ns", "horizon_ns", "time_ns", "settled_ns")}
            row |= {name: bool(getattr(some, name)[i]) for name in ("filled", "known")}
            row |= {name: str(getattr(some, name)[i]) for name in ("venue", "action", "child_id", "parent_id")}
            row |= {"epoch": "e1", "sequence": i, "schema_hash": some.schema_hash, "features": some.features[i]}
            row |= {"filled_fraction": float(some.filled_fraction[i]), "fill_probability": 0.3, "order_qty": 100}
            markout_bps = float(some.markout_bps[i])
            row["markout_10s_bps"] = None if np.isnan(markout_bps) else markout_bps
            children.append(row)
            outcomes.append(row)
        for table, found in (("children", children), ("outcomes", outcomes)):
            path = place / table / f"day={day_text(day)}" / "symbol=ABC" / "e1.parquet"
            path.parent.mkdir(parents=True)
            parquet.write_table(_table(table, found), path)
