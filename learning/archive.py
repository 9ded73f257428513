"""The archive: what journals say of decisions and their outcomes, as Parquet, for SQL, Spark and training.

    ARCHIVE/TABLE/day=2026-01-05/symbol=ALFA/EPOCH.parquet     an epoch is a journal
    ARCHIVE/cursors/EPOCH.json                                 how far that journal was taken in

A file is written beside its place and renamed into it, so a reader sees the whole old one or the whole new one. A run
goes on at the first batch of the earliest day that was not settled when the last one ended, and writes the days from
there on anew: the same journal gives the same files, in one run or in many. Features are the float32 that were served,
to the bit.

A venue may take a fill back, or correct it, when its day has long been settled. Then the journal is read once more from
the beginning of that day, and the day's files are written anew.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from domain.facts import AnyFact
from learning.archive_rows import COLUMNS, DAY_NS, ArchiveRows, Row, day_number, day_text
from learning.dataset import Dataset

_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "features": pa.list_(pa.field("element", pa.float32())),
    "numbers": pa.list_(pa.field("element", pa.float64())),
}
SCHEMAS = {
    table: pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()]) for table, columns in COLUMNS.items()
}
_STARTS_KEPT = 60  # days
_LOOKED_AT = 2_000  # batches between two looks for settled days


class ArchiveError(Exception):
    """The archive can't be used; the text names the place and what was expected."""


class Cursor(msgspec.Struct, frozen=True):
    """The next run begins at batch number `batch`, where day `day` begins. The days before are settled.

    `starts`: the first batches of the latest of those, for what comes late.
    """

    batch: int = 0
    day: str = ""
    starts: dict[str, int] = {}


@dataclass
class Taken:
    """What one run did."""

    batches: int = 0  # read
    rows: int = 0  # written
    partitions: int = 0
    days: int = 0
    settled: int = 0
    corrected: int = 0  # days written anew because of what came late
    too_late: int = 0  # orders that something was said of when their day could not be read again


def cursor(archive: Path, epoch: str) -> Cursor:
    path = archive / "cursors" / f"{quote(epoch, safe='')}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return Cursor()
    except msgspec.DecodeError as error:
        raise ArchiveError(f"{path}: {error}; expected the place where the last run ended") from error


