"""Order entry of one simulated venue: FIX messages in, orders for the market out; market events in, reports out.

The desk keeps what the venue owes its client an account of: each order's status and average price, and which
ClOrdID(11) was ever used. Reports are built when something happens in the market, whatever becomes of their sending.
"""

from dataclasses import dataclass

from domain.fields import (
    CxlRejReason,
    CxlRejResponseTo,
    ExecInst,
    ExecType,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
    VenueKind,
)
from domain.prices import avg_px_to_text
from fix.messages import (
    ExecutionReport,
    NewOrderSingle,
    OrderCancelReject,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderMassCancelReport,
    OrderMassCancelRequest,
    OrderStatusRequest,
)
from simulators.ledger import LedgerEntry
from simulators.orders import (
    Accepted,
    Canceled,
    CancelRejected,
    Order,
    OrderEvent,
    Reduced,
    Rejected,
    Replaced,
    ReplaceRejected,
    Traded,
)

# What each kind of venue takes: (OrdType(40), TimeInForce(59)). Anything else is an unsupported order.
_TAKES = {
    VenueKind.LIT: {
        (OrdType.MARKET, TimeInForce.DAY),
        (OrdType.MARKET, TimeInForce.IMMEDIATE_OR_CANCEL),
        (OrdType.LIMIT, TimeInForce.DAY),
        (OrdType.LIMIT, TimeInForce.IMMEDIATE_OR_CANCEL),
        (OrdType.LIMIT, TimeInForce.FILL_OR_KILL),
        (OrdType.MARKET, TimeInForce.AT_THE_OPENING),
        (OrdType.MARKET, TimeInForce.AT_THE_CLOSE),
        (OrdType.LIMIT, TimeInForce.AT_THE_OPENING),
        (OrdType.LIMIT, TimeInForce.AT_THE_CLOSE),
    },
    VenueKind.DARK: {(OrdType.PEGGED, TimeInForce.DAY), (OrdType.PEGGED, TimeInForce.IMMEDIATE_OR_CANCEL)},
    VenueKind.DEALER: {
        (OrdType.PREVIOUSLY_QUOTED, TimeInForce.DAY),
        (OrdType.PREVIOUSLY_QUOTED, TimeInForce.IMMEDIATE_OR_CANCEL),
        (OrdType.PREVIOUSLY_QUOTED, TimeInForce.FILL_OR_KILL),
    },
}
_OPEN = frozenset({OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_NEW})


_ONE_SYMBOL, _ALL_ORDERS = "1", "7"  # MassCancelRequestType(530)
_REFUSED, _OTHER = "0", "99"  # MassCancelResponse(531), MassCancelRejectReason(532)
_PARTIAL_DECLINE = "5"  # ExecRestatementReason(378)


@dataclass(slots=True)
class _Record:
    order: Order
    message: NewOrderSingle
    ord_status: OrdStatus = OrdStatus.PENDING_NEW
    notional_px: int = 0
    cancel_id: str = ""  # ClOrdID(11) of the cancel request under way
    replace_id: str = ""  # and of the replace request


@dataclass(slots=True, eq=False)
class Execution:
    """An execution as it counts now: `exec_id` is that of the last report of it, `qty` 0 once it was busted."""

    first_id: str
    exec_id: str
    order_id: str
    qty: int
    px: int


