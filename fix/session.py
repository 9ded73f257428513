"""One FIX session, either role: who may speak when, with which number, and what follows from what goes wrong.

Sans-I/O, as h11 does it: feed bytes, pull events, take what is to be written. Time is an argument and timers are data.
The session answers for everything administrative; the user sees application messages in order, once. Rules are those
of FIX.4.4 volume 2, "FIX session protocol"; FIX.4.2 differs in nothing that matters here.
"""

from collections import deque
from collections.abc import Callable, Iterable

from fix.checks import address_fault, duplicate_fault, int_field, logon_heart_bt_int, required_field
from fix.codec import TIME_DIGITS
from fix.dictionary import APPL_VER_IDS, FIXT, Dictionary, dictionary, typed_dictionary
from fix.errors import BusinessRejectReason, FieldError, LocalProtocolError, SessionRejectReason
from fix.events import (
    Disconnect,
    Event,
    Garbled,
    LoggedOn,
    LoggedOut,
    NotResent,
    Outgoing,
    Received,
    Rejected,
    SequenceReset,
    SessionConfig,
)
from fix.framing import TRAILER_SIZE, Composer, Framer
from fix.message import Message, parse
from fix.messages import BusinessMessageReject, Typed, encode
from fix.sequence import GapFill, InboundGap, replay
from fix.states import TRANSITIONS, State, Step
from fix.store import Store
from fix.values import NS_PER_S, timestamp_writer

__all__ = [
    "Disconnect",
    "Event",
    "Garbled",
    "LoggedOn",
    "LoggedOut",
    "NotResent",
    "Outgoing",
    "Received",
    "Rejected",
    "SequenceReset",
    "Session",
    "SessionConfig",
    "SessionDirectory",
    "State",
]

APPL_VER_ID = {version: appl_ver_id for appl_ver_id, version in APPL_VER_IDS.items()}
OPEN_END = {"FIX.4.0": 999999, "FIX.4.1": 999999}  # EndSeqNo(16) that asks for everything; 0 since FIX.4.2
_ADMIN = frozenset("012345A")
_TEST_AFTER, _LOST_AFTER = 1.2, 2.4  # heartbeat intervals without a message from the peer


