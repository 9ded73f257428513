"""The whole service without I/O: bytes, events and time go in; facts and bytes come out.

A node owns the sessions, the state and the market view, and walks an input through them: session -> message -> command
-> decision -> facts -> messages -> bytes. All that one input causes comes back as one `NodeOutput`; whoever runs the
node journals its facts before any of its bytes leave. A node made from recorded facts goes on where they stopped.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from domain.commands import (
    AmendOrder,
    CancelOrder,
    CancelParent,
    DisputeExecution,
    MassCancel,
    MassStatusRequest,
    NewParent,
    NotifyClients,
    OperatorCommand,
    PromoteModel,
    ReplaceParent,
    RollBackModel,
    StatusRequest,
)
from domain.facts import (
    AnyFact,
    ChildCancelRequested,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildReplaceRequested,
    ChildRiskRejected,
    ChildSubmitted,
    ChildUncertain,
    ClientNotified,
    EpochStarted,
    ExecutionUnknown,
    KillSwitchSet,
    MarketDataDown,
    MassCancelAnswered,
    MessageReceived,
    MessageSent,
    ModelLoaded,
    ParentRejected,
    ParentRequestRejected,
    PasswordReplaced,
    QuoteRequested,
    ReturnPathKept,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
    Started,
    TimerFired,
)
from domain.fields import OrdRejReason
from domain.market import DealerQuoted, MarketView
from domain.orders import ParentOrder
from fix.endpoint import Link, Output
from fix.message import Message, masked, parse
from fix.messages import FieldError, Typed
from fix.session import LoggedOn, LoggedOut, NotResent, Outgoing, PasswordChanged, Rejected, SequenceReset
from gateway import inbound as client_inbound
from gateway import outbound as client_outbound
from router.engine import Engine
from router.model import FillModel
from router.routing import Routing
from router.state import State
from service.config import ServiceConfig, decisive
from service.links import Links, Peer, PeerKind
from service.sessions import SessionCommand, administer
from service.snapshot import NodeImage
from venues import dealer, feed, trading
from venues import inbound as venue_inbound
from venues import outbound as venue_outbound

VERSION = "0.1.0"
RESTORED = frozenset({MessageSent, PasswordReplaced, SessionAdvanced, SessionReset, SessionSwitched})
SENT_REMEMBERED = 4096  # messages to venues whose reject can still be attributed to an order
ASK_NS, ASK_MAX_NS = 1_000_000_000, 60_000_000_000  # between two questions about the same children
CL_ORD_ID, ON_BEHALF_OF_COMP_ID = 11, 115
REF_SEQ_NUM, TEXT, REF_MSG_TYPE = 45, 58, 372
REJECTS = ("3", "j")
NOT_OF_AN_ORDER = ("e", "g", "q", "Q", "R")  # what a venue may turn down without a word about an order of ours
MARKET_DATA_REQUEST_REJECT = "Y"
QUOTING = ("S", "Z", "AG", "b")
TRADING_SESSION_STATUS, SECURITY_STATUS, MASS_CANCEL_REPORT = "h", "f", "r"


@dataclass(slots=True)
class NodeOutput(Output):
    facts: list[AnyFact] = field(default_factory=list)


class Node:
    """An `fix.endpoint.Endpoint` whose outputs carry the facts to journal first.

    `recorded` are the batches of the journal so far, or those since `image`; they are applied, never decided again.
    `stopwatch` gives
    nanoseconds for the time spent in a decision; the default, a constant, keeps virtual time reproducible.
    """

    def __init__(
        self,
        config: ServiceConfig,
        model: FillModel,
        model_text: str,
        now_ns: int,
        recorded: Iterable[list[AnyFact]] = (),
        stopwatch: Callable[[], int] = lambda: 0,
        image: NodeImage | None = None,
        passwords: Mapping[str, str] | None = None,
        version: str = VERSION,
    ) -> None:
        self.config = config
        self._version = version
        self.state = image.state if image is not None else State()
        self.market = MarketView()
        self.links = Links(config, now_ns, passwords)
        venues = {venue.name: venue.terms() for venue in config.venues if venue.enabled}
        instruments = {item.symbol: item.instrument for item in config.instruments}
        routing = Routing(instruments, venues, config.risk, config.policy, model, config.service.seed, stopwatch)
        self._grace_ns: dict[str, int] = {}
        self.engine = Engine(self.state, self.market, routing, self._grace_ns, config.journal.keep)
        self.is_shutting_down = False
        self._venue_kinds = {name: terms.kind for name, terms in venues.items()}
        self._venue_configs = {venue.name: venue for venue in config.venues if venue.enabled}
        self._mics = {name: terms.mic for name, terms in venues.items()}
        self._symbols = tuple(instruments)
        self.stops: Callable[[], Mapping[str, tuple[str, str]]] = dict  # scope -> by whom, why: a switch outside of us
        self._model_text = model_text
        self._facts: list[AnyFact] = []
        self._sent_to_venues: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # by venue and MsgSeqNum, the latest
        self._ask_again: dict[str, tuple[int, int]] = {}  # venue -> (when, the wait before), while children are unsure
        if image is not None:
            self.links.take_over(image.state, image.messages)
        for batch in recorded:
            for fact in batch:
                self._restore(fact)
        for peer in self.links.clients.values():
            self._know(peer)

    # --- the inputs ---

    def start(self, now_ns: int) -> NodeOutput:
        """The first input: what a fresh journal opens with, or what a restart has to say."""
        if not self.state.epoch:
            self._commit(iter([EpochStarted(at_ns=now_ns, epoch=_epoch(now_ns), version=self._version)]), now_ns)
        self._commit(iter([Started(at_ns=now_ns, version=self._version, config=decisive(self.config))]), now_ns)
        model_id = self.engine.routing.model.model_id
        self._commit(iter([ModelLoaded(at_ns=now_ns, model_id=model_id, text=self._model_text)]), now_ns)
        self._commit(self.engine.resume(now_ns), now_ns)
        return self._output(now_ns)

    def connected(self, link: Link, port: str, now_ns: int) -> NodeOutput:
        self.links.connected(link, port, now_ns)
        return self._output(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> NodeOutput:
        peer = self.links.receive(link, data, now_ns)
        if peer is not None:
            self._handle_events(peer, now_ns)
        return self._output(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> NodeOutput:
        peer = self.links.disconnected(link, now_ns)
        if peer is not None:
            self._handle_events(peer, now_ns)
            self.links.settle(peer)
        return self._output(now_ns)

    def timer(self, now_ns: int) -> NodeOutput:
        for peer in self.links.timer(now_ns):
            self._handle_events(peer, now_ns)
        due_ns = self.engine.next_timer_ns()
        if due_ns is not None and due_ns <= now_ns:
            self._commit(iter([TimerFired(at_ns=now_ns)]), now_ns)
            self._commit(self.engine.timer(now_ns), now_ns)
        for venue in [venue for venue, (due_ns, _) in self._ask_again.items() if due_ns <= now_ns]:
            self._ask_status(self.links.venues[venue], now_ns)
        return self._output(now_ns)

    def next_timer_ns(self) -> int | None:
        asks = [due_ns for due_ns, _ in self._ask_again.values()]
        timers = [self.engine.next_timer_ns(), self.links.next_timer_ns(), *asks]
        return min((due_ns for due_ns in timers if due_ns is not None), default=None)

    def operator(self, command: OperatorCommand, now_ns: int) -> NodeOutput:
        """What `refusal` has passed."""
        if isinstance(command, NotifyClients) and not command.client:
            for name in self.links.clients:
                to_one = msgspec.structs.replace(command, client=name)
                self._commit(self.engine.operator(to_one, now_ns), now_ns)
        else:
            self._commit(self.engine.operator(command, now_ns), now_ns)
        return self._output(now_ns)

    def refusal(self, command: OperatorCommand, now_ns: int) -> str:
        """Why an operator's command can't be followed, "" if it can."""
        if isinstance(command, NotifyClients):
            return f"there is no client {command.client!r}" if command.client not in ("", *self.links.clients) else ""
        return self.engine.refusal(command, now_ns) if isinstance(command, CancelOrder | AmendOrder) else ""

    def pause(self, text: str, now_ns: int) -> NodeOutput:
        """The journal can hardly be written: nothing new is begun until `unpause`."""
        if not self.state.paused:
            self._commit(self.engine.pause(text, now_ns), now_ns)
        return self._output(now_ns)

    def unpause(self, text: str, now_ns: int) -> NodeOutput:
        if self.state.paused:
            self._commit(self.engine.unpause(text, now_ns), now_ns)
        return self._output(now_ns)

    def promote(self, command: PromoteModel, model: FillModel, now_ns: int) -> NodeOutput:
        """The next stage of a model on trial, which `Engine.promotion_refused` has passed."""
        routing, trial = self.engine.routing, self.state.trial
        if command.model_id != trial.model_id:
            if trial.stage == "champion" and routing.candidate is not None:
                routing.model = routing.candidate
            routing.candidate = model
        self._commit(self.engine.promote(command, now_ns), now_ns)
        return self._output(now_ns)

    def roll_back(self, command: RollBackModel, now_ns: int) -> NodeOutput:
        """The model on trial is gone; there must be one."""
        self._commit(self.engine.roll_back(command.by, command.text, now_ns), now_ns)
        return self._output(now_ns)

    def session(self, command: SessionCommand, now_ns: int) -> NodeOutput:
        """An operator's change to a session, which `service.sessions.check` has passed."""
        peer, facts = administer(self.links, command, now_ns)
        for fact in facts:
            self._note(fact)
        self._handle_events(peer, now_ns)
        return self._output(now_ns)

    def reconfigure(
        self, config: ServiceConfig, passwords: Mapping[str, str], now_ns: int
    ) -> tuple[NodeOutput, list[str]]:
        """Another config for the sessions, of which `service.reload.refusals` has nothing to say; and what is done."""
        self.config = config
        done = self.links.reconfigure(config, passwords, now_ns)
        for peer in list(self.links.clients.values()):
            self._handle_events(peer, now_ns)
        return self._output(now_ns), done

    def begin_shutdown(self, now_ns: int) -> NodeOutput:
        """No new orders or children from here on; working children are cancelled and their end is awaited."""
        self.is_shutting_down = True
        cancel_parents = self.config.service.on_shutdown == "cancel"
        self._commit(self.engine.hold(now_ns, cancel_parents=cancel_parents), now_ns)
        return self._output(now_ns)

    @property
    def is_drained(self) -> bool:
        """No child is left whose end could still be heard of."""
        return all(child.uncertain for children in self.state.open_children.values() for child in children.values())

    def end_shutdown(self, now_ns: int) -> NodeOutput:
        cancel_parents = self.config.service.on_shutdown == "cancel"
        self._commit(self.engine.finish(now_ns, cancel_parents=cancel_parents), now_ns)
        self.links.logout_all("shutting down", now_ns)
        return self._output(now_ns)

    # --- messages in ---

    def _handle_events(self, peer: Peer, now_ns: int) -> None:
        for event in self.links.events(peer, now_ns):
            match event:
                case Message():
                    self._handle_message(peer, event, now_ns)
                case LoggedOn():
                    self._ready(peer, now_ns)
                case LoggedOut(text=text):
                    self._lost(peer, text, now_ns)
                case NotResent() if peer.kind is PeerKind.VENUE:
                    # What the venue has of our orders and cancels is not known any more, even of the latest ones.
                    self._commit(self.engine.venue_unsure(peer.name, now_ns), now_ns)
                    self._ask_status(peer, now_ns)
                case SequenceReset() if peer.kind is not PeerKind.MARKET_DATA:
                    self._note(SessionReset(at_ns=now_ns, session=peer.session.name))
                    peer.recorded = (1, 1, peer.store.began_ns)
                case PasswordChanged(username=username, replaced=replaced, hashed=hashed):
                    session = peer.session.name
                    self._note(
                        PasswordReplaced(
                            at_ns=now_ns, session=session, username=username, replaced=replaced, hashed=hashed
                        )
                    )
                case Rejected(message=message) if peer.kind is PeerKind.VENUE:
                    self._handle_message(peer, message, now_ns)

    def _handle_message(self, peer: Peer, message: Message, now_ns: int) -> None:
        try:
            match peer.kind:
                case PeerKind.MARKET_DATA:
                    if self.config.service.record_market_data:
                        self._record_received(peer, message, now_ns)
                    self._handle_status(peer, message, now_ns)
                    for update in feed.to_updates(message, peer.name, now_ns):
                        self.market.apply(update, now_ns)
                        if self.engine.watches(update.symbol):
                            self._commit(self.engine.market_moved(update, now_ns), now_ns)
                    if message.msg_type == MARKET_DATA_REQUEST_REJECT:
                        self.links.notice("no_market_data", f"{peer.name}: {message.get(TEXT)}")
                case PeerKind.VENUE:
                    self._record_received(peer, message, now_ns)
                    self._handle_venue_message(peer, message, now_ns)
                case PeerKind.CLIENT:
                    self._record_received(peer, message, now_ns)
                    self._handle_client_message(peer, message, now_ns)
        except FieldError as error:
            peer.session.reject(message, error.reason, error.tag, error.text, now_ns)

    def _handle_client_message(self, peer: Peer, message: Message, now_ns: int) -> None:
        self._obey(now_ns)
        client = peer.client
        assert client is not None
        self._remember_path(peer, message, now_ns)
        command = client_inbound.to_command(message, client)
        match command:
            case NewParent() | CancelParent() | ReplaceParent() if command.poss_resend and (
                known := self._parent_of(command)
            ):
                # PossResend(97)=Y of what has arrived before: answered by the order's state, never done again.
                ask = StatusRequest(client.name, command.cl_ord_id, "", known.accepted.side, "")
                self._send(peer, client_outbound.status(known, ask, client, now_ns), now_ns)
            case NewParent():
                self._commit(self.engine.new_parent(command, now_ns), now_ns)
            case CancelParent():
                self._commit(self.engine.cancel_parent(command, now_ns), now_ns)
            case ReplaceParent():
                self._commit(self.engine.replace_parent(command, now_ns), now_ns)
            case MassCancel():
                self._commit(self.engine.mass_cancel(command, now_ns), now_ns)
            case DisputeExecution():
                self._commit(self.engine.dispute(command, now_ns), now_ns)
            case StatusRequest():
                self._send(peer, client_outbound.status(self._parent_of(command), command, client, now_ns), now_ns)
            case MassStatusRequest():
                parents = self.engine.open_parents_of(command)
                for report in client_outbound.mass_status(parents, command, client, now_ns):
                    self._send(peer, report, now_ns)
            case _:
                rejected = peer.session.business_reject(message, command.reason, command.text, now_ns)
                self._record_sent(peer, rejected, now_ns)

    def _parent_of(self, command: NewParent | CancelParent | ReplaceParent | StatusRequest) -> ParentOrder | None:
        """The client's order, or the one that a request of this ClOrdID(11) was about."""
        parent_id = self.state.parent_by_cl_ord_id.get((command.client, command.cl_ord_id), "")
        return self.state.parents.get(parent_id)

    def _remember_path(self, peer: Peer, message: Message, now_ns: int) -> None:
        """What the client is told of an order goes back to the third party that it came from."""
        if message.get(ON_BEHALF_OF_COMP_ID) is None:
            return
        session, cl_ord_id = peer.session.name, message.get(CL_ORD_ID) or ""
        if cl_ord_id and cl_ord_id not in self.state.return_paths.get(session, {}):
            path = peer.session.return_path(message)
            self._note(ReturnPathKept(at_ns=now_ns, session=session, cl_ord_id=cl_ord_id, path=path))

    def _handle_venue_message(self, peer: Peer, message: Message, now_ns: int) -> None:
        if message.msg_type in (TRADING_SESSION_STATUS, SECURITY_STATUS):
            self._handle_status(peer, message, now_ns)
            return
        if message.msg_type == MASS_CANCEL_REPORT:  # the orders concerned are reported one by one
            affected = f"{message.get(533) or 'some'} orders" if message.get(531) != "0" else "refused"
            self.links.notice("mass_cancel", f"{peer.name}: {affected} {message.get(TEXT) or ''}".rstrip())
            return
        if message.msg_type in QUOTING:
            self._handle_quote(peer, message, now_ns)
            return
        is_reject, ref_msg_type = message.msg_type in REJECTS, message.get(REF_MSG_TYPE)
        if is_reject and ref_msg_type in NOT_OF_AN_ORDER:
            self.links.notice("refused", f"{peer.name}: {ref_msg_type}: {message.get(TEXT) or ''}".rstrip())
            return
        refused = self._sent_to_venues.get((peer.name, message.get(REF_SEQ_NUM) or "")) if is_reject else None
        for report in venue_inbound.to_facts(message, peer.name, now_ns, parse(refused) if refused else None):
            self._commit(self.engine.child_report(report, now_ns), now_ns)
            if isinstance(self._facts[-1], ExecutionUnknown):
                self._dispute(peer, message, self._facts[-1], now_ns)

    def _dispute(self, peer: Peer, report: Message, unknown: ExecutionUnknown, now_ns: int) -> None:
        """A fill of an order that we never sent there is refused; whatever else is unclear may be ours."""
        state = self.state
        child = state.children.get(state.child_by_request_id.get(unknown.child_id, unknown.child_id))
        if unknown.last_qty > 0 and (child is None or child.submitted.venue != peer.name):
            answer = venue_outbound.dont_know(report, unknown.text)
            if answer is not None:
                self._send(peer, answer, now_ns)

    def _handle_quote(self, peer: Peer, message: Message, now_ns: int) -> None:
        """A dealer's answer to a request of ours, or a quote that he streams beside his orders."""
        refused = trading.quote_refusal(message, peer.name, now_ns)
        if refused is not None:
            self._commit(self.engine.quote_refused(refused, now_ns), now_ns)
            return
        for update in feed.to_updates(message, peer.name, now_ns):
            self.market.apply(update, now_ns)
            if isinstance(update, DealerQuoted) and update.quote_req_id:
                self._commit(self.engine.quoted(update.quote_req_id, now_ns), now_ns)

    def _handle_status(self, peer: Peer, message: Message, now_ns: int) -> None:
        changed = trading.status_change(message, peer.name, self._venue_configs[peer.name].status_codes, now_ns)
        if changed is not None:
            self._commit(self.engine.trading_status(changed, now_ns), now_ns)

    def _record_received(self, peer: Peer, message: Message, now_ns: int) -> None:
        self._facts.append(MessageReceived(at_ns=now_ns, session=peer.session.name, raw=masked(message.raw)))

    def _know(self, peer: Peer) -> None:
        """One that appeared under a pattern has its own grace time."""
        if peer.client is not None and peer.client.on_disconnect == "cancel":
            self._grace_ns[peer.name] = int(peer.client.disconnect_grace_s * 1e9)

    def _ready(self, peer: Peer, now_ns: int) -> None:
        self._know(peer)
        if peer.kind is PeerKind.MARKET_DATA:
            symbols = self.engine.routing.venues[peer.name].symbols or self._symbols
            self._send(peer, feed.subscription(symbols, f"{peer.name}-{now_ns}"), now_ns)
        elif peer.kind is PeerKind.VENUE:
            self._commit(self.engine.venue_up(peer.name, now_ns), now_ns)
            self._ask_again.pop(peer.name, None)
            symbols = self.engine.routing.venues[peer.name].symbols or self._symbols
            wanted = self._venue_configs[peer.name].status_requests
            for request in trading.subscriptions(wanted, symbols, f"{peer.name}-{now_ns}"):
                self._send(peer, request, now_ns)
            self._ask_status(peer, now_ns)
        else:
            self._commit(self.engine.client_up(peer.name, now_ns), now_ns)

    def _ask_status(self, peer: Peer, now_ns: int) -> None:
        """Asks for each uncertain child, and again later: an answer may be missing, or not agree with what we have."""
        _, waited_ns = self._ask_again.pop(peer.name, (0, 0))
        uncertain = [child for child in self.engine.children_at(peer.name) if child.uncertain]
        for child in uncertain:
            self._send(peer, venue_outbound.status_request(child), now_ns)
        if uncertain:
            wait_ns = min(max(2 * waited_ns, ASK_NS), ASK_MAX_NS)
            self._ask_again[peer.name] = (now_ns + wait_ns, wait_ns)

    def _ask_soon(self, venue: str, now_ns: int) -> None:
        """Where a venue that is there left us in doubt; one that is away is asked when it is back."""
        if self.links.venues[venue].session.is_logged_on:
            self._ask_again.setdefault(venue, (now_ns + ASK_NS, 0))

    def _lost(self, peer: Peer, text: str, now_ns: int) -> None:
        if peer.kind is PeerKind.MARKET_DATA:
            self.market.forget_venue(peer.name, now_ns)
            if self.config.service.record_market_data:
                self._facts.append(MarketDataDown(at_ns=now_ns, venue=peer.name))
        elif peer.kind is PeerKind.CLIENT:
            if peer.name in self.state.clients_up:
                self._commit(self.engine.client_down(peer.name, text, now_ns), now_ns)
        elif peer.kind is PeerKind.VENUE and peer.name in self.state.venues_up:
            self._ask_again.pop(peer.name, None)
            self._commit(self.engine.venue_down(peer.name, text, now_ns), now_ns)

    # --- facts and messages out ---

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
        order = self.state.parents[child.parent_id].accepted
        blocked = self.state.kill_switch.blocks(
            client=order.client,
            account=order.account,
            venue=child.venue,
            strategy=order.strategy,
            symbol=order.symbol,
        )
        if blocked is None:
            return child
        return ChildRiskRejected(
            at_ns=now_ns,
            parent_id=child.parent_id,
            decision_id=child.decision_id,
            venue=child.venue,
            symbol=child.symbol,
            order_qty=child.order_qty,
            px=child.px,
            limit=blocked.limit,
            text=blocked.text,
        )

    def _remember_sent(self, venue: str, msg_seq_num: int, raw: bytes) -> None:
        self._sent_to_venues[venue, str(msg_seq_num)] = raw
        if len(self._sent_to_venues) > SENT_REMEMBERED:
            self._sent_to_venues.popitem(last=False)

    def _note(self, fact: AnyFact) -> None:
        """A fact that nobody outside is told of."""
        self.state.apply(fact)
        self._facts.append(fact)

    def _commit(self, facts: Iterator[AnyFact], now_ns: int) -> None:
        """Applies each fact and tells whom it concerns, before the decision goes on to the next one."""
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
                    sent = self._send(peer, message, now_ns)
                    self._remember_sent(venue, sent.msg_seq_num, sent.raw)
            elif isinstance(fact, client_outbound.REPORTED):
                self._tell_client(fact, now_ns)

    def _cancel_everywhere(self, fact: KillSwitchSet, now_ns: int) -> None:
        """One message for all at a venue that takes it; the cancels of the single orders follow in any case."""
        for name, config in self._venue_configs.items():
            if config.can_mass_cancel and name in self.state.venues_up:
                request = venue_outbound.mass_cancel(fact, name, f"{self.state.epoch}-K{now_ns}")
                if request is not None:
                    self._send(self.links.venues[name], request, now_ns)

    def _tell_client(self, fact: AnyFact, now_ns: int) -> None:
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

    def _output(self, now_ns: int) -> NodeOutput:
        self._commit(self.engine.judge_trial(now_ns), now_ns)
        writes, closes, advances = self.links.drain(now_ns)
        for advanced in advances:
            self._note(advanced)
        facts, self._facts = self._facts, []
        return NodeOutput(writes, closes, facts)

    def note(self, fact: AnyFact) -> NodeOutput:
        """Something about the journal itself, to be recorded there."""
        self._note(fact)
        return self._output(fact.at_ns)

    def image(self) -> NodeImage:
        """All that a restart needs; between two inputs only, and not to be changed."""
        return NodeImage(self.state, self.links.messages())

    # --- recovery ---

    def _restore(self, fact: AnyFact) -> None:
        kind = type(fact)
        if kind is MessageReceived:  # the most frequent one, and evidence only
            return
        if kind in RESTORED:
            self.links.restore(fact)
        if kind is not MessageSent:
            self.state.apply(fact)


def _epoch(now_ns: int) -> str:
    """Seconds since 1970 in base 32: seven characters that no later journal begins with."""
    seconds, digits = now_ns // 1_000_000_000, ""
    while seconds:
        seconds, digit = divmod(seconds, 32)
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit] + digits
    return digits
