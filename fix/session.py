"""One FIX session, either role: who may speak when, with which number, and what follows from what goes wrong.

Sans-I/O, as h11 does it: feed bytes, pull events, take what is to be written. Time is an argument and timers are data.
The session answers for everything administrative; the user sees application messages in order, once. Rules are those
of FIX.4.4 volume 2, "FIX session protocol"; the other versions differ in nothing that is not said here.
"""

from fix.config import SessionConfig
from fix.core import Core
from fix.dictionary import APPL_VER_IDS, FIXT
from fix.directory import SessionDirectory
from fix.events import (
    Disconnect,
    Event,
    Garbled,
    LoggedOn,
    LoggedOut,
    NotResent,
    Outgoing,
    PasswordChanged,
    Received,
    Refusing,
    Rejected,
    SequenceReset,
)
from fix.handshake import begin_period, reset_while_logged_on
from fix.inbound import in_turn, on_message
from fix.message import Message, parse
from fix.states import LOGGED_ON, OVER, TALKING, WAITING, State, Step
from fix.values import NS_PER_S

__all__ = [
    "Disconnect",
    "Event",
    "Garbled",
    "LoggedOn",
    "LoggedOut",
    "NotResent",
    "Outgoing",
    "PasswordChanged",
    "Received",
    "Refusing",
    "Rejected",
    "SequenceReset",
    "Session",
    "SessionConfig",
    "SessionDirectory",
    "State",
]

_TEST_AFTER, _LOST_AFTER = 1.2, 2.4  # heartbeat intervals without a message from the peer


