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
    TimeInForce,
    VenueKind,
)
from domain.prices import avg_px_to_text
from fix.messages import ExecutionReport, NewOrderSingle, OrderCancelReject, OrderCancelRequest, OrderStatusRequest
from simulators.ledger import LedgerEntry
from simulators.orders import Accepted, Canceled, CancelRejected, Order, OrderEvent, Rejected, Traded

# What each kind of venue takes: (OrdType(40), TimeInForce(59)). Anything else is an unsupported order.
_TAKES = {
    VenueKind.LIT: {
        (OrdType.MARKET, TimeInForce.DAY),
        (OrdType.MARKET, TimeInForce.IMMEDIATE_OR_CANCEL),
        (OrdType.LIMIT, TimeInForce.DAY),
        (OrdType.LIMIT, TimeInForce.IMMEDIATE_OR_CANCEL),
    },
    VenueKind.DARK: {(OrdType.PEGGED, TimeInForce.DAY), (OrdType.PEGGED, TimeInForce.IMMEDIATE_OR_CANCEL)},
    VenueKind.DEALER: {
        (OrdType.PREVIOUSLY_QUOTED, TimeInForce.DAY),
        (OrdType.PREVIOUSLY_QUOTED, TimeInForce.IMMEDIATE_OR_CANCEL),
    },
}
_OPEN = frozenset({OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_NEW})


@dataclass(slots=True)
class _Record:
    order: Order
    message: NewOrderSingle
    ord_status: OrdStatus = OrdStatus.PENDING_NEW
    notional_px: int = 0
    cancel_id: str = ""  # ClOrdID(11) of the cancel request under way


