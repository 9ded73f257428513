"""A small campaign finds nothing; and one over an engine with a planted bug finds it, whatever kind of bug it is.

The whole one is `python -m tests.fix.fuzz --bytes 100_000_000`.
"""

from typing import Any

import pytest

from fix.framing import Framer
from fix.message import Message, parse
from fix.session import Received, Session
from tests.fix.fuzz.__main__ import main
from tests.fix.fuzz.campaign import Campaign
from tests.fix.fuzz.cases import Engine


def test_nothing_is_found() -> None:
    campaign = Campaign(seed=1)
    assert list(campaign.run(1_000_000, 30_000))[-1] >= 1_000_000
    assert not campaign.findings, said(campaign)
    assert {"framer", "decoder", "lobby", "session"} <= campaign.fed.keys()


# --- planted ---


class FramerWaitsForMore(Framer):
    """Ten times as long as it should."""

    def __init__(self, max_message_bytes: int, **options: bool) -> None:
        super().__init__(10 * max_message_bytes, **options)


class FramerCutsAtPieces(Framer):
    """Loses what it holds when a piece ends in the middle of a number."""

    def feed(self, data: bytes) -> None:
        if self.buffered and self._buffer.endswith(b"\x019=1"):
            self._position = len(self._buffer)
        super().feed(data)


def parse_trips(raw: bytes, *more: Any) -> Message:
    if b"=\x01" in raw and b"\xff" in raw:
        raise ZeroDivisionError
    return parse(raw, *more)


leaked: list[bytes] = []


def parse_leaks(raw: bytes, *more: Any) -> Message:
    leaked.append(bytes(100_000))
    return parse(raw, *more)


class SessionTrips(Session):
    def receive(self, data: bytes, now_ns: int) -> None:
        super().receive(data, now_ns)
        if b"\x0135=4\x01" in data and b"\x0136=0\x01" in data:
            raise KeyError("NewSeqNo")


class SessionLeaks(Session):
    def receive(self, data: bytes, now_ns: int) -> None:
        super().receive(data, now_ns)
        self.__dict__.setdefault("leaked", []).append(data)


class SessionGoesDeaf(Session):
    """After the first message beyond a gap."""

    def receive(self, data: bytes, now_ns: int) -> None:
        if not self.gap.held:
            super().receive(data, now_ns)

    def disconnected(self, now_ns: int) -> None:
        held = dict(self.gap.held)
        super().disconnected(now_ns)
        self.gap.held = held


class SessionRepeats(Session):
    """Gives each message with an even number out a second time."""

    again: Any = None

    def next_event(self, now_ns: int) -> Any:
        if self.again is not None:
            event, self.again = self.again, None
            return event
        event = super().next_event(now_ns)
        self.again = event if isinstance(event, Received) and event.message.msg_seq_num % 2 == 0 else None
        return event


PLANTED = [
    ("framer", Engine(framer=FramerWaitsForMore), "bytes held with a limit of"),
    ("framer", Engine(framer=FramerCutsAtPieces), "on how the bytes are cut"),
    ("decoder", Engine(parse=parse_trips), "ZeroDivisionError"),
    ("decoder", Engine(parse=parse_leaks), "the process grew by"),
    ("session", Engine(session=SessionTrips), "KeyError: 'NewSeqNo'"),
    ("session", Engine(session=SessionLeaks), "bytes are kept without a connection"),
    ("session", Engine(session=SessionGoesDeaf), "nobody can log on any more"),
    ("session", Engine(session=SessionRepeats), " delivered after "),
]


@pytest.mark.parametrize(("only", "engine", "says"), PLANTED)
def test_a_planted_bug_is_found(only: str, engine: Engine, says: str) -> None:
    campaign = Campaign(1, engine, only)
    for _ in campaign.run(1_000_000 if only == "decoder" else 5_000_000, 30_000):
        if says in said(campaign):
            break
    leaked.clear()
    assert says in said(campaign)


def said(campaign: Campaign) -> str:
    return "\n".join(finding.text for finding in campaign.findings.values())


def test_from_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--bytes", "1", "--seed", "3"]) == 0
    assert "0 findings" in capfd.readouterr().out
    assert main(["--case", "0", "--seed", "3"]) == 0
