"""`fairlead archive` and `fairlead sql`: a journal into the archive, a check of its features, and questions to it.

DuckDB reads the Parquet in place, one view for each table. A question can't change anything: only statements that look
are run, and nothing outside the archive is in reach.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from domain.facts import EpochStarted
from learning.archive import ArchiveError, Taken, cursor, take_in
from learning.archive_rows import COLUMNS
from router.features import FEATURES
from service.archive_check import check_features
from service.command import NARROWEST, CommandError
from service.config import ServiceConfig, load
from service.journal import read
from service.journal_read import first_batch, read_from, segments
from service.recovery import recover

SHOWN = 1_000  # rows of an answer, unless asked for more


def epoch_of(journal: Path) -> str:
    """The epoch of a journal; ArchiveError where it begins with something else."""
    if journal.is_dir() and int(segments(journal)[0].stem) > 1:  # what it began with was taken away
        image = recover(journal).image
        assert image is not None  # or it would have been refused
        return image.state.epoch
    for batch in read(journal):
        for fact in batch:
            if isinstance(fact, EpochStarted):
                return fact.epoch
        break
    raise ArchiveError(f"{journal}: does not begin with its epoch; expected a journal that a daemon wrote")


def bring_up_to_date(journal: Path, archive: Path, console: Console) -> Taken:
    """Takes in what the journal has gained since the last run."""
    epoch = epoch_of(journal)
    begun = cursor(archive, epoch)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} batches"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        since = f" from {begun.day} on" if begun.day else ""
        reading = bars.add_task(f"archive {journal}{since}", total=None)
        return take_in(
            archive,
            epoch,
            lambda batch: read_from(journal, batch),
            lambda done: bars.update(reading, completed=done),
            first_batch(journal),
        )


def update(args: argparse.Namespace) -> int:
    """`fairlead archive`: 0, with the archive as far as its journal."""
    for journal in _journals(args):
        _say(bring_up_to_date(journal, args.archive, Console()), args.archive)
    return 0


def _say(taken: Taken, archive: Path) -> None:
    print(
        f"{archive}: {taken.batches:,} batches read, {taken.days} days written "
        f"({taken.settled} of them settled), {taken.partitions} files, {taken.rows:,} rows"
    )
    if taken.corrected:
        print(f"{taken.corrected} settled days written anew: fills of them were taken back or corrected")
    if taken.too_late:
        print(f"{taken.too_late} orders of days that are not in the journal any more have changed; not taken in")


def check(args: argparse.Namespace) -> int:
    """`fairlead archive check`: 0 if every feature that was served can be had again to the bit, else 1."""
    if args.config is None:
        raise CommandError("fairlead archive check: --config is missing: venues, instruments and policy are in it")
    config = load(args.config)
    return max([_check(journal, config) for journal in _journals(args)])


def _check(journal: Path, config: ServiceConfig) -> int:
    found = check_features(read(journal), config)
    print(
        f"{found.decisions} decisions, {found.candidates} candidates: {found.differences} differ, "
        f"{found.unchecked} could not be checked"
    )
    for line in found.examples:
        print(line, file=sys.stderr)
    if found.unchecked:
        print(f"not checked: {found.why_unchecked}", file=sys.stderr)
    return 1 if found.differences or not found.decisions else 0


def _journals(args: argparse.Namespace) -> list[Path]:
    if args.journal is not None:
        for journal in args.journal:
            if not journal.exists():
                raise CommandError(f"fairlead archive: there is no journal {journal}")
        return list(args.journal)
    if args.config is None:
        raise CommandError("fairlead archive: which journal? Expected --journal PATH or --config FILE")
    return [load(args.config).journal_path]


# --- questions ---


def opened(archive: Path) -> duckdb.DuckDBPyConnection:
    """A database whose views are the archive's tables, and that reaches nothing else; ArchiveError without one."""
    tables = [table for table in COLUMNS if next((archive / table).glob("*/*/*.parquet"), None) is not None]
    if not tables:
        raise ArchiveError(f"{archive}: no archive there; fairlead archive makes one of a journal")
    database = duckdb.connect(":memory:")
    home = archive.resolve()
    for table in tables:
        files = str(home / table / "*" / "*" / "*.parquet").replace("'", "''")
        database.execute(
            f"create view {table} as select * from read_parquet('{files}', hive_partitioning = true, "
            "hive_types = {'day': date, 'symbol': varchar}, union_by_name = true)"
        )
    if "candidates" in tables:
        # By name, for the features of this version; those of another one have another schema_hash.
        named = ", ".join(f"features[{number}] as {name}" for number, name in enumerate(FEATURES, 1))
        database.execute(
            "create view features as select epoch, decision_id, candidate, at_ns, day, symbol, venue, action, "
            f"schema_hash, {named.replace(' as markout_bps', ' as recent_markout_bps')} from candidates "
            f"where len(features) = {len(FEATURES)}"
        )
    database.execute(f"set allowed_directories = ['{str(home).replace(chr(39), chr(39) * 2)}']")
    database.execute("set enable_external_access = false")
    database.execute("set lock_configuration = true")
    return database


def ask(database: duckdb.DuckDBPyConnection, question: str) -> tuple[list[str], Iterator[tuple[object, ...]]]:
    """Names of the columns and the rows of the answer; CommandError for what is no question, or not understood."""
    looking = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    try:
        statements = database.extract_statements(question)
        if len(statements) != 1 or statements[0].type not in looking:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise CommandError(f"fairlead sql: {kinds} found, expected one SELECT: the archive is only read")
        answer = database.execute(statements[0])
        names = [column[0] for column in answer.description or []]
    except duckdb.Error as error:
        views = database.execute("select view_name from duckdb_views() where not internal order by 1").fetchall()
        known = f"Tables: {', '.join(name for (name,) in views)}; describe TABLE says what is in one"
        raise CommandError(f"fairlead sql: {str(error).strip()}\n{known}") from None

    def rows() -> Iterator[tuple[object, ...]]:
        while some := answer.fetchmany(SHOWN):
            yield from some

    return names, rows()


def sql(args: argparse.Namespace) -> int:
    """`fairlead sql`: the answer as a table, or as CSV or JSON lines of all rows."""
    show = {"json": _json_lines, "csv": _csv, "table": _print_table}[args.format]
    database = opened(args.archive)
    try:
        show(*ask(database, args.question))
    except duckdb.Error as error:  # what only shows when rows are computed, such as a text that is no number
        raise CommandError(f"fairlead sql: {str(error).strip()}") from None
    return 0


def _json_lines(names: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    for row in rows:
        line = msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str)
        sys.stdout.write(line.decode() + "\n")


def _csv(names: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(names)
    out.writerows(rows)


def _print_table(names: list[str], rows: Iterator[tuple[object, ...]]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    table = Table(box=None)
    shown = [list(map(_said, row)) for row in islice(rows, SHOWN)]
    numbers = [all(_is_number(row[index]) for row in shown) for index in range(len(names))]
    for name, number in zip(names, numbers, strict=True):
        table.add_column(name, justify="right" if number else "left")
    for row in shown:
        table.add_row(*row)
    console.print(table)
    if next(rows, None) is not None:
        console.print(f"the first {SHOWN} rows; --format csv or json gives all of them")


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    return "" if value is None else str(value)


def _is_number(text: str) -> bool:
    return not text or text.lstrip("-").replace(".", "", 1).replace("e-", "", 1).isdecimal() or text == "nan"