class OrderDesk:
    """`prefix` starts every id that the desk gives out; a venue that starts again needs another one."""

    def __init__(self, venue: str, kind: VenueKind, symbols: frozenset[str], prefix: str) -> None:
        self.venue = venue
        self.kind = kind
        self._symbols = symbols
        self._prefix = prefix
        self._issued = 0
        self._records: dict[str, _Record] = {}  # by ClOrdID(11)
        self._by_order_id: dict[str, _Record] = {}
        self._used_ids: set[str] = set()
        self.executions: list[Execution] = []

    def open_orders(self, symbol: str = "") -> list[Order]:
        """Those that can still trade, the oldest first; of all symbols with ""."""
        records = self._by_order_id.values()
        return [r.order for r in records if r.ord_status in _OPEN and symbol in ("", r.order.symbol)]

    def orders(self) -> list[Order]:
        """All that were ever taken, the oldest first."""
        return [record.order for record in self._by_order_id.values()]

    def order(self, order_id: str) -> Order:
        """By the venue's own id, which must be one of its."""
        return self._by_order_id[order_id].order

    def order_of(self, cl_ord_id: str) -> Order | None:
        record = self._records.get(cl_ord_id)
        return record.order if record is not None else None

    def stray_fill(self, symbol: str, qty: int, now_ns: int) -> ExecutionReport:
        """A report of a fill of an order that nobody sent; it is in no ledger."""
        return ExecutionReport(
            order_id=self.next_id(),
            exec_id=self.next_id(),
            exec_type=ExecType.TRADE,
            ord_status=OrdStatus.FILLED,
            cl_ord_id=f"STRAY-{self._issued}",
            symbol=symbol or min(self._symbols),
            side=Side.BUY,
            order_qty=qty,
            leaves_qty=0,
            cum_qty=qty,
            avg_px="1",
            last_qty=qty,
            last_px=1_0000,
            transact_time_ns=now_ns,
        )

    def reject(self, message: NewOrderSingle, reason: OrdRejReason, text: str, now_ns: int) -> ExecutionReport:
        """The report that turns an order down for a reason that the message doesn't give."""
        order = Order(
            self.next_id(), "", message.cl_ord_id, message.symbol, message.side, message.order_qty, message.price
        )
        record = _Record(order, message, OrdStatus.REJECTED)
        return self._report(record, ExecType.REJECTED, now_ns, reason=reason, text=text)

    def refuse_request(
        self, message: OrderCancelRequest | OrderCancelReplaceRequest, text: str, now_ns: int
    ) -> OrderCancelReject:
        """A request turned down for a reason that has nothing to do with its order."""
        record = self._records.get(message.orig_cl_ord_id)
        return self._cancel_reject(record, message, CxlRejReason.BROKER_OPTION, text, now_ns)

    def new_order(self, message: NewOrderSingle, owner: str, now_ns: int) -> Order | ExecutionReport:
        """The order for the market, or the report that rejects it."""
        order = Order(
            order_id=self.next_id(),
            owner=owner,
            cl_ord_id=message.cl_ord_id,
            symbol=message.symbol,
            side=message.side,
            order_qty=message.order_qty,
            px=message.price,
            immediate=message.time_in_force in (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL),
            mid_peg=message.ord_type is OrdType.PEGGED,
            min_qty=message.min_qty,
            quote_id=message.quote_id,
            post_only=ExecInst.POST_ONLY.value in message.exec_inst.split(),
            time_in_force=message.time_in_force,
        )
        record = _Record(order, message)
        if refusal := self._refusal(message):
            record.ord_status = OrdStatus.REJECTED
            return self._report(record, ExecType.REJECTED, now_ns, reason=refusal[0], text=refusal[1])
        self._used_ids.add(message.cl_ord_id)
        self._records[message.cl_ord_id] = self._by_order_id[order.order_id] = record
        return order

    def cancel(self, message: OrderCancelRequest, now_ns: int) -> str | OrderCancelReject:
        """The venue's id of the order to cancel, or the refusal."""
        record, refused = self._addressed(message, now_ns)
        if record is None or refused is not None:
            return refused
        record.cancel_id = message.cl_ord_id
        return record.order.order_id

    def replace(self, message: OrderCancelReplaceRequest, now_ns: int) -> str | OrderCancelReject:
        """The venue's id of the order to replace, or the refusal."""
        record, refused = self._addressed(message, now_ns)
        if record is None or refused is not None:
            return refused
        was = record.message
        for name, asked, has in (
            ("Symbol(55)", message.symbol, was.symbol),
            ("Side(54)", message.side, was.side),
            ("OrdType(40)", message.ord_type, was.ord_type),
        ):
            if asked != has:
                text = f"{name} {asked} of a replace is not the order's {has}"
                return self._cancel_reject(record, message, CxlRejReason.BROKER_OPTION, text, now_ns)
        record.replace_id = message.cl_ord_id
        return record.order.order_id

    def mass_cancel(self, message: OrderMassCancelRequest, now_ns: int) -> tuple[list[str], OrderMassCancelReport]:
        """The venue's ids of the orders to cancel, and the report that comes before theirs."""
        kind = message.mass_cancel_request_type
        text = "" if kind in (_ONE_SYMBOL, _ALL_ORDERS) else "only orders of a symbol or all orders are cancelled here"
        if kind == _ONE_SYMBOL and message.symbol not in self._symbols:
            text = f"symbol {message.symbol!r} is not traded here"
        orders = [] if text else self.open_orders(message.symbol if kind == _ONE_SYMBOL else "")
        report = OrderMassCancelReport(
            order_id=self.next_id(),
            cl_ord_id=message.cl_ord_id,
            mass_cancel_request_type=kind,
            mass_cancel_response=_REFUSED if text else kind,
            mass_cancel_reject_reason=_OTHER if text else "",
            total_affected_orders=len(orders),
            symbol=message.symbol,
            transact_time_ns=now_ns,
            text=text,
        )
        return [order.order_id for order in orders], report

    def _addressed(
        self, message: OrderCancelRequest | OrderCancelReplaceRequest, now_ns: int
    ) -> tuple[_Record | None, OrderCancelReject | None]:
        """The open order that a request names by the ClOrdID(11) of the last accepted request, or the refusal."""
        orig = message.orig_cl_ord_id
        record = self._records.get(orig)
        if record is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"no order {orig!r}"
        elif record.order.cl_ord_id != orig:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"order {orig!r} was replaced by {record.order.cl_ord_id!r}"
        elif message.cl_ord_id in self._used_ids:
            reason, text = CxlRejReason.DUPLICATE_CL_ORD_ID, f"ClOrdID(11) {message.cl_ord_id!r} was used before"
        elif record.ord_status not in _OPEN:
            reason, text = CxlRejReason.TOO_LATE, f"order {orig!r} is {record.ord_status.name}"
        else:
            self._used_ids.add(message.cl_ord_id)
            return record, None
        return record, self._cancel_reject(record, message, reason, text, now_ns)

    def status(self, message: OrderStatusRequest, now_ns: int) -> ExecutionReport:
        """What an OrderStatusRequest(H) is told: the state of the order, or that there is none."""
        record = self._records.get(message.cl_ord_id)
        if record is not None:
            return self._report(record, ExecType.ORDER_STATUS, now_ns, ord_status_req_id=message.ord_status_req_id)
        return ExecutionReport(
            order_id="NONE",
            exec_id=self.next_id(),
            exec_type=ExecType.ORDER_STATUS,
            ord_status=OrdStatus.REJECTED,
            ord_rej_reason=OrdRejReason.UNKNOWN_ORDER,
            cl_ord_id=message.cl_ord_id,
            symbol=message.symbol,
            side=message.side,
            leaves_qty=0,
            cum_qty=0,
            avg_px="0",
            transact_time_ns=now_ns,
            text=f"no order {message.cl_ord_id!r}",
            ord_status_req_id=message.ord_status_req_id,
        )

    def report(
        self, event: OrderEvent, at_ns: int
    ) -> tuple[ExecutionReport | OrderCancelReject | None, LedgerEntry | None]:
        """What the client is told of a market event, and the entry of an execution."""
        if isinstance(event, CancelRejected | ReplaceRejected):
            return self._request_rejected(self._by_order_id[event.order_id], event, at_ns), None
        record = self._by_order_id[event.order.order_id]
        match event:
            case Accepted():
                record.ord_status = OrdStatus.NEW
                return self._report(record, ExecType.NEW, at_ns, cum_qty=0), None
            case Rejected(text=text):
                record.ord_status = OrdStatus.REJECTED
                return self._report(record, ExecType.REJECTED, at_ns, reason=OrdRejReason.OTHER, text=text), None
            case Canceled(text=text):
                record.ord_status = OrdStatus.CANCELED
                return self._report(record, ExecType.CANCELED, at_ns, text=text), None
            case Replaced(order=order, cum_qty=cum_qty):
                orig_cl_ord_id, order.cl_ord_id, record.replace_id = order.cl_ord_id, record.replace_id, ""
                self._records[order.cl_ord_id] = record
                self._note_end(record, cum_qty)
                return self._report(
                    record, ExecType.REPLACED, at_ns, cum_qty=cum_qty, orig_cl_ord_id=orig_cl_ord_id
                ), None
            case Reduced(order=order, text=text):
                self._note_end(record, order.cum_qty)
                return self._report(record, ExecType.RESTATED, at_ns, restatement=_PARTIAL_DECLINE, text=text), None
            case Traded():
                return self._traded(record, event, at_ns)

    def bust(self, execution: Execution, text: str, at_ns: int) -> tuple[list[ExecutionReport], LedgerEntry]:
        """Takes an execution back. The order does not come back: one that rests is restated without those shares."""
        return self._amend(execution, 0, 0, ExecType.TRADE_CANCEL, text, at_ns)

    def correct(
        self, execution: Execution, qty: int, px: int, text: str, at_ns: int
    ) -> tuple[list[ExecutionReport], LedgerEntry]:
        """From now on the execution counts with this quantity and price."""
        return self._amend(execution, qty, px, ExecType.TRADE_CORRECT, text, at_ns)

    def _amend(
        self, execution: Execution, qty: int, px: int, exec_type: ExecType, text: str, at_ns: int
    ) -> tuple[list[ExecutionReport], LedgerEntry]:
        record = self._by_order_id[execution.order_id]
        order, is_bust = record.order, exec_type is ExecType.TRADE_CANCEL
        was_qty, was_px, exec_ref_id = execution.qty, execution.px, execution.exec_id
        order.cum_qty += qty - was_qty
        record.notional_px += qty * px - was_qty * was_px
        execution.exec_id, execution.qty, execution.px = self.next_id(), qty, px
        if record.ord_status is OrdStatus.FILLED and order.cum_qty < order.order_qty:
            record.ord_status = OrdStatus.CANCELED
        amended = self._report(
            record,
            exec_type,
            at_ns,
            exec_id=execution.exec_id,
            exec_ref_id=exec_ref_id,
            last_qty=was_qty if is_bust else qty,
            last_px=was_px if is_bust else px,
            text=text,
        )
        entry = LedgerEntry(
            self.venue,
            execution.exec_id,
            record.message.cl_ord_id,
            order.symbol,
            order.side,
            qty,
            px,
            at_ns,
            kind="bust" if is_bust else "correction",
            exec_ref_id=execution.first_id,
        )
        if record.ord_status not in _OPEN or qty == was_qty:
            return [amended], entry
        order.order_qty += qty - was_qty  # what is left of it is what rests of it, as before
        restated = self._report(record, ExecType.RESTATED, at_ns, restatement=_PARTIAL_DECLINE, text=text)
        return [amended, restated], entry

    @staticmethod
    def _note_end(record: _Record, cum_qty: int) -> None:
        """Nothing is left of an order that was made smaller: it is filled, or cancelled where nothing was filled."""
        if record.order.order_qty <= cum_qty:
            record.ord_status = OrdStatus.FILLED if cum_qty else OrdStatus.CANCELED

    def _traded(self, record: _Record, event: Traded, at_ns: int) -> tuple[ExecutionReport, LedgerEntry]:
        order = record.order
        record.notional_px += event.qty * event.px
        if record.ord_status in _OPEN:
            is_filled = event.cum_qty >= order.order_qty
            record.ord_status = OrdStatus.FILLED if is_filled else OrdStatus.PARTIALLY_FILLED
        self.executions.append(Execution(event.exec_id, event.exec_id, order.order_id, event.qty, event.px))
        report = self._report(
            record,
            ExecType.TRADE,
            at_ns,
            cum_qty=event.cum_qty,
            exec_id=event.exec_id,
            last_qty=event.qty,
            last_px=event.px,
            liquidity=event.liquidity,
        )
        entry = LedgerEntry(
            self.venue,
            event.exec_id,
            record.message.cl_ord_id,
            order.symbol,
            order.side,
            event.qty,
            event.px,
            at_ns,
        )
        return report, entry

    def _refusal(self, message: NewOrderSingle) -> tuple[OrdRejReason, str] | None:
        if message.cl_ord_id in self._used_ids:
            return OrdRejReason.DUPLICATE_ORDER, f"ClOrdID(11) {message.cl_ord_id!r} was used before"
        if message.symbol not in self._symbols:
            return OrdRejReason.UNKNOWN_SYMBOL, f"symbol {message.symbol!r} is not traded here"
        if (message.ord_type, message.time_in_force) not in _TAKES[self.kind]:
            text = f"{message.ord_type.name} {message.time_in_force.name} is no order for a {self.kind.value} venue"
            return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text
        if message.order_qty <= 0:
            return OrdRejReason.INCORRECT_QUANTITY, f"quantity {message.order_qty} is not positive"
        if message.ord_type is OrdType.LIMIT and not message.price:
            return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "a limit order without a price"
        if self.kind is VenueKind.DARK and ExecInst.MID_PRICE_PEG.value not in message.exec_inst.split():
            return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "only midpoint pegs, ExecInst(18) M"
        return None

    def _report(
        self,
        record: _Record,
        exec_type: ExecType,
        at_ns: int,
        *,
        cum_qty: int | None = None,
        exec_id: str = "",
        last_qty: int = 0,
        last_px: int = 0,
        liquidity: LastLiquidityInd | None = None,
        reason: OrdRejReason | None = None,
        text: str = "",
        ord_status_req_id: str = "",
        orig_cl_ord_id: str = "",
        exec_ref_id: str = "",
        restatement: str = "",
    ) -> ExecutionReport:
        order, message = record.order, record.message
        cum_qty = order.cum_qty if cum_qty is None else cum_qty
        is_answer = exec_type is ExecType.CANCELED and record.cancel_id
        return ExecutionReport(
            order_id=order.order_id,
            exec_id=exec_id or self.next_id(),
            exec_type=exec_type,
            ord_status=record.ord_status,
            cl_ord_id=record.cancel_id if is_answer else order.cl_ord_id,
            orig_cl_ord_id=order.cl_ord_id if is_answer else orig_cl_ord_id,
            account=message.account,
            symbol=order.symbol,
            side=order.side,
            order_qty=order.order_qty,
            ord_type=message.ord_type,
            price=order.px,
            time_in_force=message.time_in_force,
            leaves_qty=order.order_qty - cum_qty if record.ord_status in _OPEN else 0,
            exec_ref_id=exec_ref_id,
            exec_restatement_reason=restatement,
            cum_qty=cum_qty,
            avg_px=avg_px_to_text(record.notional_px, cum_qty),
            last_qty=last_qty,
            last_px=last_px,
            last_mkt=self.venue if last_qty else "",
            last_liquidity_ind=liquidity,
            ord_rej_reason=reason,
            transact_time_ns=at_ns,
            text=text,
            ord_status_req_id=ord_status_req_id,
        )

    def _request_rejected(
        self, record: _Record, event: CancelRejected | ReplaceRejected, at_ns: int
    ) -> OrderCancelReject | None:
        """None where no request of its own asked for it: a mass cancel that left the order alone."""
        order, message = record.order, record.message
        if isinstance(event, CancelRejected):
            cancel_id, record.cancel_id = record.cancel_id, ""
            if not cancel_id:
                return None
            request = OrderCancelRequest(cancel_id, order.cl_ord_id, message.symbol, message.side, at_ns)
            return self._cancel_reject(record, request, CxlRejReason.TOO_LATE, event.text, at_ns)
        replace_id, record.replace_id = record.replace_id, ""
        ord_type = message.ord_type
        asked = OrderCancelReplaceRequest(replace_id, order.cl_ord_id, message.symbol, message.side, 0, ord_type, at_ns)
        reason = CxlRejReason.BROKER_OPTION if record.ord_status in _OPEN else CxlRejReason.TOO_LATE
        return self._cancel_reject(record, asked, reason, event.text, at_ns)

    @staticmethod
    def _cancel_reject(
        record: _Record | None,
        request: OrderCancelRequest | OrderCancelReplaceRequest,
        reason: CxlRejReason,
        text: str,
        at_ns: int,
    ) -> OrderCancelReject:
        is_cancel = isinstance(request, OrderCancelRequest)
        kinds = CxlRejResponseTo
        return OrderCancelReject(
            order_id=record.order.order_id if record else "NONE",
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            ord_status=record.ord_status if record else OrdStatus.REJECTED,
            cxl_rej_response_to=kinds.ORDER_CANCEL_REQUEST if is_cancel else kinds.ORDER_CANCEL_REPLACE_REQUEST,
            cxl_rej_reason=reason,
            transact_time_ns=at_ns,
            text=text,
        )

    def next_id(self) -> str:
        self._issued += 1
        return f"{self._prefix}{self._issued:x}"
