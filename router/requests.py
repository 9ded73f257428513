"""What clients and operators ask of orders: which of it is taken, and what it sets going.

A request that is taken becomes a fact and asks venues for what has to change; `router.working.Working.settle` answers
it when the truth about the children is known, here at once or after some report. Requests of one order may follow each
other before the first is answered: each is answered in turn (FIX matrix D.2.b), and after a cancel none is taken.
"""

from collections.abc import Generator, Iterator

from domain.commands import (
    AmendOrder,
    CancelOrder,
    CancelParent,
    DisputeExecution,
    MassCancel,
    MassStatusRequest,
    NewParent,
    ReplaceParent,
)
from domain.facts import (
    AnyFact,
    ExecutionDisputed,
    MassCancelAnswered,
    ParentAccepted,
    ParentCancelRequested,
    ParentRejected,
    ParentReplaceRequested,
)
from domain.fields import CxlRejReason, OrdRejReason, OrdStatus
from domain.instructions import Instructions
from domain.market import MarketView
from domain.orders import ParentOrder
from risk.checks import check_parent, check_replace
from router import instructed, strategies
from router.answers import request_rejected
from router.routing import Routing
from router.state import State
from router.terms import IMMEDIATE
from router.working import Working

MAX_PENDING = 8  # requests of one order that wait for their answers


