"""The simulated EMS's own books: every order as its reports say, recomputed from LastQty(32) and LastPx(31) alone.

CumQty(14), LeavesQty(151), AvgPx(6) and OrdStatus(39) of a report are never taken over but compared with the books.
Whatever disagrees is a violation, kept in words; the books keep their own figures.
"""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from simplefix import FixMessage

from domain.fields import ExecType, OrdStatus, Side
from domain.prices import PX_SCALE, px_from_text, px_to_text, qty_from_text
from simulators.client_session import text

FINAL = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY})
# A later status never ranks below an earlier one, and no final status follows another.
_RANK = {
    OrdStatus.PENDING_NEW: 0,
    OrdStatus.NEW: 1,
    OrdStatus.REPLACED: 1,
    OrdStatus.PARTIALLY_FILLED: 2,
} | dict.fromkeys(FINAL, 3)
_PENDING = {OrdStatus.PENDING_CANCEL: "F", OrdStatus.PENDING_REPLACE: "G"}
_FILLS = frozenset({ExecType.TRADE, ExecType.PARTIAL_FILL, ExecType.FILL})
_AMENDED = {ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT}
# ExecTransType(20) of FIX 4.2 says what later versions say by ExecType(150).
_TRANS_TYPES = {"1": ExecType.TRADE_CANCEL, "2": ExecType.TRADE_CORRECT, "3": ExecType.ORDER_STATUS}


@dataclass(slots=True)
class Request:
    """A cancel (F) or replace (G) that has no answer yet."""

    msg_type: str
    order_qty: int
    limit_px: int


@dataclass(slots=True)
class Report:
    """What one ExecutionReport said, for the reader of a failure."""

    at_ns: int
    cl_ord_id: str
    exec_id: str
    exec_type: str
    ord_status: str
    last_qty: int
    last_px: int
    text: str


@dataclass(slots=True)
class EmsOrder:
    """An order as the EMS knows it. Prices in Px, 0 for none; `avg_px` is what the last report said."""

    cl_ord_ids: list[str]  # the original, then one for each accepted replace
    account: str
    symbol: str
    side: Side
    order_qty: int
    limit_px: int
    strategy: str
    sent_ns: int
    cum_qty: int = 0
    notional_px: int = 0  # sum of LastQty * LastPx
    avg_px: str = "0"
    ord_status: OrdStatus = OrdStatus.PENDING_NEW
    settled_status: OrdStatus = OrdStatus.PENDING_NEW  # without pending requests, which outrank it in `ord_status`
    requests: dict[str, Request] = field(default_factory=dict)
    request_count: int = 0
    reports: list[Report] = field(default_factory=list)
    fills: dict[str, tuple[int, int]] = field(default_factory=dict)  # ExecID(17) -> quantity, price, as they count now
    text: str = ""

    @property
    def cl_ord_id(self) -> str:
        return self.cl_ord_ids[0]

    @property
    def is_final(self) -> bool:
        return self.settled_status in FINAL

    @property
    def leaves_qty(self) -> int:
        return 0 if self.is_final else self.order_qty - self.cum_qty


