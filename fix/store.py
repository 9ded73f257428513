"""What a session must remember across connections and restarts: both sequence numbers and the messages it may resend.

The node keeps this in its journal and in memory; FileStore is for processes without a journal, such as simulators.
"""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

MESSAGES_KEPT = 100_000  # that a peer may ask for again
Sent = tuple[int, str, bytes]  # MsgSeqNum(34), MsgType(35), the message


class Store(Protocol):
    """`next_in`: MsgSeqNum(34) expected next from the peer; `next_out`: of our next message. Both start at 1.

    `began_ns`: when they last did, 0 where that is not known.
    """

    next_in: int
    next_out: int
    began_ns: int

    def append(self, msg_seq_num: int, msg_type: str, raw: bytes) -> None:
        """Keep an application message for ResendRequest(2). Numbers rise; `next_out` is set apart from this."""
        ...

    def sent(self, begin: int, end: int) -> Iterable[Sent]:
        """Kept messages with begin <= MsgSeqNum(34) <= end, rising. What is missing is gap-filled."""
        ...

    def reset(self) -> None:
        """Forget the messages and set both numbers to 1."""
        ...

    def flush(self) -> None:
        """Called before what was said leaves: what was kept until now outlasts the process."""
        ...


class MemoryStore:
    """Keeps the last `max_messages` in `max_bytes`; older ones are gap-filled when asked for."""

    def __init__(self, max_messages: int = MESSAGES_KEPT, max_bytes: int = 256 * 1024 * 1024) -> None:
        self.next_in = 1
        self.next_out = 1
        self.began_ns = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._sent: OrderedDict[int, Sent] = OrderedDict()  # which a dict is too, but not fast at forgetting its first

    def append(self, msg_seq_num: int, msg_type: str, raw: bytes) -> None:
        sent = self._sent
        if (before := sent.get(msg_seq_num)) is not None:  # the numbers were set back
            self._bytes -= len(before[2])
        sent[msg_seq_num] = (msg_seq_num, msg_type, raw)
        self._bytes += len(raw)
        while len(sent) > self._max_messages or self._bytes > self._max_bytes:
            self._bytes -= len(sent.popitem(last=False)[1][2])

    def sent(self, begin: int, end: int) -> Iterable[Sent]:
        kept = self._sent
        if end - begin > len(kept):
            return [message for message in kept.values() if begin <= message[0] <= end]
        return [kept[number] for number in range(begin, end + 1) if number in kept]

    def reset(self) -> None:
        self.next_in = self.next_out = 1
        self._sent.clear()
        self._bytes = 0

    def flush(self) -> None:
        pass


_CHUNK, _LARGEST_CHUNK = 1 << 16, 1 << 24  # bytes read at once, whatever size a damaged record claims to have
_NUMBERS = (b"I %d 0 -\n\n", b"O %d 0 -\n\n", b"B %d 0 -\n\n")
_INDEXED = 64  # one of so many messages has its place in memory


