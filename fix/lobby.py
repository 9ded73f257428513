"""Where an acceptor's fresh connections wait until their first message names their session.

Nobody here is authenticated yet, so each costs a small buffer and has a deadline, and there can only be so many.
"""

from dataclasses import dataclass

from fix.directory import SessionDirectory
from fix.endpoint import Link
from fix.framing import Framer
from fix.message import parse
from fix.session import Session, State
from fix.values import NS_PER_S


@dataclass(frozen=True, slots=True)
class Admitted:
    """Call `session.connected`, then `session.receive` with all the `data` that came so far."""

    session: Session
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Close the link without an answer: whoever it is gets to know nothing."""

    text: str


class Lobby:
    """`max_bytes` must hold a Logon(A); a chunk of the transport's size may come on top."""

    def __init__(
        self, directory: SessionDirectory, timeout_s: float = 10, max_bytes: int = 4096, max_links: int = 256
    ) -> None:
        self._directory = directory
        self._timeout_ns = int(timeout_s * NS_PER_S)
        self._max_bytes = max_bytes
        self._max_links = max_links
        self._waiting: dict[Link, tuple[int, bytes]] = {}  # deadline, bytes so far

    def __contains__(self, link: Link) -> bool:
        return link in self._waiting

    def connected(self, link: Link, now_ns: int) -> Refused | None:
        if len(self._waiting) >= self._max_links:
            return Refused(f"{self._max_links} connections wait for their Logon(A) already")
        self._waiting[link] = (now_ns + self._timeout_ns, b"")
        return None

    def receive(self, link: Link, data: bytes, now_ns: int) -> Admitted | Refused | None:
        """None: more bytes are needed. Otherwise the link has left the lobby."""
        deadline_ns, before = self._waiting.pop(link)
        data = before + data
        framer = Framer(self._max_bytes)
        framer.feed(data)
        frame = framer.next_frame()
        if framer.garbled:
            return Refused(f"not a FIX message: {framer.garbled_text}")
        if frame is None:
            self._waiting[link] = (deadline_ns, data)
            return None
        message = parse(frame)
        if message.msg_type != "A":
            return Refused(f"the first message is MsgType(35)={message.msg_type}, not Logon(A)")
        session = self._directory.find(frame)
        if session is None:
            return Refused(
                f"no session for BeginString(8)={message.begin_string} SenderCompID(49)={message.sender_comp_id} "
                f"TargetCompID(56)={message.target_comp_id}"
            )
        if not session.is_open(now_ns):
            return Refused(f"session {session.name} is not open now")
        if session.state is not State.DISCONNECTED:
            return Refused(f"session {session.name} is connected already")
        return Admitted(session, data)

    def disconnected(self, link: Link) -> None:
        self._waiting.pop(link, None)

    def expired(self, now_ns: int) -> list[Link]:
        """The links whose time is up; they have left the lobby and are to be closed."""
        late = [link for link, (deadline_ns, _) in self._waiting.items() if deadline_ns <= now_ns]
        for link in late:
            del self._waiting[link]
        return late

    def next_timer_ns(self) -> int | None:
        return min((deadline_ns for deadline_ns, _ in self._waiting.values()), default=None)
