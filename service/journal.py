"""The journal's one writer: batches, each all that one input caused, written before any byte of that input leaves.

A directory of segments (`service.frames`), a lock beside it, and a reserve in it. A batch is written with one write(),
so a killed process leaves at most one incomplete frame at the end of the last segment: `Journal.open` cuts it off and
says how much. When the disk is full, writing goes on in the reserve, whose room was taken when there was some: that is
for cancels and fills, while whoever owns the journal stops what is new (`is_short`). When that is used up too, a batch
is refused, and nothing of it may leave.
"""

import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Literal

from domain.facts import AnyFact, encode_batch
from service.frames import Header, frame
from service.journal_read import (
    SUFFIX,
    JournalDamaged,
    JournalError,
    decode,
    follow,
    header_of,
    payloads,
    read,
    segment_name,
    segments,
    survey,
)

__all__ = [
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalLocked",
    "JournalWriteError",
    "decode",
    "follow",
    "payloads",
    "read",
    "segments",
    "survey",
]

MB = 1 << 20
RESERVE = "reserve"


class JournalLocked(JournalError):  # noqa: N818 - says what happened
    """Another process writes this journal."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(path, f"is in use by process {pid or 'unknown'}")
        self.pid = pid


class JournalWriteError(JournalError):
    """The batch could not be written (disk full, for one) and nothing of it stayed: its bytes must not leave."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(path, f"can't be written: {error.strerror or error}")


