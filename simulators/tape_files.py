"""Opens the two files of a tape, plain or gzipped; the only part of the replay that touches files."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from simulators.lobster import TapeRow, read_tape


def open_tape(messages_path: Path, book_path: Path) -> Iterator[TapeRow]:
    """The rows of the tape, read as they are asked for. OSError if a file can't be read, TapeError for a bad line."""
    with _open(messages_path) as messages, _open(book_path) as book:
        yield from read_tape(messages, book, str(messages_path), str(book_path))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="ascii", errors="replace")
    return path.open(encoding="ascii", errors="replace")
