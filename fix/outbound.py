"""The way out of a session: numbers, headers, the store, and the answers to ResendRequest(2).

A replay goes out in bursts, in front of what was said after it was asked for, so that a peer that asks for a million
messages costs neither the memory for them nor the order of what follows.
"""

from collections import deque
from collections.abc import Iterator

from fix.codec import TIME_DIGITS
from fix.config import SessionConfig
from fix.dictionary import Dictionary
from fix.errors import REASON_NAMES, FieldError, LocalProtocolError, SessionRejectReason
from fix.events import Outgoing
from fix.framing import TRAILER_SIZE, Composer
from fix.message import Message
from fix.sequence import GapFill, replay
from fix.store import Sent, Store
from fix.values import timestamp_writer

OPEN_END = {"FIX.4.0": 999999, "FIX.4.1": 999999}  # EndSeqNo(16) that asks for everything; 0 since FIX.4.2
# OnBehalfOf <-> DeliverTo: CompID, SubID, LocationID. An answer goes back the way the message came.
_REVERSED = {"115": "128", "116": "129", "144": "145", "128": "115", "129": "116", "145": "144"}
_WITHOUT_LAST_PROCESSED = ("FIX.4.0", "FIX.4.1")

Replay = tuple[Iterator[GapFill | Sent], int]  # what is left of it, and when it was asked for