class Journal:
    """`cut_bytes`: what `open` cut off the end, an unfinished write, 0 for a clean journal.

    `durability` "process": what was appended survives a kill of the process; "disk": after `sync`, also a loss of
    power. `segment`, `end` and `batches` say where the next batch goes.
    """

    def __init__(self, path: Path, lock_fd: int, durability: str, segment_bytes: int, reserve_bytes: int) -> None:
        self.path = path
        self.syncs = durability == "disk"
        self.cut_bytes = 0
        self.segment = 0
        self.end = 0
        self.batches = 0
        self.began_ns = 0
        self.is_short = False  # the disk is full: this is being written into the reserve
        self._lock_fd = lock_fd
        self._fd = -1
        self._reserve_fd = -1
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._torn = False

    @classmethod
    def open(
        cls,
        path: Path,
        durability: Literal["process", "disk"] = "process",
        *,
        segment_mb: int = 256,
        reserve_mb: int = 0,
    ) -> "Journal":
        """Makes the journal or goes on with it. JournalLocked, JournalDamaged, or JournalError for any other refusal.

        Only the last segment is checked here: what goes before is checked by who reads it.
        """
        path = Path(path)
        lock_fd = -1
        journal = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock_fd = _lock(path)
            _adopt(path)
            path.mkdir(mode=0o700, exist_ok=True)
            journal = cls(path, lock_fd, durability, segment_mb * MB, reserve_mb * MB)
            if any(path.glob(f"*{SUFFIX}")):
                journal._continue()
            else:
                journal._begin(Header(began_ns=time.time_ns()))
            journal.restock()
            return journal
        except BaseException as error:
            if journal is not None:
                journal.close()
            elif lock_fd >= 0:
                os.close(lock_fd)
            if isinstance(error, OSError):
                raise JournalError(path, f"can't be opened: {error.strerror or error}") from error
            raise

    @property
    def file(self) -> Path:
        return self.path / segment_name(self.segment)

    def append(self, facts: list[AnyFact]) -> None:
        """Writes one batch, whole or not at all; JournalWriteError if it could not. An empty batch writes nothing."""
        if not facts:
            return
        data = frame(encode_batch(facts))
        try:
            self._write(data)
        except OSError as error:
            if self._reserve_fd < 0:
                raise JournalWriteError(self.path, error) from error
            try:
                self._open_reserve()
                self._write(data)
            except OSError as again:
                raise JournalWriteError(self.path, again) from again
        self.batches += 1

    def sync(self) -> None:
        """Until this returns, what was appended may be lost with the power; OSError where it can't be helped."""
        os.fdatasync(self._fd)

    def is_due(self, now_ns: int, roll_at: time_of_day) -> bool:
        """Whether a new segment is to begin: this one is full, or of before the last `roll_at` (UTC)."""
        if self.is_short:
            return False
        return self.end >= self._segment_bytes or self.began_ns < last_roll_ns(now_ns, roll_at)

    def roll(self, now_ns: int) -> None:
        """Ends this segment and begins the next. JournalWriteError: what was written before stays."""
        try:
            self._end_segment()
            self._begin(Header(self.segment + 1, self.batches, self.end, now_ns))
        except OSError as error:
            raise JournalWriteError(self.path, error) from error

    def restock(self) -> bool:
        """Takes room for a reserve where there is none; whether there is one now (or none is wanted)."""
        if self._reserve_fd >= 0 or not self._reserve_bytes:
            return True
        file = self.path / RESERVE
        try:
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, 0)  # of an earlier process
                os.posix_fallocate(fd, 0, self._reserve_bytes)
            except OSError:
                os.close(fd)
                file.unlink()
                raise
        except OSError:
            return False
        self._reserve_fd = fd
        return True

    def relieve(self, now_ns: int) -> None:
        """There is room on the disk again: takes a reserve and goes on in a segment of its own; else as before."""
        if self.is_short and self.restock():
            self.is_short = False
            self.roll(now_ns)

    def close(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, self.end)
        for fd in (self._fd, self._reserve_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)

    def _write(self, data: bytes) -> None:
        end, rest = self.end + len(data), memoryview(data)
        try:
            if self._torn:  # half of an earlier batch is still there
                os.ftruncate(self._fd, self.end)
            self._torn = True
            while rest:
                rest = rest[os.pwrite(self._fd, rest, end - len(rest)) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.end)
            raise
        self._torn = False
        self.end = end

    def _continue(self) -> None:
        """Goes on where the last segment ends."""
        files = segments(self.path)
        last = files[-1]
        size, header = last.stat().st_size, header_of(last)
        if header is None:  # never finished being made: it is made again
            last.unlink()
            if len(files) == 1:
                self._begin(Header(began_ns=time.time_ns()))
            else:
                self._continue()
            self.cut_bytes = size
            return
        found = survey(last)
        self.segment, self.began_ns = int(last.stem), header.began_ns
        self.batches = header.batches_before + found.batches
        self._fd = os.open(last, os.O_RDWR | os.O_CLOEXEC)
        self.end = found.end
        self.cut_bytes = size - found.end
        if self.cut_bytes:
            os.ftruncate(self._fd, self.end)
        if self.syncs:
            os.fsync(self._fd)

    def _begin(self, header: Header) -> None:
        """A segment exists under its name only with its whole header."""
        made = self.path / "new"
        fd = os.open(made, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)  # it holds what clients trade
        try:
            data = header.encode()
            if os.pwrite(fd, data, 0) < len(data):
                raise OSError(28, "No space left on device")
            self._enter(fd, made, header)
        except OSError:
            os.close(fd)
            raise

    def _enter(self, fd: int, made: Path, header: Header) -> None:
        if self.syncs:
            os.fsync(fd)
        made.rename(self.path / segment_name(header.segment))
        if self.syncs:
            _sync_directory(self.path)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._torn = fd, False
        self.segment, self.end, self.began_ns = header.segment, header.size, header.began_ns

    def _end_segment(self) -> None:
        os.ftruncate(self._fd, self.end)  # what is left of a reserve, or half of a batch
        if self.syncs:
            os.fsync(self._fd)

    def _open_reserve(self) -> None:
        """The reserve becomes the next segment: its room is there, whoever else fills the disk."""
        fd, self._reserve_fd = self._reserve_fd, -1
        self._end_segment()
        header = Header(self.segment + 1, self.batches, self.end, self.began_ns)
        os.pwrite(fd, header.encode(), 0)
        self._enter(fd, self.path / RESERVE, header)
        self.is_short = True


def last_roll_ns(now_ns: int, roll_at: time_of_day) -> int:
    """The last moment, up to `now_ns`, that was `roll_at` of a day, UTC."""
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    rolled = datetime.combine(now.date(), roll_at, UTC)
    if rolled > now:
        rolled -= timedelta(days=1)
    return int(rolled.timestamp()) * 1_000_000_000


def _adopt(path: Path) -> None:
    """A journal of format version 1, one file, becomes the first segment."""
    moved = path.with_name(path.name + ".version1")
    if path.is_file():
        survey(path)  # what is damaged, or no journal at all, stays where it is
        path.rename(moved)
    if moved.exists():
        path.mkdir(mode=0o700, exist_ok=True)
        moved.rename(path / segment_name(1))


def _lock(path: Path) -> int:
    """An open, locked file beside the journal that holds our process id; it is released when the process ends."""
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise JournalLocked(path, pid) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