class Requests:
    """Over one `State` and one `MarketView`. What comes is what `domain.commands` has for clients and operators."""

    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.working = Working(state, market, routing)

    def new_parent(self, command: NewParent, now_ns: int) -> Iterator[AnyFact]:
        """ParentAccepted and its first children, or ParentRejected."""
        state = self.state
        view = self.market.symbol(command.symbol)
        parent_id = f"{state.epoch}-P{state.parent_count + 1}"
        reason, text, limit, params = None, "", "", {}
        if command.reject is not None:
            reason, text = command.reject
        elif self.working.is_held:
            reason, text = OrdRejReason.BROKER_OPTION, "shutting down: no new orders"
        elif state.paused:
            reason, text = OrdRejReason.BROKER_OPTION, f"no new orders for now: {state.paused}"
        else:
            reject = check_parent(
                command,
                instrument=self.routing.instruments.get(command.symbol),
                reference_mid2_px=view.reference_mid2_px(now_ns),
                now_ns=now_ns,
                limits=self.routing.limits,
                exposure=state.exposure,
                kill_switch=state.kill_switch,
                duplicate=state.is_used(command.client, command.cl_ord_id),
                locates=state.locates,
            )
            if reject is not None:
                reason, text, limit = reject.reason, reject.text, reject.limit
            elif refusal := instructed.refused(
                command, self.routing.instruments[command.symbol], self.routing.venues, now_ns
            ):
                reason, text = refusal
            else:
                try:
                    params = strategies.parse(command, now_ns)
                except ValueError as error:
                    reason, text = OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, str(error)
        if reason is not None:
            yield ParentRejected(
                at_ns=now_ns,
                parent_id=parent_id,
                client=command.client,
                cl_ord_id=command.cl_ord_id,
                account=command.account,
                symbol=command.symbol,
                side=command.side,
                order_qty=command.order_qty,
                reason=reason,
                text=text,
                limit=limit,
            )
            return
        yield ParentAccepted(
            at_ns=now_ns,
            parent_id=parent_id,
            client=command.client,
            cl_ord_id=command.cl_ord_id,
            account=command.account,
            symbol=command.symbol,
            side=command.side,
            order_qty=command.order_qty,
            ord_type=command.ord_type,
            limit_px=command.limit_px,
            time_in_force=command.time_in_force,
            strategy=command.strategy,
            params=params,
            arrival_mid2_px=view.reference_mid2_px(now_ns),
            tape_qty=view.tape_qty,
            tape_notional_px=view.tape_notional_px,
            instructions=command.instructions,
        )
        yield from self.working.work(state.parents[parent_id], now_ns)

    def cancel_parent(self, command: CancelParent, now_ns: int) -> Iterator[AnyFact]:
        parent = yield from self._addressed(command, now_ns)
        if parent is not None:
            yield from self._cancel(parent, command.cl_ord_id, now_ns)

    def mass_cancel(self, command: MassCancel, now_ns: int) -> Iterator[AnyFact]:
        """The answer to the request, then a cancel of each order that it means, which answers for itself."""
        state, reject = self.state, command.reject
        meant = [parent for parent in self.open_parents_of(command) if parent.pending_cancel is None]
        if reject is None and state.is_used(command.client, command.cl_ord_id):
            reject = ("99", f"duplicate ClOrdID(11) {command.cl_ord_id!r}")
        elif reject is None and command.symbol and command.symbol not in self.routing.instruments:
            reject = ("1", f"unknown symbol {command.symbol!r}")  # MassCancelRejectReason(532)
        yield MassCancelAnswered(
            at_ns=now_ns,
            client=command.client,
            cl_ord_id=command.cl_ord_id,
            report_id=f"{state.epoch}-M{state.mass_cancel_count + 1}",
            request_type=command.request_type,
            affected=0 if reject else len(meant),
            symbol=command.symbol,
            side=command.side,
            reject_reason=reject[0] if reject else "",
            text=reject[1] if reject else "",
        )
        if reject is None:
            for parent in meant:
                yield from self._cancel(parent, command.cl_ord_id, now_ns, mass=True)

    def open_parents_of(self, command: MassCancel | MassStatusRequest) -> list[ParentOrder]:
        """The client's own open orders that the request means."""
        return [
            parent
            for parent in self.state.open_parents.values()
            if parent.accepted.client == command.client
            and command.symbol in ("", parent.accepted.symbol)
            and command.side in (None, parent.accepted.side)
            and command.account in ("", parent.accepted.account)
        ]

    def _cancel(
        self, parent: ParentOrder, cl_ord_id: str, now_ns: int, *, by: str = "", text: str = "", mass: bool = False
    ) -> Iterator[AnyFact]:
        yield ParentCancelRequested(
            at_ns=now_ns, parent_id=parent.parent_id, cl_ord_id=cl_ord_id, by=by, text=text, mass=mass
        )
        yield from self.working.cancel_children(self.working.open_children(parent), "parent_cancel", now_ns)
        yield from self.working.settle(parent, now_ns)

    def replace_parent(self, command: ReplaceParent, now_ns: int) -> Iterator[AnyFact]:
        """What rests and still fits is left alone; the answer comes when the truth about the children is known."""
        parent = yield from self._addressed(command, now_ns)
        if parent is None:
            return
        instructions, impossible = instructed.replaced(command, parent, now_ns)
        text = command.reject or impossible or self._refusal(command, parent, instructions, now_ns)
        params = parent.params
        if not text and command.params:
            try:
                params = strategies.parse_replace(command, parent, now_ns)
            except ValueError as error:
                text = str(error)
        if text:
            yield request_rejected(command, parent, CxlRejReason.BROKER_OPTION, text, now_ns)
            return
        request = ParentReplaceRequested(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=command.cl_ord_id,
            order_qty=command.order_qty,
            limit_px=command.limit_px,
            params=params,
            instructions=instructions,
            ord_type=command.ord_type,
        )
        yield from self._replace(parent, request, now_ns)

    def _replace(self, parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> Iterator[AnyFact]:
        yield request
        if len(parent.pending) > 1:
            yield from self.working.make_fit(parent, request, now_ns)  # what waits before it may not ask for as much
        yield from self.working.settle(parent, now_ns)

    def _refusal(self, command: ReplaceParent, parent: ParentOrder, instructions: Instructions, now_ns: int) -> str:
        """Why an order can't become what a replace asks for, "" if it can."""
        if self.state.paused:
            return f"no new orders for now: {self.state.paused}"
        symbol = parent.accepted.symbol
        reject = check_replace(
            command,
            parent,
            instrument=self.routing.instruments.get(symbol),
            reference_mid2_px=self.market.symbol(symbol).reference_mid2_px(now_ns),
            now_ns=now_ns,
            limits=self.routing.limits,
            exposure=self.state.exposure,
            kill_switch=self.state.kill_switch,
            locates=self.state.locates,
            stop_px=instructions.stop_px,
        )
        return _changes_identity(command, parent) or (reject.text if reject is not None else "")

    def _addressed(
        self, command: CancelParent | ReplaceParent, now_ns: int
    ) -> Generator[AnyFact, None, ParentOrder | None]:
        """Returns the open parent that the command names; yields the reject where there is none to act on."""
        state = self.state
        parent_id = state.parent_by_cl_ord_id.get((command.client, command.orig_cl_ord_id))
        parent = state.parents.get(parent_id or "")
        if parent is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"unknown order: OrigClOrdID(41) {command.orig_cl_ord_id!r}"
        elif state.is_used(command.client, command.cl_ord_id):
            reason = CxlRejReason.DUPLICATE_CL_ORD_ID
            text = f"duplicate ClOrdID(11) {command.cl_ord_id!r}"
        elif not parent.is_open or (parent.status is OrdStatus.FILLED and not parent.pending):
            if isinstance(command, ReplaceParent) and self._may_reopen(parent, command, now_ns):
                return parent
            reason, text = CxlRejReason.TOO_LATE, f"too late: the order is {words(parent.ord_status)}"
        elif parent.pending_cancel is not None or len(parent.pending) >= MAX_PENDING:
            reason, text = CxlRejReason.ALREADY_PENDING, f"already {words(parent.ord_status)}"
        else:
            return parent
        yield request_rejected(command, parent, reason, text, now_ns)
        return None

    def _may_reopen(self, parent: ParentOrder, command: ReplaceParent, now_ns: int) -> bool:
        """A filled order takes more shares (FIX matrix C.1.c) as long as it would still be worked."""
        return (
            parent.status is OrdStatus.FILLED
            and command.order_qty > parent.cum_qty
            and parent.accepted.time_in_force not in IMMEDIATE
            and not strategies.is_over(parent, now_ns)
        )

    # --- operators ---

    def refusal(self, command: CancelOrder | AmendOrder, now_ns: int) -> str:
        """Why an operator's wish can't be followed, "" if it can."""
        parent = self.state.parents.get(command.order_id)
        if parent is None:
            return f"there is no order {command.order_id!r}"
        if not parent.is_open or parent.status is OrdStatus.FILLED:
            return f"order {command.order_id} is {words(parent.ord_status)}"
        if parent.pending_cancel is not None:
            return f"order {command.order_id} is being canceled already"
        if isinstance(command, CancelOrder):
            return ""
        return self._refusal(_amendment(command, parent), parent, parent.instructions, now_ns)

    def intervene(self, command: CancelOrder | AmendOrder, now_ns: int) -> Iterator[AnyFact]:
        """What `refusal` has passed. The client hears of it when it is done, as of something that it did not ask."""
        parent = self.state.parents[command.order_id]
        if isinstance(command, CancelOrder):
            yield from self._cancel(parent, "", now_ns, by=command.by, text=command.text)
            return
        wanted = _amendment(command, parent)
        request = ParentReplaceRequested(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id="",
            order_qty=wanted.order_qty,
            limit_px=wanted.limit_px,
            params=parent.params,
            instructions=parent.instructions,
            by=command.by,
            text=command.text,
        )
        yield from self._replace(parent, request, now_ns)

    def dispute(self, command: DisputeExecution, now_ns: int) -> Iterator[AnyFact]:
        """A client does not know a trade: nothing changes by itself, but somebody has to look."""
        parent = self.state.parents.get(command.order_id)
        ours = parent is not None and parent.accepted.client == command.client
        yield ExecutionDisputed(
            at_ns=now_ns,
            client=command.client,
            parent_id=command.order_id if ours else "",
            exec_id=command.exec_id,
            dk_reason=command.dk_reason,
            text=command.text,
        )


def _amendment(command: AmendOrder, parent: ParentOrder) -> ReplaceParent:
    """The same as the client would have asked for it."""
    order = parent.accepted
    return ReplaceParent(
        client=order.client,
        cl_ord_id="",
        orig_cl_ord_id=parent.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        order_qty=command.order_qty or parent.order_qty,
        ord_type=parent.ord_type,
        limit_px=command.limit_px or parent.limit_px,
        params={},
    )


def words(ord_status: OrdStatus) -> str:
    return ord_status.name.lower().replace("_", " ")


def _changes_identity(command: ReplaceParent, parent: ParentOrder) -> str:
    """What the replace would change that a replace can't, "" if nothing."""
    accepted = parent.accepted
    fixed = (
        ("Symbol(55)", command.symbol, accepted.symbol),
        ("Side(54)", command.side, accepted.side),
        ("Account(1)", command.account, accepted.account),
        ("TimeInForce(59)", command.time_in_force, accepted.time_in_force),
        ("the strategy", command.strategy, accepted.strategy),
    )
    for name, wanted, has in fixed:
        if wanted and wanted != has:
            return f"a replace can't change {name} from {str(has)!r} to {str(wanted)!r}"
    return ""
