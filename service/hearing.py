"""What the node hears: a session's events and messages become commands and reports, and those become decisions."""

from typing import Any

from domain.commands import (
    CancelParent,
    DisputeExecution,
    MassCancel,
    MassStatusRequest,
    NewParent,
    ReplaceParent,
    StatusRequest,
)
from domain.facts import (
    ChildStatus,
    ExecutionUnknown,
    MarketDataDown,
    MessageReceived,
    PasswordReplaced,
    ReturnPathKept,
    SessionReset,
)
from domain.market import DealerQuoted
from domain.orders import ParentOrder
from fix.message import Message, masked, parse
from fix.messages import FieldError
from fix.session import LoggedOn, LoggedOut, NotResent, PasswordChanged, Rejected, SequenceReset
from gateway import inbound as client_inbound
from gateway import outbound as client_outbound
from service.links import CLIENT, MARKET_DATA, VENUE, Peer
from service.telling import Telling
from venues import feed, trading
from venues import inbound as venue_inbound
from venues import outbound as venue_outbound

CL_ORD_ID, ON_BEHALF_OF_COMP_ID = 11, 115
REF_SEQ_NUM, TEXT, REF_MSG_TYPE, BUSINESS_REJECT_REF_ID = 45, 58, 372, 379
REJECTS, ORDER_STATUS_REQUEST = ("3", "j"), "H"
NOT_OF_AN_ORDER = ("e", "g", "q", "Q", "R")  # what a venue may turn down without a word about an order of ours
MARKET_DATA_REQUEST_REJECT = "Y"
QUOTING = ("S", "Z", "AG", "b")
STATUS = ("h", "f")  # TradingSessionStatus, SecurityStatus
MASS_CANCEL_REPORT = "r"


class Hearing(Telling):
    """Everything that a peer can say."""

    def _handle_events(self, peer: Peer, now_ns: int) -> None:
        for event in self.links.events(peer, now_ns):
            match event:
                case Message():
                    self._handle_message(peer, event, now_ns)
                case LoggedOn():
                    self._ready(peer, now_ns)
                case LoggedOut(text=text):
                    self._lost(peer, text, now_ns)
                case NotResent() if peer.kind is VENUE:
                    # What the venue has of our orders and cancels is not known any more, even of the latest ones.
                    self._commit(self.engine.venue_unsure(peer.name, now_ns), now_ns)
                    self._ask_again.pop(peer.name, None)  # nor whether it heard of any question
                    self._ask_status(peer, now_ns)
                case SequenceReset() if peer.kind is not MARKET_DATA:
                    self._note(SessionReset(at_ns=now_ns, session=peer.session.name))
                    peer.recorded = (1, 1, peer.store.began_ns)
                case PasswordChanged(username=username, replaced=replaced, hashed=hashed):
                    session = peer.session.name
                    self._note(
                        PasswordReplaced(
                            at_ns=now_ns, session=session, username=username, replaced=replaced, hashed=hashed
                        )
                    )
                case Rejected(message=message) if peer.kind is VENUE:
                    self._handle_message(peer, message, now_ns)

    def _handle_message(self, peer: Peer, message: Message, now_ns: int) -> None:
        try:
            if peer.kind is MARKET_DATA:
                if self.config.service.record_market_data:
                    self._record_received(peer, message, now_ns)
                self._handle_market_data(peer, message, now_ns)
            else:
                self._record_received(peer, message, now_ns)
                if peer.kind is VENUE:
                    self._handle_venue_message(peer, message, now_ns)
                else:
                    self._handle_client_message(peer, message, now_ns)
        except FieldError as error:
            peer.session.reject(message, error.reason, error.tag, error.text, now_ns)

    def _handle_market_data(self, peer: Peer, message: Message, now_ns: int) -> None:
        for update in feed.to_updates(message, peer.name, now_ns):
            self.market.apply(update, now_ns)
            if self.engine.watches(update.symbol):
                self._commit(self.engine.market_moved(update, now_ns), now_ns)
        if message.msg_type in STATUS:
            self._handle_status(peer, message, now_ns)
        elif message.msg_type == MARKET_DATA_REQUEST_REJECT:
            self.links.notice("no_market_data", f"{peer.name}: {message.get(TEXT)}")

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
        if message.msg_type in STATUS:
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
        report: Any  # of the kinds that the engine takes
        if is_reject and ref_msg_type == ORDER_STATUS_REQUEST:
            self._answered(peer.name, message.get(BUSINESS_REJECT_REF_ID) or "")
        for report in venue_inbound.to_facts(message, peer.name, now_ns, parse(refused) if refused else None):
            if isinstance(report, ChildStatus):
                self._answered(peer.name, report.child_id)
            self._commit(self.engine.child_report(report, now_ns), now_ns)
            if self._facts and isinstance(self._facts[-1], ExecutionUnknown):
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
        if peer.kind is MARKET_DATA:
            symbols = self.engine.routing.venues[peer.name].symbols or self._symbols
            has_auctions = bool(self._venue_configs[peer.name].auctions)
            self._send(peer, feed.subscription(symbols, f"{peer.name}-{now_ns}", has_auctions), now_ns)
        elif peer.kind is VENUE:
            self._commit(self.engine.venue_up(peer.name, now_ns), now_ns)
            self._ask_again.pop(peer.name, None)
            symbols = self.engine.routing.venues[peer.name].symbols or self._symbols
            wanted = self._venue_configs[peer.name].status_requests
            for request in trading.subscriptions(wanted, symbols, f"{peer.name}-{now_ns}"):
                self._send(peer, request, now_ns)
            self._ask_status(peer, now_ns)
        else:
            self._commit(self.engine.client_up(peer.name, now_ns), now_ns)

    def _lost(self, peer: Peer, text: str, now_ns: int) -> None:
        if peer.kind is MARKET_DATA:
            self.market.forget_venue(peer.name, now_ns)
            if self.config.service.record_market_data:
                self._facts.append(MarketDataDown(at_ns=now_ns, venue=peer.name))
        elif peer.kind is CLIENT:
            if peer.name in self.state.clients_up:
                self._commit(self.engine.client_down(peer.name, text, now_ns), now_ns)
        elif peer.kind is VENUE and peer.name in self.state.venues_up:
            self._ask_again.pop(peer.name, None)
            self._commit(self.engine.venue_down(peer.name, text, now_ns), now_ns)
