"""The C++ engine as a counterparty, in either role: it runs on a thread of its own and notes all that passes.

It checks every message that it gets against its own dictionary of the version, so that what it rejects, we said wrong.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fix.message import Message, parse

quickfix = pytest.importorskip("quickfix", reason="the C++ engine is not installed: pip install -e '.[interop]'")

DICTIONARIES = Path(sys.prefix) / "share" / "quickfix"
TIMEOUT_S = 30.0
POLL_S = 0.001
LOOK_S = 0.02  # the engine counts a message after it has told of it
Fields = Sequence[tuple[int, object]]


def settings_text(version: str, role: str, port: int, directory: Path, ours: str, theirs: str) -> str:
    """`ours` is the C++ engine's CompID."""
    where = (
        f"SocketAcceptPort={port}" if role == "acceptor" else f"SocketConnectHost=127.0.0.1\nSocketConnectPort={port}"
    )
    return f"""[DEFAULT]
ConnectionType={role}
{where}
SocketReuseAddress=Y
SocketNodelay=Y
ReconnectInterval=1
HeartBtInt=30
StartTime=00:00:00
EndTime=00:00:00
FileStorePath={directory}
LogoutTimeout=5
[SESSION]
BeginString={"FIXT.1.1" if version.startswith("FIX.5") else version}
SenderCompID={ours}
TargetCompID={theirs}
UseDataDictionary=Y
{_dictionary(version)}
"""


def _dictionary(version: str) -> str:
    path = DICTIONARIES / f"{version.replace('.', '')}.xml"
    if not version.startswith("FIX.5"):
        return f"DataDictionary={path}"
    transport = f"TransportDataDictionary={DICTIONARIES / 'FIXT11.xml'}"
    return f"DefaultApplVerID={version}\n{transport}\nAppDataDictionary={path}"


class Peer(quickfix.Application):  # type: ignore[misc]
    """`said` are the messages that the engine sent, `heard` those that it took, both with the administrative ones."""

    def __init__(self, answers: bool) -> None:
        super().__init__()
        self.said: list[Message] = []
        self.heard: list[Message] = []
        self.is_logged_on = False
        self._answers = answers  # whether it sends back what it gets
        self._changed = threading.Condition()

    def wait(self, what: str, until: Callable[["Peer"], bool]) -> None:
        """Until `until` says so of what has passed; AssertionError with `what` if it never does."""
        deadline = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not until(self):
                if time.monotonic() > deadline:
                    last = [message.raw for message in (*self.said[-3:], *self.heard[-3:])]
                    raise AssertionError(f"no {what} within {TIMEOUT_S} s; last: {last}")
                self._changed.wait(LOOK_S)

    def refusals(self) -> list[str]:
        """What the engine found wrong with our messages, in its own words."""
        with self._changed:
            return [f"{message.get(58)}: {message.raw!r}" for message in self.said if message.msg_type in ("3", "j")]

    def heard_of(self, msg_type: str) -> list[Message]:
        with self._changed:
            return [message for message in self.heard if message.msg_type == msg_type]

    def said_of(self, msg_type: str) -> list[Message]:
        with self._changed:
            return [message for message in self.said if message.msg_type == msg_type]

    def _note(self, messages: list[Message], message: "quickfix.Message") -> None:
        with self._changed:
            messages.append(parse(message.toString().encode("latin-1")))
            self._changed.notify_all()

    # --- what the engine calls, on its own threads ---

    def onCreate(self, session_id: object) -> None:  # noqa: N802
        self.session_id = session_id

    def onLogon(self, session_id: object) -> None:  # noqa: N802
        with self._changed:
            self.is_logged_on = True
            self._changed.notify_all()

    def onLogout(self, session_id: object) -> None:  # noqa: N802
        with self._changed:
            self.is_logged_on = False
            self._changed.notify_all()

    def toAdmin(self, message: "quickfix.Message", session_id: object) -> None:  # noqa: N802
        self._note(self.said, message)

    def fromAdmin(self, message: "quickfix.Message", session_id: object) -> None:  # noqa: N802
        self._note(self.heard, message)

    def toApp(self, message: "quickfix.Message", session_id: object) -> None:  # noqa: N802
        self._note(self.said, message)

    def fromApp(self, message: "quickfix.Message", session_id: object) -> None:  # noqa: N802
        self._note(self.heard, message)
        if self._answers:
            header = message.getHeader()
            for tag in (43, 122):
                if header.isSetField(tag):
                    header.removeField(tag)
            quickfix.Session.sendToTarget(message, session_id)

    # --- what a test does with it ---

    @property
    def session(self) -> "quickfix.Session":
        return quickfix.Session.lookupSession(self.session_id)

    def send(self, msg_type: str, fields: Fields) -> None:
        message = quickfix.Message()
        message.getHeader().setField(35, msg_type)
        for tag, value in fields:
            message.setField(tag, str(value))
        assert quickfix.Session.sendToTarget(message, self.session_id)


@contextmanager
def running(
    version: str,
    role: str,
    port: int,
    directory: Path,
    comp_ids: tuple[str, str],
    extra: Mapping[str, str] = {},
) -> Iterator[Peer]:
    """The engine as `comp_ids[0]`, stopped at the end; an acceptor answers with what it gets."""
    text = settings_text(version, role, port, directory / "store", *comp_ids)
    text += "".join(f"{key}={value}\n" for key, value in extra.items())
    path = directory / "quickfix.cfg"
    path.write_text(text)
    settings = quickfix.SessionSettings(str(path))
    peer = Peer(answers=role == "acceptor")
    store = quickfix.FileStoreFactory(settings)
    make = quickfix.SocketAcceptor if role == "acceptor" else quickfix.SocketInitiator
    engine = make(peer, store, settings)
    engine.poll()  # it listens, or has begun to connect
    stopping = threading.Event()
    driver = threading.Thread(target=_drive, args=(engine, stopping))
    driver.start()
    try:
        yield peer
    finally:
        stopping.set()
        driver.join()
        del engine  # before the factory and the application: its end still calls both


def _drive(engine: object, stopping: threading.Event) -> None:
    """In place of the engine's own threads: when it stops, these now and then hang, or take the process with them."""
    while not stopping.wait(POLL_S):
        engine.poll()  # type: ignore[attr-defined]
    engine.stop(True)  # type: ignore[attr-defined]
