"""A peer to test a client's session layer against: it says back what it got, and nothing else stands between.

Orders, security definitions and mails come back as they came, any other application message is answered with a
BusinessMessageReject(j); everything administrative is the session's own affair. So what a client sees go wrong here is
either its own fault, and told in the log, or the session layer's.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
import uvloop

from fix import tcp
from fix.dictionary import Dictionary
from fix.endpoint import Link, Output
from fix.errors import BusinessRejectReason, LocalProtocolError, SessionRejectReason
from fix.lobby import Admitted, Lobby
from fix.message import Message
from fix.session import (
    Disconnect,
    Garbled,
    LoggedOn,
    LoggedOut,
    Received,
    Refusing,
    Rejected,
    SequenceReset,
    Session,
    SessionConfig,
    SessionDirectory,
)
from fix.store import MemoryStore

ECHOED = frozenset("DdC")  # NewOrderSingle, SecurityDefinition, Email
# What belongs to one sending of a message: the session writes its own. PossResend(97) is the application's, and stays.
NOT_ECHOED = frozenset(["8", "9", "10", "34", "35", "43", "49", "52", "56", "122", "369"])
MAX_REMEMBERED = 100_000  # ClOrdID(11)s of a session: a client that never resets can't fill the memory
CL_ORD_ID = 11
# BusinessMessageReject(j) came with FIX.4.2.
WITHOUT_BUSINESS_REJECT = ("FIX.4.0", "FIX.4.1")

log = structlog.get_logger()


def session_config(text: str, **settings: Any) -> SessionConfig:
    """One that accepts unless `settings` say otherwise; all in them is that of SessionConfig.

    A session such as "FIX.4.4:OURS:THEIRS" or "FIXT.1.1:OURS:THEIRS:FIX.5.0SP2"; ValueError says what is wrong."""
    begin_string, *names = text.split(":")
    if not 2 <= len(names) <= 3 or not all(names):
        raise ValueError(f"session {text!r} is not BEGIN_STRING:OUR_COMP_ID:THEIR_COMP_ID[:DEFAULT_APPL_VER_ID]")
    appl_ver_id = {"default_appl_ver_id": names[2]} if len(names) == 3 else {}
    named = {"begin_string": begin_string, "sender_comp_id": names[0], "target_comp_id": names[1], **appl_ver_id}
    return msgspec.convert({"role": "acceptor", **named, **settings}, SessionConfig)


@dataclass(slots=True, eq=False)
class _Peer:
    session: Session
    link: Link | None = None
    cl_ord_ids: dict[str, None] = field(default_factory=dict)  # in the order in which they came


class Echo:
    """An `fix.endpoint.Endpoint` with one listener; `tell` gets (event, text) of what a client's author asks about.

    `dictionary` is the one that the sessions of its version go by.
    """

    def __init__(
        self,
        configs: Iterable[SessionConfig],
        now_ns: int,
        tell: Callable[[str, str], object],
        dictionary: Dictionary | None = None,
    ) -> None:
        self._tell = tell
        self._peers: dict[int, _Peer] = {}
        for config in configs:
            own = dictionary if dictionary is not None and dictionary.name == config.application else None
            session = Session(config, MemoryStore(), now_ns, own)
            self._peers[id(session)] = _Peer(session)
        self._by_link: dict[Link, _Peer] = {}
        self._lobby = Lobby(SessionDirectory(peer.session for peer in self._peers.values()))

    # --- the endpoint ---

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        refused = self._lobby.connected(link, now_ns)
        return Output() if refused is None else self._refuse(link, refused.text)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        peer = self._by_link.get(link)
        if peer is None:
            if link not in self._lobby:
                return Output()  # refused a moment ago; its link is being closed
            answer = self._lobby.receive(link, data, now_ns)
            if answer is None:
                return Output()
            if not isinstance(answer, Admitted):
                return self._refuse(link, answer.text)
            peer, data = self._peers[id(answer.session)], answer.data
            self._by_link[link], peer.link = peer, link
            peer.session.connected(now_ns)
        peer.session.receive(data, now_ns)
        return self._work(peer, now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self._lobby.disconnected(link)
        peer = self._by_link.pop(link, None)
        if peer is not None:
            peer.link = None
            peer.session.disconnected(now_ns)
            self._work(peer, now_ns)
        return Output()

    def timer(self, now_ns: int) -> Output:
        output = Output()
        for link in self._lobby.expired(now_ns):
            output.closes += self._refuse(link, "no Logon(A) in time").closes
        for peer in self._by_link.values():
            due_ns = peer.session.next_timer_ns()
            if due_ns is not None and due_ns <= now_ns:
                peer.session.timer(now_ns)
                done = self._work(peer, now_ns)
                output.writes += done.writes
                output.closes += done.closes
        return output

    def next_timer_ns(self) -> int | None:
        timers = [peer.session.next_timer_ns() for peer in self._by_link.values()]
        timers.append(self._lobby.next_timer_ns())
        return min((at_ns for at_ns in timers if at_ns is not None), default=None)

    def logout(self, text: str, now_ns: int) -> Output:
        """Begin to end every session."""
        output = Output()
        for peer in self._by_link.values():
            peer.session.logout(text, now_ns)
            output.writes += self._work(peer, now_ns).writes
        return output

    @property
    def is_connected(self) -> bool:
        return bool(self._by_link)

    def _refuse(self, link: Link, text: str) -> Output:
        self._tell("refused", text)
        return Output(closes=[link])

    # --- the sessions ---

    def _work(self, peer: _Peer, now_ns: int) -> Output:
        output = Output()
        session = peer.session
        while (event := session.next_event(now_ns)) is not None:
            match event:
                case Received(message=message):
                    try:
                        self._answer(peer, message, now_ns)
                    except LocalProtocolError as error:  # larger than the MaxMessageSize(383) of its Logon(A)
                        session.reject(message, SessionRejectReason.OTHER, 0, str(error), now_ns)
                case SequenceReset():
                    peer.cl_ord_ids.clear()
                    self._tell("sequence_reset", session.name)
                case LoggedOn():
                    self._tell("logged_on", session.name)
                case LoggedOut(text=text):
                    self._tell("logged_out", f"{session.name}: {text}")
                case Rejected(text=text, ref_seq_num=number):
                    self._tell("rejected", f"{session.name}: our message {number}: {text}")
                case Refusing(text=text, message=message):
                    self._tell("refusing", f"{session.name}: its message {message.msg_seq_num}: {text}")
                case Garbled(text=text):
                    self._tell("garbled", f"{session.name}: {text}")
                case Disconnect(text=text):
                    self._tell("disconnected", f"{session.name}: {text}")
                    output.closes += [peer.link] if peer.link is not None else []
        if peer.link is not None and (outbox := session.take_outbox()):
            output.writes.append((peer.link, b"".join([outgoing.raw for outgoing in outbox])))
        return output

    def _answer(self, peer: _Peer, message: Message, now_ns: int) -> None:
        if message.msg_type in ECHOED:
            if self._is_new(peer, message):
                fields = zip(message.tags, message.values, strict=True)
                kept = [(tag, value) for tag, value in fields if tag not in NOT_ECHOED]
                peer.session.send_fields(message.msg_type, kept, now_ns)
        elif message.begin_string in WITHOUT_BUSINESS_REJECT:
            reason = SessionRejectReason.INVALID_MSG_TYPE
            peer.session.reject(message, reason, 0, "Unsupported message type", now_ns)
        else:
            reason = BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE
            peer.session.business_reject(message, reason, "Unsupported Message Type", now_ns)

    def _is_new(self, peer: _Peer, message: Message) -> bool:
        """FIX: a message with PossResend(97)=Y is one more order unless the application has seen its ClOrdID(11)."""
        cl_ord_id = message.get(CL_ORD_ID)
        if cl_ord_id is None:
            return True
        if cl_ord_id in peer.cl_ord_ids:
            return not message.poss_resend
        peer.cl_ord_ids[cl_ord_id] = None
        if len(peer.cl_ord_ids) > MAX_REMEMBERED:
            del peer.cl_ord_ids[next(iter(peer.cl_ord_ids))]
        return True


async def serve(echo: Echo, host: str, port: int, stop: asyncio.Event, ready: Callable[[str, int], object]) -> None:
    """Serves until `stop` is set, then logs out; OSError where it can't listen."""
    carrier = await tcp.serve(echo, {"echo": (host, port)}, {})
    ready(*carrier.addresses["echo"])
    await stop.wait()
    carrier.perform(echo.logout("the echo is closing", carrier.now_ns()))
    await asyncio.sleep(0.1 if echo.is_connected else 0)  # for the clients' Logout(5)
    await carrier.close()


def run(configs: Iterable[SessionConfig], dictionary: Dictionary | None, host: str, port: int) -> int:
    """Serves until SIGTERM or SIGINT."""
    echo = Echo(configs, time.time_ns(), lambda event, text: log.info(event, text=text), dictionary)

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(
            echo, host, port, stop, lambda *address: log.info("echo_ready", address=f"{address[0]}:{address[1]}")
        )

    uvloop.run(main())
    return 0
