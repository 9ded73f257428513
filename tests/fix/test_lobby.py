"""Fresh connections: known ones are let in with all their bytes, the others cost little and not for long."""

import pytest

from fix.framing import frame
from fix.lobby import Admitted, Lobby, Refused
from fix.session import Session, SessionConfig, SessionDirectory
from fix.store import MemoryStore
from fix.values import NS_PER_S

LOGON = frame("FIX.4.4", b"35=A\x0134=1\x0149=EMS1\x0156=US\x0152=20240102-14:30:00.000\x0198=0\x01108=30\x01")


def session(client: str = "EMS1") -> Session:
    config = SessionConfig(begin_string="FIX.4.4", sender_comp_id="US", target_comp_id=client, role="acceptor")
    return Session(config, MemoryStore(), 0)


def lobby(*sessions: Session, **limits: int) -> Lobby:
    return Lobby(SessionDirectory(sessions), **limits)


def test_admits_with_all_bytes() -> None:
    known = session()
    hall = lobby(session("EMS2"), known)
    assert hall.connected(1, 0) is None
    assert hall.receive(1, LOGON[:50], 0) is None
    assert 1 in hall
    assert hall.receive(1, LOGON[50:] + b"8=FIX", 0) == Admitted(known, LOGON + b"8=FIX")
    assert 1 not in hall
    assert hall.next_timer_ns() is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (LOGON.replace(b"EMS1", b"EVIL"), "not a FIX message: CheckSum(10)"),
        (
            frame("FIX.4.4", b"35=A\x0149=EVIL\x0156=US\x01"),
            "no session for BeginString(8)=FIX.4.4 SenderCompID(49)=EVIL",
        ),
        (frame("FIX.4.2", b"35=A\x0149=EMS1\x0156=US\x01"), "no session for BeginString(8)=FIX.4.2"),
        (frame("FIX.4.4", b"35=D\x0149=EMS1\x0156=US\x01"), "the first message is MsgType(35)=D, not Logon(A)"),
        (b"GET / HTTP/1.1\r\n", "not a FIX message: no 8=FIX at the start"),
        (b"8=FIX.4.4\x019=5000\x0135=A\x01", "not a FIX message: BodyLength(9)=5000 is above the limit of 4096"),
    ],
)
def test_refuses(data: bytes, text: str) -> None:
    hall = lobby(session())
    hall.connected(1, 0)
    answer = hall.receive(1, data, 0)
    assert isinstance(answer, Refused)
    assert answer.text.startswith(text)
    assert 1 not in hall


def test_refuses_a_second_connection() -> None:
    known = session()
    hall = lobby(known)
    known.connected(0)
    hall.connected(2, 0)
    assert hall.receive(2, LOGON, 0) == Refused("session US->EMS1 is connected already")


def test_deadlines() -> None:
    hall = lobby(session(), timeout_s=10)
    hall.connected(1, 0)
    hall.connected(2, NS_PER_S)
    hall.receive(2, b"8=FIX", 5 * NS_PER_S)  # does not buy time
    hall.connected(3, 2 * NS_PER_S)
    hall.disconnected(3)
    assert hall.next_timer_ns() == 10 * NS_PER_S
    assert hall.expired(10 * NS_PER_S - 1) == []
    assert hall.expired(11 * NS_PER_S) == [1, 2]
    assert hall.next_timer_ns() is None


def test_only_so_many_may_wait() -> None:
    hall = lobby(session(), max_links=2)
    assert [hall.connected(link, 0) for link in (1, 2)] == [None, None]
    assert hall.connected(3, 0) == Refused("2 connections wait for their Logon(A) already")
    hall.disconnected(1)
    assert hall.connected(4, 0) is None
