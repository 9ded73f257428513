"""Reads a journal, whole or as it grows: the batches of all its segments in order, each one checked.

A journal is a directory of segments, or one file: a single segment, or a journal of format version 1. Only the end of
the last segment may be an unfinished write; whatever else doesn't check is damage, which nobody may skip over in
silence, because the facts behind it would be applied to a state that lacks those before.
"""

import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from domain.facts import AnyFact, decode_batch
from service.frames import (
    FRAME_HEAD,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    BadHeader,
    Header,
    decode_header,
    holds_whole_frame,
    scan,
)

SUFFIX = ".journal"
_CHUNK_BYTES = 1024 * 1024
_LOOK_S = 0.02  # how often the end of a growing journal is looked at


class JournalError(Exception):
    """The journal at `path` can't be used; the text says why, in words for an operator."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(f"journal {path}: {text}")
        self.path = path


class JournalDamaged(JournalError):  # noqa: N818 - says what happened
    """Something at `offset` is not what was written there, and it is not an unfinished last write."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(path, f"damaged at byte {offset}: {what}")
        self.offset = offset
        self.what = what


class Survey(NamedTuple):
    """What a journal holds. `end`: behind the last batch of the last segment, whose `tail_bytes` are unfinished."""

    segments: int
    batches: int
    end: int
    tail_bytes: int


def segments(path: Path) -> list[Path]:
    """The files of a journal in order; JournalError where there is none or one is missing."""
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        files = sorted(file for file in path.glob(f"*{SUFFIX}") if file.stem.isdecimal())
    except OSError as error:
        raise JournalError(path, f"can't be read: {error.strerror or error}") from error
    if not files:
        raise JournalError(path, f"holds no segment, no file such as {segment_name(1)}")
    for number, file in enumerate(files, int(files[0].stem)):
        if int(file.stem) != number:
            raise JournalError(path, f"the segment before {file.name} is missing")
    return files


def segment_name(number: int) -> str:
    return f"{number:08}{SUFFIX}"


def read(path: Path, first_segment: int = 0) -> Iterator[list[AnyFact]]:
    """The batches of a journal in order, a chunk of a file at a time; it may be in use by a daemon.

    Ends before an unfinished last write. JournalDamaged for anything else that doesn't check, JournalError for a file
    that can't be read.
    """
    for file, offset, payload in payloads(path, first_segment):
        yield decode(file, offset, payload)


def read_from(path: Path, batch: int) -> Iterator[list[AnyFact]]:
    """The batches of a journal from number `batch` on, counted from 0; JournalError where they were taken away."""
    begun = [(file, header.batches_before) for file in segments(path) if (header := header_of(file)) is not None]
    fitting = [(file, before) for file, before in begun if before <= batch]
    if begun and not fitting:
        raise JournalError(path, f"begins with batch {begun[0][1]}, expected one that has batch {batch}")
    for file, before in fitting[-1:]:
        yield from islice(read(path, int(file.stem) if path.is_dir() else 0), batch - before, None)


def first_batch(path: Path) -> int:
    """The number of the first batch that is still there."""
    header = header_of(segments(path)[0])
    return header.batches_before if header is not None else 0


def decode(file: Path, offset: int, payload: bytes) -> list[AnyFact]:
    try:
        return decode_batch(payload)
    except msgspec.DecodeError as error:  # of which ValidationError is one
        raise JournalDamaged(file, offset, f"not a batch of facts known to this version: {error}") from error


def survey(path: Path) -> Survey:
    """Reads and checks the frames of the whole journal without decoding them; errors as in `read`."""
    files = segments(path)
    size = _size(files[-1])  # first, so that what a daemon appends meanwhile is not taken for a tail
    batches, end, last = 0, 0, files[-1]
    for file, offset, payload in _walk_all(files):
        batches += 1
        if file == last:
            end = offset + FRAME_HEAD.size + len(payload)
    header = header_of(last)
    end = max(end, header.size) if header else 0
    return Survey(len(files), batches, end, max(size - end, 0))


def header_of(file: Path) -> Header | None:
    """None where the file was never finished being made."""
    try:
        with open(file, "rb") as opened:
            return decode_header(opened.read(HEADER_BYTES))
    except BadHeader as bad:
        raise JournalDamaged(file, bad.offset, str(bad)) from bad
    except OSError as error:
        raise JournalError(file, f"can't be read: {error.strerror or error}") from error


