"""A session under noise: in either role, every version, with any configuration, before its logon, in gaps and replays.

What has to hold: no exception, everything held has its bound, what it says is always right, what it delivers comes in
order and once, no timer fires for ever; and when the noise is over a correct peer goes on, or has been cut off and logs
on anew.
"""

import gc
import random
import sys
from contextlib import suppress
from datetime import time
from types import FunctionType, MethodType, ModuleType

from domain.fields import Side
from fix.credentials import Credential, hash_password
from fix.dictionary import SUPPORTED, Dictionary
from fix.errors import BusinessRejectReason, LocalProtocolError, SessionRejectReason
from fix.events import Outgoing
from fix.framing import Framer
from fix.message import Message, parse
from fix.messages import OrderStatusRequest
from fix.schedule import Schedule
from fix.session import (
    Disconnect,
    Event,
    LoggedOn,
    LoggedOut,
    PasswordChanged,
    Received,
    SequenceReset,
    SessionConfig,
    State,
)
from fix.store import MemoryStore
from fix.validation import FULL, Validator
from fix.values import NS_PER_S, write_timestamp
from tests.fix.fuzz.cases import Engine, right, rules, spoiled
from tests.fix.fuzz.corpus import Fields, addressed, begin_string_of, framed, known_as
from tests.fix.fuzz.mutation import mutated, pieces
from tests.fix.scripting import START_NS

KEPT, HELD, PENDING = 50, 16, 2
IDLE_BYTES = 60_000  # of a session without a connection, its store and rules apart
PASSWORD = Credential("peer", hash_password("secret", b"some salt or other"))
HOURS = Schedule(start=time(0), end=time(23))
RESETTING = Schedule(reset_at=time(15))
WITHOUT_BUSINESS_REJECT = ("FIX.4.0", "FIX.4.1")
WITHOUT_USERNAMES = ("FIX.4.0", "FIX.4.1", "FIX.4.2")


def session_case(engine: Engine, rng: random.Random, size: int) -> int:
    talk = Talk(engine, rng)
    talk.connect()
    while talk.fed < size:
        talk.noise()
    talk.goes_on()
    talk.logs_on_anew()
    return talk.fed


def configuration(version: str, rng: random.Random) -> SessionConfig:
    def maybe() -> bool:
        return rng.random() < 0.3

    return SessionConfig(
        begin_string=begin_string_of(version),
        sender_comp_id="US",
        target_comp_id="THEM",
        role=rng.choice(("acceptor", "initiator")),
        default_appl_ver_id=version if version.startswith("FIX.5") else "",
        heart_bt_int=rng.choice((0, 1, 30, 30)),
        schedule=rng.choice((None, None, None, HOURS, RESETTING)),
        validation=rules(rng),
        reset_on_logon=maybe(),
        reset_on_logout=maybe(),
        reset_on_disconnect=maybe(),
        next_expected_msg_seq_num=maybe(),
        last_msg_seq_num_processed=maybe(),
        resend_app=not maybe(),
        resend_request_size=rng.choice((0, 0, 3)),
        resend_burst=rng.choice((2, 1000)),
        max_pending_resends=PENDING,
        credentials=(PASSWORD,) if maybe() and version not in WITHOUT_USERNAMES else (),
        max_message_bytes=rng.choice((1024, 4096, 65536)),
        announce_max_message_size=maybe(),
        max_held_messages=HELD,
        max_messages_per_s=rng.choice((0, 0, 5)),
        on_excess=rng.choice(("queue", "reject", "disconnect")),
        sending_time_tolerance_s=rng.choice((0, 120)),
        time_digits=rng.choice((None, None, 0, 3, 6, 9, 12)),
    )


