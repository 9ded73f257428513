"""What the node says: each fact is applied, and whom it concerns is told, before a decision goes on to the next one.

Here also stands the last gate: what somebody stopped from outside is looked at when a child is about to leave, and the
questions about children that nobody is sure of are asked, and asked again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.facts import (
    AnyFact,
    ChildCancelRequested,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildReplaceRequested,
    ChildSubmitted,
    ChildUncertain,
    ClientNotified,
    KillSwitchSet,
    MassCancelAnswered,
    MessageSent,
    ParentRejected,
    ParentRequestRejected,
    QuoteRequested,
    SessionReset,
)
from domain.fields import OrdRejReason
from domain.market import MarketView
from fix.messages import Typed
from fix.session import Outgoing
from gateway import outbound as client_outbound
from router.engine import Engine
from router.model import FillModel
from router.routing import Routing, stopped
from router.state import State
from service.config import ServiceConfig
from service.links import Links, Peer, PeerKind
from venues import dealer
from venues import outbound as venue_outbound

SENT_REMEMBERED = 4096  # messages to venues whose reject can still be attributed to an order
ASK_NS, ASK_MAX_NS = 1_000_000_000, 60_000_000_000  # between two questions about the same children


@dataclass(slots=True)
class Questions:
    """When a venue is asked next about its uncertain children, and what came of the last questions."""

    due_ns: int
    waited_ns: int = 0
    asked: set[str] = field(default_factory=set)  # children, since all of them were asked for
    unanswered: set[str] = field(default_factory=set)  # of these
    count: int = 0  # unanswered, and uncertain, when the venue was asked last
    doubts: int = 0


class Telling:
    """The parts of a node, and how facts leave its hands."""

    def __init__(
        self,
        config: ServiceConfig,
        model: FillModel,
        state: State,
        now_ns: int,
        stopwatch: Callable[[], int],
        work: Callable[[], int],
        passwords: Mapping[str, str] | None,
    ) -> None:
        self.config = config
        self.state = state
        self.market = MarketView()
        self.links = Links(config, now_ns, passwords)
        venues = {venue.name: venue.terms() for venue in config.venues if venue.enabled}
        instruments = {item.symbol: item.instrument for item in config.instruments}
        routing = Routing(instruments, venues, config.risk, config.policy, model, config.service.seed, stopwatch, work)
        self._grace_ns: dict[str, int] = {}
        self.engine = Engine(self.state, self.market, routing, self._grace_ns, config.journal.keep)
        self.stops: Callable[[], Mapping[str, tuple[str, str]]] = dict  # scope -> by whom, why: a switch outside of us
        self._venue_kinds = {name: terms.kind for name, terms in venues.items()}
        self._venue_configs = {venue.name: venue for venue in config.venues if venue.enabled}
        self._mics = {name: terms.mic for name, terms in venues.items()}
        self._symbols = tuple(instruments)
        self._facts: list[AnyFact] = []
        self._has_moved = True  # whether anything was decided since the engine was asked when its timer is due
        self._engine_due_ns: int | None = None
        self._sent_to_venues: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # by venue and MsgSeqNum, the latest
        self._ask_again: dict[str, Questions] = {}  # by venue, while children are unsure

    def _note(self, fact: AnyFact) -> None:
        """A fact that nobody outside is told of."""
        if type(fact) is SessionReset:
            self._began_anew(fact)
        self._has_moved = True
        self.state.apply(fact)
        self._facts.append(fact)

    def _commit(self, facts: Iterator[AnyFact], now_ns: int) -> None:
        """Applies each fact and tells whom it concerns, before the decision goes on to the next one."""
        self._has_moved = True
        for decided in facts:
            fact = self._let_out(decided, now_ns) if type(decided) is ChildSubmitted else decided
            self.state.apply(fact)
            self._facts.append(fact)
            if isinstance(fact, ChildUncertain):
                self._ask_soon(self.state.children[fact.child_id].submitted.venue, now_ns)
            elif isinstance(fact, QuoteRequested):
                self._send(self.links.venues[fact.venue], dealer.quote_request(fact), now_ns)
            elif isinstance(fact, KillSwitchSet):
                self._cancel_everywhere(fact, now_ns)
            elif isinstance(fact, ChildSubmitted | ChildCancelRequested | ChildReplaceRequested):
                child = self.state.children[fact.child_id]
                venue = child.submitted.venue
                peer = self.links.venues[venue]
                settings, kind = self._venue_configs[venue], self._venue_kinds[venue]
                responds = settings.takes_quotes_by == "response"
                for message in venue_outbound.messages(fact, child, kind, settings.begin_string, responds=responds):
                    self._send(peer, message, now_ns)
            elif isinstance(fact, client_outbound.REPORTED):
                self._tell_client(fact, now_ns)

    def _obey(self, now_ns: int) -> None:
        """What somebody stopped from outside becomes a fact before anything else does."""
        for scope, (by, text) in self.stops().items():
            if scope not in self.state.kill_switch.scopes:
                self._note(KillSwitchSet(at_ns=now_ns, scope=scope, by=by, text=text))

    def _let_out(self, child: ChildSubmitted, now_ns: int) -> AnyFact:
        """The child, or that it was stopped on its way out although it had been decided."""
        if not self.stops():
            return child
        self._obey(now_ns)
        blocked = self.state.blocks(self.state.parents[child.parent_id].accepted, child.venue)
        return child if blocked is None else stopped(child, blocked, now_ns)

    def _cancel_everywhere(self, fact: KillSwitchSet, now_ns: int) -> None:
        """One message for all at a venue that takes it; the cancels of the single orders follow in any case."""
        for name, config in self._venue_configs.items():
            if config.can_mass_cancel and name in self.state.venues_up:
                request = venue_outbound.mass_cancel(fact, name, f"{self.state.epoch}-K{now_ns}")
                if request is not None:
                    self._send(self.links.venues[name], request, now_ns)

    def _tell_client(self, fact: Any, now_ns: int) -> None:
        child, parent = None, None
        match fact:
            case ParentRejected():
                name = fact.client
                if fact.reason is OrdRejReason.DUPLICATE_ORDER:
                    parent_id = self.state.parent_by_cl_ord_id.get((name, fact.cl_ord_id), "")
                    parent = self.state.parents.get(parent_id)
            case ParentRequestRejected():
                name, parent = fact.client, self.state.parents.get(fact.parent_id)
            case MassCancelAnswered() | ClientNotified():
                name = fact.client
            case ChildFilled() | ChildFillBusted() | ChildFillCorrected():
                child = self.state.children[fact.child_id]
                parent = self.state.parents[child.submitted.parent_id]
                name = parent.accepted.client
            case _:
                parent = self.state.parents[fact.parent_id]
                name = parent.accepted.client
        last_mkt = self._mics.get(child.submitted.venue, "") if child is not None else ""
        peer = self.links.clients.get(name)
        if peer is not None and peer.client is not None:  # else the config no longer has it; its orders are worked on
            for message in client_outbound.reports(fact, parent, peer.client, last_mkt):
                self._send(peer, message, now_ns)
        account = fact.account if isinstance(fact, ParentRejected) else parent.accepted.account if parent else ""
        for copy in self.links.drop_copies(account):
            assert copy.client is not None
            for report in client_outbound.drop_copies(fact, parent, name, copy.client, last_mkt):
                self._send(copy, report, now_ns)

    def _send(self, peer: Peer, message: Typed, now_ns: int) -> Outgoing:
        """Sends (or stores, while the peer is away) and records."""
        via = ""
        if (paths := self.state.return_paths.get(peer.session.name)) is not None:
            via = paths.get(getattr(message, "cl_ord_id", ""), "")
        sent = self.links.send(peer, message, now_ns, via)
        if peer.kind is not PeerKind.MARKET_DATA:
            self._record_sent(peer, sent, now_ns)
        return sent

    def _record_sent(self, peer: Peer, sent: Outgoing, now_ns: int) -> None:
        self._facts.append(
            MessageSent(
                at_ns=now_ns,
                session=peer.session.name,
                msg_seq_num=sent.msg_seq_num,
                msg_type=sent.msg_type,
                raw=sent.raw,
            )
        )
        if peer.kind is PeerKind.VENUE:
            self._remember_sent(peer.name, sent.msg_seq_num, sent.raw)

    def _remember_sent(self, venue: str, msg_seq_num: int, raw: bytes) -> None:
        self._sent_to_venues[venue, str(msg_seq_num)] = raw
        if len(self._sent_to_venues) > SENT_REMEMBERED:
            self._sent_to_venues.popitem(last=False)

    def _began_anew(self, fact: SessionReset) -> None:
        """A reject can only be of what is sent from here on."""
        venues = [peer.name for peer in self.links.venues.values() if peer.session.name == fact.session]
        for key in [key for key in self._sent_to_venues if key[0] in venues]:
            del self._sent_to_venues[key]

    def _ask_status(self, peer: Peer, now_ns: int) -> None:
        """Asks for each uncertain child, and again later: an answer may be missing, or not agree with what we have.

        While a venue answers one question after the other, as its limit on messages lets it, nothing is asked twice:
        more questions would only stand before the answers. One that turned some down is asked again soon.
        """
        last = self._ask_again.pop(peer.name, None) or Questions(now_ns)
        uncertain = {child.child_id: child for child in self.engine.children_at(peer.name) if child.uncertain}
        unanswered = last.unanswered & uncertain.keys()
        if 0 < len(unanswered) < last.count:
            asked, waited_ns, wait_ns = last.asked, last.waited_ns, ASK_NS
        else:
            asked, unanswered = set(), set()
            wait_ns = ASK_NS if len(uncertain) < last.doubts else min(max(2 * last.waited_ns, ASK_NS), ASK_MAX_NS)
            waited_ns = wait_ns
        new = [child for child_id, child in uncertain.items() if child_id not in asked]
        for child in new:
            self._send(peer, venue_outbound.status_request(child), now_ns)
        if uncertain:
            ids = {child.child_id for child in new}
            unanswered |= ids
            due_ns, doubts = now_ns + wait_ns, len(uncertain)
            self._ask_again[peer.name] = Questions(due_ns, waited_ns, asked | ids, unanswered, len(unanswered), doubts)

    def _answered(self, venue: str, child_id: str) -> None:
        """The venue said what became of it, or that it will not say."""
        if venue in self._ask_again:
            self._ask_again[venue].unanswered.discard(self.state.child_by_request_id.get(child_id, child_id))

    def _ask_soon(self, venue: str, now_ns: int) -> None:
        """Where a venue that is there left us in doubt; one that is away is asked when it is back."""
        if self.links.venues[venue].session.is_logged_on:
            self._ask_again.setdefault(venue, Questions(now_ns + ASK_NS))
