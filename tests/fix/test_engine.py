"""An application over sockets, as its author writes it: sessions by name, by template, over a file, with answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fix.engine import Application, FixEngine
from fix.errors import FieldError, SessionRejectReason, UnsupportedMessageType
from fix.events import Disconnect, Event, Rejected
from fix.message import Message, parse
from fix.session import Session, SessionConfig
from fix.store import FileStore
from fix.tcp import Carrier, serve

LOOPBACK = ("127.0.0.1", 0)
TIMEOUT_S = 5


class Recorder(Application):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.changed = asyncio.Event()

    def note(self, what: str, session: Session | None, text: str = "") -> None:
        self.seen.append((what, session.name if session else "", text))
        self.changed.set()

    def on_logon(self, session: Session, now_ns: int) -> None:
        self.note("logon", session)

    def on_message(self, session: Session, message: Message, now_ns: int) -> None:
        self.note(message.msg_type, session, message.get(11) or "")

    def on_logout(self, session: Session, text: str, now_ns: int) -> None:
        self.note("logout", session)

    def on_event(self, session: Session | None, event: Event, now_ns: int) -> None:
        if isinstance(event, Rejected | Disconnect):
            self.note(type(event).__name__, session, event.text)

    async def until(self, what: str, name: str, count: int = 1) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while [entry[:2] for entry in self.seen].count((what, name)) < count:
                self.changed.clear()
                await self.changed.wait()


class Exchange(Recorder):
    def on_message(self, session: Session, message: Message, now_ns: int) -> None:
        super().on_message(session, message, now_ns)
        if message.get(11) == "BAD":
            raise FieldError(11, "BAD", SessionRejectReason.VALUE_INCORRECT, "ClOrdID(11)=BAD is no good")
        session.send_fields("8", [("11", message.get(11) or ""), ("39", "0")], now_ns)


def config(ours: str, theirs: str, role: str = "acceptor", **more: Any) -> SessionConfig:
    named = {"begin_string": "FIX.4.4", "sender_comp_id": ours, "target_comp_id": theirs, "role": role}
    return SessionConfig(**{**named, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def exchange(*configs: SessionConfig, **more: Any) -> AsyncIterator[tuple[Exchange, Carrier]]:
    application = Exchange()
    carrier = await serve(FixEngine(application, configs, **more), {"clients": LOOPBACK}, {})
    try:
        yield application, carrier
    finally:
        await carrier.close()


@asynccontextmanager
async def clients(carrier: Carrier, *names: str, **more: Any) -> AsyncIterator[tuple[Recorder, FixEngine, Carrier]]:
    application = Recorder()
    engine = FixEngine(application, [config(name, "EXCH", "initiator") for name in names], **more)
    mine = await serve(engine, {}, {f"{name}->EXCH": carrier.addresses["clients"] for name in names})
    try:
        yield application, engine, mine
    finally:
        await mine.close()


def order(engine: FixEngine, carrier: Carrier, name: str, cl_ord_id: str) -> None:
    now_ns = carrier.now_ns()
    engine.sessions[name].send_fields("D", [("11", cl_ord_id)], now_ns)
    carrier.perform(engine.output(now_ns))


async def test_orders_and_answers_of_two_clients() -> None:
    both = exchange(config("EXCH", "A"), config("EXCH", "B"))
    async with both as (_, carrier), clients(carrier, "A", "B") as (application, engine, mine):
        for name in ("A", "B"):
            await application.until("logon", f"{name}->EXCH")
            order(engine, mine, f"{name}->EXCH", f"{name}1")
            await application.until("8", f"{name}->EXCH")
    assert {entry for entry in application.seen if entry[0] == "8"} == {("8", "A->EXCH", "A1"), ("8", "B->EXCH", "B1")}


async def test_a_field_that_the_application_refuses() -> None:
    async with exchange(config("EXCH", "A")) as (_, carrier), clients(carrier, "A") as (application, engine, mine):
        await application.until("logon", "A->EXCH")
        order(engine, mine, "A->EXCH", "BAD")
        await application.until("Rejected", "A->EXCH")
    assert ("Rejected", "A->EXCH", "ClOrdID(11)=BAD is no good") in application.seen


async def test_whoever_matches_has_a_session() -> None:
    desks = exchange(config("EXCH", "DESK*"), max_from_template=2)
    async with desks as (application, carrier), clients(carrier, "DESK1", "DESK2") as (theirs, _, _):
        for name in ("DESK1", "DESK2"):
            await theirs.until("logon", f"{name}->EXCH")
        async with clients(carrier, "DESK3"):
            await application.until("Disconnect", "")
    assert [entry[1] for entry in application.seen if entry[0] == "logon"] == ["EXCH->DESK1", "EXCH->DESK2"]


async def test_numbers_and_messages_outlast_both_processes(tmp_path: Path) -> None:
    def store(config: SessionConfig) -> FileStore:
        return FileStore(tmp_path / f"{config.sender_comp_id}-{config.target_comp_id}")

    for day in (1, 2):
        one = exchange(config("EXCH", "A"), store=store)
        async with one as (_, carrier), clients(carrier, "A", store=store) as (application, engine, mine):
            await application.until("logon", "A->EXCH")
            order(engine, mine, "A->EXCH", f"{day}")
            await application.until("8", "A->EXCH")
            session = engine.sessions["A->EXCH"]
            mine.perform(engine.logout("enough", mine.now_ns()))
            await application.until("logout", "A->EXCH")
            assert (session.store.next_in, session.store.next_out) == (3 * day + 1, 3 * day + 1)


async def test_what_was_sent_while_nobody_was_there_comes_with_the_logon() -> None:
    exchange_side = Exchange()
    engine = FixEngine(exchange_side, [config("EXCH", "A")])
    carrier = await serve(engine, {"clients": LOOPBACK}, {})
    engine.sessions["EXCH->A"].send_fields("8", [("11", "early")], carrier.now_ns())
    async with clients(carrier, "A") as (application, _, _):
        await application.until("8", "A->EXCH")
    assert ("8", "A->EXCH", "early") in application.seen
    await carrier.close()


def test_two_sessions_of_one_name() -> None:
    with pytest.raises(ValueError, match="two sessions EXCH->A:"):
        FixEngine(Application(), [config("EXCH", "A"), config("EXCH", "A")])
    with pytest.raises(ValueError, match="two sessions desk"):
        FixEngine(Application(), [config("EXCH", "A", name="desk"), config("EXCH", "B", name="desk")])
    with pytest.raises(ValueError, match="the template desks"):
        FixEngine(Application(), [config("EXCH", "*", name="desks")])
    older = config("EXCH", "A", begin_string="FIX.4.2")
    assert [*FixEngine(Application(), [config("EXCH", "A"), older]).sessions] == ["EXCH->A", "EXCH->A FIX.4.2"]


def test_one_who_comes_in_two_versions_has_two_sessions() -> None:
    """Also by templates: what a stranger sends may not raise."""
    now_ns = 1_704_205_800_000_000_000
    engine = FixEngine(Application(), [config("EXCH", "*"), config("EXCH", "*", begin_string="FIX.4.2")])
    for link, begin_string in enumerate(("FIX.4.4", "FIX.4.2")):
        peer = FixEngine(Application(), [config("A", "EXCH", "initiator", begin_string=begin_string)])
        engine.connected(link, "clients", now_ns)
        ((_, data),) = peer.connected(1, "A->EXCH", now_ns).writes
        assert engine.receive(link, data, now_ns).writes
    assert [*engine.sessions] == ["EXCH->A", "EXCH->A FIX.4.2"]


class Picky(Application):
    def on_message(self, session: Session, message: Message, now_ns: int) -> None:
        raise UnsupportedMessageType(message.msg_type)


@pytest.mark.parametrize(
    ("begin_string", "answer"),
    [
        ("FIX.4.0", {"35": "3", "45": "2"}),
        ("FIX.4.1", {"35": "3", "45": "2"}),
        ("FIX.4.2", {"35": "j", "45": "2", "372": "D", "380": "3"}),
        ("FIX.4.3", {"35": "j", "45": "2", "372": "D", "380": "3"}),
        ("FIX.4.4", {"35": "j", "45": "2", "372": "D", "380": "3"}),
        ("FIXT.1.1", {"35": "j", "45": "2", "372": "D", "380": "3"}),
    ],
)
def test_a_type_that_the_application_does_not_take(begin_string: str, answer: dict[str, str]) -> None:
    now_ns, application = 1_704_205_800_000_000_000, Recorder()
    engine = FixEngine(Picky(), [config("EXCH", "A", begin_string=begin_string)])
    peer = FixEngine(application, [config("A", "EXCH", "initiator", begin_string=begin_string)])
    deliver(peer, deliver(engine, peer.connected(1, "A->EXCH", now_ns), now_ns, opens=True), now_ns)
    session = peer.sessions["A->EXCH"]
    session.send_fields("D", [("11", "1")], now_ns)
    ((_, data),) = deliver(engine, peer.output(now_ns), now_ns).writes
    message = parse(data)
    assert {tag: message.get(int(tag)) for tag in ("35", "45", "372", "380") if message.get(int(tag))} == answer
    assert message.get(58) == "MsgType(35)=D is not supported"
    if "380" in answer:  # an answer to a refusal would have an answer too, and so on
        session.send_fields("j", [("45", "2"), ("372", "8"), ("380", "3")], now_ns)
        assert not deliver(engine, peer.output(now_ns), now_ns).writes


def test_a_throttled_queue_moves_on_in_time() -> None:
    """The engine's timer must not stay at the heartbeat that it was set for."""
    application = Recorder()
    engine = FixEngine(application, [config("EXCH", "A", max_messages_per_s=2, on_excess="queue")])
    peer = FixEngine(Recorder(), [config("A", "EXCH", "initiator")])
    now_ns = 1_704_205_800_000_000_000
    sent = deliver(engine, peer.connected(1, "A->EXCH", now_ns), now_ns, opens=True)
    deliver(peer, sent, now_ns)
    for number in range(3):
        peer.sessions["A->EXCH"].send_fields("D", [("11", str(number))], now_ns)
    deliver(engine, peer.output(now_ns), now_ns)
    assert [entry[2] for entry in application.seen if entry[0] == "D"] == ["0"]
    due_ns = engine.next_timer_ns()
    assert due_ns == now_ns + 1_000_000_000
    engine.timer(due_ns)
    assert [entry[2] for entry in application.seen if entry[0] == "D"] == ["0", "1", "2"]


def deliver(engine: FixEngine, output: Any, now_ns: int, opens: bool = False) -> Any:
    if opens:
        engine.connected(1, "clients", now_ns)
    done = None
    for _, data in output.writes:
        done = engine.receive(1, data, now_ns)
    return done