class FileStore:
    """Everything in one file that only grows, with one write for all that one input led to.

    A record is a line "KIND NUMBER SIZE TYPE", `SIZE` bytes and a line feed. Messages stay on disk: memory holds the
    place of every 64th, from where a replay reads on, a chunk at a time. A tail that was cut off while being written is
    dropped when the file is opened. `sync`: what was flushed also outlasts a loss of power. OSError where the disk is
    full; nothing of what could not be written leaves.
    """

    def __init__(self, path: Path, sync: bool = False) -> None:
        self.next_in = self.next_out = 1
        self.began_ns = 0
        self._sync = sync
        self._written = (1, 1, 0)  # the numbers as the file has them
        self._pending: list[bytes] = []
        self._resets = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._forget()
        self._load()

    def _forget(self) -> None:
        self._flushed = 0  # bytes in the file
        self._size = 0  # and with what is pending
        self._last = 0  # the highest number kept
        self._count = 0
        self._numbers: list[int] = []
        self._places: list[int] = []

    def _load(self) -> None:
        whole = 0
        for kind, value, _, begin, end in self._records(0):
            whole = end
            match kind:
                case "S":
                    self._note(value, begin)
                case "I":
                    self.next_in = value
                case "O":
                    self.next_out = value
                case "B":
                    self.began_ns = value
                case "R":
                    self.next_in = self.next_out = 1
                    self._forget()
        self._written = (self.next_in, self.next_out, self.began_ns)
        self._size = self._flushed = whole
        os.ftruncate(self._file, whole)

    def _records(self, place: int) -> Iterator[tuple[str, int, tuple[str, bytes], int, int]]:
        """(kind, number, (MsgType(35), bytes), begin, end) of each whole record from `place` on."""
        data = b""
        position = 0
        while True:
            line_end = data.find(b"\n", position)
            size = 0
            if line_end >= 0:
                try:
                    kind, number, length, msg_type = data[position:line_end].decode("ascii").split(" ")
                    value, size = int(number), int(length)
                except ValueError:
                    return
                end = line_end + 1 + size
                if end < len(data):
                    if size < 0 or data[end] != 10:
                        return
                    yield kind, value, (msg_type, data[line_end + 1 : end]), place + position, place + end + 1
                    position = end + 1
                    continue
            elif len(data) - position > _CHUNK:
                return  # no line is that long
            more = os.pread(self._file, min(max(_CHUNK, size), _LARGEST_CHUNK), place + len(data))
            if not more:
                return
            data, place, position = data[position:] + more, place + position, 0

    def _note(self, number: int, place: int) -> None:
        if self._count % _INDEXED == 0:
            self._numbers.append(number)
            self._places.append(place)
        self._count += 1
        self._last = number

    def append(self, msg_seq_num: int, msg_type: str, raw: bytes) -> None:
        if msg_seq_num <= self._last:
            self._cut(msg_seq_num)
        self._note(msg_seq_num, self._size)
        record = b"S %d %d %b\n%b\n" % (msg_seq_num, len(raw), msg_type.encode(), raw)
        self._pending.append(record)
        self._size += len(record)

    def _cut(self, number: int) -> None:
        """The numbers were set back: what was sent under them is not to be sent again."""
        kept = list(self.sent(1, number - 1))
        numbers = (self.next_in, self.next_out, self.began_ns)
        self.reset()
        for message in kept:
            self.append(*message)
        self.next_in, self.next_out, self.began_ns = numbers

    def sent(self, begin: int, end: int) -> Iterator[Sent]:
        self.flush()
        block = bisect_right(self._numbers, begin) - 1
        resets = self._resets
        if self._numbers and end >= begin:
            for kind, number, (msg_type, raw), _, _ in self._records(self._places[max(block, 0)]):
                if number > end and kind == "S":
                    return
                if kind == "S" and number >= begin:
                    yield number, msg_type, raw
                    if self._resets != resets:
                        return

    def flush(self) -> None:
        numbers = (self.next_in, self.next_out, self.began_ns)
        data = b"".join(self._pending)
        if numbers != self._written:
            # The numbers last: half a write leaves those that still hold.
            changed = zip(_NUMBERS, numbers, self._written, strict=True)
            data += b"".join([record % now for record, now, before in changed if now != before])
        if data:
            self._write(data)
            self._flushed += len(data)
            self._size = self._flushed
            self._pending.clear()
            self._written = numbers

    def _write(self, data: bytes) -> None:
        try:
            done = os.write(self._file, data)
            while done < len(data):
                done += os.write(self._file, data[done:])
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._flushed)  # half a record would hide those behind it
            raise

    def reset(self) -> None:
        self.next_in = self.next_out = 1
        self._written = (1, 1, 0)
        self._resets += 1
        self._pending.clear()
        self._forget()
        os.ftruncate(self._file, 0)
        self.flush()

    def close(self) -> None:
        self.flush()
        os.close(self._file)
