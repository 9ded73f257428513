"""The journal: one append-only file of batches, each all that one input caused, written before any byte leaves.

A frame is a mark, the payload's length, a CRC-32 of length and payload, and the payload. A batch is written with one
write(), so a killed process leaves at most one incomplete frame, and it is the last thing in the file: `Journal.open`
cuts it off and says how much. Anything else that doesn't check is damage, which nobody may skip over in silence: the
facts behind it would be applied to a state that lacks those before. The mark serves to tell the two apart.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from domain.facts import AnyFact, decode_batch, encode_batch

FORMAT_VERSION = 1
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024  # bounds what a damaged length can make a reader load
_MAGIC = b"FAIRLEAD"
HEADER = _MAGIC + struct.pack("<I", FORMAT_VERSION)
_MARK = b"\xfa\x1f\xea\xd0"
_HEAD = struct.Struct("<4sII")
_LENGTH = struct.Struct("<I")
_CHUNK_BYTES = 1024 * 1024


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


class JournalLocked(JournalError):  # noqa: N818 - says what happened
    """Another process writes this journal."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(path, f"is in use by process {pid or 'unknown'}")
        self.pid = pid


class JournalWriteError(JournalError):
    """The batch could not be written (disk full, for one) and nothing of it stayed: its bytes must not leave."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(path, f"can't be written: {error.strerror or error}")


class Scanned(NamedTuple):
    """`end`: behind the last whole frame. `damage` says why scanning stopped there, "" where the bytes ran out."""

    payloads: list[bytes]
    end: int
    damage: str


class Survey(NamedTuple):
    """What a whole file holds. `tail_bytes` follow the last batch: an unfinished write."""

    batches: int
    end: int
    tail_bytes: int


def frame(payload: bytes) -> bytes:
    """The bytes of one batch in the file; ValueError above MAX_PAYLOAD_BYTES."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a batch of {len(payload)} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
    return _HEAD.pack(_MARK, len(payload), _checksum(payload)) + payload


def scan(data: bytes, start: int = 0) -> Scanned:
    """The payloads of the whole frames in `data` from offset `start` on."""
    payloads: list[bytes] = []
    end = start
    while len(data) - end >= _HEAD.size:
        mark, length, checksum = _HEAD.unpack_from(data, end)
        if mark != _MARK:
            return Scanned(payloads, end, "no frame starts here")
        if length > MAX_PAYLOAD_BYTES:
            return Scanned(payloads, end, f"a frame of {length} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
        first = end + _HEAD.size
        if len(data) - first < length:
            break
        payload = data[first : first + length]
        if _checksum(payload) != checksum:
            return Scanned(payloads, end, f"the checksum of a frame of {length} bytes is wrong")
        payloads.append(payload)
        end = first + length
    return Scanned(payloads, end, "")


def read(path: Path) -> Iterator[list[AnyFact]]:
    """The batches of a journal in order, a chunk of the file at a time; it may be in use by a daemon.

    Ends before an unfinished last write. JournalDamaged for anything else that doesn't check, JournalError for a file
    that can't be read.
    """
    for offset, payload in _payloads(path):
        try:
            yield decode_batch(payload)
        except msgspec.DecodeError as error:  # of which ValidationError is one
            raise JournalDamaged(path, offset, f"not a batch of facts known to this version: {error}") from error


def survey(path: Path) -> Survey:
    """Reads and checks the frames of the whole file without decoding them; errors as in `read`."""
    try:
        size = path.stat().st_size  # first, so that what a daemon appends meanwhile is not taken for a tail
    except OSError as error:
        raise JournalError(path, f"can't be read: {error.strerror or error}") from error
    batches, end = 0, min(len(HEADER), size)
    for offset, payload in _payloads(path):
        batches, end = batches + 1, offset + _HEAD.size + len(payload)
    return Survey(batches, end, max(size - end, 0))


class Journal:
    """The one writer of a journal. `cut_bytes`: what `open` cut off the end, an unfinished write, 0 for a clean file.

    `durability` "process": what was appended survives a kill of the process; "disk": also a loss of power.
    """

    def __init__(self, path: Path, fd: int, lock_fd: int, end: int, cut_bytes: int, durability: str) -> None:
        self.path = path
        self.cut_bytes = cut_bytes
        self.end = end  # offset behind the last whole batch
        self._fd = fd
        self._lock_fd = lock_fd
        self._sync = durability == "disk"
        self._torn = False

    @classmethod
    def open(cls, path: Path, durability: Literal["process", "disk"] = "process") -> "Journal":
        """Makes the file or goes on with it. JournalLocked, JournalDamaged, or JournalError for any other refusal."""
        path = Path(path)
        lock_fd = fd = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock_fd = _lock(path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)  # it holds what clients trade
            size = os.fstat(fd).st_size
            end = _start(fd, size) or survey(path).end
            os.ftruncate(fd, end)
            if durability == "disk":
                os.fsync(fd)
                _sync_directory(path.parent)
            return cls(path, fd, lock_fd, end, max(size - end, 0), durability)
        except BaseException as error:
            for opened in (fd, lock_fd):
                if opened >= 0:
                    os.close(opened)
            if isinstance(error, OSError):
                raise JournalError(path, f"can't be opened: {error.strerror or error}") from error
            raise

    def append(self, facts: list[AnyFact]) -> None:
        """Writes one batch, whole or not at all; JournalWriteError if it could not. An empty batch writes nothing."""
        if not facts:
            return
        data = memoryview(frame(encode_batch(facts)))
        end = self.end + len(data)
        try:
            if self._torn:  # half of an earlier batch is still there
                os.ftruncate(self._fd, self.end)
            self._torn = True
            while data:
                data = data[os.write(self._fd, data) :]
            if self._sync:
                os.fdatasync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, self.end)
            raise JournalWriteError(self.path, error) from error
        self._torn = False
        self.end = end

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._lock_fd)


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))