class Talk:
    """`fed`: bytes that came in so far."""

    def __init__(self, engine: Engine, rng: random.Random) -> None:
        self.rng = rng
        self.fed = 0
        self.version = rng.choice(SUPPORTED)
        self.config = configuration(self.version, rng)
        self.store = MemoryStore(KEPT)
        self.session = engine.session(self.config, self.store, START_NS)
        self.now_ns = START_NS
        self.is_logged_on = False
        self.is_over = False  # Disconnect was given out
        self.last_received = 0
        self.last_sent = 0
        self.resets = 1  # how often the numbers of what is sent may begin again
        self.answers: list[Message] = []  # what the session said since they were last cleared
        self.out_rules = Validator(FULL, known_as(self.version))

    @property
    def time(self) -> str:
        return write_timestamp(self.now_ns)[:17]

    # --- noise ---

    def noise(self) -> None:
        """One thing that may happen."""
        rng = self.rng
        way = rng.random()
        if self.is_over or way < 0.003:
            self.hang_up()
            self.connect()
            if rng.random() < 0.9:
                self.hear(framed(self.version, [*self.logon(), *rng.sample(_TERMS, rng.choice((0, 0, 1)))]))
        elif way < 0.05:
            self.pass_time(rng.choice((10**6, NS_PER_S, 40 * NS_PER_S)))
        elif way < 0.1:
            self.say()
        elif way < 0.13:
            self.hear(mutated(self.version, [*self.logon(), rng.choice(_TERMS)], rng))
        elif way < 0.3:
            self.hear(framed(self.version, right(self.version, rng, self.number(), self.time)))
        else:
            self.hear(spoiled(self.version, rng, self.number(), self.time))

    def number(self) -> int:
        """Mostly the one that is due; or one beyond a gap, or of the past."""
        due = self.store.next_in
        return self.rng.choice((due, due, due, due, due, due + 1, due + 3, due + 40, max(due - 1, 1), 1, 10**14))

    def say(self) -> None:
        """The user's part, at any time."""
        try:
            self.session.send(OrderStatusRequest(cl_ord_id="A", symbol="X", side=Side.BUY), self.now_ns)
        except LocalProtocolError as error:
            assert "MaxMessageSize(383)" in str(error), error
        self.work()

    def answer(self, message: Message) -> None:
        """What a user may do with a message that it gets."""
        way = self.rng.random()
        with suppress(LocalProtocolError):  # larger than the peer takes
            if way < 0.2 and self.version not in WITHOUT_BUSINESS_REJECT:
                self.session.business_reject(message, BusinessRejectReason.UNKNOWN_ID, "no", self.now_ns)
            elif way < 0.4:
                self.session.reject(message, SessionRejectReason.OTHER, 58, "no", self.now_ns)
            elif way < 0.5:
                status = OrderStatusRequest(cl_ord_id="A", symbol="X", side=Side.BUY)
                self.session.send(status, self.now_ns, message)

    # --- the connection ---

    def connect(self) -> None:
        if not self.session.is_open(self.now_ns):
            assert self.config.schedule is not None
            self.now_ns = self.config.schedule.next_start_ns(self.now_ns) or self.now_ns
        self.session.connected(self.now_ns)
        self.is_over = False
        self.work()

    def hang_up(self) -> None:
        self.session.disconnected(self.now_ns)
        self.work()
        assert not self.is_logged_on, "LoggedOn without LoggedOut"
        assert self.session.state is State.DISCONNECTED
        assert self.session.next_timer_ns() is None
        size = deep_size(self.session)
        assert size < IDLE_BYTES, f"{size} bytes are kept without a connection"

    def logon(self) -> Fields:
        """A right one: with the number that is due, or from the beginning where ours began there."""
        resets = self.session.reset_asked
        fields = [("35", "A"), ("98", "0"), ("108", "30")]
        fields += [("141", "Y")] if resets and self.version != "FIX.4.0" else []
        fields += [("553", PASSWORD.username), ("554", "secret")] if self.config.credentials else []
        fields += [("1137", "9")] if self.version.startswith("FIX.5") else []
        return addressed(fields, 1 if resets else self.store.next_in, self.time, [])

    def hear(self, data: bytes) -> None:
        for piece in pieces(data, self.rng) if data else ():
            if self.is_over:
                return  # nobody reads any more
            self.fed += len(piece)
            self.session.receive(piece, self.now_ns)
            self.work()

    def pass_time(self, ns: int) -> None:
        until_ns = self.now_ns + ns
        for _ in range(1000):
            due_ns = self.session.next_timer_ns()
            if due_ns is None or due_ns > until_ns:
                break
            self.now_ns = max(self.now_ns, due_ns)
            self.session.timer(self.now_ns)
            self.work()
        else:
            raise AssertionError(f"a timer of {due_ns} fires again and again at {self.now_ns}")
        self.now_ns = until_ns

    # --- what comes out ---

    def work(self) -> None:
        session = self.session
        for _ in range(10_000):
            event = session.next_event(self.now_ns)
            if event is None:
                break
            self.note(event)
        else:
            raise AssertionError("events without an end")
        for outgoing in session.take_outbox():
            self.check(outgoing)
        framer, config = session.framer, self.config
        most = (16 if config.on_excess == "queue" else 2) * config.max_message_bytes + 70_000
        assert framer.buffered < most, f"{framer.buffered} bytes wait in the framer"
        assert len(session.gap.held) <= HELD
        assert session.out.pending_replays <= PENDING
        assert len(self.store._sent) <= KEPT

    def note(self, event: Event) -> None:
        match event:
            case Received(message):
                number = message.msg_seq_num
                assert self.is_logged_on, "a message outside the session"
                assert number > self.last_received or self.config.schedule, (
                    f"{number} delivered after {self.last_received}"
                )
                self.last_received = number
                self.answer(message)
            case SequenceReset():
                self.last_received = 0
                self.resets += 1
            case LoggedOn():
                assert not self.is_logged_on
                self.is_logged_on = True
            case LoggedOut():
                assert self.is_logged_on
                self.is_logged_on = False
            case PasswordChanged():
                self.session.credentials = (PASSWORD,)
            case Disconnect():
                self.is_over = True

    def check(self, outgoing: Outgoing) -> None:
        """Whatever was said to us, what we say is right."""
        raw = outgoing.raw
        framer = Framer(1 << 20)
        framer.feed(raw)
        assert framer.next_frame() == raw, f"no frame: {raw!r}"
        message = parse(raw, self.out_rules.dictionary)
        number = message.msg_seq_num
        assert number == outgoing.msg_seq_num
        fault = self.out_rules.fault(message)
        assert fault is None, f"{fault}: {raw!r}"
        if not outgoing.resent:
            if number <= self.last_sent:
                assert self.resets, f"{number} sent after {self.last_sent}"
                self.resets -= 1
            self.last_sent = number
        self.answers.append(message)
        del self.answers[:-20]

    # --- after the noise ---

    def goes_on(self) -> None:
        """A correct peer is answered in the end, or cut off, or has to hang up where there are no heartbeats."""
        watched = 0 < self.session.heart_bt_ns <= 60 * NS_PER_S
        for attempt in range(40):
            if self.is_over or self.is_answered(f"STILL{attempt}"):
                return
            self.pass_time(5 * NS_PER_S)
        assert not watched, f"stuck in {self.session.state} with {self.session.framer.buffered} bytes"

    def is_answered(self, test_req_id: str) -> bool:
        self.answers.clear()
        self.whole([("35", "1"), ("112", test_req_id)])
        self.pass_time(NS_PER_S)  # for what waits for its turn
        return any(message.get(112) == test_req_id for message in self.answers)

    def whole(self, fields: Fields) -> None:
        if not self.is_over:
            data = framed(self.version, addressed(fields, self.store.next_in, self.time, []))
            self.fed += len(data)
            self.session.receive(data, self.now_ns)
            self.work()

    def logs_on_anew(self) -> None:
        self.hang_up()
        self.now_ns += 60 * NS_PER_S
        self.connect()
        logon = framed(self.version, self.logon())
        self.session.receive(logon, self.now_ns)
        self.work()
        assert self.is_logged_on, (
            f"nobody can log on any more: {logon!r} was answered {[message.raw for message in self.answers[-2:]]}"
        )
        assert self.is_answered("ANEW"), f"logged on, but silent: {[message.raw for message in self.answers[-3:]]}"
        self.whole([("35", "5")])
        assert self.is_over, "a Logout(5) does not end it"
        self.hang_up()


# What a Logon(A) may also ask for.
_TERMS = (
    ("383", "100"),
    ("383", "300"),
    ("789", "1"),
    ("789", "5"),
    ("141", "Y"),
    ("925", "new"),
    ("464", "Y"),
    ("58", "x"),
)
_SHARED = (Dictionary, Validator, SessionConfig, MemoryStore, type, ModuleType, FunctionType, MethodType)


def deep_size(root: object) -> int:
    """Bytes of all that belongs to it alone."""
    seen: set[int] = set()
    size, waiting = 0, [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, _SHARED):
            continue
        seen.add(id(found))
        size += sys.getsizeof(found)
        waiting += gc.get_referents(found)
    return size