class EmsBooks:
    """All orders of one EMS. `by_id` finds an order by any ClOrdID(11) that was sent for it.

    `unsettled` are those that are open or wait for an answer.
    """

    def __init__(self, begin_string: str, violations: list[str]) -> None:
        self.orders: dict[str, EmsOrder] = {}
        self.by_id: dict[str, EmsOrder] = {}
        self.unsettled: dict[str, EmsOrder] = {}
        self.violations = violations
        # Appendix D of FIX 4.2: Replaced outranks New. Later versions don't know it as a status of an order.
        self._status_once_replaced = OrdStatus.REPLACED if begin_string == "FIX.4.2" else OrdStatus.NEW
        self._exec_ids: set[str] = set()

    def place(self, order: EmsOrder) -> None:
        self.orders[order.cl_ord_id] = self.by_id[order.cl_ord_id] = self.unsettled[order.cl_ord_id] = order

    def request(self, order: EmsOrder, cl_ord_id: str, request: Request) -> None:
        order.requests[cl_ord_id] = request
        self.by_id[cl_ord_id] = self.unsettled[order.cl_ord_id] = order

    def refuse(self, cl_ord_id: str, reason: str) -> None:
        """Reject(3) or BusinessMessageReject(j) of the message that carried `cl_ord_id`."""
        order = self.by_id[cl_ord_id]
        order.text = reason
        if order.requests.pop(cl_ord_id, None) is None:
            order.ord_status = order.settled_status = OrdStatus.REJECTED
        self._note(order)

    def cancel_reject(self, message: FixMessage) -> None:
        """OrderCancelReject(9)."""
        cl_ord_id = text(message, 11)
        order = self.by_id.get(cl_ord_id)
        if order is None or order.requests.pop(cl_ord_id, None) is None:
            self.violations.append(f"OrderCancelReject for ClOrdID(11) {cl_ord_id!r}, which is no open request")
            return
        order.text = text(message, 58)
        if order.cum_qty >= order.order_qty and not order.is_final:
            order.settled_status = OrdStatus.FILLED  # its last fill came while the request was pending, and said so
        if text(message, 39) not in (order.settled_status, *(s for s in _PENDING if self._is_pending(order, s))):
            self._disagree(order, f"OrderCancelReject of {cl_ord_id}", "OrdStatus(39)", text(message, 39))
        self._note(order)

    def report(self, message: FixMessage, now_ns: int) -> None:
        """ExecutionReport(8)."""
        cl_ord_id, exec_id = text(message, 11), text(message, 17)
        order = self.by_id.get(cl_ord_id)
        if order is None:
            self.violations.append(f"ExecutionReport {exec_id} for unknown ClOrdID(11) {cl_ord_id!r}")
            return
        if exec_id in self._exec_ids:
            if text(message, 97) != "Y":  # PossResend: allowed to say it again
                self.violations.append(f"ExecutionReport for {cl_ord_id}: ExecID(17) {exec_id} was used before")
            return
        self._exec_ids.add(exec_id)
        try:
            self._book(order, message, now_ns)
        except (ValueError, InvalidOperation) as error:
            self.violations.append(f"ExecutionReport {exec_id} for {cl_ord_id} has an unreadable field: {error}")
        self._note(order)

    def _note(self, order: EmsOrder) -> None:
        if not order.is_final or order.requests:
            self.unsettled[order.cl_ord_id] = order
        else:
            self.unsettled.pop(order.cl_ord_id, None)

    def _book(self, order: EmsOrder, message: FixMessage, now_ns: int) -> None:
        exec_type, ord_status = ExecType(text(message, 150)), OrdStatus(text(message, 39))
        exec_type = _TRANS_TYPES.get(text(message, 20), exec_type)
        cl_ord_id = text(message, 11)
        what = f"ExecutionReport {text(message, 17)} ({exec_type.name}) for {cl_ord_id}"
        last_qty = last_px = 0
        if exec_type in _FILLS:
            last_qty, last_px = qty_from_text(text(message, 32)), px_from_text(text(message, 31))
            self._fill(order, what, last_qty, last_px)
            order.fills[text(message, 17)] = (last_qty, last_px)
        elif exec_type in _AMENDED:
            self._amend(order, what, exec_type, message)
        elif exec_type is ExecType.REPLACED:
            self._replaced(order, what, message)
        elif exec_type is ExecType.RESTATED and 38 in message:
            order.order_qty = qty_from_text(text(message, 38))  # changed by the other side, which may do so
        elif exec_type in (ExecType.CANCELED, ExecType.REJECTED, ExecType.EXPIRED):
            order.requests.pop(cl_ord_id, None)
        order.text = text(message, 58)
        order.avg_px = text(message, 6)
        order.reports.append(
            Report(now_ns, cl_ord_id, text(message, 17), exec_type, ord_status, last_qty, last_px, order.text)
        )
        self._settle(order, what, exec_type, ord_status)
        for tag, name, own in ((54, "Side(54)", order.side), (55, "Symbol(55)", order.symbol)):
            if text(message, tag) != own:
                self._disagree(order, what, name, text(message, tag))
        for tag, name, own_qty in (
            (14, "CumQty(14)", order.cum_qty),
            (38, "OrderQty(38)", order.order_qty),
            (151, "LeavesQty(151)", 0 if ord_status in FINAL else order.order_qty - order.cum_qty),
        ):
            if (tag != 38 or tag in message) and qty_from_text(text(message, tag)) != own_qty:
                self._disagree(order, what, name, text(message, tag))
        # Six decimals are promised: the last one may be rounded or cut.
        avg_px = Decimal(order.avg_px)
        if abs(avg_px * PX_SCALE * order.cum_qty - order.notional_px) * 100 > order.cum_qty:
            self._disagree(order, what, "AvgPx(6)", order.avg_px)

    def _fill(self, order: EmsOrder, what: str, last_qty: int, last_px: int) -> None:
        order.cum_qty += last_qty
        order.notional_px += last_qty * last_px
        limits = [order.limit_px, *(request.limit_px for request in order.requests.values() if request.msg_type == "G")]
        sign = order.side.sign
        if last_qty <= 0 or last_px <= 0:
            self._disagree(order, what, "LastQty(32) at LastPx(31)", f"{last_qty} at {px_to_text(last_px)}")
        elif all(limit_px and sign * (last_px - limit_px) > 0 for limit_px in limits):
            self._disagree(order, what, "LastPx(31), worse than the limit", px_to_text(last_px))

    def _amend(self, order: EmsOrder, what: str, exec_type: ExecType, message: FixMessage) -> None:
        """A bust or correction of a fill that is named by ExecRefID(19), or by its last correction."""
        was = order.fills.pop(text(message, 19), None)
        if was is None:
            self._disagree(order, what, "ExecRefID(19), which is no fill of it", text(message, 19))
            return
        if exec_type is ExecType.TRADE_CORRECT:
            now = qty_from_text(text(message, 32)), px_from_text(text(message, 31))
            order.fills[text(message, 17)] = now
        else:
            now = (0, 0)
        order.cum_qty += now[0] - was[0]
        order.notional_px += now[0] * now[1] - was[0] * was[1]

    def _replaced(self, order: EmsOrder, what: str, message: FixMessage) -> None:
        request = order.requests.pop(text(message, 11), None)
        if request is None or request.msg_type != "G":
            self.violations.append(f"{what}: no replace of that ClOrdID(11) was asked for")
            return
        if text(message, 41) not in order.cl_ord_ids:
            self._disagree(order, what, "OrigClOrdID(41)", text(message, 41))
        order.cl_ord_ids.append(text(message, 11))
        order.order_qty = max(request.order_qty, order.cum_qty)  # what is filled can't be taken back
        order.limit_px = request.limit_px

    def _settle(self, order: EmsOrder, what: str, exec_type: ExecType, ord_status: OrdStatus) -> None:
        was = order.settled_status
        order.ord_status = ord_status
        if ord_status in _PENDING:
            # A filled order that is replaced for more shares than it had opens again.
            more = any(r.msg_type == "G" and r.order_qty > order.cum_qty for r in order.requests.values())
            reopens = order.settled_status is OrdStatus.FILLED and more
            if (order.is_final and not reopens) or not self._is_pending(order, ord_status):
                self._disagree(order, what, "OrdStatus(39)", ord_status.name)
            return
        if ord_status is OrdStatus.SUSPENDED and not order.is_final:
            return  # the market is halted: the order is what it was, and waits
        reopened = (was is OrdStatus.FILLED and exec_type is ExecType.REPLACED) or exec_type in _AMENDED
        if ord_status not in _RANK:
            self._disagree(order, what, "OrdStatus(39)", ord_status.name)
            return
        if not reopened and (_RANK[ord_status] < _RANK[was] or (was in FINAL and ord_status is not was)):
            self.violations.append(f"{what}: OrdStatus(39) went back from {was.name} to {ord_status.name}")
            return
        order.settled_status = ord_status
        if order.cum_qty:
            expected = OrdStatus.FILLED if order.cum_qty >= order.order_qty else OrdStatus.PARTIALLY_FILLED
        else:
            expected = self._status_once_replaced if len(order.cl_ord_ids) > 1 else OrdStatus.NEW
        if ord_status is not expected and ord_status not in FINAL - {OrdStatus.FILLED} | {OrdStatus.PENDING_NEW}:
            self._disagree(order, what, "OrdStatus(39)", ord_status.name)

    @staticmethod
    def _is_pending(order: EmsOrder, ord_status: OrdStatus) -> bool:
        return any(request.msg_type == _PENDING[ord_status] for request in order.requests.values())

    def _disagree(self, order: EmsOrder, what: str, name: str, said: str) -> None:
        average = px_to_text(order.notional_px // order.cum_qty) if order.cum_qty else "0"
        self.violations.append(
            f"{what}: {name} {said}; the books have {order.side.name} {order.order_qty} {order.symbol}"
            f" {order.settled_status.name}, {order.cum_qty} filled at {average}, {order.leaves_qty} open"
        )