def _payloads(path: Path) -> Generator[tuple[int, bytes], None, None]:
    """(offset of the frame, payload) of each whole frame."""
    try:
        with open(path, "rb") as file:
            yield from _walk(path, file)
    except OSError as error:
        raise JournalError(path, f"can't be read: {error.strerror or error}") from error


def _walk(path: Path, file: BinaryIO) -> Generator[tuple[int, bytes], None, None]:
    header = file.read(len(HEADER))
    if header != HEADER:
        if HEADER.startswith(header):
            return  # killed while the very first bytes were written
        if header.startswith(_MAGIC):
            (version,) = _LENGTH.unpack_from(header.ljust(len(HEADER), b"\0"), len(_MAGIC))
            raise JournalDamaged(path, len(_MAGIC), f"format version {version}, this program reads {FORMAT_VERSION}")
        raise JournalDamaged(path, 0, f"no journal: it starts with {header!r} instead of {_MAGIC!r}")
    offset, data, damage = len(HEADER), b"", ""
    # Longer than any frame: if it doesn't check, then it is no unfinished write.
    while len(data) <= _HEAD.size + MAX_PAYLOAD_BYTES and (chunk := file.read(_CHUNK_BYTES)):
        data += chunk
        if damage:
            continue
        scanned = scan(data)
        damage = scanned.damage
        at = 0
        for payload in scanned.payloads:
            yield offset + at, payload
            at += _HEAD.size + len(payload)
        offset += scanned.end
        data = data[scanned.end :]
    if len(data) > _HEAD.size + MAX_PAYLOAD_BYTES or _holds_whole_frame(data):
        raise JournalDamaged(path, offset, damage or "a frame's length points behind later frames")


def _holds_whole_frame(data: bytes) -> bool:
    """Whether a whole frame starts anywhere behind the first byte."""
    at = data.find(_MARK, 1)
    while at >= 0:
        if scan(data, at).payloads:
            return True
        at = data.find(_MARK, at + 1)
    return False


def _start(fd: int, size: int) -> int:
    """Writes the header of a file that has none or only a part of it; its length if so, 0 if there is one."""
    if size >= len(HEADER) or not HEADER.startswith(os.pread(fd, size, 0)):
        return 0
    os.write(fd, HEADER[size:])
    return len(HEADER)


def _lock(path: Path) -> int:
    """An open, locked file beside the journal that holds our process id; it is released when the process ends."""
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
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
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