class Outbound:
    """`queue` holds what was not taken yet, in order."""

    def __init__(self, config: SessionConfig, store: Store, dictionary: Dictionary, now_ns: int) -> None:
        self.last_sent_ns = now_ns
        self.max_message_bytes = 0  # MaxMessageSize(383) of the peer; 0: any
        self._config = config
        self._store = store
        self._dictionary = dictionary
        self._queue: deque[Outgoing | Replay] = deque()
        self._replays = 0
        digits = TIME_DIGITS.get(config.begin_string, 3) if config.time_digits is None else config.time_digits
        self._write_time = timestamp_writer(digits)
        comp_ids = (config.sender_comp_id, config.target_comp_id)
        self._compose = Composer(config.begin_string, *comp_ids, self._write_time).compose
        self._says_processed = config.last_msg_seq_num_processed and config.begin_string not in _WITHOUT_LAST_PROCESSED
        self._composed = self._compose_with_processed if self._says_processed else self._compose

    @property
    def pending_replays(self) -> int:
        return self._replays

    def clear(self) -> None:
        self._queue.clear()
        self._replays = 0

    def drop_replays(self) -> None:
        """The numbering that they belong to is over."""
        self._queue = deque(item for item in self._queue if isinstance(item, Outgoing))
        self._replays = 0

    def take(self) -> list[Outgoing]:
        """What is to be written now: all of it, unless a replay is longer than a burst."""
        if not self._replays:
            taken: list[Outgoing] = list(self._queue)  # type: ignore[arg-type]
            self._queue.clear()
            return taken
        taken = []
        burst = self._config.resend_burst
        while self._queue and len(taken) < burst:
            item = self._queue[0]
            if isinstance(item, Outgoing):
                taken.append(item)
            else:
                items, now_ns = item
                for resent in items:
                    taken.append(self._resent(resent, now_ns))
                    if len(taken) >= burst:
                        return taken
                self._replays -= 1
            self._queue.popleft()
        return taken

    # --- what goes out ---

    def app(self, msg_type: str, fields: bytes, now_ns: int, *, live: bool) -> Outgoing:
        """Number and keep an application message; it goes out if the session is `live`."""
        number = self._store.next_out
        outgoing = Outgoing(number, msg_type, self._composed(msg_type, number, now_ns, fields), False)
        if self.max_message_bytes and len(outgoing.raw) > self.max_message_bytes:
            size = len(outgoing.raw)
            raise LocalProtocolError(f"{size} bytes are above the peer's MaxMessageSize(383)={self.max_message_bytes}")
        if self._config.resend_app:
            self._store.append(number, msg_type, outgoing.raw)
        self._store.next_out = number + 1
        if live:
            self._queue.append(outgoing)
            self.last_sent_ns = now_ns
        return outgoing

    def admin(self, msg_type: str, fields: str, now_ns: int) -> None:
        number = self._store.next_out
        self._store.next_out = number + 1
        raw = self._composed(msg_type, number, now_ns, fields.encode("latin-1", "replace"))
        self._queue.append(Outgoing(number, msg_type, raw, False))
        self.last_sent_ns = now_ns

    def logout(self, text: str, now_ns: int) -> None:
        self.admin("5", f"58={one_line(text)}\x01" if text else "", now_ns)

    def resend_request(self, begin: int, end: int, now_ns: int) -> None:
        """`end` 0: everything."""
        self.admin("2", f"7={begin}\x0116={end or OPEN_END.get(self._config.begin_string, 0)}\x01", now_ns)

    def replay(self, begin: int, end: int, now_ns: int) -> None:
        """Answer a ResendRequest(2) for begin..end."""
        kept = self._store.sent(begin, end) if self._config.resend_app else ()
        self._queue.append((replay(kept, begin, end), now_ns))
        self._replays += 1
        self.last_sent_ns = now_ns

    def reject(self, message: Message, reason: SessionRejectReason, ref_tag: str, text: str, now_ns: int) -> None:
        """Reject(3), with as much of the reason as the version has fields for."""
        # FIX.4.2 ends at "invalid MsgType", and FIX.4.1 has the text only.
        defined = self._dictionary.fields
        fields = f"{self.routing(message)}45={message.msg_seq_num}\x01"
        fields += f"371={ref_tag}\x01" if ref_tag and "371" in defined else ""
        fields += f"372={message.msg_type}\x01" if message.msg_type and "372" in defined else ""
        fields += f"373={reason.value}\x01" if "373" in defined and str(reason.value) in defined["373"].values else ""
        self.admin("3", f"{fields}58={one_line(text)}\x01", now_ns)

    def reject_text(self, error: FieldError) -> str:
        """Text(58): the reason's name where exact answers are wanted, the whole story otherwise."""
        if not self._config.validation.exact_answers:
            return error.text
        name = REASON_NAMES[error.reason]
        return f"{name} ({error.ref_tag})" if error.ref_tag and "371" not in self._dictionary.fields else name

    def routing(self, message: Message) -> str:
        """Header fields of an answer to `message` that came through a third party, reversed."""
        get = message.fields.get
        if get("115") is None and get("128") is None:
            return ""
        header = self._dictionary.header
        found = ((to, get(tag)) for tag, to in _REVERSED.items() if to in header)
        return "".join(f"{tag}={value}\x01" for tag, value in found if value)

    # --- how ---

    def _compose_with_processed(self, msg_type: str, number: int, now_ns: int, fields: bytes) -> bytes:
        return self._compose(msg_type, number, now_ns, b"369=%d\x01%b" % (self._store.next_in - 1, fields))

    def _resent(self, item: GapFill | Sent, now_ns: int) -> Outgoing:
        if isinstance(item, GapFill):
            text = f"43=Y\x01122={self._write_time(now_ns)}\x01123=Y\x0136={item.new_seq_no}\x01"
            return Outgoing(item.begin, "4", self._composed("4", item.begin, now_ns, text.encode()), True)
        number, msg_type, raw = item
        sending_time, _, body = raw.partition(b"\x0152=")[2].partition(b"\x01")
        if self._says_processed and body.startswith(b"369="):
            body = body.partition(b"\x01")[2]
        fields = b"43=Y\x01122=%b\x01%b" % (sending_time, body[:-TRAILER_SIZE])
        return Outgoing(number, msg_type, self._composed(msg_type, number, now_ns, fields), True)


def one_line(text: str) -> str:
    return text.replace("\x01", " ")
