"""A FIX session of the simulated EMS, initiator only, on simplefix: FIX.4.2 and FIX.4.4.

Written apart from the product's own session, and simpler: sequence numbers and sent messages stay in memory for the
life of the object, so that it can reconnect; a message that comes early is dropped and asked for again together with
all that follows it. Whatever the counterparty does against the protocol goes to `violations`, in words.
"""

from datetime import UTC, datetime

from simplefix import FixMessage, FixParser
from simplefix.errors import ParsingError

Body = list[tuple[int, object]]  # fields after the header, in order

_SECOND_NS = 1_000_000_000


def text(message: FixMessage, tag: int) -> str:
    """The first value of a tag, "" where it is missing."""
    value = message.get(tag)
    return "" if value is None else value.decode("latin-1")


def utc_timestamp(now_ns: int) -> str:
    """UTCTimestamp to the millisecond, the finest that both versions know."""
    seconds, rest_ns = divmod(now_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest_ns // 1_000_000:03d}"


def framing_fault(message: FixMessage) -> str:
    """What is wrong with BodyLength(9) or CheckSum(10), which simplefix does not look at; "" if nothing is."""
    raw = message.encode(raw=True)
    tags = [tag for tag, _ in message.pairs]
    if tags[:3] != [b"8", b"9", b"35"] or tags[-1] != b"10":
        return f"fields 8, 9, 35, 10 out of place in {raw!r}"
    trailer = raw.rindex(b"10=")
    body_length = trailer - raw.index(b"35=")
    if message.get(9) != str(body_length).encode():
        return f"BodyLength(9) is {text(message, 9)}, counted {body_length}"
    check_sum = f"{sum(raw[:trailer]) % 256:03d}"
    if message.get(10) != check_sum.encode():
        return f"CheckSum(10) is {text(message, 10)}, computed {check_sum}"
    return ""


class EmsSession:
    """Bytes and time in, application messages out; what is to be written collects in `outbox`."""

    def __init__(
        self,
        begin_string: str,
        sender_comp_id: str,
        target_comp_id: str,
        *,
        heart_bt_int: int = 30,
        reset_on_logon: bool = False,
    ) -> None:
        self.begin_string = begin_string
        self.sender_comp_id = sender_comp_id
        self.target_comp_id = target_comp_id
        self.heart_bt_int = heart_bt_int
        self.reset_on_logon = reset_on_logon
        self.next_in = 1
        self.next_out = 1
        self.is_logged_on = False
        self.must_close = False  # the link is to be closed once the outbox is written
        self.outbox: list[bytes] = []
        self.sent: dict[int, tuple[str, Body, str]] = {}  # application messages: type, body, SendingTime(52)
        self.violations: list[str] = []
        self._parser = FixParser()
        self._is_connected = False
        self._logout_sent = False
        self._resend_until = 0  # MsgSeqNum(34) that revealed the gap whose resend is under way
        self._test_request_sent = False
        self._last_sent_ns = 0
        self._last_received_ns = 0

    def connected(self, now_ns: int) -> None:
        self._parser.reset()
        self._is_connected = True
        self.must_close = self._logout_sent = self._test_request_sent = False
        self._resend_until = 0
        self._last_received_ns = now_ns
        if self.reset_on_logon:
            self._reset()
        body: Body = [(98, 0), (108, self.heart_bt_int)]
        if self.reset_on_logon:
            body.append((141, "Y"))
        self.send("A", body, now_ns)

    def disconnected(self) -> None:
        self._is_connected = self.is_logged_on = False
        self.outbox.clear()

    def send(self, msg_type: str, body: Body, now_ns: int) -> int:
        """Numbers and writes a message; returns its MsgSeqNum(34). Application messages are kept for a resend."""
        seq = self.next_out
        self.next_out += 1
        sending_time = utc_timestamp(now_ns)
        if msg_type not in "0A12345":
            self.sent[seq] = (msg_type, body, sending_time)
        self._write(msg_type, seq, sending_time, [], body, now_ns)
        return seq

    def logout(self, now_ns: int) -> None:
        if self.is_logged_on and not self._logout_sent:
            self._logout_sent = True
            self.send("5", [], now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[FixMessage]:
        """The application messages that are due, in sequence; each one is given out once."""
        self._last_received_ns = now_ns
        self._test_request_sent = False
        self._parser.append_buffer(data)
        due: list[FixMessage] = []
        while not self.must_close:
            try:
                message = self._parser.get_message()
            except (ParsingError, ValueError) as error:
                self.violations.append(f"unreadable bytes: {error!r}")
                self._parser.reset()  # what was lost with it shows as a gap
                break
            if message is None:
                break
            fault = framing_fault(message)
            if fault:
                self.violations.append(fault)  # a garbled message is ignored: FIX 4.4 volume 2
            else:
                try:
                    if self._is_due(message, now_ns):
                        due.append(message)
                except ValueError as error:
                    self._break_off(f"message {text(message, 35)} has no readable number: {error}")
        return due

    def timer(self, now_ns: int) -> None:
        if not self._is_connected:
            return
        silence_ns = now_ns - self._last_received_ns
        if silence_ns >= self.heart_bt_int * _SECOND_NS * 24 // 10:
            self.violations.append(
                f"nothing received for {silence_ns / 1e9:.1f} s, HeartBtInt(108) {self.heart_bt_int}"
            )
            self.must_close = True
        elif silence_ns >= self.heart_bt_int * _SECOND_NS * 12 // 10 and not self._test_request_sent:
            self._test_request_sent = True
            self.send("1", [(112, f"TEST{self.next_out}")], now_ns)
        if self.is_logged_on and now_ns - self._last_sent_ns >= self.heart_bt_int * _SECOND_NS:
            self.send("0", [], now_ns)

    def next_timer_ns(self) -> int | None:
        if not self._is_connected or self.must_close:
            return None
        tenths = 24 if self._test_request_sent else 12
        watch_ns = self._last_received_ns + self.heart_bt_int * _SECOND_NS * tenths // 10
        if not self.is_logged_on:
            return watch_ns
        return min(watch_ns, self._last_sent_ns + self.heart_bt_int * _SECOND_NS)

    def _is_due(self, message: FixMessage, now_ns: int) -> bool:
        """Session work of one message; True if it is an application message and in sequence."""
        msg_type = text(message, 35)
        header = text(message, 8), text(message, 49), text(message, 56)
        if header != (self.begin_string, self.target_comp_id, self.sender_comp_id):
            return self._break_off(f"message {msg_type} from a stranger: {header}")
        if not text(message, 34).isdecimal():
            return self._break_off(f"message {msg_type} with MsgSeqNum(34) {text(message, 34)!r}")
        seq = int(text(message, 34))
        is_reset = msg_type == "4" and text(message, 123) != "Y"
        if msg_type == "A" and text(message, 141) == "Y":
            if not self.reset_on_logon:
                self.violations.append("Logon resets sequence numbers, which was not asked for")
                self._reset()
            self.next_in = 1
        if not self.is_logged_on and msg_type not in "A5":
            return self._break_off(f"message {msg_type} before Logon")
        if is_reset:
            self.next_in = int(text(message, 36))  # FIX 4.4: MsgSeqNum(34) of a SequenceReset-Reset is ignored
            return False
        if seq < self.next_in:
            if text(message, 43) != "Y":
                return self._break_off(
                    f"MsgSeqNum(34) {seq} of message {msg_type} is below the expected {self.next_in}"
                )
            return False
        if seq == self.next_in:
            self.next_in += 1
        elif msg_type not in "A25":
            return self._ask_again(seq, now_ns)
        is_application = self._administer(msg_type, message, now_ns)
        if seq >= self.next_in and not self.must_close:
            self._ask_again(seq, now_ns)  # Logon and ResendRequest are worked at once even where they reveal a gap
        return is_application

    def _administer(self, msg_type: str, message: FixMessage, now_ns: int) -> bool:
        match msg_type:
            case "0":
                pass
            case "1":
                self.send("0", [(112, text(message, 112))], now_ns)
            case "2":
                self._resend(int(text(message, 7)), int(text(message, 16)), now_ns)
            case "4":
                self.next_in = max(self.next_in, int(text(message, 36)))
            case "5":
                self.logout(now_ns)
                self.is_logged_on = False
                self.must_close = True
            case "A":
                self.is_logged_on = True
            case _:
                return True
        return False

    def _ask_again(self, seq: int, now_ns: int) -> bool:
        if self._resend_until < self.next_in:
            self._resend_until = seq
            self.send("2", [(7, self.next_in), (16, 0)], now_ns)
        return False

    def _resend(self, begin: int, end: int, now_ns: int) -> None:
        last = self.next_out - 1 if end == 0 else min(end, self.next_out - 1)
        gap = begin
        for seq in range(begin, last + 1):
            if seq in self.sent:
                self._fill_gap(gap, seq, now_ns)
                msg_type, body, sending_time = self.sent[seq]
                flags: Body = [(43, "Y"), (122, sending_time)]
                self._write(msg_type, seq, utc_timestamp(now_ns), flags, body, now_ns)
                gap = seq + 1
        self._fill_gap(gap, last + 1, now_ns)

    def _fill_gap(self, begin: int, new_seq_no: int, now_ns: int) -> None:
        if begin < new_seq_no:
            sending_time = utc_timestamp(now_ns)
            flags: Body = [(43, "Y"), (122, sending_time)]
            self._write("4", begin, sending_time, flags, [(123, "Y"), (36, new_seq_no)], now_ns)

    def _break_off(self, violation: str) -> bool:
        self.violations.append(violation)
        self.must_close = True
        return False

    def _reset(self) -> None:
        self.next_in = self.next_out = 1
        self.sent.clear()

    def _write(self, msg_type: str, seq: int, sending_time: str, flags: Body, body: Body, now_ns: int) -> None:
        message = FixMessage()
        message.append_pair(8, self.begin_string)
        message.append_pair(35, msg_type)
        message.append_pair(49, self.sender_comp_id)
        message.append_pair(56, self.target_comp_id)
        message.append_pair(34, seq)
        message.append_pair(52, sending_time)
        for tag, value in flags + body:
            message.append_pair(tag, value)
        self.outbox.append(message.encode())
        self._last_sent_ns = now_ns
