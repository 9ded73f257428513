"""What an operator does to a FIX session: look at it, end it, keep it away, change its sequence numbers.

Numbers are only touched while nobody is connected: under a live session a change would be overtaken by the next
message. Everything that is changed comes out as facts, so that a restart goes on with it.
"""

from typing import Any, Literal

import msgspec

from domain.facts import AnyFact, SessionReset, SessionSwitched
from service.links import Links, Peer, PeerKind, advanced, market_data_port

Action = Literal["disconnect", "connect", "enable", "disable", "reset", "set"]


class SessionCommand(msgspec.Struct, frozen=True):
    """`name` is one of `listing`; `next_in` and `next_out` belong to "set", 0 leaves a number as it is."""

    action: Action
    name: str
    by: str
    next_in: int = 0
    next_out: int = 0


class SessionRefused(Exception):  # noqa: N818 - an answer, not a bug
    """Why a command can't be carried out, in words for who asked."""


def label(peer: Peer) -> str:
    """What operators call a session: the client, the venue, or the venue with MD for its market data."""
    return market_data_port(peer.name) if peer.kind is PeerKind.MARKET_DATA else peer.name


def listing(links: Links) -> list[dict[str, Any]]:
    """Every session with its state and the sequence numbers that come next, clients first."""
    return [
        {
            "name": label(peer),
            "kind": peer.kind.value,
            "session": peer.session.name,
            "begin_string": peer.session.config.begin_string,
            "state": peer.session.state.name.lower() if peer.enabled else "disabled",
            "next_in": peer.store.next_in,
            "next_out": peer.store.next_out,
        }
        for peer in links.peers
    ]


def find(links: Links, name: str) -> Peer:
    """The session that operators call `name`; where a client and a venue share it, "client:NAME" tells them apart."""
    found = [peer for peer in links.peers if name in (label(peer), f"{peer.kind.value}:{label(peer)}")]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"{peer.kind.value}:{name}" for peer in found)
        raise SessionRefused(f"{name} is the name of {len(found)} sessions: say {names}")
    raise SessionRefused(f"there is no session {name!r}; expected one of {', '.join(map(label, links.peers))}")


def check(links: Links, command: SessionCommand) -> Peer:
    """The session that a command is for; SessionRefused if it can't be carried out."""
    peer, name = find(links, command.name), command.name
    match command.action:
        case "disconnect" if peer.link is None:
            raise SessionRefused(f"{name} is not connected")
        case "connect" if peer.kind is PeerKind.CLIENT:
            raise SessionRefused(f"{name} is a client: it connects to us; enable it to let it in")
        case "reset" | "set" if peer.kind is PeerKind.MARKET_DATA:
            raise SessionRefused(f"{name} starts at 1 at each logon: there is no number to change")
        case "reset" | "set" if peer.link is not None:
            raise SessionRefused(f"{name} is connected: disable it first, and enable it afterwards")
        case "set" if not command.next_in and not command.next_out:
            raise SessionRefused(f"set {name} to what? Neither next_in nor next_out is given")
    return peer


def administer(links: Links, command: SessionCommand, now_ns: int) -> tuple[Peer, list[AnyFact]]:
    """The session, whose events are to be handled next, and what has changed. Only for what `check` passed."""
    peer = check(links, command)
    match command.action:
        case "disconnect":
            links.end(peer, "disconnected by the operator", now_ns)
            return peer, []
        case "connect" | "enable":
            return peer, _switch(links, peer, True, command.by, now_ns)
        case "disable":
            return peer, _switch(links, peer, False, command.by, now_ns)
        case "reset":
            return peer, [_reset(peer, now_ns)]
        case "set":
            return peer, [_set(peer, command, now_ns)]


def _switch(links: Links, peer: Peer, enabled: bool, by: str, now_ns: int) -> list[AnyFact]:
    if peer.enabled is enabled:
        return []
    peer.enabled = enabled
    if not enabled:
        links.end(peer, "disabled by the operator", now_ns)
    return [SessionSwitched(at_ns=now_ns, session=peer.session.name, enabled=enabled, by=by)]


def _reset(peer: Peer, now_ns: int) -> AnyFact:
    peer.store.reset()
    peer.store.began_ns = now_ns
    peer.recorded = peer.numbers
    return SessionReset(at_ns=now_ns, session=peer.session.name)


def _set(peer: Peer, command: SessionCommand, now_ns: int) -> AnyFact:
    peer.store.next_in = command.next_in or peer.store.next_in
    peer.store.next_out = command.next_out or peer.store.next_out
    peer.recorded = peer.numbers
    return advanced(peer, now_ns)
