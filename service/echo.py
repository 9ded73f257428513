"""A peer to test a client's session layer against: it says back what it got, and nothing else stands between.

Orders, security definitions and mails come back as they came, any other application message is refused; everything
administrative is the session's own affair. So what a client sees go wrong here is either its own fault, and told in the
log, or the session layer's.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog
import uvloop

from fix import tcp
from fix.dictionary import Dictionary
from fix.engine import Application, FixEngine
from fix.errors import BusinessRejectReason, LocalProtocolError, SessionRejectReason
from fix.events import Disconnect, Event, Garbled, Refusing, Rejected, SequenceReset
from fix.message import Message
from fix.session import Session, SessionConfig

ECHOED = frozenset("DdC")  # NewOrderSingle, SecurityDefinition, Email
# What belongs to one sending of a message: the session writes its own. PossResend(97) is the application's, and stays.
NOT_ECHOED = frozenset(["8", "9", "10", "34", "35", "43", "49", "52", "56", "122", "369"])
MAX_REMEMBERED = 100_000  # ClOrdID(11)s of a session: a client that never resets can't fill the memory
CL_ORD_ID = 11

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


class Echoing(Application):
    """`tell` gets (event, text) of what a client's author asks about."""

    def __init__(self, tell: Callable[[str, str], object]) -> None:
        self._tell = tell
        self.cl_ord_ids: dict[Session, dict[str, None]] = {}  # in the order in which they came

    def on_logon(self, session: Session, now_ns: int) -> None:
        self._tell("logged_on", session.name)

    def on_logout(self, session: Session, text: str, now_ns: int) -> None:
        self._tell("logged_out", f"{session.name}: {text}")

    def on_event(self, session: Session | None, event: Event, now_ns: int) -> None:
        name = session.name if session is not None else ""
        match event:
            case SequenceReset() if session is not None:
                self.cl_ord_ids.pop(session, None)
                self._tell("sequence_reset", name)
            case Rejected(text=text, ref_seq_num=number):
                self._tell("rejected", f"{name}: our message {number}: {text}")
            case Refusing(text=text, message=message):
                self._tell("refusing", f"{name}: its message {message.msg_seq_num}: {text}")
            case Garbled(text=text):
                self._tell("garbled", f"{name}: {text}")
            case Disconnect(text=text):
                self._tell(*(("disconnected", f"{name}: {text}") if name else ("refused", text)))

    def on_message(self, session: Session, message: Message, now_ns: int) -> None:
        if message.msg_type not in ECHOED:
            session.refuse(message, BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE, "Unsupported Message Type", now_ns)
        elif self._is_new(session, message):
            fields = zip(message.tags, message.values, strict=True)
            kept = [(tag, value) for tag, value in fields if tag not in NOT_ECHOED]
            try:
                session.send_fields(message.msg_type, kept, now_ns)
            except LocalProtocolError as error:  # larger than the MaxMessageSize(383) of its Logon(A)
                session.reject(message, SessionRejectReason.OTHER, 0, str(error), now_ns)

    def _is_new(self, session: Session, message: Message) -> bool:
        """FIX: a message with PossResend(97)=Y is one more order unless the application has seen its ClOrdID(11)."""
        cl_ord_id = message.get(CL_ORD_ID)
        if cl_ord_id is None:
            return True
        seen = self.cl_ord_ids.setdefault(session, {})
        if cl_ord_id in seen:
            return not message.poss_resend
        seen[cl_ord_id] = None
        if len(seen) > MAX_REMEMBERED:
            del seen[next(iter(seen))]
        return True


class Echo(FixEngine):
    """The echo as an endpoint. `dictionary` is the one that the sessions of its version go by."""

    def __init__(
        self,
        configs: Iterable[SessionConfig],
        now_ns: int,
        tell: Callable[[str, str], object],
        dictionary: Dictionary | None = None,
    ) -> None:
        self.application = Echoing(tell)
        super().__init__(self.application, configs, now_ns=now_ns, dictionary=dictionary)


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