def take_in(
    archive: Path,
    epoch: str,
    read_from: Callable[[int], Iterable[list[AnyFact]]],
    progress: Callable[[int], None] = lambda batches: None,
    first_batch: int = 0,
) -> Taken:
    """Brings the archive up to date with a journal of that epoch, read from the batch of any number on.

    Batches before the `first_batch` are not in the journal any more.
    """
    begun = cursor(archive, epoch)
    rows, taken = ArchiveRows(epoch), Taken()
    day_starts = {day_number(day): batch for day, batch in begun.starts.items() if batch >= first_batch}
    number, last_day = begun.batch, 0
    for number, batch in enumerate(read_from(begun.batch), begun.batch + 1):
        for fact in batch:
            if (day := fact.at_ns // DAY_NS) > last_day:
                day_starts[day], last_day = number - 1, day
            rows.apply(fact)
        if number % _LOOKED_AT == 0:
            _write_settled(archive, epoch, rows, taken, day_starts, read_from)
            progress(number - begun.batch)
    taken.batches = number - begun.batch
    _write_settled(archive, epoch, rows, taken, day_starts, read_from)
    for day in rows.days():
        _write_day(archive, epoch, rows, day, taken)
    _correct(archive, epoch, rows, taken, day_starts, read_from)
    progress(taken.batches)
    return taken


def _write_settled(
    archive: Path,
    epoch: str,
    rows: ArchiveRows,
    taken: Taken,
    day_starts: dict[int, int],
    read_from: Callable[[int], Iterable[list[AnyFact]]],
) -> None:
    """Writes the days that can't change any more, forgets them, and lets the next run begin behind them."""
    for day in rows.days():
        if not rows.is_settled(day):
            break
        _write_day(archive, epoch, rows, day, taken)
        rows.forget(day)
        taken.settled += 1
        following = min(later for later in day_starts if later > day)
        _correct(archive, epoch, rows, taken, day_starts, read_from)  # the next run doesn't hear of it again
        starts = {day_text(past): day_starts[past] for past in sorted(day_starts) if past < following}
        place = Cursor(day_starts[following], day_text(following), dict(list(starts.items())[-_STARTS_KEPT:]))
        _replace(archive / "cursors" / f"{quote(epoch, safe='')}.json", msgspec.json.encode(place))


def _correct(
    archive: Path,
    epoch: str,
    rows: ArchiveRows,
    taken: Taken,
    day_starts: dict[int, int],
    read_from: Callable[[int], Iterable[list[AnyFact]]],
) -> None:
    """Writes the settled days anew of whose orders something was said that changes their rows."""
    late, wrong = set(rows.late), set()
    rows.late.clear()
    for day in sorted(day_starts, reverse=True):
        if not late:
            break
        known = read_table(archive, "children", day_text(day), ["epoch", "child_id"]).filter(
            pa.compute.field("epoch") == epoch
        )
        if found := late.intersection(known["child_id"].to_pylist()):
            wrong.add(day)
            late -= found
    taken.too_late += len(late)
    if not wrong:
        return
    again = ArchiveRows(epoch)
    for number, batch in enumerate(read_from(day_starts[min(wrong)]), 1):
        for fact in batch:
            again.apply(fact)
        if number % _LOOKED_AT == 0:
            for day in [day for day in again.days() if day not in wrong and again.is_settled(day)]:
                again.forget(day)
    for day in wrong:
        _write_day(archive, epoch, again, day, taken)
        taken.corrected += 1


def _write_day(archive: Path, epoch: str, rows: ArchiveRows, day: int, taken: Taken) -> None:
    taken.days += 1
    for table, symbol, found in rows.rows(day):
        place = archive / table / f"day={day_text(day)}" / f"symbol={quote(symbol, safe='')}"
        sink = pa.BufferOutputStream()
        columns = COLUMNS[table]
        plain = [name for name, kind in columns.items() if kind == "string"]
        # Dictionaries would make one NaN of all; features are kept to the bit.
        parquet.write_table(_table(table, found), sink, compression="zstd", use_dictionary=plain)
        _replace(place / f"{quote(epoch, safe='')}.parquet", sink.getvalue().to_pybytes())
        taken.rows += len(found)
        taken.partitions += 1


def _table(table: str, rows: list[Row]) -> pa.Table:
    arrays = []
    for column in SCHEMAS[table]:
        values = [row.get(column.name) for row in rows]
        if column.type == _TYPES["features"]:
            offsets = np.cumsum([0, *(len(value) for value in values)], dtype=np.int32)
            arrays.append(pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(values)), type=column.type))
        else:
            arrays.append(pa.array(values, type=column.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMAS[table])


def days(archive: Path, table: str = "children") -> list[str]:
    """The days that a table has, ascending, as 2026-01-05; ArchiveError where there is no archive."""
    if not (archive / table).is_dir():
        raise ArchiveError(f"{archive}: no archive there; fairlead archive makes one of a journal")
    return sorted(place.name.removeprefix("day=") for place in (archive / table).glob("day=*"))


def read_table(archive: Path, table: str, day: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of a day over all symbols and journals, with a column `symbol`; empty where there are none."""
    parts = []
    for place in sorted((archive / table / f"day={day}").glob("symbol=*")):
        symbol = unquote(place.name.removeprefix("symbol="))
        for path in sorted(place.glob("*.parquet")):
            # Not as a dataset: pyarrow would take symbol and day from the path, and guess their types.
            with path.open("rb") as file:
                part = parquet.read_table(file, columns=columns)
            parts.append(part.append_column("symbol", pa.array([symbol] * len(part), type=pa.string())))
    if not parts:
        return SCHEMAS[table].empty_table().append_column("symbol", pa.array([], type=pa.string()))
    # A column that an earlier version did not write is null there.
    return pa.concat_tables(parts, promote_options="default")


def dataset(archive: Path, feature_names: tuple[str, ...], schema_hash: str, wanted: Iterable[str]) -> Dataset:
    """The rows of the `wanted` days with this schema, as learning.dataset.dataset makes them of facts."""
    parts = [_day(archive, day, schema_hash) for day in wanted]
    left_out = sum(left_out for _, left_out in parts)
    tables = [table for table, _ in parts]
    if not tables:
        raise ArchiveError(f"{archive}: no days to learn from")
    table = pa.concat_tables(tables)
    served = table["features"].combine_chunks()
    width = len(feature_names)
    if len(table) and len(served.flatten()) != len(table) * width:
        raise ArchiveError(f"{archive}: {len(served.flatten()) / len(table):g} features a child, expected {width}")

    def column(name: str, kind: Any) -> Any:
        return table[name].to_numpy().astype(kind)

    return Dataset(
        feature_names=feature_names,
        schema_hash=schema_hash,
        features=served.flatten().to_numpy().reshape(len(table), width),
        time_ns=column("time_ns", np.int64),
        filled=column("filled", np.bool_),
        known=column("known", np.bool_),
        settled_ns=column("settled_ns", np.int64),
        horizon_ns=column("horizon_ns", np.int64),
        at_ns=column("at_ns", np.int64),
        filled_fraction=column("filled_fraction", np.float64),
        predicted=column("fill_probability", np.float64),
        markout_bps=column("markout_10s_bps", np.float64),
        venue=column("venue", np.str_),
        action=column("action", np.str_),
        symbol=column("symbol", np.str_),
        child_id=column("child_id", np.str_),
        parent_id=column("parent_id", np.str_),
        left_out=left_out,
    )


def _day(archive: Path, day: str, schema_hash: str) -> tuple[pa.Table, int]:
    children, outcomes = (read_table(archive, table, day) for table in ("children", "outcomes"))
    if children["child_id"] != outcomes["child_id"]:
        raise ArchiveError(f"{archive}: children and outcomes of {day} differ; was a run interrupted? Run it again")
    for name in ("time_ns", "filled", "known", "settled_ns", "filled_fraction", "markout_10s_bps"):
        children = children.append_column(name, outcomes[name])
    kept = children.filter(pa.compute.equal(children["schema_hash"], schema_hash))
    ordered = kept.sort_by([("at_ns", "ascending"), ("epoch", "ascending"), ("sequence", "ascending")])
    return ordered, len(children) - len(kept)


def last_schema(archive: Path, day: str) -> str:
    """The schema of the last decided child of a day, "" where there is none."""
    children = read_table(archive, "children", day, ["at_ns", "sequence", "schema_hash"])
    children = children.filter(pa.compute.not_equal(children["schema_hash"], ""))
    if not len(children):
        return ""
    return str(children.sort_by([("at_ns", "ascending"), ("sequence", "ascending")])["schema_hash"][-1])


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
