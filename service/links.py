"""Who is at the other end: connections, their FIX sessions, and what of them has to be written down.

A client's session is chosen by the CompIDs of the first message on its connection; a venue's sessions are named by the
connectors. Sequence numbers of clients' and venues' order sessions survive a restart; market-data sessions start anew
at each logon, since yesterday's book is worth nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from domain.facts import MessageSent, SessionAdvanced, SessionReset, SessionSwitched
from fix.endpoint import Link
from fix.lobby import Admitted, Lobby
from fix.message import Message
from fix.session import (
    Disconnect,
    Garbled,
    LoggedOn,
    LoggedOut,
    NotResent,
    Outgoing,
    Received,
    Rejected,
    SequenceReset,
    Session,
    SessionConfig,
    SessionDirectory,
)
from fix.store import MemoryStore, Sent
from service.config import ServiceConfig

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


@dataclass(slots=True, eq=False)
class Peer:
    """One FIX session of ours, connected or not. `name` is the client's or the venue's."""

    kind: PeerKind
    name: str
    session: Session
    store: MemoryStore
    link: Link | None = None
    recorded: tuple[int, int] = (1, 1)  # the sequence numbers that the journal has
    enabled: bool = True  # False: an operator keeps it away


def market_data_port(venue: str) -> str:
    return f"{venue}MD"


class Links:
    """All sessions of the node and the connections that carry them."""

    def __init__(self, config: ServiceConfig, now_ns: int) -> None:
        self.clients: dict[str, Peer] = {}
        self.venues: dict[str, Peer] = {}
        self.peers: list[Peer] = []
        self._by_port: dict[str, Peer] = {}
        self._by_session: dict[str, Peer] = {}
        self._by_link: dict[Link, Peer] = {}
        self._touched: dict[int, Peer] = {}
        self._closes: list[Link] = []
        self._notices: list[Notice] = []
        for client in config.clients:
            settings = SessionConfig(
                begin_string=client.begin_string,
                sender_comp_id=config.service.comp_id,
                target_comp_id=client.name,
                role="acceptor",
                heart_bt_int=client.heart_bt_int,
                reset_on_logon=client.reset_on_logon,
            )
            self.clients[client.name] = self._add(PeerKind.CLIENT, client.name, settings, now_ns)
        for venue in config.venues:
            if not venue.enabled:
                continue
            orders = SessionConfig(
                begin_string=venue.begin_string,
                sender_comp_id=venue.sender_comp_id,
                target_comp_id=venue.target_comp_id,
                role="initiator",
                heart_bt_int=venue.heart_bt_int,
                resend_app=False,  # an order is never sent twice: what became of it is asked after the reconnect
            )
            self.venues[venue.name] = self._add(PeerKind.VENUE, venue.name, orders, now_ns)
            self._by_port[venue.name] = self.venues[venue.name]
            data = SessionConfig(
                begin_string=venue.begin_string,
                sender_comp_id=venue.sender_comp_id,
                target_comp_id=venue.md_target_comp_id,
                role="initiator",
                heart_bt_int=venue.heart_bt_int,
                reset_on_logon=True,
                resend_app=False,
            )
            self._by_port[market_data_port(venue.name)] = self._add(PeerKind.MARKET_DATA, venue.name, data, now_ns)
        self._lobby = Lobby(SessionDirectory(peer.session for peer in self.clients.values()))
        self._timer_ns = self._soonest()

    def _add(self, kind: PeerKind, name: str, settings: SessionConfig, now_ns: int) -> Peer:
        store = MemoryStore()
        peer = Peer(kind, name, Session(settings, store, now_ns), store)
        self.peers.append(peer)
        self._by_session[peer.session.name] = peer
        return peer

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
            if not peer.enabled:
                self._refuse(link, f"session {peer.session.name} is disabled")
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
    ) -> Iterator[Message | LoggedOn | LoggedOut | NotResent | Rejected | SequenceReset]:
        """What the session made of the bytes, one event at a time, so that answers keep the order of the questions."""
        while (event := peer.session.next_event(now_ns)) is not None:
            match event:
                case Received(message=message):
                    yield message
                case LoggedOn() | LoggedOut() | NotResent() | Rejected() | SequenceReset():
                    self._timer_ns = self._soonest()
                    yield event
                case Disconnect(text=text):
                    if peer.link is not None:
                        self._closes.append(peer.link)
                        self.notice("session_ended", f"{peer.session.name}: {text}")
                case Garbled(text=text):
                    self.notice("garbled", f"{peer.session.name}: {text}")

    def send(self, peer: Peer, message: object, now_ns: int) -> Outgoing:
        self._touched[id(peer)] = peer
        return peer.session.send(message, now_ns)

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
            numbers = (peer.store.next_in, peer.store.next_out)
            if numbers != peer.recorded and peer.kind is not PeerKind.MARKET_DATA:
                peer.recorded = numbers
                advances.append(
                    SessionAdvanced(at_ns=now_ns, session=peer.session.name, next_in=numbers[0], next_out=numbers[1])
                )
        self._touched.clear()
        closes, self._closes = self._closes, []
        return writes, closes, advances

    def notice(self, event: str, text: str) -> None:
        self._notices.append(Notice(event, text))

    def take_notices(self) -> list[Notice]:
        notices, self._notices = self._notices, []
        return notices

    # --- recovery ---

    def messages(self) -> dict[str, list[Sent]]:
        """By session, what clients may ask for again."""
        return {peer.session.name: list(peer.store.sent(0, ALL)) for peer in self.clients.values()}

    def take_over(self, numbers: Mapping[str, tuple[int, int, bool]], messages: Mapping[str, list[Sent]]) -> None:
        """What a snapshot has of each session that the config still has."""
        for name, (next_in, next_out, enabled) in numbers.items():
            if (peer := self._by_session.get(name)) is not None:
                peer.store.next_in, peer.store.next_out = peer.recorded = (next_in, next_out)
                peer.enabled = enabled
        for peer in self.clients.values():
            for message in messages.get(peer.session.name, ()):
                peer.store.append(*message)

    def restore(self, fact: MessageSent | SessionAdvanced | SessionReset | SessionSwitched) -> None:
        peer = self._by_session.get(fact.session)
        if peer is None:
            return  # a session that the config no longer has
        match fact:
            case MessageSent():
                if peer.kind is PeerKind.CLIENT:
                    peer.store.append(fact.msg_seq_num, fact.msg_type, fact.raw)
            case SessionAdvanced():
                peer.store.next_in, peer.store.next_out = peer.recorded = (fact.next_in, fact.next_out)
            case SessionReset():
                peer.store.reset()
                peer.recorded = (1, 1)
            case SessionSwitched():
                peer.enabled = fact.enabled