class Session:
    """The numbers live in the store, so a session object may be made anew over the same store at any time."""

    def __init__(self, config: SessionConfig, store: Store, now_ns: int, dictionary: Dictionary | None = None) -> None:
        self.config = config
        self.store = store
        self.name = f"{config.sender_comp_id}->{config.target_comp_id}"
        self.state = State.DISCONNECTED
        self._version = config.application
        self._dictionary = dictionary or typed_dictionary(self._version)
        self._framer = Framer(config.max_message_bytes)
        self._garbled_seen = 0
        self._gap = InboundGap(config.max_held_messages)
        self._events: deque[Event] = deque()
        self._outbox: list[Outgoing] = []
        self._write_time = timestamp_writer(TIME_DIGITS.get(config.begin_string, 3))
        comp_ids = (config.sender_comp_id, config.target_comp_id)
        self._compose = Composer(config.begin_string, *comp_ids, self._write_time).compose
        self._heart_bt_ns = config.heart_bt_int * NS_PER_S
        self._deadline_ns = 0  # of the logon or logout under way
        self._last_sent_ns = now_ns
        self._last_received_ns = now_ns
        self._test_sent = False
        self._reset_asked = False

    @property
    def is_logged_on(self) -> bool:
        return self.state is State.LOGGED_ON

    # --- the connection ---

    def connected(self, now_ns: int) -> None:
        """A fresh connection: an initiator sends its Logon(A), an acceptor waits for one."""
        config = self.config
        self._step(Step.ACCEPT if config.role == "acceptor" else Step.INITIATE)
        self._last_received_ns = now_ns
        self._deadline_ns = now_ns + int(config.logon_timeout_s * NS_PER_S)
        self._heart_bt_ns = config.heart_bt_int * NS_PER_S
        if config.role == "initiator":
            if config.reset_on_logon:
                self._reset()
            self._send_logon(config.heart_bt_int, config.reset_on_logon, now_ns)
            self._reset_asked = config.reset_on_logon

    def disconnected(self, now_ns: int) -> None:
        """The connection is gone. Bytes and messages not yet processed are forgotten; the peer will resend them."""
        if self.state in (State.LOGGED_ON, State.LOGOUT_SENT):
            self._events.append(LoggedOut("connection lost"))
        self._step(Step.DISCONNECT)
        self._framer = Framer(self.config.max_message_bytes)
        self._garbled_seen = 0
        self._gap.clear()
        self._outbox.clear()
        self._test_sent = False

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes from the peer; pull `next_event` until it returns None afterwards."""
        self._framer.feed(data)

    def next_event(self, now_ns: int) -> Event | None:
        """What happened next, or None when nothing more can happen without another input."""
        while not self._events and self.state not in (State.DISCONNECTED, State.ENDED):
            if self._gap.has(self.store.next_in):
                held = self._gap.take(self.store.next_in)
                if held is None:
                    self._advance(self.store.next_in + 1)
                else:
                    self._in_turn(held, now_ns)
                continue
            raw = self._framer.next_frame()
            if self._framer.garbled != self._garbled_seen:
                self._garbled_seen = self._framer.garbled
                self._events.append(Garbled(self._framer.garbled_text))
            if raw is None:
                break
            self._on_message(self._parse(raw), now_ns)
        return self._events.popleft() if self._events else None

    def _parse(self, raw: bytes) -> Message:
        message = parse(raw, self._dictionary)
        if self.config.begin_string == FIXT and (appl_ver_id := message.get(1128)) is not None:
            # ApplVerID(1128) overrules the session's default for this message.
            version = APPL_VER_IDS.get(appl_ver_id, "")
            if version != self._version:
                return parse(raw, typed_dictionary(version) if version else dictionary(FIXT))
        return message

    def take_outbox(self) -> list[Outgoing]:
        """What is to be written, in order; each message is given once."""
        outbox, self._outbox = self._outbox, []
        return outbox

    # --- sending ---

    def send(self, typed: Typed, now_ns: int) -> Outgoing:
        """Number and store an application message; while not logged on it waits for the peer's ResendRequest(2)."""
        return self._send_app(typed.MSG_TYPE, encode(typed, self._version), now_ns)

    def send_fields(self, msg_type: str, fields: Iterable[tuple[str, str]], now_ns: int) -> Outgoing:
        """`send` for a message without a typed form: (tag, value) as text, in the order in which they are to go out.

        Fields of the header come first; those that the session itself fills in are not among them.
        """
        text = "".join([f"{tag}={value}\x01" for tag, value in fields])
        return self._send_app(msg_type, text.encode("latin-1"), now_ns)

    def _send_app(self, msg_type: str, fields: bytes, now_ns: int) -> Outgoing:
        number = self.store.next_out
        outgoing = Outgoing(number, msg_type, self._compose(msg_type, number, now_ns, fields), False)
        if self.config.resend_app:
            self.store.append(number, msg_type, outgoing.raw)
        self.store.next_out = number + 1
        if self.state is State.LOGGED_ON:
            self._outbox.append(outgoing)
            self._last_sent_ns = now_ns
        return outgoing

    def reject(self, message: Message, reason: SessionRejectReason, tag: int, text: str, now_ns: int) -> None:
        """Reject(3); `tag` 0 where no single field is to blame."""
        # FIX.4.2 ends at "invalid MsgType", and FIX.4.1 has the text only.
        defined = self._dictionary.fields
        fields = f"45={message.msg_seq_num}\x01"
        fields += f"371={tag}\x01" if tag and "371" in defined else ""
        fields += f"372={message.msg_type}\x01" if message.msg_type and "372" in defined else ""
        fields += f"373={reason.value}\x01" if "373" in defined and str(reason.value) in defined["373"].values else ""
        self._send_admin("3", f"{fields}58={_one_line(text)}\x01", now_ns)

    def business_reject(
        self, message: Message, reason: BusinessRejectReason, text: str, now_ns: int, ref_id: str = ""
    ) -> Outgoing:
        """BusinessMessageReject(j): the message is well formed, but can't be acted on."""
        typed = BusinessMessageReject(
            ref_seq_num=message.msg_seq_num,
            ref_msg_type=message.msg_type,
            business_reject_reason=int(reason),
            business_reject_ref_id=ref_id,
            text=_one_line(text),
        )
        return self.send(typed, now_ns)

    def logout(self, text: str, now_ns: int) -> None:
        """Begin the Logout(5) handshake; messages are still received until the peer confirms or the time is up."""
        if self.state is not State.LOGGED_ON:
            if self.state in (State.AWAITING_LOGON, State.LOGON_SENT):
                self._end(text)
            return
        self._send_logout(text, now_ns)
        self._step(Step.LOGOUT)
        self._deadline_ns = now_ns + int(self.config.logout_timeout_s * NS_PER_S)

    # --- timers ---

    def next_timer_ns(self) -> int | None:
        """When `timer` wants to be called next."""
        match self.state:
            case State.AWAITING_LOGON | State.LOGON_SENT | State.LOGOUT_SENT:
                return self._deadline_ns
            case State.LOGGED_ON if self._heart_bt_ns:
                quiet = _LOST_AFTER if self._test_sent else _TEST_AFTER
                heartbeat_ns = self._last_sent_ns + self._heart_bt_ns
                return min(heartbeat_ns, self._last_received_ns + int(quiet * self._heart_bt_ns))
        return None

    def timer(self, now_ns: int) -> None:
        """Do what is due; pull `next_event` afterwards."""
        due_ns = self.next_timer_ns()
        if due_ns is None or now_ns < due_ns:
            return
        match self.state:
            case State.AWAITING_LOGON | State.LOGON_SENT:
                self._end(f"no Logon(A) within {self.config.logon_timeout_s:g} s")
            case State.LOGOUT_SENT:
                self._end(f"no Logout(5) within {self.config.logout_timeout_s:g} s")
            case State.LOGGED_ON:
                quiet_ns = now_ns - self._last_received_ns
                if quiet_ns >= int(_LOST_AFTER * self._heart_bt_ns):
                    self._end(f"nothing received for {quiet_ns / NS_PER_S:.1f} s")
                    return
                if quiet_ns >= int(_TEST_AFTER * self._heart_bt_ns) and not self._test_sent:
                    self._test_sent = True
                    self._send_admin("1", f"112=TEST-{self.store.next_out}\x01", now_ns)
                if now_ns >= self._last_sent_ns + self._heart_bt_ns:
                    self._send_admin("0", "", now_ns)

    # --- receiving ---

    def _on_message(self, message: Message, now_ns: int) -> None:
        self._last_received_ns = now_ns
        self._test_sent = False
        if self.state in (State.AWAITING_LOGON, State.LOGON_SENT) and message.msg_type != "A":
            said = f": {message.get(58)}" if message.msg_type in ("3", "5") and message.get(58) else ""
            self._end(f"the first message is MsgType(35)={message.msg_type}, not Logon(A){said}")
        elif message.begin_string != self.config.begin_string:
            self._fail(f"BeginString(8) is {message.begin_string}, expected {self.config.begin_string}", now_ns)
        elif message.msg_seq_num < 1:
            self._fail(f"MsgSeqNum(34) is missing or not a number: {message.get(34)}", now_ns)
        elif (fault := address_fault(message, self.config, now_ns)) is not None:
            if self.state in (State.LOGGED_ON, State.LOGOUT_SENT):
                if message.msg_seq_num == self.store.next_in:
                    self._advance(message.msg_seq_num + 1)
                self._reject_field(message, fault, now_ns)
            self._fail(fault.text, now_ns)
        elif message.msg_type == "A" and self._is_logon_due(message):
            self._on_logon(message, now_ns)
        elif message.msg_type == "4" and message.get(123) != "Y":
            # Reset mode works whatever its own MsgSeqNum(34) is.
            self._guarded(self._on_reset_mode, message, now_ns)
        elif message.msg_seq_num > self.store.next_in:
            self._beyond_gap(message, now_ns)
        elif message.msg_seq_num < self.store.next_in:
            self._too_low(message, now_ns)
        else:
            self._in_turn(message, now_ns)

    def _is_logon_due(self, message: Message) -> bool:
        """The first of a connection, or one that resets the numbers of a running session."""
        return self.state in (State.AWAITING_LOGON, State.LOGON_SENT) or message.get(141) == "Y"

    def _on_logon(self, message: Message, now_ns: int) -> None:
        number, reset = message.msg_seq_num, message.get(141) == "Y"
        try:
            heart_bt_int = logon_heart_bt_int(message)
        except FieldError as error:
            self._fail(error.text, now_ns)
            return
        if reset and number != 1:
            self._fail(f"Logon(A) with ResetSeqNumFlag(141)=Y has MsgSeqNum(34)={number}, expected 1", now_ns)
            return
        by_agreement = self.config.reset_on_logon and self.state is State.AWAITING_LOGON and number == 1
        if (reset or by_agreement) and not self._reset_asked:
            self._reset()
        self._reset_asked = False
        if number < self.store.next_in:
            self._too_low(message, now_ns)
            return
        if self.state is State.LOGON_SENT:
            # Our Logon(A) was the first message of the new numbering, where the acceptor reset it unasked.
            self.store.next_out = max(self.store.next_out, 2)
        else:
            self._heart_bt_ns = heart_bt_int * NS_PER_S
            self._send_logon(heart_bt_int, reset, now_ns)
        if self.state in (State.AWAITING_LOGON, State.LOGON_SENT):
            self._step(Step.LOGON)
            self._events.append(LoggedOn())
        if number > self.store.next_in:
            self._gap.hold(number, None)
            self._request_gap(message, now_ns)
        else:
            self._advance(number + 1)

    def _on_reset_mode(self, message: Message, now_ns: int) -> None:
        if message.defect is not None:
            raise message.defect
        new_seq_no = int_field(message, 36, "NewSeqNo")
        if new_seq_no < self.store.next_in:
            text = f"NewSeqNo(36)={new_seq_no} is below the expected MsgSeqNum(34), {self.store.next_in}"
            raise FieldError(36, str(new_seq_no), SessionRejectReason.VALUE_INCORRECT, text)
        self._advance(new_seq_no)

    def _too_low(self, message: Message, now_ns: int) -> None:
        if not message.poss_dup:
            text = f"MsgSeqNum(34) too low, expected {self.store.next_in} but received {message.msg_seq_num}"
            self._fail(text, now_ns)
        # With PossDupFlag(43)=Y it was processed before.

    def _beyond_gap(self, message: Message, now_ns: int) -> None:
        """A message beyond a gap waits for its turn, except where waiting would never end."""
        if message.msg_type == "5":
            self._on_logout(message, now_ns)
            return
        if message.msg_type == "2":
            # FIX: answered at once, or two sides that both miss messages would wait for each other.
            self._guarded(self._on_resend_request, message, now_ns)
        self._gap.hold(message.msg_seq_num, None if message.msg_type == "2" else message)
        self._request_gap(message, now_ns)

    def _request_gap(self, message: Message, now_ns: int) -> None:
        if self._gap.must_request(message.msg_seq_num, message.poss_dup, now_ns):
            end = OPEN_END.get(self.config.begin_string, 0)
            self._send_admin("2", f"7={self.store.next_in}\x0116={end}\x01", now_ns)

    def _in_turn(self, message: Message, now_ns: int) -> None:
        """The next expected message: it takes its number, whatever is wrong inside."""
        self._advance(message.msg_seq_num + 1)
        fault = message.defect
        if fault is None and message.poss_dup and message.msg_type != "4":
            fault = duplicate_fault(message)
        if fault is not None and message.msg_type != "3":
            self._reject_field(message, fault, now_ns)
            if fault.reason is SessionRejectReason.SENDING_TIME_ACCURACY:
                self._fail(fault.text, now_ns)
        elif message.msg_type in _ADMIN:
            self._guarded(self._on_admin, message, now_ns)
        elif message.msg_type in message.dictionary.msg_types or message.msg_type.startswith("U"):
            self._events.append(Received(message))
        else:
            text = f"MsgType(35)={message.msg_type} is not defined in {self.config.begin_string}"
            self.reject(message, SessionRejectReason.INVALID_MSG_TYPE, 35, text, now_ns)

    def _on_admin(self, message: Message, now_ns: int) -> None:
        match message.msg_type:
            case "1":
                self._send_admin("0", f"112={required_field(message, 112, 'TestReqID')}\x01", now_ns)
            case "2":
                self._on_resend_request(message, now_ns)
            case "3":
                # Whatever is wrong with a Reject(3) itself, it is never answered with another.
                ref_seq_num = message.get(45) or ""
                number = int(ref_seq_num) if ref_seq_num.isdecimal() and len(ref_seq_num) < 19 else 0
                self._events.append(Rejected(message, number, message.get(58) or ""))
            case "4":
                self._on_gap_fill(message)
            case "5":
                self._on_logout(message, now_ns)
            case "A":
                raise FieldError(35, "A", SessionRejectReason.VALUE_INCORRECT, "the session is already logged on")

    def _on_gap_fill(self, message: Message) -> None:
        new_seq_no = int_field(message, 36, "NewSeqNo")
        if new_seq_no <= message.msg_seq_num:
            text = f"NewSeqNo(36)={new_seq_no} of a gap fill is not above its MsgSeqNum(34)={message.msg_seq_num}"
            raise FieldError(36, str(new_seq_no), SessionRejectReason.VALUE_INCORRECT, text)
        self._advance(new_seq_no)

    def _on_resend_request(self, message: Message, now_ns: int) -> None:
        begin, end = int_field(message, 7, "BeginSeqNo"), int_field(message, 16, "EndSeqNo")
        last = self.store.next_out - 1
        reason = SessionRejectReason.VALUE_INCORRECT
        if not 1 <= begin <= last:
            raise FieldError(7, str(begin), reason, f"BeginSeqNo(7)={begin} is not between 1 and our last, {last}")
        if end != 0 and end < begin:
            raise FieldError(16, str(end), reason, f"EndSeqNo(16)={end} is below BeginSeqNo(7)={begin}")
        end = last if end == 0 else min(end, last)
        if not self.config.resend_app:
            self._events.append(NotResent())
        kept = self.store.sent(begin, end) if self.config.resend_app else ()
        for item in replay(kept, begin, end):
            if isinstance(item, GapFill):
                fields = f"43=Y\x01122={self._write_time(now_ns)}\x01123=Y\x0136={item.new_seq_no}\x01".encode()
                self._put(item.begin, "4", fields, now_ns, resent=True)
            else:
                number, msg_type, raw = item
                sending_time, _, body = raw.partition(b"\x0152=")[2].partition(b"\x01")
                fields = b"43=Y\x01122=" + sending_time + b"\x01" + body[:-TRAILER_SIZE]
                self._put(number, msg_type, fields, now_ns, resent=True)

    def _on_logout(self, message: Message, now_ns: int) -> None:
        if self.state is State.LOGGED_ON:
            self._send_logout("", now_ns)
        self._end(message.get(58) or "logout")

    # --- what follows from it ---

    def _guarded(self, act: Callable[[Message, int], None], message: Message, now_ns: int) -> None:
        try:
            act(message, now_ns)
        except FieldError as error:
            self._reject_field(message, error, now_ns)

    def _reject_field(self, message: Message, error: FieldError, now_ns: int) -> None:
        self.reject(message, error.reason, error.tag, error.text, now_ns)

    def _fail(self, text: str, now_ns: int) -> None:
        """Tell the peer why with a Logout(5), and end."""
        self._send_logout(text, now_ns)
        self._end(text)

    def _end(self, text: str) -> None:
        if self.state in (State.LOGGED_ON, State.LOGOUT_SENT):
            self._events.append(LoggedOut(text))
        self._step(Step.END)
        self._events.append(Disconnect(text))

    def _step(self, step: Step) -> None:
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            raise LocalProtocolError(f"session {self.name}: {step.name} is not possible in state {self.state.name}")
        self.state = following

    def _advance(self, next_in: int) -> None:
        self.store.next_in = next_in
        self._gap.advance(next_in)

    def _reset(self) -> None:
        self.store.reset()
        self._gap.clear()
        self._events.append(SequenceReset())

    # --- composing ---

    def _send_logon(self, heart_bt_int: int, reset: bool, now_ns: int) -> None:
        flag = "141=Y\x01" if reset else ""
        version = f"1137={APPL_VER_ID[self._version]}\x01" if self.config.begin_string == FIXT else ""
        self._send_admin("A", f"98=0\x01108={heart_bt_int}\x01{flag}{version}", now_ns)

    def _send_logout(self, text: str, now_ns: int) -> None:
        self._send_admin("5", f"58={_one_line(text)}\x01" if text else "", now_ns)

    def _send_admin(self, msg_type: str, fields: str, now_ns: int) -> None:
        number = self.store.next_out
        self.store.next_out = number + 1
        self._put(number, msg_type, fields.encode("latin-1", "replace"), now_ns)

    def _put(self, number: int, msg_type: str, fields: bytes, now_ns: int, resent: bool = False) -> None:
        self._outbox.append(Outgoing(number, msg_type, self._compose(msg_type, number, now_ns, fields), resent))
        self._last_sent_ns = now_ns


def _one_line(text: str) -> str:
    return text.replace("\x01", " ")


# --- which session a connection belongs to ---


class SessionDirectory:
    """The sessions of an acceptor, found by the first Logon(A) on a fresh connection."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions: dict[tuple[str, str, str], Session] = {
            (session.config.begin_string, session.config.target_comp_id, session.config.sender_comp_id): session
            for session in sessions
        }

    @staticmethod
    def identify(frame: bytes) -> tuple[str, str, str]:
        """(BeginString, SenderCompID, TargetCompID) as the message says them."""
        message = parse(frame)
        return message.begin_string, message.sender_comp_id, message.target_comp_id

    def find(self, frame: bytes) -> Session | None:
        """The session that this message claims to belong to; it may be connected already."""
        return self._sessions.get(self.identify(frame))
