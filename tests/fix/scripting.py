"""Runs conformance scripts: what goes in and comes out of one session, line by line, at virtual time.

    # comment
    roles acceptor                 only this role (both, where the line is missing)
    versions FIX.4.4 ...           only these versions (all, where the line is missing)
    config name=value ...          SessionConfig, other than the default; validation=full and single rules
    store next_in=5 next_out=7     numbers at the start
    connect, disconnect            the connection
    logon                          connect and exchange Logon(A)s with HeartBtInt(108)=30; no lines to expect
    @ 36.5                         time passes until that many seconds after the start; timers fire on the way
    > 35=1|34=2|112=HELLO          from the peer; header fields that aren't given are filled in; ORDER stands for the
                                   body of a good NewOrderSingle(D)
    >garbled 35=0|34=2             the same with a wrong CheckSum(10)
    >bytes text                    raw bytes, with | for SOH
    send A1                        the user sends OrderStatusRequest(H) with this ClOrdID(11)
    send! A1                       the same, which the session refuses
    hold, release                  nothing of what is to be sent is taken; and again
    logout text                    the user asks for a logout
    < 35=0|34=2|112=HELLO          the next message to the peer: all fields but 8, 9, 10, 49, 52, 56, in order
    ! Received D                   the next event, with MsgType(35) or text

Lines are written for FIX.4.4; what an older version has no field or code for is taken out of the lines expected, and
FIXT.1.1 has a DefaultApplVerID(1137) in each Logon(A). Everything that comes out must be expected before the next thing
goes in.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.fields import Side
from fix.credentials import Credential, hash_password
from fix.dictionary import FIXT, SUPPORTED
from fix.errors import LocalProtocolError
from fix.framing import frame
from fix.message import parse
from fix.messages import OrderStatusRequest
from fix.schedule import Schedule
from fix.session import (
    Disconnect,
    Event,
    Garbled,
    LoggedOut,
    Outgoing,
    PasswordChanged,
    Received,
    Refusing,
    Rejected,
    Session,
    SessionConfig,
)
from fix.store import MemoryStore
from fix.validation import FULL, Validation
from fix.values import NS_PER_S, write_timestamp

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
START_NS = 1_704_205_800 * NS_PER_S  # 2024-01-02 14:30:00 UTC
_NOT_COMPARED = {"8", "9", "10", "49", "52", "56", "1137"}
# What older versions don't have of a Reject(3), and how they ask for an open-ended resend.
_OLD = ("FIX.4.0", "FIX.4.1")
_NO_REJECT_FIELDS = re.compile(r"\|(371|372|373)=[^|]*")
_NO_REASONS = re.compile(r"\|373=(1[2-9]|99)(?=\|)")


def runs_of(script: Path) -> list[tuple[str, str]]:
    """The (BeginString, role)s that a script is for."""
    first_words = {line.split()[0]: line.split()[1:] for line in script.read_text().splitlines() if line.strip()}
    versions = first_words.get("versions", list(SUPPORTED))
    return [(version, role) for version in versions for role in first_words.get("roles", ["acceptor", "initiator"])]


class Script:
    """One run of a script. `byte_by_byte`: each message of the peer arrives in pieces of one byte."""

    def __init__(self, begin_string: str, role: str, byte_by_byte: bool) -> None:
        self._settings: dict[str, Any] = {
            "begin_string": FIXT if begin_string.startswith("FIX.5") else begin_string,
            "sender_comp_id": "US",
            "target_comp_id": "THEM",
            "role": role,
        }
        self._version = begin_string
        if begin_string.startswith("FIX.5"):
            self._settings["default_appl_ver_id"] = begin_string
        self._byte_by_byte = byte_by_byte
        self._now_ns = START_NS
        self._holds = False  # nothing of what is to be sent is taken
        self._store = MemoryStore()
        self._session: Session | None = None
        self._sent: list[str] = []
        self._events: list[str] = []

    @property
    def session(self) -> Session:
        if self._session is None:
            config = msgspec.convert(self._settings, SessionConfig, strict=False)
            self._session = Session(config, self._store, self._now_ns)
        return self._session

    def run(self, text: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            command, _, rest = line.partition(" ")
            if command in ("", "roles", "versions") or line.startswith("#"):
                continue
            try:
                self._line(command, rest.strip())
            except AssertionError as error:
                raise AssertionError(f"line {number}: {line}\n{error}") from None
        self._nothing_left()

    def _line(self, command: str, rest: str) -> None:
        if command == "<":
            self._expect(self._sent, rest, "nothing was sent")
            return
        if command == "!":
            self._expect(self._events, rest, "nothing happened")
            return
        self._nothing_left()
        match command:
            case "config":
                self._configure(dict(pair.split("=") for pair in rest.split()))
            case "store":
                for pair in rest.split():
                    name, value = pair.split("=")
                    setattr(self._store, name, int(value))
            case "connect":
                self.session.connected(self._now_ns)
            case "disconnect":
                self.session.disconnected(self._now_ns)
            case "logon":
                self._logon()
            case "@":
                self._pass_time(START_NS + int(float(rest) * NS_PER_S))
            case ">":
                self._receive(self._framed(rest))
            case ">garbled":
                raw = self._framed(rest)
                self._receive(raw[:-4] + b"%03d\x01" % ((int(raw[-4:-1]) + 1) % 256))
            case ">bytes":
                self._receive(
                    rest.replace("VERSION", self._settings["begin_string"]).replace("|", "\x01").encode("latin-1")
                )
            case "send":
                self.session.send(OrderStatusRequest(cl_ord_id=rest, symbol="X", side=Side.BUY), self._now_ns)
            case "send!":
                with pytest.raises(LocalProtocolError):
                    self._line("send", rest)
            case "hold":
                self._holds = True
            case "release":
                self._holds = False
            case "logout":
                self.session.logout(rest, self._now_ns)
            case _:
                raise AssertionError(f"no such command: {command}")
        self._collect()

    def _configure(self, settings: dict[str, str]) -> None:
        if (text := settings.pop("credential", "")) != "":
            username, password = text.split(":")
            self._settings["credentials"] = [Credential(username, hash_password(password, b"some salt or other"))]
        for name in ("schedule", "reset_at"):
            if (text := settings.pop(name, "")) != "":
                times, zone = text.split("@")
                start, _, end = (f"{time}:00" for time in times.partition("-"))
                when = {"start": start, "end": end} if name == "schedule" else {"reset_at": start}
                self._settings["schedule"] = msgspec.convert({**when, "zone": zone}, Schedule)
        if settings.pop("validation", "") == "full":
            rules = {name: value == "true" for name, value in settings.items() if name in Validation.__struct_fields__}
            self._settings["validation"] = msgspec.structs.replace(FULL, **rules)
            settings = {name: value for name, value in settings.items() if name not in rules}
        self._settings |= settings

    def _expect(self, found: list[str], expected: str, otherwise: str) -> None:
        assert found, otherwise
        actual = found.pop(0)
        expected = expected.replace("VERSION", self._settings["begin_string"])
        if self._version in _OLD:
            expected = re.sub(r"(35=2\|.*16=)0$", r"\g<1>999999", expected)
            expected = re.sub(r"(\|122=\d{8}-\d\d:\d\d:\d\d)\.000", r"\1", expected)
        if self._version == "FIX.4.0" and expected.startswith("35=A|"):
            expected = expected.replace("|141=Y", "")
        if expected.startswith("35=3|"):
            if self._version in _OLD and "validation" in self._settings:
                # What RefTagID(371) can't say is in the text.
                expected = re.sub(r"(\|371=)([^|]*)(.*)", r"\1\2\3 (\2)", expected)
            expected = _NO_REJECT_FIELDS.sub("", expected) if self._version in _OLD else expected
            expected = _NO_REASONS.sub("", expected) if self._version == "FIX.4.2" else expected
        assert actual == expected, f"it was {actual}"

    def _logon(self) -> None:
        self.session.connected(self._now_ns)
        self._receive(self._framed("35=A|34=1|98=0|108=30"))
        self._collect()
        assert self._sent == ["35=A|34=1|98=0|108=30"]
        assert self._events == ["LoggedOn"]
        self._sent, self._events = [], []

    def _framed(self, text: str) -> bytes:
        """A whole message of the peer. A field given as NONE is left out, to see what a missing field does."""
        transact_time = "1=NO-TIME" if self._version in _OLD else "60=20240102-14:30:00"
        text = text.replace("TRANSACT_TIME", transact_time)
        text = text.replace("ORDER", f"11=ID|21=3|55=INTC|54=1|38=100|40=1|{transact_time}")
        given = dict(field.partition("=")[::2] for field in text.split("|"))
        defaults = {"49": "THEM", "56": "US", "52": write_timestamp(self._now_ns)}
        if given["35"] == "A" and "1137" not in given and self._settings["begin_string"] == FIXT:
            text += "|1137=9"
        fields = [field for field in text.split("|") if not field.startswith("8=") and not field.endswith("=NONE")]
        fields[1:1] = [f"{tag}={value}" for tag, value in defaults.items() if tag not in given]
        return frame(given.get("8", self._settings["begin_string"]), ("\x01".join(fields) + "\x01").encode("latin-1"))

    def _receive(self, data: bytes) -> None:
        pieces = [data[index : index + 1] for index in range(len(data))] if self._byte_by_byte else [data]
        for piece in pieces:
            self.session.receive(piece, self._now_ns)
            self._collect()

    def _pass_time(self, until_ns: int) -> None:
        while (due_ns := self.session.next_timer_ns()) is not None and due_ns <= until_ns:
            self._now_ns = max(self._now_ns, due_ns)
            self.session.timer(self._now_ns)
            self._collect()
            assert self.session.next_timer_ns() != due_ns, "the timer fires again and again"
        self._now_ns = until_ns

    def _collect(self) -> None:
        while (event := self.session.next_event(self._now_ns)) is not None:
            if not isinstance(event, Refusing):  # the Reject(3) says it
                self._events.append(_event_text(event))
        outbox: list[Outgoing] = []
        while not self._holds and (more := self.session.take_outbox()):
            outbox += more
        for outgoing in outbox:
            message = parse(outgoing.raw)
            fields = zip(message.tags, message.values, strict=True)
            self._sent.append("|".join(f"{tag}={value}" for tag, value in fields if tag not in _NOT_COMPARED))

    def _nothing_left(self) -> None:
        assert not self._sent, f"also sent: {self._sent}"
        assert not self._events, f"also happened: {self._events}"


def _event_text(event: Event) -> str:
    name = type(event).__name__
    match event:
        case Received(message):
            return f"{name} {message.msg_type} {message.msg_seq_num}"
        case Rejected(_, ref_seq_num, text):
            return f"{name} {ref_seq_num} {text}".strip()
        case Garbled(text):
            return f"{name} {re.sub('[0-9]{3}', 'NNN', text)}"  # the versions' checksums differ
        case PasswordChanged(username):
            return f"{name} {username}"
        case LoggedOut(text) | Disconnect(text):
            return f"{name} {text}"
    return name