class OrderDesk:
    """`prefix` starts every id that the desk gives out; a venue that starts again needs another one."""

    def __init__(self, venue: str, kind: VenueKind, symbols: frozenset[str], prefix: str) -> None:
        self.venue = venue
        self._kind = kind
        self._symbols = symbols
        self._prefix = prefix
        self._issued = 0
        self._records: dict[str, _Record] = {}  # by ClOrdID(11)
        self._by_order_id: dict[str, _Record] = {}
        self._used_ids: set[str] = set()

    def new_order(self, message: NewOrderSingle, owner: str, now_ns: int) -> Order | ExecutionReport:
        """The order for the market, or the report that rejects it."""
        order = Order(
            order_id=self._next_id(),
            owner=owner,
            cl_ord_id=message.cl_ord_id,
            symbol=message.symbol,
            side=message.side,
            order_qty=message.order_qty,
            px=message.price,
            immediate=message.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL,
            mid_peg=message.ord_type is OrdType.PEGGED,
            min_qty=message.min_qty,
            quote_id=message.quote_id,
            post_only=ExecInst.POST_ONLY.value in message.exec_inst.split(),
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
        record = self._records.get(message.orig_cl_ord_id)
        if record is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"no order {message.orig_cl_ord_id!r}"
        elif message.cl_ord_id in self._used_ids:
            reason, text = CxlRejReason.DUPLICATE_CL_ORD_ID, f"ClOrdID(11) {message.cl_ord_id!r} was used before"
        elif record.ord_status not in _OPEN:
            reason, text = CxlRejReason.TOO_LATE, f"order {message.orig_cl_ord_id!r} is {record.ord_status.name}"
        else:
            self._used_ids.add(message.cl_ord_id)
            record.cancel_id = message.cl_ord_id
            return record.order.order_id
        return self._cancel_reject(record, message.cl_ord_id, message.orig_cl_ord_id, reason, text, now_ns)

    def status(self, message: OrderStatusRequest, now_ns: int) -> ExecutionReport:
        """What an OrderStatusRequest(H) is told: the state of the order, or that there is none."""
        record = self._records.get(message.cl_ord_id)
        if record is not None:
            return self._report(record, ExecType.ORDER_STATUS, now_ns, ord_status_req_id=message.ord_status_req_id)
        return ExecutionReport(
            order_id="NONE",
            exec_id=self._next_id(),
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

    def report(self, event: OrderEvent, at_ns: int) -> tuple[ExecutionReport | OrderCancelReject, LedgerEntry | None]:
        """What the client is told of a market event, and the entry of an execution."""
        if isinstance(event, CancelRejected):
            record = self._by_order_id[event.order_id]
            cancel_id, record.cancel_id = record.cancel_id, ""
            cl_ord_id = record.order.cl_ord_id
            return self._cancel_reject(record, cancel_id, cl_ord_id, CxlRejReason.TOO_LATE, event.text, at_ns), None
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
            case Traded():
                return self._traded(record, event, at_ns)

    def _traded(self, record: _Record, event: Traded, at_ns: int) -> tuple[ExecutionReport, LedgerEntry]:
        order = record.order
        record.notional_px += event.qty * event.px
        is_filled = event.cum_qty >= order.order_qty
        record.ord_status = OrdStatus.FILLED if is_filled else OrdStatus.PARTIALLY_FILLED
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
            self.venue, event.exec_id, order.cl_ord_id, order.symbol, order.side, event.qty, event.px, at_ns
        )
        return report, entry

    def _refusal(self, message: NewOrderSingle) -> tuple[OrdRejReason, str] | None:
        if message.cl_ord_id in self._used_ids:
            return OrdRejReason.DUPLICATE_ORDER, f"ClOrdID(11) {message.cl_ord_id!r} was used before"
        if message.symbol not in self._symbols:
            return OrdRejReason.UNKNOWN_SYMBOL, f"symbol {message.symbol!r} is not traded here"
        if (message.ord_type, message.time_in_force) not in _TAKES[self._kind]:
            text = f"{message.ord_type.name} {message.time_in_force.name} is no order for a {self._kind.value} venue"
            return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text
        if message.order_qty <= 0:
            return OrdRejReason.INCORRECT_QUANTITY, f"quantity {message.order_qty} is not positive"
        if message.ord_type is OrdType.LIMIT and not message.price:
            return OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "a limit order without a price"
        if self._kind is VenueKind.DARK and ExecInst.MID_PRICE_PEG.value not in message.exec_inst.split():
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
    ) -> ExecutionReport:
        order, message = record.order, record.message
        cum_qty = order.cum_qty if cum_qty is None else cum_qty
        is_answer = exec_type is ExecType.CANCELED and record.cancel_id
        return ExecutionReport(
            order_id=order.order_id,
            exec_id=exec_id or self._next_id(),
            exec_type=exec_type,
            ord_status=record.ord_status,
            cl_ord_id=record.cancel_id if is_answer else order.cl_ord_id,
            orig_cl_ord_id=order.cl_ord_id if is_answer else "",
            account=message.account,
            symbol=order.symbol,
            side=order.side,
            order_qty=order.order_qty,
            ord_type=message.ord_type,
            price=order.px,
            time_in_force=message.time_in_force,
            leaves_qty=order.order_qty - cum_qty if record.ord_status in _OPEN else 0,
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

    @staticmethod
    def _cancel_reject(
        record: _Record | None, cl_ord_id: str, orig_cl_ord_id: str, reason: CxlRejReason, text: str, at_ns: int
    ) -> OrderCancelReject:
        return OrderCancelReject(
            order_id=record.order.order_id if record else "NONE",
            cl_ord_id=cl_ord_id,
            orig_cl_ord_id=orig_cl_ord_id,
            ord_status=record.ord_status if record else OrdStatus.REJECTED,
            cxl_rej_response_to=CxlRejResponseTo.ORDER_CANCEL_REQUEST,
            cxl_rej_reason=reason,
            transact_time_ns=at_ns,
            text=text,
        )

    def _next_id(self) -> str:
        self._issued += 1
        return f"{self._prefix}{self._issued:x}"
