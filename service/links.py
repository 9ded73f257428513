"""Who is at the other end: connections, their FIX sessions, and what of them has to be written down.

A client's session is chosen by the CompIDs of the first message on its connection; a venue's sessions are named by the
connectors. Sequence numbers of clients' and venues' order sessions survive a restart; market-data sessions start anew
at each logon, since yesterday's book is worth nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from domain.facts import (
    MessageSent,
    PasswordReplaced,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
)
from fix.addresses import is_within, networks
from fix.directory import SessionTemplate
from fix.endpoint import Link
from fix.lobby import Admitted, Lobby
from fix.message import Message
from fix.messages import Typed
from fix.session import (
    Disconnect,
    Garbled,
    LoggedOn,
    LoggedOut,
    NotResent,
    Outgoing,
    PasswordChanged,
    Received,
    Rejected,
    SequenceReset,
    Session,
    SessionConfig,
    SessionDirectory,
)
from fix.store import MemoryStore, Sent
from gateway.clients import ClientConfig, client_named
from router.state import State
from service.config import ServiceConfig
from service.session_settings import client_session, venue_sessions, with_changes

EMS_PORT = "ems"
ALL = 1 << 62  # more than any MsgSeqNum(34)


class Notice(NamedTuple):
    """Something about a connection that changes no order, for the log."""

    event: str  # "refused", "session_ended", "garbled", "no_market_data"
    text: str


class PeerKind(Enum):
    CLIENT = "client"
    VENUE = "venue"
    MARKET_DATA = "market_data"


# For what runs with each message: a member of an enumeration costs ten times as much as a name.
CLIENT, VENUE, MARKET_DATA = PeerKind


@dataclass(slots=True, eq=False)
class Peer:
    """One FIX session of ours, connected or not. `name` is the client's or the venue's."""

    kind: PeerKind
    name: str
    session: Session
    store: MemoryStore
    link: Link | None = None
    client: ClientConfig | None = None
    recorded: tuple[int, int, int] = (1, 1, 0)  # the sequence numbers that the journal has, and when they began
    enabled: bool = True  # False: an operator keeps it away
    was_on: bool = False  # logged on, ever
    passwords: dict[str, str] = field(default_factory=dict)  # a hash, and the one that holds in its place
    planned: tuple[SessionConfig, ClientConfig | None] | None = None  # from the next connection on
    is_removed: bool = False  # from the config: forgotten once it is disconnected

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.store.next_in, self.store.next_out, self.store.began_ns


def market_data_port(venue: str) -> str:
    return f"{venue}MD"


class Links:
    """All sessions of the node and the connections that carry them."""

    def __init__(self, config: ServiceConfig, now_ns: int, passwords: Mapping[str, str] | None = None) -> None:
        self.clients: dict[str, Peer] = {}
        self.venues: dict[str, Peer] = {}
        self.peers: list[Peer] = []
        self.address_of: Callable[[Link], str] = lambda _: ""  # of who is at the other end; "": nobody knows
        self._config = config
        self._started_ns = now_ns
        self._stores: dict[str, MemoryStore] = {}  # by session; one that comes back goes on with its numbers
        self._by_port: dict[str, Peer] = {}
        self._by_session: dict[str, Peer] = {}
        self._by_link: dict[Link, Peer] = {}
        self._touched: dict[int, Peer] = {}
        self._closes: list[Link] = []
        self._notices: list[Notice] = []
        for client in config.clients:
            if not client.is_template:
                self._add_client(client)
        for venue in config.venues:
            if venue.enabled:
                orders, data = venue_sessions(config, venue, (passwords or {}).get(venue.name, ""))
                self.venues[venue.name] = self._by_port[venue.name] = self._add(PeerKind.VENUE, venue.name, orders)
                self._by_port[market_data_port(venue.name)] = self._add(PeerKind.MARKET_DATA, venue.name, data)
        self._directory = SessionDirectory()
        self._fill_directory()
        self._lobby = Lobby(self._directory)
        self._timer_ns = self._soonest()

    def _add(self, kind: PeerKind, name: str, settings: SessionConfig, client: ClientConfig | None = None) -> Peer:
        store = self._stores.setdefault(f"{settings.sender_comp_id}->{settings.target_comp_id}", MemoryStore())
        peer = Peer(kind, name, Session(settings, store, self._started_ns), store, client=client)
        peer.recorded = peer.numbers
        self.peers.append(peer)
        self._by_session[peer.session.name] = peer
        return peer

    def _add_client(self, client: ClientConfig) -> Peer:
        peer = self._add(PeerKind.CLIENT, client.name, client_session(self._config, client), client)
        self.clients[client.name] = peer
        return peer

    # --- who may come ---

    def _fill_directory(self) -> None:
        directory = self._directory
        directory.clear()
        for peer in self.clients.values():
            if not peer.is_removed:
                directory.add(peer.session)
        for client in self._config.clients:
            if client.is_template:
                made = sum(self._pattern(name) == client.name for name in self.clients)
                settings = client_session(self._config, client)
                directory.add_template(SessionTemplate(settings, self._make, client.max_sessions, made))

    def drop_copies(self, account: str) -> list[Peer]:
        """The sessions that get a copy of each report on an account."""
        return [
            peer
            for peer in self.clients.values()
            if peer.client is not None and peer.client.drop_copy and account in peer.client.accounts
        ]

    def _pattern(self, name: str) -> str:
        """The pattern in the config that a client came under; "" for one with a table of its own."""
        if any(client.name == name for client in self._config.clients):
            return ""
        return next((client.name for client in self._config.clients if client_named([client], name)), "")

    def _make(self, settings: SessionConfig) -> Session:
        """A client that matches a pattern appears for the first time."""
        client = client_named(self._config.clients, settings.target_comp_id)
        assert client is not None
        return self._add_client(client).session

    def _forget(self, peer: Peer) -> None:
        self.peers.remove(peer)
        del self.clients[peer.name], self._by_session[peer.session.name]
        self._fill_directory()

    def _may_come(self, peer: Peer, link: Link) -> str:
        """Why a client is not let in, "" where it is."""
        if not peer.enabled:
            return f"session {peer.session.name} is disabled"
        if peer.client is not None and peer.client.allow:
            address = self.address_of(link)
            if not is_within(address, networks(peer.client.allow)):
                return f"session {peer.session.name} may not come from {address or 'an unknown address'}"
        return ""

    # --- connections ---

    def connected(self, link: Link, port: str, now_ns: int) -> None:
        if port != EMS_PORT:
            peer = self._by_port[port]
            if peer.link is not None:
                self._refuse(link, f"session {peer.session.name} is connected already")
            elif peer.enabled:
                self._attach(peer, link, now_ns)
            else:
                self._refuse(link, f"session {peer.session.name} is disabled")
        elif (refused := self._lobby.connected(link, now_ns)) is not None:
            self._refuse(link, refused.text)
        self._timer_ns = self._soonest()

    def receive(self, link: Link, data: bytes, now_ns: int) -> Peer | None:
        """The peer that got the bytes; None while an unknown client has not said who it is."""
        peer = self._by_link.get(link)
        if peer is None:
            if link not in self._lobby:
                return None  # refused a moment ago; its link is being closed
            answer = self._lobby.receive(link, data, now_ns)
            if answer is None:
                return None
            if not isinstance(answer, Admitted):
                self._refuse(link, answer.text)
                return None
            peer, data = self._by_session[answer.session.name], answer.data
            if why := self._may_come(peer, link):
                self._refuse(link, why)
                self.settle(peer)
                return None
            self._attach(peer, link, now_ns)
        peer.session.receive(data, now_ns)
        self._touched[id(peer)] = peer
        return peer

    def disconnected(self, link: Link, now_ns: int) -> Peer | None:
        self._lobby.disconnected(link)
        peer = self._by_link.pop(link, None)
        if peer is None:
            return None
        peer.link = None
        peer.session.disconnected(now_ns)
        self._touched[id(peer)] = peer
        self._timer_ns = self._soonest()
        return peer

    def settle(self, peer: Peer) -> None:
        """A disconnected peer, once its events are handled: what waited for that is done."""
        if peer.link is not None:
            return
        if peer.planned is not None:
            self._renew(peer, *peer.planned)
        never_on = peer.kind is PeerKind.CLIENT and not peer.was_on and peer.numbers[:2] == (1, 1)
        if peer.is_removed or (never_on and self._pattern(peer.name)):
            # A stranger that only knew a CompID leaves no session behind.
            self._forget(peer)

    def _renew(self, peer: Peer, settings: SessionConfig, client: ClientConfig | None) -> None:
        """The same peer with other settings; it goes on with its numbers."""
        peer.planned, peer.client = None, client
        peer.session = Session(settings, peer.store, self._started_ns)
        peer.session.credentials = with_changes(settings.credentials, peer.passwords)
        self._by_session[peer.session.name] = peer
        self._fill_directory()

    def _refuse(self, link: Link, text: str) -> None:
        self._closes.append(link)
        self.notice("refused", text)

    def timer(self, now_ns: int) -> list[Peer]:
        """The peers whose sessions had something to do."""
        if self._timer_ns is None or now_ns < self._timer_ns:
            return []
        for link in self._lobby.expired(now_ns):
            self._refuse(link, "no Logon(A) in time")
        due = []
        for peer in self.peers:
            due_ns = peer.session.next_timer_ns()
            if due_ns is not None and due_ns <= now_ns:
                peer.session.timer(now_ns)
                self._touched[id(peer)] = peer
                due.append(peer)
        self._timer_ns = self._soonest()
        return due

    def next_timer_ns(self) -> int | None:
        """Never later than a session wants it. Traffic moves a session's timer on, so this may come too early."""
        return self._timer_ns

    def _attach(self, peer: Peer, link: Link, now_ns: int) -> None:
        peer.link = link
        self._by_link[link] = peer
        peer.session.connected(now_ns)
        self._touched[id(peer)] = peer
        self._timer_ns = self._soonest()

    def _soonest(self) -> int | None:
        timers = [peer.session.next_timer_ns() for peer in self.peers]
        timers.append(self._lobby.next_timer_ns())
        return min((at_ns for at_ns in timers if at_ns is not None), default=None)

    # --- messages ---

    def events(
        self, peer: Peer, now_ns: int
    ) -> Iterator[Message | LoggedOn | LoggedOut | NotResent | PasswordChanged | Rejected | SequenceReset]:
        """What the session made of the bytes, one event at a time, so that answers keep the order of the questions."""
        while (event := peer.session.next_event(now_ns)) is not None:
            match event:
                case Received(message=message):
                    yield message
                case PasswordChanged(replaced=replaced, hashed=hashed):
                    peer.passwords[replaced] = hashed
                    yield event
                case LoggedOn() | LoggedOut() | NotResent() | Rejected() | SequenceReset():
                    peer.was_on = peer.was_on or isinstance(event, LoggedOn)
                    self._timer_ns = self._soonest()
                    yield event
                case Disconnect(text=text):
                    if peer.link is not None:
                        self._closes.append(peer.link)
                        self.notice("session_ended", f"{peer.session.name}: {text}")
                case Garbled(text=text):
                    self.notice("garbled", f"{peer.session.name}: {text}")

    def send(self, peer: Peer, message: Typed, now_ns: int, via: str = "") -> Outgoing:
        """`via` as in `Session.send`."""
        self._touched[id(peer)] = peer
        return peer.session.send(message, now_ns, via=via)

    def end(self, peer: Peer, text: str, now_ns: int) -> None:
        """Begin to end what the session has of a connection; its events are to be handled afterwards."""
        peer.session.logout(text, now_ns)
        self._touched[id(peer)] = peer
        self._timer_ns = self._soonest()

    def logout_all(self, text: str, now_ns: int) -> None:
        for peer in self.peers:
            if peer.session.is_logged_on:
                peer.session.logout(text, now_ns)
                self._touched[id(peer)] = peer
        self._timer_ns = self._soonest()

    def drain(self, now_ns: int) -> tuple[list[tuple[Link, bytes]], list[Link], list[SessionAdvanced]]:
        """Bytes to write, links to close, and the sequence numbers that moved, since the last call."""
        writes: list[tuple[Link, bytes]] = []
        advances: list[SessionAdvanced] = []
        for peer in self._touched.values():
            outbox = peer.session.take_outbox()
            if outbox and peer.link is not None:
                writes.append((peer.link, b"".join([outgoing.raw for outgoing in outbox])))
            if peer.kind is not MARKET_DATA and (numbers := peer.numbers) != peer.recorded:
                peer.recorded = numbers
                advances.append(advanced(peer, now_ns))
            if peer.session.is_restless:
                due_ns = peer.session.next_timer_ns()
                if due_ns is not None and (self._timer_ns is None or due_ns < self._timer_ns):
                    self._timer_ns = due_ns  # a queue that goes on in a moment, the rest of a replay
        self._touched.clear()
        closes, self._closes = self._closes, []
        return writes, closes, advances

    def notice(self, event: str, text: str) -> None:
        self._notices.append(Notice(event, text))

    def take_notices(self) -> list[Notice]:
        notices, self._notices = self._notices, []
        return notices

    # --- another config ---

    def of_port(self, port: str) -> Peer:
        """The venue's session that a connector is for."""
        return self._by_port[port]

    def reconfigure(self, config: ServiceConfig, passwords: Mapping[str, str], now_ns: int) -> list[str]:
        """What is done, in words. Clients come, go and change, venues change; who is connected changes afterwards."""
        patterns = {client.name: client for client in self._config.clients if client.is_template}
        self._config = config
        done = []
        for peer in list(self.clients.values()):
            client = client_named(config.clients, peer.name)
            if client is None:
                done.append(f"client {peer.name} is removed")
                peer.is_removed = True
                self.end(peer, "the session is removed", now_ns)
                self.settle(peer)
            elif self._plan(peer, client_session(config, client), client):
                done.append(f"client {peer.name} is changed{' from its next logon on' if peer.planned else ''}")
        for client in config.clients:
            if client.is_template:
                before = patterns.pop(client.name, None)
                done += [f"client {client.name} is {'changed' if before else 'added'}"] if client != before else []
            elif client.name not in self.clients:
                self._add_client(client)
                done.append(f"client {client.name} is added")
        done += [f"client {name} is removed" for name in patterns]
        for venue in config.venues:
            if venue.enabled:
                settings = venue_sessions(config, venue, passwords.get(venue.name, ""))
                for port, wanted in zip((venue.name, market_data_port(venue.name)), settings, strict=True):
                    peer = self._by_port[port]
                    if self._plan(peer, wanted, None):
                        done.append(f"venue {port} is changed{' from its next logon on' if peer.planned else ''}")
        self._fill_directory()
        self._timer_ns = self._soonest()
        return done

    def _plan(self, peer: Peer, settings: SessionConfig, client: ClientConfig | None) -> bool:
        """Whether anything changes."""
        peer.planned = None
        peer.is_removed = False
        if (settings, client) == (peer.session.config, peer.client):
            return False
        if peer.link is None:
            self._renew(peer, settings, client)
        else:
            peer.planned = settings, client
        return True

    # --- recovery ---

    def messages(self) -> dict[str, list[Sent]]:
        """By session, what clients may ask for again."""
        return {peer.session.name: list(peer.store.sent(0, ALL)) for peer in self.clients.values()}

    def take_over(self, state: State, messages: Mapping[str, list[Sent]]) -> None:
        """What a snapshot has of each session that the config still has."""
        for name, (next_in, next_out, enabled) in state.sessions.items():
            peer = self._by_session.get(name) or self._of_pattern(name)
            if peer is not None:
                peer.store.next_in, peer.store.next_out = next_in, next_out
                peer.store.began_ns = state.sessions_began_ns.get(name, 0)
                peer.recorded = peer.numbers
                peer.enabled = enabled
                self._take_passwords(peer, state.passwords.get(name, {}))
        for peer in self.clients.values():
            for message in messages.get(peer.session.name, ()):
                peer.store.append(*message)

    def restore(self, fact: MessageSent | PasswordReplaced | SessionAdvanced | SessionReset | SessionSwitched) -> None:
        peer = self._by_session.get(fact.session) or self._of_pattern(fact.session)
        if peer is None:
            return  # a session that the config no longer has
        match fact:
            case MessageSent():
                if peer.kind is PeerKind.CLIENT:
                    peer.store.append(fact.msg_seq_num, fact.msg_type, fact.raw)
            case PasswordReplaced():
                self._take_passwords(peer, {fact.replaced: fact.hashed})
            case SessionAdvanced():
                peer.store.next_in, peer.store.next_out = fact.next_in, fact.next_out
                peer.store.began_ns = fact.began_ns
                peer.recorded = peer.numbers
            case SessionReset():
                peer.store.reset()
                peer.store.began_ns = fact.at_ns
                peer.recorded = peer.numbers
            case SessionSwitched():
                peer.enabled = fact.enabled

    def _take_passwords(self, peer: Peer, replaced: Mapping[str, str]) -> None:
        peer.passwords.update(replaced)
        peer.session.credentials = with_changes(peer.session.config.credentials, peer.passwords)

    def _of_pattern(self, session: str) -> Peer | None:
        """The session of a client that appeared under a pattern before."""
        prefix = f"{self._config.service.comp_id}->"
        client = client_named(self._config.clients, session.removeprefix(prefix))
        if client is None or not session.startswith(prefix):
            return None
        peer = self._add_client(client)
        peer.was_on = True
        self._fill_directory()
        return peer


def advanced(peer: Peer, now_ns: int) -> SessionAdvanced:
    next_in, next_out, began_ns = peer.numbers
    return SessionAdvanced(
        at_ns=now_ns, session=peer.session.name, next_in=next_in, next_out=next_out, began_ns=began_ns
    )
