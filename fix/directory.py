"""Which session a fresh connection belongs to, by what its first Logon(A) says of both ends.

Sessions come and go at run time; a template makes one for any client that matches a pattern when it first appears.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from fix.config import SessionConfig
from fix.message import parse

if TYPE_CHECKING:
    from fix.session import Session

Identity = tuple[str, str, str]  # BeginString, SenderCompID, TargetCompID, as the peer's messages have them


def is_pattern(comp_id: str) -> bool:
    return "*" in comp_id or "?" in comp_id


@dataclass(slots=True, eq=False)
class SessionTemplate:
    """`config`: its CompIDs are patterns, with * and ?. `make`: a session from that config with the real CompIDs in it.

    `max_sessions`: so many are made, and then nobody new is let in.
    """

    config: SessionConfig
    make: "Callable[[SessionConfig], Session]"
    max_sessions: int = 100
    made: int = 0

    def matches(self, identity: Identity) -> bool:
        begin_string, theirs, ours = identity
        return (
            begin_string == self.config.begin_string
            and fnmatchcase(theirs, self.config.target_comp_id)
            and fnmatchcase(ours, self.config.sender_comp_id)
        )


class SessionDirectory:
    """The sessions of an acceptor, found by the first Logon(A) on a fresh connection."""

    def __init__(self, sessions: "Iterable[Session]" = (), templates: Iterable[SessionTemplate] = ()) -> None:
        self._sessions: dict[Identity, Session] = {}
        self._templates = list(templates)
        for session in sessions:
            self.add(session)

    @staticmethod
    def identify(frame: bytes) -> Identity:
        """(BeginString, SenderCompID, TargetCompID) as the message says them."""
        message = parse(frame)
        return message.begin_string, message.sender_comp_id, message.target_comp_id

    def add(self, session: "Session") -> None:
        """From now on; in place of the one with the same address, if there is one."""
        config = session.config
        self._sessions[config.begin_string, config.target_comp_id, config.sender_comp_id] = session

    def add_template(self, template: SessionTemplate) -> None:
        """Where several match, the first counts."""
        self._templates.append(template)

    def remove(self, session: "Session") -> None:
        """No new connection is let in; one that is there is its user's to end."""
        self._sessions = {identity: kept for identity, kept in self._sessions.items() if kept is not session}

    def clear(self) -> None:
        """No session and no template: nobody is let in."""
        self._sessions.clear()
        self._templates.clear()

    def find(self, frame: bytes) -> "Session | None":
        """The session that this message claims to belong to; it may be connected already."""
        return self.session(self.identify(frame))

    def session(self, identity: Identity) -> "Session | None":
        """The one of this address, from a template where one matches."""
        return self._sessions.get(identity) or self._from_template(identity)

    def _from_template(self, identity: Identity) -> "Session | None":
        _, theirs, ours = identity
        for template in self._templates:
            if template.matches(identity) and template.made < template.max_sessions and theirs and ours:
                template.made += 1
                config = msgspec.structs.replace(template.config, target_comp_id=theirs, sender_comp_id=ours)
                session = template.make(config)
                self.add(session)
                return session
        return None