class Session(Core):
    """Bytes, timers and connections in; events and messages out."""

    def is_open(self, now_ns: int) -> bool:
        """Whether a connection makes sense now."""
        schedule = self.config.schedule
        return self.enabled and (schedule is None or schedule.is_open(now_ns))

    # --- the connection ---

    def connected(self, now_ns: int) -> None:
        """A fresh connection: an initiator sends its Logon(A), an acceptor waits for one."""
        config = self.config
        self.step(Step.ACCEPT if config.role == "acceptor" else Step.INITIATE)
        self.last_received_ns = now_ns
        self.deadline_ns = now_ns + int(config.logon_timeout_s * NS_PER_S)
        self.heart_bt_ns = config.heart_bt_int * NS_PER_S
        if not begin_period(self, now_ns):
            self.end("outside the session's time")
        elif config.role == "initiator":
            reset = config.reset_on_logon or self.reset_asked
            if reset:
                self.reset(now_ns)
            self.send_logon(config.heart_bt_int, reset, self.store.next_in, now_ns)
            self.reset_asked = reset

    def disconnected(self, now_ns: int) -> None:
        """The connection is gone. Bytes and messages not yet processed are forgotten; the peer will resend them."""
        if self.state in TALKING:
            self.events.append(LoggedOut("connection lost"))
        if self.state is not State.DISCONNECTED and self.config.reset_on_disconnect:
            self.reset(now_ns)
        self.step(Step.DISCONNECT)
        self.framer = self.new_framer()
        self.garbled_seen = 0
        self.gap.clear()
        self.out.clear()
        self.test_sent = False
        self.queues = False
        self.fault = ""

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes from the peer; pull `next_event` until it returns None afterwards."""
        self.framer.feed(data)

    def next_event(self, now_ns: int) -> Event | None:
        """What happened next, or None when nothing more can happen without another input."""
        events, framer, gap = self.events, self.framer, self.gap
        while not events and self.state not in OVER:
            if gap.held and self.store.next_in in gap.held:
                held = gap.take(self.store.next_in)
                if held is None:
                    self.advance(self.store.next_in + 1, now_ns)
                else:
                    in_turn(self, held, now_ns)
                continue
            if self.throttle is not None and self._must_queue(now_ns):
                break
            raw = framer.next_frame()
            if framer.garbled != self.garbled_seen:
                self.garbled_seen = framer.garbled
                events.append(Garbled(framer.garbled_text))
            if raw is None:
                break
            if self.throttle is not None:
                self.throttle.count(now_ns)
                if self.throttle.is_exceeded and self.config.on_excess == "disconnect":
                    self.fail(f"more than {self.config.max_messages_per_s} messages in a second", now_ns)
                    break
            on_message(self, self._parse(raw), now_ns)
        return events.popleft() if events else None

    def take_outbox(self) -> list[Outgoing]:
        """What is to be written, in order; each message is given once. A long replay comes a burst at a time.

        To be called after each input: it is here that the store writes what the input led to.
        """
        self.store.flush()
        return self.out.take()

    def logout(self, text: str, now_ns: int) -> None:
        """Begin the Logout(5) handshake; messages are still received until the peer confirms or the time is up."""
        if self.state is not LOGGED_ON:
            if self.state in WAITING:
                self.end(text)
            return
        self.out.logout(text, now_ns)
        self.step(Step.LOGOUT)
        self.deadline_ns = now_ns + int(self.config.logout_timeout_s * NS_PER_S)

    # --- timers ---

    def next_timer_ns(self) -> int | None:
        """When `timer` wants to be called next."""
        if self.state in OVER:
            return None
        if self.out.pending_replays:
            return self.last_received_ns  # at once
        due = [self.deadline_ns]
        if self.state is LOGGED_ON:
            due = [at_ns for at_ns in (self.closes_ns, self.resets_ns) if at_ns is not None]
            if self.heart_bt_ns:
                quiet = _LOST_AFTER if self.test_sent else _TEST_AFTER
                due.append(self.out.last_sent_ns + self.heart_bt_ns)
                due.append(self.last_received_ns + int(quiet * self.heart_bt_ns))
        if self.throttle is not None and self.queues:
            due.append(self.throttle.reopens_ns)
        return min(due, default=None)

    @property
    def is_restless(self) -> bool:
        """Whether its timer may be due sooner than it was before the last input. Else traffic only moves it on."""
        return self.state is not LOGGED_ON or self.queues or self.out.pending_replays > 0

    def timer(self, now_ns: int) -> None:
        """Do what is due; pull `next_event` afterwards."""
        match self.state:
            case State.AWAITING_LOGON | State.LOGON_SENT if now_ns >= self.deadline_ns:
                self.end(f"no Logon(A) within {self.config.logon_timeout_s:g} s")
            case State.LOGOUT_SENT if now_ns >= self.deadline_ns:
                self.end(self.fault or f"no Logout(5) within {self.config.logout_timeout_s:g} s")
            case State.LOGGED_ON if self.closes_ns is not None and now_ns >= self.closes_ns:
                self.logout("the session's time is over", now_ns)
            case State.LOGGED_ON:
                if self.resets_ns is not None and now_ns >= self.resets_ns:
                    reset_while_logged_on(self, now_ns)
                if self.heart_bt_ns:
                    self._watch(now_ns)

    def _watch(self, now_ns: int) -> None:
        """Heartbeats, ours and the peer's."""
        quiet_ns = now_ns - self.last_received_ns
        if quiet_ns >= int(_LOST_AFTER * self.heart_bt_ns):
            self.end(f"nothing received for {quiet_ns / NS_PER_S:.1f} s")
            return
        if quiet_ns >= int(_TEST_AFTER * self.heart_bt_ns) and not self.test_sent:
            self.test_sent = True
            self.out.admin("1", "112=TEST\x01", now_ns)
        if now_ns >= self.out.last_sent_ns + self.heart_bt_ns:
            self.out.admin("0", "", now_ns)

    def _must_queue(self, now_ns: int) -> bool:
        """Whether what the peer sends has to wait, because there was too much of it already."""
        assert self.throttle is not None
        self.queues = self.config.on_excess == "queue" and not self.throttle.has_room(now_ns)
        if not self.queues:
            return False
        if self.framer.buffered > 16 * self.config.max_message_bytes:
            self.fail("too many messages wait already", now_ns)
        return True

    def _parse(self, raw: bytes) -> Message:
        message = parse(raw, self.peer_validator.dictionary)
        if self.config.begin_string == FIXT and (appl_ver_id := message.get(1128)) is not None:
            # ApplVerID(1128) overrules the session's default for this message.
            version = APPL_VER_IDS.get(appl_ver_id)
            if version is not None and version != self.peer_version:
                return parse(raw, self.validator(version).dictionary)
        return message