def payloads(path: Path, first_segment: int = 0) -> Iterator[tuple[Path, int, bytes]]:
    """(file, offset of the frame in it, payload) of each batch, not decoded."""
    return _walk_all([file for file in segments(path) if not first_segment or int(file.stem) >= first_segment])


def follow(
    path: Path, is_over: Callable[[], bool] = lambda: False, from_end: bool = False
) -> Iterator[tuple[Path, int, bytes]]:
    """As `payloads`, and on with what is written next, over any number of segments, until `is_over()`."""
    files = segments(path)
    file, number = files[-1 if from_end else 0], 0
    while True:
        with open(file, "rb") as opened:
            header = decode_header(opened.read(HEADER_BYTES))
            offset = header.size if header else HEADER_BYTES
            if from_end:
                offset, from_end = survey(file).end, False
            opened.seek(offset)
            data, following = b"", None
            while True:
                chunk = opened.read(_CHUNK_BYTES)
                data += chunk
                found = scan(data)
                at = 0
                for payload in found.payloads:
                    yield file, offset + at, payload
                    at += FRAME_HEAD.size + len(payload)
                offset += found.end
                data = data[found.end :]
                if chunk and not (found.damage and not data.strip(b"\0")):
                    continue
                if found.damage and data.strip(b"\0"):
                    raise JournalDamaged(file, offset, found.damage)
                # Reserved room that is not written yet reads as zeros: look at it again from where the frames end.
                data = b""
                opened.seek(offset)
                if following is not None:
                    break  # it was there before this last look, so nothing more comes here
                number = int(file.stem) + 1 if path.is_dir() else 0
                candidate = path / segment_name(number)
                following = candidate if number and candidate.exists() else None
                if following is None:
                    if is_over():
                        return
                    time.sleep(_LOOK_S)
        file = following


def _walk_all(files: list[Path]) -> Iterator[tuple[Path, int, bytes]]:
    batches, end = -1, 0
    for file in files:
        header = header_of(file)
        is_last = file is files[-1]
        if header is None:
            if is_last:
                return  # killed, or without power, while the very first bytes were written
            raise JournalDamaged(file, 0, "the file was never finished, and there are segments behind it")
        if file is not files[0]:
            if end != header.previous_end:
                before = files[files.index(file) - 1]
                text = f"it ends here, {file.name} says that it ended at byte {header.previous_end}"
                raise JournalDamaged(before, end, text)
            if batches >= 0 and batches != header.batches_before:
                raise JournalDamaged(file, 0, f"{header.batches_before} batches before it, {batches} were found")
        batches = header.batches_before
        end = header.size
        for offset, payload in _walk(file, header, is_last):
            batches += 1
            end = offset + FRAME_HEAD.size + len(payload)
            yield file, offset, payload


def _walk(file: Path, header: Header, is_last: bool) -> Generator[tuple[int, bytes], None, None]:
    """(offset of the frame, payload) of each whole frame of one segment."""
    try:
        with open(file, "rb") as opened:
            opened.seek(header.size)
            yield from _walk_open(file, opened, header.size, is_last)
    except OSError as error:
        raise JournalError(file, f"can't be read: {error.strerror or error}") from error


def _walk_open(file: Path, opened: BinaryIO, offset: int, is_last: bool) -> Generator[tuple[int, bytes], None, None]:
    data, damage = b"", ""
    # Longer than any frame: if it doesn't check, then it is no unfinished write.
    while len(data) <= FRAME_HEAD.size + MAX_PAYLOAD_BYTES and (chunk := opened.read(_CHUNK_BYTES)):
        data += chunk
        if damage:
            continue
        scanned = scan(data)
        damage = scanned.damage
        at = 0
        for payload in scanned.payloads:
            yield offset + at, payload
            at += FRAME_HEAD.size + len(payload)
        offset += scanned.end
        data = data[scanned.end :]
    if len(data) > FRAME_HEAD.size + MAX_PAYLOAD_BYTES or holds_whole_frame(data):
        raise JournalDamaged(file, offset, damage or "a frame's length points behind later frames")
    if data and not is_last:
        raise JournalDamaged(file, offset, damage or "the last frame is not whole, and there are segments behind it")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise JournalError(file, f"can't be read: {error.strerror or error}") from error
