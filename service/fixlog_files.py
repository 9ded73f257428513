"""`fairlead fixlog`: a file or standard input through `service.fixlog` onto the terminal, or into a pipe."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from fix.dictionary import Dictionary
from service.fixlog import Entry, Names, Reader, Selection, Span, brief, head, rows

LOOK_S = 0.2


def lines(source: BinaryIO) -> Iterator[str]:
    """Latin-1, so that no byte of a log can fail to decode."""
    for line in source:
        yield line.decode("latin-1")


def followed(path: Path, wait: Callable[[float], object] = time.sleep) -> Iterator[str]:
    """All whole lines of the file, and then those that are added; from its beginning where it was cut or replaced."""
    rest = b""
    source = path.open("rb")
    while True:
        if chunk := source.read(1 << 16):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("latin-1") for line in whole)
            continue
        try:
            now, ours = path.stat(), os.fstat(source.fileno())
            if now.st_ino != ours.st_ino or now.st_size < source.tell():
                source.close()
                source, rest = path.open("rb"), b""
                continue
        except FileNotFoundError:  # being replaced
            pass
        wait(LOOK_S)


def show(
    path: Path | None, selection: Selection, extra: Dictionary | None, *, follow: bool, in_brief: bool, whole: bool
) -> int:
    """Prints what is selected, and to standard error what was read. `whole`: the selection has to see it all first.

    `path` None is standard input. The exit status: 1 if a whole log has nothing of what was asked for.
    """
    names, reader, write = Names(extra), Reader(), _writer()
    shown = 0
    try:
        if path is None:
            text: Iterable[str] = lines(sys.stdin.buffer)
            if whole:
                text = list(text)
                _learn(selection, text)
        else:
            if whole:
                _learn(selection, lines(path.open("rb")))
            text = followed(path) if follow else lines(path.open("rb"))
        for entry in _entries(reader, text):
            if follow:
                selection.learn(entry)
            dictionary = names.dictionary(entry)
            if not selection.takes(entry, dictionary):
                continue
            shown += 1
            if in_brief:
                write(brief(entry, dictionary))
            else:
                write(head(entry, dictionary))
                for row in rows(entry, dictionary):
                    write(row)
            if follow:
                sys.stdout.flush()
    finally:
        sys.stdout.flush()
        print(summary(reader, shown), file=sys.stderr)
    return 1 if whole and not shown else 0


def _learn(selection: Selection, text: Iterable[str]) -> None:
    for entry in _entries(Reader(), text):
        selection.learn(entry)


def _entries(reader: Reader, text: Iterable[str]) -> Iterator[Entry]:
    for line in text:
        yield from reader.feed(line)
    reader.finish()


def summary(reader: Reader, shown: int) -> str:
    said = f"fixlog: {reader.messages} messages in {reader.lines} lines, {shown} shown"
    said += f"; {reader.plain} lines without a message" if reader.plain else ""
    return said + (f"; {reader.bad} that could not be read, the first: {reader.first_bad}" if reader.bad else "")


def _writer() -> Callable[[list[Span]], object]:
    """Colours for a terminal, plain lines for everything else."""
    if not sys.stdout.isatty():
        return lambda spans: sys.stdout.write("".join(text for text, _ in spans).rstrip() + "\n")
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    return lambda spans: console.print(Text.assemble(*spans))
