"""What goes wrong at the simulated venues, as a scenario says: at a time, or on an event and by chance.

The exchange asks here before it handles a message, tells what became of orders, and lets this act when its time has
come. Everything drawn at random comes from the seed and the fault's number, so that a fault added to a scenario changes
nothing about the others.
"""

from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol

from domain.fields import TradingStatus
from fix.market_messages import QuoteRequest
from fix.messages import (
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    Typed,
)
from simulators.exchange_orders import Execution
from simulators.floor import Floor
from simulators.flow import NEVER
from simulators.orders import Accepted, Order, OrderEvent, Traded
from simulators.scenario import REASONS, Event, Fault, FaultKind

_EVENTS: dict[type, Event] = {
    NewOrderSingle: Event.ORDER,
    OrderCancelRequest: Event.CANCEL,
    OrderCancelReplaceRequest: Event.REPLACE,
    QuoteRequest: Event.QUOTE_REQUEST,
    Accepted: Event.ACK,
    Traded: Event.FILL,
}
_STATUSES = {FaultKind.HALT: TradingStatus.HALTED, FaultKind.AUCTION: TradingStatus.AUCTION}
_MS, _S = 1_000_000, 1_000_000_000


class FaultyExchange(Protocol):
    """What of an exchange faults need, beside its floor. Sessions are "orders", "data" or "both" of a venue."""

    floor: Floor

    def handle_later(self, venue: str, message: Typed, at_ns: int) -> None: ...

    def report(self, venue: str, at_ns: int, message: Typed) -> None: ...

    def repeat_last_report(self, venue: str, at_ns: int) -> None: ...

    def change(self, venue: str, figures: dict[str, Any], until_ns: int, at_ns: int) -> None: ...

    def shut(self, venue: str, until_ns: int, text: str, at_ns: int) -> None: ...

    def close(self, venue: str, session: str, until_ns: int) -> None: ...

    def skip_numbers(self, venue: str, session: str, count: int) -> None: ...

    def reset_numbers(self, venue: str, session: str, count: int, now_ns: int) -> None: ...

    def freeze(self, venue: str, until_ns: int) -> None: ...

    def show_book(self, venue: str, symbol: str, crossed_ticks: int, at_ns: int) -> None: ...


