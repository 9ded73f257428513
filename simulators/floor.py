"""What the simulated venues do with orders, whoever brings the messages: desks, one market, one ledger.

The floor knows no sessions and no latency: `report` is told what an order's client is to hear, `show` what a venue
displayed at an instant. Beside what clients ask for, it can do what only a venue's own staff or a mistake can: bust and
correct executions, reduce and cancel orders unasked, fill an order that has ended, fill more than was ordered.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from domain.fields import LastLiquidityInd, OrdRejReason, OrdType, Side, TimeInForce, TradingStatus, VenueKind
from domain.market import AuctionIndicated, BookSnapshot, DealerQuoted, LevelChange, MarketUpdate, TradePrinted
from fix.market_messages import (
    Quote,
    QuoteCancel,
    QuoteCancelEntry,
    QuoteRequest,
    QuoteRequestEntry,
    QuoteRequestReject,
    QuoteResponse,
    SecurityStatus,
    SecurityStatusRequest,
    TradingSessionStatus,
    TradingSessionStatusRequest,
)
from fix.messages import (
    DontKnowTrade,
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderMassCancelRequest,
    OrderStatusRequest,
    Typed,
)
from simulators.book import Reference
from simulators.exchange_data import SUBSCRIBE, UNSUBSCRIBE, quote
from simulators.exchange_orders import Execution, OrderDesk
from simulators.ledger import LedgerEntry
from simulators.market_config import MarketConfig
from simulators.orders import (
    Accepted,
    Canceled,
    CancelRejected,
    Order,
    OrderEvent,
    QuoteDeclined,
    QuoteMade,
    QuoteWithdrawn,
    Reduced,
    Rejected,
    Replaced,
    ReplaceRejected,
    StatusChanged,
    TimedEvent,
    Traded,
)

TAKEN = "only D, F, G, H, Q, e, g and q are taken here, and R and AJ by dealers"
_ORDER_EVENTS = (Accepted, Traded, Canceled, Rejected, CancelRejected, Replaced, ReplaceRejected, Reduced)
_SHOWN = (LevelChange, TradePrinted, DealerQuoted, BookSnapshot, AuctionIndicated)
_ALL_DAY = "DAY"  # TradingSessionID(336)
# SecurityTradingStatus(326), and TradSesStatus(340) of a session that is always open.
_CODES = {
    TradingStatus.OPEN: "17",
    TradingStatus.AUCTION: "21",
    TradingStatus.HALTED: "2",
    TradingStatus.CLOSED: "18",
}
_RESUMED, _SESSION_OPEN = "3", "2"


class MarketMachine(Protocol):
    """A simulated market, or the replay of a real one."""

    config: MarketConfig
    seed: int
    references: dict[str, Reference]

    def next_event_ns(self) -> int: ...

    def advance(self, now_ns: int) -> list[TimedEvent]: ...

    def submit(self, venue: str, order: Order, now_ns: int) -> list[TimedEvent]: ...

    def cancel(self, venue: str, order_id: str, now_ns: int) -> list[TimedEvent]: ...

    def replace(self, venue: str, order_id: str, order_qty: int, px: int, now_ns: int) -> list[TimedEvent]: ...

    def reduce(self, venue: str, order_id: str, qty: int, text: str, now_ns: int) -> list[TimedEvent]: ...

    def fill(self, venue: str, order_id: str, qty: int, now_ns: int) -> list[TimedEvent]: ...

    def request_quote(
        self, venue: str, quote_req_id: str, symbol: str, side: Side | None, qty: int, now_ns: int, owner: str = ""
    ) -> list[TimedEvent]: ...

    def status(self, symbol: str, venue: str = "") -> TradingStatus: ...

    def set_status(
        self, symbol: str, status: TradingStatus, text: str, now_ns: int, venue: str = ""
    ) -> list[TimedEvent]: ...

    def snapshot(self, venue: str, symbol: str) -> list[MarketUpdate]: ...


class Floor:
    """`report(venue, at_ns, message)`, `show(venue, at_ns, updates)`; `prefix` begins the ids of this run."""

    def __init__(
        self,
        market: MarketMachine,
        prefix: str,
        report: Callable[[str, int, Typed], None],
        show: Callable[[str, int, list[MarketUpdate]], None],
    ) -> None:
        self.market = market
        self.symbols = frozenset(symbol.symbol for symbol in market.config.symbols)
        self.ledger: list[LedgerEntry] = []
        self.events = 0  # of the market, so far
        self.disputed: list[tuple[str, DontKnowTrade]] = []  # what clients said is not theirs, by venue
        self.heard: Callable[[str, int, OrderEvent], None] | None = None  # is told of every event of an order
        self.desks = {
            venue.name: OrderDesk(venue.name, venue.kind, self.symbols, f"{venue.name}.{prefix}.")
            for venue in market.config.venues
        }
        self._ticks = {symbol.symbol: symbol.tick_px for symbol in market.config.symbols}
        self._report = report
        self._show = show
        self._status_requests: dict[str, dict[str, str]] = {name: {} for name in self.desks}  # symbol -> request

    def advance(self, now_ns: int) -> None:
        """What happens by itself until `now_ns`."""
        if self.market.next_event_ns() <= now_ns:
            self._route(self.market.advance(now_ns))

    def handle(self, venue: str, message: Typed, owner: str, at_ns: int) -> bool:
        """What a client sent to a venue's order session; False where such a message is not taken."""
        desk = self.desks[venue]
        match message:
            case NewOrderSingle():
                order = desk.new_order(message, owner, at_ns)
                if isinstance(order, Order):
                    self._route(self.market.submit(venue, order, at_ns))
                else:
                    self._report(venue, at_ns, order)
            case OrderCancelRequest():
                order_id = desk.cancel(message, at_ns)
                if isinstance(order_id, str):
                    self._route(self.market.cancel(venue, order_id, at_ns))
                else:
                    self._report(venue, at_ns, order_id)
            case OrderCancelReplaceRequest():
                order_id = desk.replace(message, at_ns)
                if isinstance(order_id, str):
                    self._route(self.market.replace(venue, order_id, message.order_qty, message.price, at_ns))
                else:
                    self._report(venue, at_ns, order_id)
            case OrderMassCancelRequest():
                order_ids, report = desk.mass_cancel(message, at_ns)
                self._report(venue, at_ns, report)
                for order_id in order_ids:
                    self._route(self.market.cancel(venue, order_id, at_ns))
            case OrderStatusRequest():
                self.advance(at_ns)  # what traded until now comes before the answer
                self._report(venue, at_ns, desk.status(message, at_ns))
            case QuoteRequest() if desk.kind is VenueKind.DEALER:
                for asked in message.related:
                    req_id, qty = message.quote_req_id, asked.order_qty
                    self._route(self.market.request_quote(venue, req_id, asked.symbol, asked.side, qty, at_ns, owner))
            case QuoteResponse(quote_resp_type="1") if desk.kind is VenueKind.DEALER:
                self.handle(venue, _as_order(message), owner, at_ns)
            case SecurityStatusRequest():
                self._watch_status(venue, message, at_ns)
            case TradingSessionStatusRequest(trad_ses_req_id=req_id):
                self._report(venue, at_ns, TradingSessionStatus(_ALL_DAY, _SESSION_OPEN, trad_ses_req_id=req_id))
            case DontKnowTrade():
                self.disputed.append((venue, message))
            case _:
                return False
        return True

    def gone(self, venue: str) -> None:
        """The client's order session is no longer there: what it subscribed to with it ends."""
        self._status_requests[venue].clear()

    # --- what a venue does unasked ---

    def open_orders(self, venue: str, symbol: str = "") -> list[Order]:
        return self.desks[venue].open_orders(symbol)

    def executions(self, venue: str, symbol: str = "") -> list[Execution]:
        """Those that still count, the oldest first."""
        desk = self.desks[venue]
        found = [execution for execution in desk.executions if execution.qty]
        return [e for e in found if symbol in ("", desk.order(e.order_id).symbol)]

    def bust(self, venue: str, execution: Execution, text: str, at_ns: int) -> None:
        reports, entry = self.desks[venue].bust(execution, text, at_ns)
        self._enter(venue, reports, entry, at_ns)

    def correct(self, venue: str, execution: Execution, qty: int, px: int, text: str, at_ns: int) -> None:
        reports, entry = self.desks[venue].correct(execution, qty, px, text, at_ns)
        self._enter(venue, reports, entry, at_ns)

    def tick_px(self, symbol: str) -> int:
        return self._ticks[symbol]

    def mid_px(self, symbol: str) -> int:
        """On the tick; 0 without a market."""
        mid2_px, tick_px = self.market.references[symbol].mid2_px, self._ticks[symbol]
        return mid2_px // 2 // tick_px * tick_px

    def cancel(self, venue: str, order: Order, at_ns: int) -> None:
        """Nothing happens to an order that does not rest, or that a dealer holds."""
        if order in self.open_orders(venue) and self.desks[venue].kind is not VenueKind.DEALER:
            self._route(self.market.cancel(venue, order.order_id, at_ns))

    def reduce(self, venue: str, order: Order, qty: int, text: str, at_ns: int) -> None:
        self._route(self.market.reduce(venue, order.order_id, qty, text, at_ns))

    def fill(self, venue: str, order: Order, qty: int, at_ns: int) -> None:
        """Somebody trades with a resting order, whoever is ahead of it."""
        self._route(self.market.fill(venue, order.order_id, qty, at_ns))

    def execute(self, venue: str, order: Order, qty: int, px: int, at_ns: int) -> None:
        """An execution that the order's rest has nothing to do with: after its end, or of more than was ordered."""
        order.cum_qty += qty
        traded = Traded(order, self.desks[venue].next_id(), qty, px, LastLiquidityInd.ADDED, order.cum_qty)
        self._route([(venue, at_ns, traded)])

    def refuse(self, venue: str, message: Typed, reason: OrdRejReason, text: str, at_ns: int) -> bool:
        """Turns a message down that nobody has looked at; False where it is no order and no request for one."""
        desk = self.desks[venue]
        if isinstance(message, NewOrderSingle):
            self._report(venue, at_ns, desk.reject(message, reason, text, at_ns))
        elif isinstance(message, OrderCancelRequest | OrderCancelReplaceRequest):
            self._report(venue, at_ns, desk.refuse_request(message, text, at_ns))
        else:
            return False
        return True

    def set_status(self, symbol: str, status: TradingStatus, text: str, venue: str, at_ns: int) -> None:
        """A halt or an auction, or its end: at one venue, or at all with ""."""
        self._route(self.market.set_status(symbol, status, text, at_ns, venue))

    # --- what happened, to whom it concerns ---

    def _route(self, events: list[TimedEvent]) -> None:
        """Reports to the clients, and to the subscribers what each venue showed at each instant."""
        self.events += len(events)
        instants: dict[tuple[str, int], list[MarketUpdate]] = {}
        for name, at_ns, event in events:
            if isinstance(event, _SHOWN):  # nearly all are
                instants.setdefault((name, at_ns), []).append(event)
            elif isinstance(event, _ORDER_EVENTS):
                report, entry = self.desks[name].report(event, at_ns)
                self._enter(name, [report] if report is not None else [], entry, at_ns)
                if self.heard is not None:
                    self.heard(name, at_ns, event)
            elif isinstance(event, QuoteMade | QuoteDeclined | QuoteWithdrawn):
                self._report(name, at_ns, _quote_message(event))
            elif isinstance(event, StatusChanged):
                self._tell_status(name, event, at_ns)
        for (name, at_ns), updates in instants.items():
            self._show(name, at_ns, updates)

    def _enter(self, venue: str, reports: Sequence[Typed], entry: LedgerEntry | None, at_ns: int) -> None:
        if entry is not None:
            self.ledger.append(entry)
        for report in reports:
            self._report(venue, at_ns, report)

    def _watch_status(self, venue: str, request: SecurityStatusRequest, at_ns: int) -> None:
        """The status now and, for who subscribes, each change of it."""
        symbol, req_id, kind = request.symbol, request.security_status_req_id, request.subscription_request_type
        watched = self._status_requests[venue]
        if kind == UNSUBSCRIBE or symbol not in self.symbols:
            watched.pop(symbol, None)
            return
        if kind == SUBSCRIBE:
            watched[symbol] = req_id
        code = _CODES[self.market.status(symbol, venue)]
        self._report(venue, at_ns, SecurityStatus(symbol, req_id, security_trading_status=code))

    def _tell_status(self, venue: str, event: StatusChanged, at_ns: int) -> None:
        req_id = self._status_requests[venue].get(event.symbol)
        if req_id is not None:
            code = _RESUMED if event.status is TradingStatus.OPEN else _CODES[event.status]
            status = SecurityStatus(event.symbol, req_id, security_trading_status=code, text=event.text)
            self._report(venue, at_ns, status)


def _as_order(response: QuoteResponse) -> NewOrderSingle:
    """A hit or lift of a quote, as the order that it is."""
    return NewOrderSingle(
        cl_ord_id=response.cl_ord_id or response.quote_resp_id,
        symbol=response.symbol,
        side=response.side,
        order_qty=response.order_qty,
        ord_type=OrdType.PREVIOUSLY_QUOTED,
        transact_time_ns=response.transact_time_ns,
        account=response.account,
        price=response.price,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        quote_id=response.quote_id,
    )


def _quote_message(event: QuoteMade | QuoteDeclined | QuoteWithdrawn) -> Quote | QuoteRequestReject | QuoteCancel:
    match event:
        case QuoteMade(quoted=quoted):
            return quote(quoted)
        case QuoteDeclined():
            related = (QuoteRequestEntry(event.symbol),)
            return QuoteRequestReject(event.quote_req_id, event.reason, related, event.text)
        case QuoteWithdrawn():
            entries = (QuoteCancelEntry(event.symbol),)
            return QuoteCancel(event.quote_id, "1", entries, quote_req_id=event.quote_req_id)
