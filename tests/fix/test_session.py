"""Two sessions back to back over a network that loses, cuts and repeats; and bytes that no honest peer would send."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fields import Side
from fix.errors import BusinessRejectReason, LocalProtocolError, SessionRejectReason
from fix.framing import frame
from fix.message import parse
from fix.messages import BusinessMessageReject, OrderStatusRequest, decode
from fix.session import (
    Disconnect,
    Event,
    LoggedOn,
    LoggedOut,
    Received,
    Rejected,
    Session,
    SessionConfig,
    SessionDirectory,
    State,
)
from fix.store import MemoryStore
from fix.values import NS_PER_S

START_NS = 1_704_205_800 * NS_PER_S


def config(role: str, begin_string: str = "FIX.4.4", **changes: object) -> SessionConfig:
    """The two roles of one session: "US" accepts, "THEM" connects."""
    ours, theirs = ("US", "THEM") if role == "acceptor" else ("THEM", "US")
    return SessionConfig(begin_string=begin_string, sender_comp_id=ours, target_comp_id=theirs, role=role, **changes)


@dataclass
class Half:
    session: Session
    events: list[Event] = field(default_factory=list)

    @property
    def received(self) -> list[str]:
        """ClOrdID(11) of each message, in order."""
        return [event.message.get(11) for event in self.events if isinstance(event, Received)]


class Pair:
    """An acceptor and an initiator and what is on the way between them."""

    def __init__(self, begin_string: str = "FIX.4.4", **changes: object) -> None:
        self.now_ns = START_NS
        self.sides = [
            Half(Session(config(role, begin_string, **changes), MemoryStore(), START_NS))
            for role in ("acceptor", "initiator")
        ]
        self.acceptor, self.initiator = self.sides
        self.sent = 0

    def connect(self) -> None:
        for side in self.sides:
            side.session.connected(self.now_ns)
        self.flow()

    def cut(self) -> None:
        for side in self.sides:
            side.session.take_outbox()
            side.session.disconnected(self.now_ns)
            self._collect(side)

    def flow(self, lost: frozenset[int] | set[int] = frozenset()) -> None:
        """Deliver until nobody has anything to say; `lost`: which messages arrive garbled, counted from here."""
        count, moved = 0, True
        while moved:
            moved = False
            for side, peer in ((self.acceptor, self.initiator), (self.initiator, self.acceptor)):
                for outgoing in side.session.take_outbox():
                    raw = outgoing.raw
                    if count in lost:
                        raw = raw[:-2] + b"x\x01"
                    count += 1
                    peer.session.receive(raw, self.now_ns)
                    moved = True
                self._collect(peer)

    def send(self, side: Half) -> None:
        self.sent += 1
        side.session.send(OrderStatusRequest(cl_ord_id=f"A{self.sent}", symbol="X", side=Side.BUY), self.now_ns)

    def pass_time(self, seconds: float) -> None:
        until_ns = self.now_ns + int(seconds * NS_PER_S)
        while due := [t for side in self.sides if (t := side.session.next_timer_ns()) is not None and t <= until_ns]:
            self.now_ns = max(self.now_ns, min(due))
            for side in self.sides:
                side.session.timer(self.now_ns)
                self._collect(side)
            self.flow()
        self.now_ns = until_ns

    def _collect(self, side: Half) -> None:
        while (event := side.session.next_event(self.now_ns)) is not None:
            side.events.append(event)


@pytest.mark.parametrize("begin_string", ["FIX.4.2", "FIX.4.4"])
def test_a_day(begin_string: str) -> None:
    pair = Pair(begin_string)
    pair.connect()
    for _ in range(3):
        pair.send(pair.initiator)
        pair.send(pair.acceptor)
    pair.flow()
    pair.pass_time(3600)
    assert all(side.session.is_logged_on for side in pair.sides)
    pair.initiator.session.logout("end of day", pair.now_ns)
    pair.flow()
    assert pair.acceptor.received == ["A1", "A3", "A5"]
    assert pair.initiator.received == ["A2", "A4", "A6"]
    assert [event for event in pair.acceptor.events if not isinstance(event, Received)] == [
        LoggedOn(),
        LoggedOut("end of day"),
        Disconnect("end of day"),
    ]
    first, second = (side.session.store for side in pair.sides)
    assert (first.next_in, first.next_out) == (second.next_out, second.next_in)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_everything_arrives_once_and_in_order(seed: int) -> None:
    """Garbled messages, lost connections, messages sent while nobody listens: nothing is lost, doubled or reordered."""
    random = Random(seed)
    pair = Pair(max_held_messages=random.choice([0, 1, 3, 1000]))
    sent: list[list[str]] = [[], []]
    connected = False
    for _ in range(random.randrange(30)):
        match random.randrange(6):
            case 0 if connected:
                pair.cut()
                connected = False
            case 1 if not connected:
                pair.connect()
                connected = True
            case 2:
                pair.pass_time(random.choice([0.5, 10, 40]))
            case _:
                for _ in range(random.randrange(1, 5)):
                    index = random.randrange(2)
                    pair.send(pair.sides[index])
                    sent[index].append(f"A{pair.sent}")
                if connected:
                    pair.flow({random.randrange(6) for _ in range(random.randrange(3))})
        connected = connected and all(side.session.state is State.LOGGED_ON for side in pair.sides)
        if not connected:
            pair.cut()
    # Faults stop, and both sides must agree.
    pair.cut()
    pair.connect()
    pair.pass_time(200)
    assert all(side.session.is_logged_on for side in pair.sides)
    assert pair.acceptor.received == sent[1]
    assert pair.initiator.received == sent[0]
    for side in pair.sides:
        on = sum(isinstance(event, LoggedOn) for event in side.events)
        off = sum(isinstance(event, LoggedOut) for event in side.events)
        assert on == off + 1


def test_orders_are_gap_filled() -> None:
    """A gap fill also covers what was sent after the lost order and waits beyond the gap: its sender gave it up."""
    pair = Pair(resend_app=False)
    pair.connect()
    for lost in ({0}, set(), set()):
        pair.send(pair.initiator)
        pair.flow(lost)
    assert pair.acceptor.received == ["A3"]
    assert list(pair.initiator.session.store.sent(1, 100)) == []


def test_numbers_live_in_the_store() -> None:
    pair = Pair()
    pair.connect()
    pair.send(pair.initiator)
    pair.flow()
    pair.cut()
    for side in pair.sides:
        side.session = Session(side.session.config, side.session.store, pair.now_ns)
    pair.send(pair.initiator)  # before the connection is back
    pair.connect()
    assert pair.acceptor.received == ["A1", "A2"]


def test_business_reject_and_reject() -> None:
    pair = Pair()
    pair.connect()
    pair.send(pair.initiator)
    pair.flow()
    message = next(event.message for event in pair.acceptor.events if isinstance(event, Received))
    reason = BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE
    pair.acceptor.session.business_reject(message, reason, "not here\x01", pair.now_ns, ref_id="A1")
    pair.acceptor.session.reject(message, SessionRejectReason.VALUE_INCORRECT, 55, "no X", pair.now_ns)
    pair.flow()
    business, session = pair.initiator.events[-2:]
    assert isinstance(business, Received)
    assert decode(business.message) == BusinessMessageReject(
        ref_msg_type="H", business_reject_reason=3, ref_seq_num=2, business_reject_ref_id="A1", text="not here "
    )
    assert isinstance(session, Rejected)
    assert (session.ref_seq_num, session.text, session.message.get(371)) == (2, "no X", "55")


def test_one_connection_at_a_time() -> None:
    pair = Pair()
    pair.connect()
    with pytest.raises(LocalProtocolError, match="ACCEPT is not possible in state LOGGED_ON"):
        pair.acceptor.session.connected(pair.now_ns)


def test_outgoing_is_what_goes_on_the_wire() -> None:
    pair = Pair()
    session = pair.initiator.session
    waiting = session.send(OrderStatusRequest(cl_ord_id="A1", symbol="X", side=Side.BUY), pair.now_ns)
    assert (waiting.msg_seq_num, waiting.msg_type, waiting.resent) == (1, "H", False)
    assert session.take_outbox() == []
    assert list(session.store.sent(1, 1)) == [(1, "H", waiting.raw)]
    pair.connect()
    sent = session.send(OrderStatusRequest(cl_ord_id="A2", symbol="X", side=Side.BUY), pair.now_ns)
    assert session.take_outbox() == [sent]


def test_directory_finds_the_session_of_a_logon() -> None:
    session = Session(config("acceptor"), MemoryStore(), START_NS)
    directory = SessionDirectory([session])
    logon = frame("FIX.4.4", b"35=A\x0134=1\x0149=THEM\x0156=US\x01")
    assert directory.identify(logon) == ("FIX.4.4", "THEM", "US")
    assert directory.find(logon) is session
    assert directory.find(logon.replace(b"49=THEM", b"49=EVIL")) is None
    assert directory.find(frame("FIX.4.2", b"35=A\x0134=1\x0149=THEM\x0156=US\x01")) is None


# --- what no honest peer would send ---

ODD_FIELDS = (
    "34=2 34=3 34=0 34=x 34=99 49=THEM 49=EVIL 56=US 52=20240102-14:30:00 52=never 43=Y 7=1 7=0 16=0 16=-1 36=2 36=9 "
    "36=x 123=Y 112=T 141=Y 98=0 98=1 108=30 108= 122=20240102-14:29:00 122=x 45=1 58=t=t 58=\xff = x 95=3 96=a 268=1"
)
FIELDS = st.sampled_from(ODD_FIELDS.split(" "))
HEADER = ["49=THEM", "56=US", "52=20240102-14:30:00"]


@given(st.data())
@settings(max_examples=300)
def test_nothing_that_comes_in_raises(data: st.DataObject) -> None:
    role = data.draw(st.sampled_from(["acceptor", "initiator"]))
    settings = SessionConfig(begin_string="FIX.4.4", sender_comp_id="US", target_comp_id="THEM", role=role)
    session = Session(settings, MemoryStore(), START_NS)
    session.connected(START_NS)
    expected = 1
    for step in range(data.draw(st.integers(1, 8))):
        msg_type = "A" if step == 0 and data.draw(st.booleans()) else data.draw(st.sampled_from("012345ADXzU"))
        extra = data.draw(st.lists(FIELDS, max_size=6))
        fields = [*HEADER, f"34={expected}", *extra] if data.draw(st.booleans()) else extra
        if msg_type == "A" and step == 0:
            fields = [*HEADER, "34=1", "98=0", "108=30"]
        body = "".join(f"{text}\x01" for text in [f"35={msg_type}", *fields]).encode("latin-1")
        raw = bytearray(frame("FIX.4.4", body))
        if data.draw(st.integers(0, 9)) == 0:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        session.receive(bytes(raw), START_NS)
        while session.next_event(START_NS) is not None:
            pass
        expected = session.store.next_in
        for outgoing in session.take_outbox():
            assert parse(outgoing.raw).defect is None, outgoing.raw
        if (due_ns := session.next_timer_ns()) is not None and data.draw(st.booleans()):
            session.timer(due_ns)
    assert session.store.next_in >= 1


@given(st.binary(max_size=300))
def test_random_bytes_end_in_a_deadline(data: bytes) -> None:
    session = Session(config("acceptor"), MemoryStore(), START_NS)
    session.connected(START_NS)
    session.receive(data, START_NS)
    while session.next_event(START_NS) is not None:
        pass
    assert session.next_timer_ns() == START_NS + 10 * NS_PER_S
    session.timer(START_NS + 10 * NS_PER_S)
    assert session.next_event(START_NS) == Disconnect("no Logon(A) within 10 s")


def test_a_message_without_a_typed_form_goes_out_as_given_and_is_resent() -> None:
    session = Session(config("acceptor"), MemoryStore(), 0)
    sent = session.send_fields("U1", [("97", "Y"), ("5001", "caf\xe9"), ("58", "a=b"), ("58", "")], 0)
    assert sent.raw.split(b"\x01")[7:-2] == [b"97=Y", b"5001=caf\xe9", b"58=a=b", b"58="]
    assert (sent.msg_seq_num, session.store.next_out) == (1, 2)
    assert list(session.store.sent(1, 1)) == [(1, "U1", sent.raw)]
