"""All simulated venues as one endpoint: FIX.4.4 acceptors around one market.

Each venue has a listener, named like the venue, and two sessions on it: the venue's name as CompID takes orders, the
name with "MD" sends market data. What a client sends reaches the market after the venue's latency, and what happens in
the market reaches the client after the same latency; both wait here, in order, so that the venues are as slow in
virtual time as over sockets. A report is built when it happens: if the client is away it is stored, and resent after
the next logon.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any

from domain.fields import ExecType, OrdRejReason, TradingStatus
from domain.market import MarketUpdate
from fix.endpoint import Link, Output
from fix.errors import BusinessRejectReason
from fix.lobby import Admitted, Lobby
from fix.market_messages import MarketDataRequest
from fix.message import Message
from fix.messages import (
    BusinessMessageReject,
    ExecutionReport,
    FieldError,
    Typed,
    UnsupportedMessageType,
    decode,
)
from fix.schedule import Schedule, schedule_from_text
from fix.session import Disconnect, Received, Session, SessionConfig, SessionDirectory
from fix.store import Store
from simulators.conduct import Conduct, regimes
from simulators.exchange_data import SUBSCRIBE, UNSUBSCRIBE, Subscription, crossed, refusal
from simulators.faults import Faults
from simulators.floor import TAKEN, Floor, MarketMachine
from simulators.ledger import LedgerEntry
from simulators.lines import Conflation, Limit, Line
from simulators.scenario import Fault

_NEVER = 1 << 62


@dataclass(slots=True, eq=False)
class _Channel:
    """One FIX session of a venue, connected or not."""

    venue: str
    session: Session
    inwards: Line
    outwards: Line
    link: Link | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)  # by MDReqID(262)
    down_until_ns: int = 0  # a fault keeps clients away until then


@dataclass(slots=True, eq=False)
class _Venue:
    config: Conduct
    orders: _Channel
    data: _Channel
    limit: Limit
    conflation: Conflation | None = None  # none: everything is shown at once
    is_flush_due: bool = False


class Exchange:
    """`latency_ns` is one way, by venue; `open_store` gives the store of a session by its name."""

    def __init__(
        self,
        market: MarketMachine,
        *,
        counterparty: str,
        latency_ns: Mapping[str, int],
        open_store: Callable[[str], Store],
        now_ns: int,
    ) -> None:
        self.market = market
        self.floor = Floor(market, f"{now_ns // 1_000_000:x}", self.report, self._show)
        self._venues: dict[str, _Venue] = {}
        self._channels: dict[str, _Channel] = {}  # by session name
        self._by_link: dict[Link, _Channel] = {}
        self._touched: dict[str, _Channel] = {}
        self._closes: list[Link] = []
        self._faults: Faults | None = None
        self._frozen: dict[str, int] = {}  # venue -> until when its market data stands still
        self._last_fill: dict[str, ExecutionReport] = {}  # venue -> the last report of one
        # Heaps by due time, then as they came; a message that was held back before comes without its raw form.
        self._inbound: list[tuple[int, int, _Channel, Message | None, Typed]] = []
        self._outbound: list[tuple[int, int, _Channel, Typed, Subscription | None]] = []
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []  # what the venues do at a time
        self._pushed = 0
        for venue in market.config.venues:
            open_channel = partial(self._open, venue.name, counterparty, latency_ns[venue.name], open_store, now_ns)
            both = open_channel(venue.name), open_channel(f"{venue.name}MD")
            self._venues[venue.name] = _Venue(venue, *both, Limit(venue.messages_per_second))
            self._adopt(venue.name, venue, now_ns)
            for after_ns, config in regimes(venue):
                self._at(now_ns + after_ns, partial(self._adopt, venue.name, config))
            for window in venue.maintenance:
                schedule = schedule_from_text(window)
                assert schedule is not None  # which the config has checked
                self._at(now_ns, partial(self._maintain, venue.name, schedule))
        self._lobby = Lobby(SessionDirectory(channel.session for channel in self._channels.values()))
        self._session_timer_ns = self._soonest()

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the listeners: those of the venues."""
        return tuple(self._venues)

    @property
    def ledger(self) -> list[LedgerEntry]:
        return self.floor.ledger

    @property
    def is_connected(self) -> bool:
        """Whether any session is."""
        return bool(self._by_link)

    # --- what may go wrong ---

    def inject(self, faults: Sequence[Fault], seed: int, start_ns: int) -> None:
        """The faults of a scenario, whose times count from `start_ns`."""
        self._faults = Faults(faults, seed, start_ns, self)

    def handle_later(self, venue: str, message: Typed, at_ns: int) -> None:
        self._pushed += 1
        heappush(self._inbound, (at_ns, self._pushed, self._venues[venue].orders, None, message))

    def repeat_last_report(self, venue: str, at_ns: int) -> None:
        """The last fill is told once more, word for word."""
        if venue in self._last_fill:
            self.report(venue, at_ns, self._last_fill[venue])

    def close(self, venue: str, session: str, until_ns: int) -> None:
        """Ends connections without a word; who comes back before `until_ns` is not let in."""
        for channel in self._sessions(venue, session):
            channel.down_until_ns = until_ns
            if channel.link is not None:
                self._closes.append(channel.link)

    def shut(self, venue: str, until_ns: int, text: str, at_ns: int) -> None:
        """The venue logs out, lets nobody in and trades nothing until then; what rests there stays."""
        self.floor.gone(venue)
        for symbol in sorted(self.floor.symbols):
            self.floor.set_status(symbol, TradingStatus.HALTED, text, venue, at_ns)
            self._at(until_ns, partial(self.floor.set_status, symbol, TradingStatus.OPEN, "", venue))
        for channel in self._sessions(venue, "both"):
            channel.down_until_ns = max(channel.down_until_ns, until_ns)
            if channel.session.is_logged_on:
                channel.session.logout(text, at_ns)
                self._touched[channel.session.name] = channel
            elif channel.link is not None:
                self._closes.append(channel.link)
        self._session_timer_ns = self._soonest()

    def change(self, venue: str, figures: dict[str, Any], until_ns: int, at_ns: int) -> None:
        """Some figures of the venue are others until then."""
        config = self._venues[venue].config
        was = {name: getattr(config, name) for name in figures}
        self._adopt(venue, config.changed(figures), at_ns)
        self._at(until_ns, partial(self._restore, venue, was))

    def _restore(self, venue: str, figures: dict[str, Any], at_ns: int) -> None:
        self._adopt(venue, self._venues[venue].config.changed(figures), at_ns)

    def skip_numbers(self, venue: str, session: str, count: int) -> None:
        """The next message comes with a MsgSeqNum(34) that is `count` too high."""
        for channel in self._sessions(venue, session):
            channel.session.store.next_out += count

    def reset_numbers(self, venue: str, session: str, count: int, now_ns: int) -> None:
        """SequenceReset(4) in reset mode: the peer is to go on `count` numbers higher, whatever it has missed."""
        for channel in self._sessions(venue, session):
            if channel.session.is_logged_on:
                number = channel.session.store.next_out + count
                channel.session.out.admin("4", f"123=N\x0136={number}\x01", now_ns)
                channel.session.store.next_out = number
                self._touched[channel.session.name] = channel

    def freeze(self, venue: str, until_ns: int) -> None:
        """Nobody is told any more what the venue shows; a book shown after that time ends it."""
        self._frozen[venue] = until_ns

    def show_book(self, venue: str, symbol: str, crossed_ticks: int, at_ns: int) -> None:
        """The whole book anew to every subscriber; with `crossed_ticks` the bid so far above the offer."""
        channel = self._venues[venue].data
        tick_px = self.floor.tick_px(symbol)
        for subscription in channel.subscriptions.values():
            for update in self.market.snapshot(venue, symbol) if symbol in subscription.symbols else ():
                message = subscription.snapshot(crossed(update, crossed_ticks * tick_px) if crossed_ticks else update)
                if message is not None:
                    self._later(channel, at_ns, message, subscription)

    def _sessions(self, venue: str, session: str) -> list[_Channel]:
        both = self._venues[venue]
        return {"orders": [both.orders], "data": [both.data]}.get(session, [both.orders, both.data])

    # --- the endpoint ---

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        if self._lobby.connected(link, now_ns) is not None:
            self._closes.append(link)
        self._session_timer_ns = self._soonest()
        return self._pump(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        if link in self._lobby:
            admitted = self._lobby.receive(link, data, now_ns)
            if isinstance(admitted, Admitted):
                channel = self._channels[admitted.session.name]
                if now_ns < channel.down_until_ns:
                    self._closes.append(link)
                else:
                    self._by_link[link], channel.link = channel, link
                    channel.session.connected(now_ns)
                    data = admitted.data
            elif admitted is not None:
                self._closes.append(link)
        if connected := self._by_link.get(link):
            connected.session.receive(data, now_ns)
            self._work(connected, now_ns)
        return self._pump(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self._lobby.disconnected(link)
        channel = self._by_link.pop(link, None)
        if channel is not None:
            channel.link = None
            channel.session.disconnected(now_ns)
            for subscription in channel.subscriptions.values():
                subscription.is_alive = False
            channel.subscriptions.clear()
            if channel is self._venues[channel.venue].orders:
                self.floor.gone(channel.venue)
            self._work(channel, now_ns)
        return self._pump(now_ns)

    def timer(self, now_ns: int) -> Output:
        if self._session_timer_ns <= now_ns:
            self._closes += self._lobby.expired(now_ns)
            for channel in self._channels.values():
                due_ns = channel.session.next_timer_ns()
                if due_ns is not None and due_ns <= now_ns:
                    channel.session.timer(now_ns)
                    self._work(channel, now_ns)
            self._session_timer_ns = self._soonest()
        return self._pump(now_ns)

    def next_timer_ns(self) -> int | None:
        due_ns = min(self.market.next_event_ns(), self._session_timer_ns)
        if self._faults is not None:
            due_ns = min(due_ns, self._faults.next_ns)
        if self._inbound and self._inbound[0][0] < due_ns:
            due_ns = self._inbound[0][0]
        if self._outbound and self._outbound[0][0] < due_ns:
            due_ns = self._outbound[0][0]
        if self._agenda and self._agenda[0][0] < due_ns:
            due_ns = self._agenda[0][0]
        return due_ns if due_ns < _NEVER else None

    def logout(self, text: str, now_ns: int) -> Output:
        """Ends every session; orders stay in the market."""
        for channel in self._channels.values():
            if channel.session.is_logged_on:
                channel.session.logout(text, now_ns)
                self._touched[channel.session.name] = channel
        self._session_timer_ns = self._soonest()
        return self._output()

    # --- sessions ---

    def _open(
        self,
        venue: str,
        counterparty: str,
        least_ns: int,
        open_store: Callable[[str], Store],
        now_ns: int,
        comp_id: str,
    ) -> _Channel:
        config = SessionConfig(
            begin_string="FIX.4.4",
            sender_comp_id=comp_id,
            target_comp_id=counterparty,
            role="acceptor",
            resend_app=comp_id == venue,  # reports are; yesterday's market data is worth nothing
        )
        inwards, outwards = (Line(least_ns, Random(f"{self.market.seed}/{comp_id}/{way}")) for way in ("in", "out"))
        channel = _Channel(venue, Session(config, open_store(comp_id), now_ns), inwards, outwards)
        self._channels[channel.session.name] = channel
        return channel

    def _soonest(self) -> int:
        """Never later than a session wants it; what a session sends only moves its timer on."""
        timers = [channel.session.next_timer_ns() for channel in self._channels.values()]
        timers.append(self._lobby.next_timer_ns())
        return min((at_ns for at_ns in timers if at_ns is not None), default=_NEVER)

    def _work(self, channel: _Channel, now_ns: int) -> None:
        session = channel.session
        self._touched[session.name] = channel
        while (event := session.next_event(now_ns)) is not None:
            if isinstance(event, Received):
                self._take_in(channel, event.message, now_ns)
            elif isinstance(event, Disconnect) and channel.link is not None:
                self._closes.append(channel.link)
        self._session_timer_ns = self._soonest()

    def _take_in(self, channel: _Channel, message: Message, now_ns: int) -> None:
        try:
            typed = decode(message)
        except FieldError as error:
            channel.session.reject(message, error.reason, error.tag, error.text, now_ns)
            return
        except UnsupportedMessageType as error:
            self._unsupported(channel, message, error.text, now_ns)
            return
        venue = self._venues[channel.venue]
        turn_ns, limited = now_ns, venue.config.messages_per_second and channel is venue.orders
        if limited and (venue.config.on_excess == "queue" or venue.limit.has_room(now_ns)):
            turn_ns, limited = venue.limit.take(now_ns), False
        late_ns = self._faults.delay_ns(channel.venue, now_ns, False) if self._faults is not None else 0
        due_ns = channel.inwards.arrives_ns(turn_ns, late_ns)
        if limited:
            self._at(due_ns, partial(self._refuse_excess, venue.config, channel, message, typed))
            return
        self._pushed += 1
        heappush(self._inbound, (due_ns, self._pushed, channel, message, typed))

    def _refuse_excess(self, config: Conduct, channel: _Channel, message: Message, typed: Typed, at_ns: int) -> None:
        """One message too many. FIX.4.4 has no BusinessRejectReason(380) of its own for it."""
        text = f"throttled: more than {config.messages_per_second} messages in a second"
        if config.on_excess == "reject" and self.floor.refuse(
            channel.venue, typed, OrdRejReason.BROKER_OPTION, text, at_ns
        ):
            return
        reason, ref_id = BusinessRejectReason.OTHER, getattr(typed, "cl_ord_id", "")
        self.report(
            channel.venue,
            at_ns,
            BusinessMessageReject(
                ref_seq_num=message.msg_seq_num,
                ref_msg_type=message.msg_type,
                business_reject_reason=reason,
                business_reject_ref_id=ref_id,
                text=text,
            ),
        )

    def _unsupported(self, channel: _Channel, message: Message | None, text: str, now_ns: int) -> None:
        assert message is not None  # what a fault holds back is an order or a request for one
        channel.session.business_reject(message, BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE, text, now_ns)
        self._touched[channel.session.name] = channel

    # --- the market ---

    def _pump(self, now_ns: int) -> Output:
        """Everything that is due, in the order of its time, however late it is looked at."""
        while self._inbound and self._inbound[0][0] <= now_ns:
            if self._agenda and self._agenda[0][:2] < self._inbound[0][:2]:
                self._do_next()
                continue
            due_ns, _, channel, message, typed = heappop(self._inbound)
            self._handle(channel, message, typed, due_ns)
        while self._agenda and self._agenda[0][0] <= now_ns:
            self._do_next()
        if self._faults is not None:
            self._faults.run(now_ns)
        self.floor.advance(now_ns)
        while self._outbound and self._outbound[0][0] <= now_ns:
            _, _, channel, typed, subscription = heappop(self._outbound)
            if subscription is None or (subscription.is_alive and channel.session.is_logged_on):
                channel.session.send(typed, now_ns)
                self._touched[channel.session.name] = channel
        return self._output()

    def _handle(self, channel: _Channel, message: Message | None, typed: Typed, at_ns: int) -> None:
        venue = self._venues[channel.venue]
        if message is not None and self._faults is not None and self._faults.intercept(channel.venue, typed, at_ns):
            return
        if channel is venue.data and isinstance(typed, MarketDataRequest):
            self._subscribe(venue, typed, at_ns)
        elif channel is venue.data:
            self._unsupported(channel, message, "only MarketDataRequest(V) is taken here", at_ns)
        elif not self.floor.handle(channel.venue, typed, channel.session.config.target_comp_id, at_ns):
            self._unsupported(channel, message, TAKEN, at_ns)

    def _subscribe(self, venue: _Venue, request: MarketDataRequest, at_ns: int) -> None:
        channel = venue.data
        if reject := refusal(request, self.floor.symbols, channel.subscriptions):
            self._later(channel, at_ns, reject)
            return
        if request.subscription_request_type == UNSUBSCRIBE:
            if ended := channel.subscriptions.pop(request.md_req_id, None):
                ended.is_alive = False
            return
        self.floor.advance(at_ns)
        subscription = Subscription(request.md_req_id, frozenset(request.symbols), request.md_entry_types)
        for symbol in request.symbols:
            for update in self.market.snapshot(channel.venue, symbol):
                if snapshot := subscription.snapshot(update):
                    self._later(channel, at_ns, snapshot, subscription)
        if request.subscription_request_type == SUBSCRIBE:
            channel.subscriptions[request.md_req_id] = subscription

    def _show(self, venue: str, at_ns: int, updates: list[MarketUpdate]) -> None:
        if at_ns < self._frozen.get(venue, 0):
            return
        showing = self._venues[venue]
        if showing.conflation is not None:
            self._show_later(showing, showing.conflation, updates, at_ns)
            return
        channel = showing.data
        for subscription in channel.subscriptions.values():
            for message in subscription.changes(updates):
                self._later(channel, at_ns, message, subscription)

    def _show_later(self, showing: _Venue, conflation: Conflation, updates: list[MarketUpdate], at_ns: int) -> None:
        conflation.add(updates)
        if not showing.is_flush_due:
            showing.is_flush_due = True
            interval_ns = int(showing.config.conflate_ms * 1_000_000)
            self._at(max(conflation.shown_ns + interval_ns, at_ns), partial(self._flush, showing, conflation))

    def _flush(self, showing: _Venue, conflation: Conflation, at_ns: int) -> None:
        """One refresh of all that changed, to each subscriber of what it knows."""
        self.floor.advance(at_ns)
        showing.is_flush_due = False
        updates, channel = conflation.take(at_ns), showing.data
        if at_ns < self._frozen.get(channel.venue, 0):
            return
        for subscription in channel.subscriptions.values():
            for message in subscription.changes(subscription.news(updates)):
                self._later(channel, at_ns, message, subscription)

    def report(self, venue: str, at_ns: int, message: Typed) -> None:
        """Tells the client of a venue something."""
        if isinstance(message, ExecutionReport) and message.exec_type is ExecType.TRADE:
            self._last_fill[venue] = message
        self._later(self._venues[venue].orders, at_ns, message)

    def _later(self, channel: _Channel, at_ns: int, typed: Typed, subscription: Subscription | None = None) -> None:
        self._pushed += 1
        late_ns = 0
        if self._faults is not None:
            late_ns = self._faults.delay_ns(channel.venue, at_ns, subscription is None)
        due_ns = channel.outwards.arrives_ns(at_ns, late_ns)
        heappush(self._outbound, (due_ns, self._pushed, channel, typed, subscription))

    # --- what the venues do at a time of their own ---

    def _at(self, at_ns: int, act: Callable[[int], None]) -> None:
        self._pushed += 1
        heappush(self._agenda, (at_ns, self._pushed, act))

    def _do_next(self) -> None:
        at_ns, _, act = heappop(self._agenda)
        act(at_ns)

    def _adopt(self, venue: str, config: Conduct, at_ns: int) -> None:
        """From now on the venue's figures are these; what is on its way stays so."""
        changed = self._venues[venue]
        if config.messages_per_second != changed.config.messages_per_second:
            changed.limit = Limit(config.messages_per_second)
        changed.config = config
        for channel in self._sessions(venue, "both"):
            channel.inwards.adopt(config.latency_in, config.latency_factor)
            channel.outwards.adopt(config.latency_out, config.latency_factor)
        if config.conflate_ms and changed.conflation is None:
            changed.conflation = Conflation()
        elif not config.conflate_ms and changed.conflation is not None:
            self._flush(changed, changed.conflation, at_ns)
            changed.conflation = None

    def _maintain(self, venue: str, hours: Schedule, at_ns: int) -> None:
        """Shuts the venue where it is that time of the day, and looks again when it next will be."""
        window = hours.session_at(at_ns)
        if window is not None and window[1] is not None:
            self.shut(venue, window[1], "closed for maintenance", at_ns)
        next_ns = hours.next_start_ns(at_ns)
        if next_ns is not None:
            self._at(next_ns, partial(self._maintain, venue, hours))

    def _output(self) -> Output:
        output = Output()
        for channel in self._touched.values():
            outbox = channel.session.take_outbox()
            if outbox and channel.link is not None:
                output.writes.append((channel.link, b"".join([outgoing.raw for outgoing in outbox])))
        self._touched.clear()
        output.closes, self._closes = self._closes, []
        return output
