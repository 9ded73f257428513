"""Our sessions against the C++ engine over sockets, in both roles: whatever happens, it never rejects what we say."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fix import tcp
from fix.dictionary import FIXT, SUPPORTED
from fix.endpoint import Endpoint, Link, Output
from fix.session import Received, Session, SessionConfig
from fix.store import MemoryStore
from service.echo import Echo
from tests.interop.quickfix_peer import Fields, Peer, running

OLD = ("FIX.4.0", "FIX.4.1")
COUNT, GAP = 1000, 5


def order(version: str, cl_ord_id: object) -> Fields:
    fields = [(11, cl_ord_id), (21, 1), (55, "X"), (54, 1), (38, 100), (40, 1)]
    return fields if version in OLD else [*fields, (60, "20240102-14:30:00")]


def session(version: str, role: str, **more: Any) -> SessionConfig:
    """Ours; FIX.4.0 has no ResetSeqNumFlag(141): there both sides know that a Logon(A) with number 1 resets."""
    named = {"sender_comp_id": "US", "target_comp_id": "THEM", "role": role}
    if version.startswith("FIX.5"):
        return SessionConfig(begin_string=FIXT, default_appl_ver_id=version, **named, **more)  # type: ignore[arg-type]
    return SessionConfig(begin_string=version, **named, **more)  # type: ignore[arg-type]


def reset_flag(version: str) -> str | None:
    return None if version == "FIX.4.0" else "Y"


async def wait(peer: Peer, what: str, until: Callable[[Peer], bool]) -> None:
    await asyncio.to_thread(peer.wait, what, until)


async def settled(peer: Peer, ours: Session) -> None:
    """Both engines have counted all that was said."""
    await wait(
        peer,
        "agreement",
        lambda peer: (
            (ours.store.next_in, ours.store.next_out)
            == (peer.session.getExpectedSenderNum(), peer.session.getExpectedTargetNum())
        ),
    )


async def orders(peer: Peer, count: int) -> None:
    await wait(peer, f"{count} orders", lambda peer: len(peer.heard_of("D")) >= count)
    assert len(peer.heard_of("D")) == count


@asynccontextmanager
async def serving(endpoint: Endpoint, connect_to: int = 0) -> AsyncIterator[tcp.Carrier]:
    connectors = {"peer": ("127.0.0.1", connect_to)} if connect_to else {}
    carrier = await tcp.serve(endpoint, {} if connect_to else {"peer": ("127.0.0.1", 0)}, connectors)
    try:
        yield carrier
    finally:
        await carrier.close()


@asynccontextmanager
async def engine(*args: object, **kwargs: object) -> AsyncIterator[Peer]:
    """`running` whose start and stop, which wait for the other side, leave our loop alone."""
    context = running(*args, **kwargs)  # type: ignore[arg-type]
    peer = await asyncio.to_thread(context.__enter__)
    try:
        yield peer
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def resent(messages: list) -> list[int]:
    return [message.msg_seq_num for message in messages if message.poss_dup]


@pytest.mark.parametrize("version", SUPPORTED)
async def test_the_engine_as_initiator(version: str, tmp_path: Path) -> None:
    resets = version == "FIX.4.0"
    echo = Echo([session(version, "acceptor", reset_on_logon=resets)], 0, lambda event, text: None)
    (ours,) = echo.sessions.values()
    async with serving(echo) as carrier:
        where = (version, "initiator", carrier.addresses["peer"][1], tmp_path, ("THEM", "US"))
        async with engine(*where) as peer:
            await wait(peer, "logon", lambda peer: peer.is_logged_on)
            for number in range(COUNT):
                peer.send("D", order(version, number))
            await orders(peer, COUNT)
            assert [message.get(11) for message in peer.heard_of("D")] == [str(number) for number in range(COUNT)]

            # We lose what they said: they resend it, and it is echoed again.
            ours.store.next_in -= GAP
            peer.send("D", order(version, "after our gap"))
            await orders(peer, COUNT + GAP + 1)
            lost = list(range(COUNT + 2 - GAP, COUNT + 3))
            await wait(peer, "replay", lambda peer: resent(peer.said_of("D")) == lost)

            # They lose what we said: we resend it.
            await settled(peer, ours)
            peer.session.setNextTargetMsgSeqNum(peer.session.getExpectedTargetNum() - GAP)
            peer.send("D", order(version, "after their gap"))
            await orders(peer, COUNT + GAP + 1 + GAP + 1)
            assert len(resent(peer.heard_of("D"))) == GAP
            await settled(peer, ours)

            peer.session.logout("enough")
            await wait(peer, "logout", lambda peer: not peer.is_logged_on and peer.heard_of("5"))
            assert peer.refusals() == []

        async with engine(*where, extra={"ResetOnLogon": "Y"}) as peer:
            await wait(peer, "logon", lambda peer: peer.is_logged_on)
            (logon,) = peer.heard_of("A")
            assert (logon.msg_seq_num, logon.get(141)) == (1, reset_flag(version))
            peer.send("D", order(version, "after the reset"))
            await orders(peer, 1)
            assert (ours.store.next_in, ours.store.next_out) == (3, 3)
            assert peer.refusals() == []


class Initiator:
    """One session of ours that connects; `received` are the application messages."""

    def __init__(self, config: SessionConfig) -> None:
        self.session = Session(config, MemoryStore(), 0)
        self.received: list[str] = []
        self.changed = asyncio.Event()
        self.link: Link = 0

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self.link = link
        self.session.connected(now_ns)
        return self.work(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        self.session.receive(data, now_ns)
        return self.work(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self.session.disconnected(now_ns)
        return self.work(now_ns)

    def timer(self, now_ns: int) -> Output:
        self.session.timer(now_ns)
        return self.work(now_ns)

    def next_timer_ns(self) -> int | None:
        return self.session.next_timer_ns()

    def work(self, now_ns: int) -> Output:
        while (event := self.session.next_event(now_ns)) is not None:
            if isinstance(event, Received):
                self.received.append(event.message.get(11) or event.message.msg_type)
        self.changed.set()
        return Output([(self.link, outgoing.raw) for outgoing in self.session.take_outbox()])

    def send(self, carrier: tcp.Carrier, cl_ord_id: object) -> None:
        self.session.send_fields(
            "D",
            [(str(tag), str(value)) for tag, value in order(self.session.config.application, cl_ord_id)],
            carrier.now_ns(),
        )
        carrier.perform(self.work(carrier.now_ns()))

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not what():
                self.changed.clear()
                await self.changed.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]


@pytest.mark.parametrize("version", SUPPORTED)
async def test_the_engine_as_acceptor(version: str, tmp_path: Path) -> None:
    port = free_port()
    ours = Initiator(session(version, "initiator"))
    resets = {"ResetOnLogon": "Y"} if version == "FIX.4.0" else {}
    async with engine(version, "acceptor", port, tmp_path, ("THEM", "US"), resets) as peer:
        async with serving(ours, port) as carrier:
            await ours.until(lambda: ours.session.is_logged_on)
            for number in range(COUNT):
                ours.send(carrier, number)
            await ours.until(lambda: len(ours.received) == COUNT)
            assert ours.received == [str(number) for number in range(COUNT)]

            ours.session.store.next_in -= GAP
            ours.send(carrier, "after our gap")
            await ours.until(lambda: len(ours.received) == COUNT + GAP + 1)
            lost = list(range(COUNT + 2 - GAP, COUNT + 3))
            await wait(peer, "replay", lambda peer: resent(peer.said_of("D")) == lost)

            await settled(peer, ours.session)
            peer.session.setNextTargetMsgSeqNum(peer.session.getExpectedTargetNum() - GAP)
            ours.send(carrier, "after their gap")
            # One of the numbers was our ResendRequest(2), which is gap-filled.
            await orders(peer, COUNT + 1 + GAP - 1 + 1)
            assert len(resent(peer.heard_of("D"))) == GAP - 1
            await ours.until(lambda: ours.received[-1] == "after their gap")
            await settled(peer, ours.session)

            ours.session.logout("enough", carrier.now_ns())
            carrier.perform(ours.work(carrier.now_ns()))
            await wait(peer, "logout", lambda peer: not peer.is_logged_on and peer.said_of("5"))
        ours = Initiator(session(version, "initiator", reset_on_logon=True))
        async with serving(ours, port) as carrier:
            await ours.until(lambda: ours.session.is_logged_on)
            ours.send(carrier, "after the reset")
            await ours.until(lambda: ours.received == ["after the reset"])
            logon = peer.said_of("A")[-1]
            assert (logon.msg_seq_num, logon.get(141)) == (1, reset_flag(version))
            assert (ours.session.store.next_in, ours.session.store.next_out) == (3, 3)
        await wait(peer, "end", lambda peer: not peer.is_logged_on)
        assert peer.refusals() == []
