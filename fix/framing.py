"""Bytes into whole, checked frames, and back.

A frame is found by BodyLength(9) and believed only if CheckSum(10) fits. Anything else is garbled: it is dropped and
the search goes on at the next "8=FIX", so that a garbled message never blocks the one after it (FIX: a garbled message
is ignored, and the gap in MsgSeqNum(34) brings it back). What comes out depends only on the bytes, never on how they
were cut into pieces.
"""

import re
from collections.abc import Callable
from zlib import adler32

from fix.values import write_timestamp

START = b"8=FIX"
# FIX: BeginString, BodyLength and MsgType are the first three fields, in this order.
_HEADER = re.compile(rb"8=(FIXT?\.\d\.\d(?:SP\d)?)\x019=(\d{1,7})\x01(?=35=)")
_HEADER_MAX = len(b"8=FIXT.1.1SP2|9=1234567|35=")
_TRAILERS = [b"10=%03d\x01" % number for number in range(256)]
_TRAILER_START = b"\x0110="
_TRAILER = re.compile(rb"\x0110=\d{3}\x01")
TRAILER_SIZE = len(_TRAILERS[0])


def checksum(data: bytes) -> int:
    """CheckSum(10): the sum of all bytes modulo 256.

    adler32 keeps 1 + the sum modulo 65521 in its low half, which is exact up to 256 bytes, and runs ten times faster
    than sum().
    """
    if len(data) <= 256:
        return ((adler32(data) & 0xFFFF) - 1) & 0xFF
    total = 0
    for start in range(0, len(data), 256):
        total += (adler32(data[start : start + 256]) & 0xFFFF) - 1
    return total & 0xFF


def frame(begin_string: str, body: bytes) -> bytes:
    """A whole message. `body`: from MsgType(35) on, each field ended by SOH."""
    data = b"8=%b\x019=%d\x01%b" % (begin_string.encode(), len(body), body)
    return data + _TRAILERS[checksum(data)]


class Composer:
    """Whole messages of one session: everything around the body fields that stays the same is prepared once."""

    def __init__(
        self,
        begin_string: str,
        sender_comp_id: str,
        target_comp_id: str,
        write_time: Callable[[int], str] = write_timestamp,
    ) -> None:
        self._begin = f"8={begin_string}\x019="
        self._comp_ids = f"\x0149={sender_comp_id}\x0156={target_comp_id}\x0152="
        self._write_time = write_time

    def compose(self, msg_type: str, msg_seq_num: int, now_ns: int, fields: bytes) -> bytes:
        """SendingTime(52) is the last field of the header; `fields` are what follows it, each ended by SOH."""
        header = f"35={msg_type}\x0134={msg_seq_num}{self._comp_ids}{self._write_time(now_ns)}\x01"
        data = f"{self._begin}{len(header) + len(fields)}\x01{header}".encode("latin-1") + fields
        return data + _TRAILERS[checksum(data)]


class Framer:
    """Feed bytes, take frames. Holds at most one unfinished frame once `next_frame` has returned None.

    `check_sum`, `body_length`: whether these must be right; without the latter a frame ends at its CheckSum(10).
    `skip_whole`: what was garbled ends at the first CheckSum(10) behind the BodyLength(9) that it claims, as QuickFIX
    sees it, and not at the next "8=FIX" already.
    """

    def __init__(
        self,
        max_message_bytes: int = 65536,
        *,
        check_sum: bool = True,
        body_length: bool = True,
        skip_whole: bool = False,
    ) -> None:
        self._max_message_bytes = max_message_bytes
        self._check_sum = check_sum
        self._body_length = body_length
        self._skip_whole = skip_whole
        self._buffer = b""
        self._position = 0
        self._skipping = False  # inside something garbled that was already counted
        self.garbled = 0  # garbled stretches dropped so far
        self.garbled_text = ""  # what was wrong with the last one

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else bytes(data)
        self._position = 0

    @property
    def buffered(self) -> int:
        """Bytes held that are not part of a frame given out."""
        return len(self._buffer) - self._position

    def next_frame(self) -> bytes | None:
        """The next frame whose length and CheckSum(10) fit; None when more bytes are needed."""
        while True:
            buffer, start = self._buffer, self._position
            if start == len(buffer):
                return None
            header = _HEADER.match(buffer, start)
            if header is None:
                if not self._skip_to_header():
                    return None
                continue
            body_length = int(header[2])
            if body_length > self._max_message_bytes:
                self._garbled(f"BodyLength(9)={body_length} is above the limit of {self._max_message_bytes}")
                continue
            trailer = header.end() + body_length
            if not self._body_length:
                limit = start + self._max_message_bytes
                trailer = buffer.find(_TRAILER_START, header.end() - 1, limit) + 1
                if not trailer:
                    if len(buffer) < limit:
                        return None
                    self._garbled(f"no CheckSum(10) within {self._max_message_bytes} bytes")
                    continue
            end = trailer + TRAILER_SIZE
            if len(buffer) < end:
                return None
            if buffer[trailer:end] != _TRAILERS[checksum(buffer[start:trailer])] or buffer[trailer - 1] != 1:
                if not self._check_sum and _TRAILER.fullmatch(buffer, trailer - 1, end):
                    self._position = end
                    return buffer[start:end]
                why = _why_garbled(body_length, buffer[start:trailer], buffer[trailer:end])
                if not self._skip_whole:
                    self._garbled(why)
                elif not self._garbled_whole(trailer, why):
                    return None
                continue
            self._position = end
            self._skipping = False
            return buffer[start:end]

    def _skip_to_header(self) -> bool:
        """With no header at the position: whether to look again (True) or to wait for bytes."""
        rest = self._buffer[self._position : self._position + _HEADER_MAX]
        begins = START.startswith(rest[: len(START)])
        if begins and len(rest) < _HEADER_MAX:
            return False
        self._garbled("the header is not BeginString, BodyLength, MsgType" if begins else "no 8=FIX at the start")
        return True

    def _garbled(self, text: str) -> None:
        """Drop bytes up to the next possible start of a message. One garbled stretch counts once."""
        buffer = self._buffer
        if not self._skipping or buffer.startswith(START, self._position):
            self.garbled += 1
            self.garbled_text = text
        self._skipping = True
        self._position += 1
        found = buffer.find(START, self._position)
        if found < 0:
            # The last bytes may be the beginning of a header.
            sizes = range(min(len(START) - 1, len(buffer) - self._position), 0, -1)
            found = len(buffer) - next((size for size in sizes if buffer.endswith(START[:size])), 0)
        self._position = found

    def _garbled_whole(self, claimed: int, text: str) -> bool:
        """Drop what reaches to the CheckSum(10) at or behind the `claimed` end; False while that has not come."""
        buffer, limit = self._buffer, claimed + self._max_message_bytes
        found = buffer.find(_TRAILER_START, claimed - 1, limit)
        end = buffer.find(b"\x01", found + 1, limit) + 1 if found >= 0 else 0
        if end:
            self.garbled += 1
            self.garbled_text = text
            self._position = end
        elif len(buffer) >= limit:
            self._garbled(text)
        else:
            return False
        return True


def _why_garbled(body_length: int, data: bytes, trailer: bytes) -> str:
    if not (data.endswith(b"\x01") and trailer.startswith(b"10=") and trailer.endswith(b"\x01")):
        return f"BodyLength(9)={body_length} does not lead to CheckSum(10)"
    return f"CheckSum(10)={trailer[3:-1].decode('latin-1')} should be {checksum(data):03d}"
