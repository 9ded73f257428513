"""The journal's file format: what a segment begins with, how a batch is framed, and where whole frames end.

    segment   "FAIRLEAD", format version (uint32); from version 2 on also the segment's number (uint32), the batches
              before it (uint64), the length of the segment before it (uint64), when it began (uint64, ns) and a CRC-32
              of all that
    frame     mark fa 1f ea d0, length (uint32), CRC-32 of length and payload (uint32), payload

Integers are little-endian. Version 1 was one file without end; it is read as a first segment. The mark serves to tell
an unfinished last write from damage: a whole frame behind the place that doesn't check means damage.
"""

import struct
import zlib
from typing import NamedTuple

FORMAT_VERSION = 2
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024  # bounds what a damaged length can make a reader load
MAGIC = b"FAIRLEAD"
MARK = b"\xfa\x1f\xea\xd0"
FRAME_HEAD = struct.Struct("<4sII")
_LENGTH = struct.Struct("<I")
_VERSION = struct.Struct("<8sI")
_SEGMENT = struct.Struct("<8sIIQQQ")
HEADER_1 = _VERSION.pack(MAGIC, 1)
HEADER_BYTES = _SEGMENT.size + _LENGTH.size


class Header(NamedTuple):
    """`previous_end`: the bytes of the segment before; a longer or shorter one is not what was written."""

    segment: int = 1
    batches_before: int = 0
    previous_end: int = 0
    began_ns: int = 0
    size: int = HEADER_BYTES

    def encode(self) -> bytes:
        data = _SEGMENT.pack(MAGIC, FORMAT_VERSION, self.segment, self.batches_before, self.previous_end, self.began_ns)
        return data + _LENGTH.pack(zlib.crc32(data))


class BadHeader(ValueError):  # noqa: N818 - says what is wrong
    """`offset`: the byte that is wrong."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(text)
        self.offset = offset


class Scanned(NamedTuple):
    """`end`: behind the last whole frame. `damage` says why scanning stopped there, "" where the bytes ran out."""

    payloads: list[bytes]
    end: int
    damage: str


def decode_header(data: bytes) -> Header | None:
    """The header that a file begins with; None for a file that was never finished being made; BadHeader otherwise."""
    head = data[: _VERSION.size]
    if (MAGIC.startswith(head[: len(MAGIC)]) and len(head) < _VERSION.size) or not data.strip(b"\0"):
        return None
    magic, version = _VERSION.unpack(head.ljust(_VERSION.size, b"\0"))
    if magic != MAGIC:
        raise BadHeader(0, f"no journal: it starts with {head[: len(MAGIC)]!r} instead of {MAGIC!r}")
    if version == 1:
        return Header(size=len(HEADER_1))
    if version != FORMAT_VERSION:
        raise BadHeader(len(MAGIC), f"format version {version}, this program reads 1 and {FORMAT_VERSION}")
    if len(data) < HEADER_BYTES:
        return None
    _, _, segment, batches_before, previous_end, began_ns = _SEGMENT.unpack_from(data)
    if _LENGTH.unpack_from(data, _SEGMENT.size)[0] != zlib.crc32(data[: _SEGMENT.size]):
        raise BadHeader(0, "the checksum of the segment's header is wrong")
    return Header(segment, batches_before, previous_end, began_ns)


def frame(payload: bytes) -> bytes:
    """The bytes of one batch in the file; ValueError above MAX_PAYLOAD_BYTES."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a batch of {len(payload)} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
    return FRAME_HEAD.pack(MARK, len(payload), _checksum(payload)) + payload


def scan(data: bytes, start: int = 0) -> Scanned:
    """The payloads of the whole frames in `data` from offset `start` on."""
    payloads: list[bytes] = []
    end, size = start, len(data)
    while size - end >= FRAME_HEAD.size:
        mark, length, checksum = FRAME_HEAD.unpack_from(data, end)
        if mark != MARK:
            return Scanned(payloads, end, "no frame starts here")
        if length > MAX_PAYLOAD_BYTES:
            return Scanned(payloads, end, f"a frame of {length} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
        first = end + FRAME_HEAD.size
        if size - first < length:
            break
        payload = data[first : first + length]
        if _checksum(payload) != checksum:
            return Scanned(payloads, end, f"the checksum of a frame of {length} bytes is wrong")
        payloads.append(payload)
        end = first + length
    return Scanned(payloads, end, "")


def holds_whole_frame(data: bytes) -> bool:
    """Whether a whole frame starts anywhere behind the first byte."""
    at = data.find(MARK, 1)
    while at >= 0:
        if scan(data, at).payloads:
            return True
        at = data.find(MARK, at + 1)
    return False


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))
