"""What a session must remember across connections and restarts: both sequence numbers and the messages it may resend.

The node keeps this in its journal and in memory; FileStore is for processes without a journal, such as simulators.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

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


class MemoryStore:
    """Keeps the last `max_messages`; older ones are gap-filled when asked for."""

    def __init__(self, max_messages: int = 100_000) -> None:
        self.next_in = 1
        self.next_out = 1
        self.began_ns = 0
        self._max_messages = max_messages
        self._sent: dict[int, Sent] = {}

    def append(self, msg_seq_num: int, msg_type: str, raw: bytes) -> None:
        self._sent[msg_seq_num] = (msg_seq_num, msg_type, raw)
        if len(self._sent) > self._max_messages:
            del self._sent[next(iter(self._sent))]

    def sent(self, begin: int, end: int) -> Iterable[Sent]:
        kept = self._sent
        if end - begin > len(kept):
            return [message for message in kept.values() if begin <= message[0] <= end]
        return [kept[number] for number in range(begin, end + 1) if number in kept]

    def reset(self) -> None:
        self.next_in = self.next_out = 1
        self._sent.clear()


class FileStore:
    """A MemoryStore whose every change is also appended to a file, handed to the operating system before returning.

    A record is a line "KIND NUMBER SIZE TYPE", `SIZE` bytes and a line feed. A tail that was cut off while being
    written is dropped when the file is opened.
    """

    def __init__(self, path: Path, max_messages: int = 100_000) -> None:
        self._memory = MemoryStore(max_messages)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with open(self._file, "rb", closefd=False) as content:
            os.ftruncate(self._file, self._load(content.read()))

    def _load(self, data: bytes) -> int:
        """Apply the records; the size of what is whole."""
        memory, position = self._memory, 0
        while (line_end := data.find(b"\n", position)) > 0:
            try:
                kind, number, size, msg_type = data[position:line_end].decode("ascii").split(" ")
                value, end = int(number), line_end + 1 + int(size)
            except ValueError:
                break
            if data[end : end + 1] != b"\n":
                break
            match kind:
                case "S":
                    memory.append(value, msg_type, data[line_end + 1 : end])
                case "I":
                    memory.next_in = value
                case "O":
                    memory.next_out = value
                case "B":
                    memory.began_ns = value
                case "R":
                    memory.reset()
            position = end + 1
        return position

    def _write(self, kind: str, number: int, raw: bytes = b"", msg_type: str = "-") -> None:
        os.write(self._file, b"%b %d %d %b\n%b\n" % (kind.encode(), number, len(raw), msg_type.encode(), raw))

    @property
    def next_in(self) -> int:
        return self._memory.next_in

    @next_in.setter
    def next_in(self, value: int) -> None:
        self._memory.next_in = value
        self._write("I", value)

    @property
    def next_out(self) -> int:
        return self._memory.next_out

    @next_out.setter
    def next_out(self, value: int) -> None:
        self._memory.next_out = value
        self._write("O", value)

    @property
    def began_ns(self) -> int:
        return self._memory.began_ns

    @began_ns.setter
    def began_ns(self, value: int) -> None:
        self._memory.began_ns = value
        self._write("B", value)

    def append(self, msg_seq_num: int, msg_type: str, raw: bytes) -> None:
        self._memory.append(msg_seq_num, msg_type, raw)
        self._write("S", msg_seq_num, raw, msg_type)

    def sent(self, begin: int, end: int) -> Iterable[Sent]:
        return self._memory.sent(begin, end)

    def reset(self) -> None:
        self._memory.reset()
        os.ftruncate(self._file, 0)
        self._write("R", 0)

    def close(self) -> None:
        os.close(self._file)