class Faults:
    """Those of one scenario. `start_ns` is the time that its times count from."""

    def __init__(self, faults: Sequence[Fault], seed: int, start_ns: int, exchange: FaultyExchange) -> None:
        self.happened: list[tuple[int, Fault]] = []
        self._exchange = exchange
        self._floor = exchange.floor
        self._floor.heard = self._heard
        self._start_ns = start_ns
        self._due: list[tuple[int, int, partial[None]]] = []
        self._pushed = 0
        self._waiting = [(fault, Random(f"{seed}/fault/{n}")) for n, fault in enumerate(faults) if fault.on]
        self._left = {id(fault): fault.times or 1 << 60 for fault, _ in self._waiting}
        self._slow: list[tuple[str, int, int, int]] = []  # venue, from, until, delay: of reports
        self._late: list[tuple[str, int, int, int]] = []  # and of everything, both ways
        for fault in faults:
            if fault.at_s is not None:
                self._at(start_ns + round(fault.at_s * _S), self._happen, fault)

    @property
    def next_ns(self) -> int:
        return self._due[0][0] if self._due else NEVER

    def run(self, now_ns: int) -> None:
        """Everything that is due, each at its own time."""
        while self._due and self._due[0][0] <= now_ns:
            at_ns, _, act = heappop(self._due)
            act(at_ns)

    def delay_ns(self, venue: str, at_ns: int, is_report: bool) -> int:
        """By how much what is sent at this moment, to the venue or by it, is late."""
        stretches = self._late + self._slow if is_report else self._late
        return max((delay for name, a, b, delay in stretches if name == venue and a <= at_ns < b), default=0)

    def intercept(self, venue: str, message: Typed, at_ns: int) -> bool:
        """Whether a fault has taken the message away from the venue."""
        event = _EVENTS.get(type(message))
        if event is None:
            return False
        for fault in self._drawn(event, venue, getattr(message, "symbol", ""), at_ns):
            if fault.kind is FaultKind.REJECT:
                self._floor.refuse(venue, message, REASONS[fault.reason], fault.text or "refused", at_ns)
            elif fault.kind is FaultKind.HOLD:
                self._exchange.handle_later(venue, message, at_ns + round(fault.after_ms * _MS))
            elif fault.kind is FaultKind.FILL_AFTER_CANCEL:
                self._arm_late_fill(venue, message, fault, at_ns)
                continue
            return True
        return False

    def _drawn(self, event: Event, venue: str, symbol: str, at_ns: int) -> list[Fault]:
        """The faults that happen on this event."""
        since_s = (at_ns - self._start_ns) / _S
        drawn = []
        for fault, random in self._waiting:
            if fault.on is not event or fault.venue not in ("", venue) or fault.symbol not in ("", symbol):
                continue
            if (
                self._left[id(fault)]
                and fault.from_s <= since_s < fault.until_s
                and random.random() < fault.probability
            ):
                self._left[id(fault)] -= 1
                self.happened.append((at_ns, fault))
                drawn.append(fault)
        return drawn

    def _heard(self, venue: str, at_ns: int, event: OrderEvent) -> None:
        kind = _EVENTS.get(type(event))
        if kind is None:
            return
        order: Order = event.order
        for fault in self._drawn(kind, venue, order.symbol, at_ns):
            act = partial(self._to_order, fault, venue, order)
            if isinstance(event, Traded) and fault.kind in (FaultKind.BUST, FaultKind.CORRECT):
                act = partial(self._to_execution, fault, venue, self._floor.desks[venue].executions[-1])
            self._at(at_ns + round(fault.after_ms * _MS), act)

    def _happen(self, fault: Fault, at_ns: int) -> None:
        """A fault whose time has come."""
        self.happened.append((at_ns, fault))
        exchange, floor, until_ns = self._exchange, self._floor, at_ns + round(fault.for_s * _S)
        for venue in [fault.venue] if fault.venue else list(floor.desks):
            match fault.kind:
                case FaultKind.DISCONNECT:
                    exchange.close(venue, fault.session, until_ns)
                case FaultKind.GAP:
                    exchange.skip_numbers(venue, fault.session, fault.count)
                case FaultKind.RESET:
                    exchange.reset_numbers(venue, fault.session, fault.count, at_ns)
                case FaultKind.SLOW:
                    self._slow.append((venue, at_ns, until_ns, round(fault.after_ms * _MS)))
                case FaultKind.LATENCY:
                    self._late.append((venue, at_ns, until_ns, round(fault.after_ms * _MS)))
                case FaultKind.THROTTLE:
                    exchange.change(venue, {"messages_per_second": fault.count}, until_ns, at_ns)
                case FaultKind.MAINTENANCE:
                    exchange.shut(venue, until_ns, fault.text or "closed for maintenance", at_ns)
                case FaultKind.FREEZE:
                    exchange.freeze(venue, until_ns)
                    self._at(until_ns, self._show_books, venue, fault.symbol, 0)
                case FaultKind.CROSS:
                    self._show_books(venue, fault.symbol, fault.ticks or 1, at_ns)
                    exchange.freeze(venue, until_ns)
                    self._at(until_ns, self._show_books, venue, fault.symbol, 0)
                case FaultKind.UNKNOWN_FILL:
                    exchange.report(venue, at_ns, floor.desks[venue].stray_fill(fault.symbol, fault.qty or 100, at_ns))
                case FaultKind.BUST | FaultKind.CORRECT:
                    for execution in floor.executions(venue, fault.symbol)[-1:]:
                        self._to_execution(fault, venue, execution, at_ns)
                case FaultKind.CANCEL | FaultKind.REDUCE | FaultKind.PARTIAL_FILL:
                    for order in floor.open_orders(venue, fault.symbol):
                        self._to_order(fault, venue, order, at_ns)
        status = _STATUSES.get(fault.kind)
        for symbol in [fault.symbol] if fault.symbol else sorted(floor.symbols) if status is not None else []:
            if status is None:
                break
            floor.set_status(symbol, status, fault.text or status.name.lower(), fault.venue, at_ns)
            if fault.for_s:
                self._at(until_ns, partial(floor.set_status, symbol, TradingStatus.OPEN, "resumed", fault.venue))

    def _to_order(self, fault: Fault, venue: str, order: Order, at_ns: int) -> None:
        floor = self._floor
        match fault.kind:
            case FaultKind.CANCEL if order.leaves_qty:
                floor.cancel(venue, order, at_ns)
            case FaultKind.REDUCE:
                floor.reduce(venue, order, fault.qty or order.leaves_qty // 2, fault.text or "made smaller", at_ns)
            case FaultKind.PARTIAL_FILL:
                floor.fill(venue, order, fault.qty or order.leaves_qty // 2, at_ns)
            case FaultKind.OVERFILL:
                last_px = floor.desks[venue].executions[-1].px
                floor.execute(venue, order, order.leaves_qty + (fault.qty or 100), last_px, at_ns)
            case FaultKind.TELL_TWICE:
                self._exchange.repeat_last_report(venue, at_ns)

    def _to_execution(self, fault: Fault, venue: str, execution: Execution, at_ns: int) -> None:
        if not execution.qty:
            return
        if fault.kind is FaultKind.BUST:
            self._floor.bust(venue, execution, fault.text or "busted", at_ns)
        else:
            symbol = self._floor.desks[venue].order(execution.order_id).symbol
            px = execution.px + fault.ticks * self._floor.tick_px(symbol)
            text = fault.text or "corrected"
            self._floor.correct(venue, execution, fault.qty or execution.qty, px, text, at_ns)

    def _arm_late_fill(self, venue: str, message: Typed, fault: Fault, at_ns: int) -> None:
        assert isinstance(message, OrderCancelRequest)
        order = self._floor.desks[venue].order_of(message.orig_cl_ord_id)
        if order is not None and order.leaves_qty:
            qty = min(fault.qty or order.leaves_qty, order.leaves_qty)
            late = partial(self._fill_ended, venue, order, qty)
            self._at(at_ns + max(round(fault.after_ms * _MS), 1), late)

    def _fill_ended(self, venue: str, order: Order, qty: int, at_ns: int) -> None:
        self._floor.execute(venue, order, qty, order.px or self._floor.mid_px(order.symbol), at_ns)

    def _show_books(self, venue: str, symbol: str, crossed_ticks: int, at_ns: int) -> None:
        for name in [symbol] if symbol else sorted(self._floor.symbols):
            self._exchange.show_book(venue, name, crossed_ticks, at_ns)

    def _at(self, at_ns: int, act, *args: object) -> None:
        self._pushed += 1
        heappush(self._due, (at_ns, self._pushed, partial(act, *args)))
