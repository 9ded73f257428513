"""Decides what to do about each input. Looks at the state, never changes it: facts come out, one at a time.

Every public method is a generator. The caller applies each fact before it asks for the next, so a later part of the
answer sees the earlier part. Time is an argument; the timers are data, rebuilt from the state after a restart.
"""

import heapq
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from domain.commands import CancelParent, NewParent, OperatorCommand, ReplaceParent, SetKillSwitch
from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildExpired,
    ChildFilled,
    ChildRejected,
    ChildStatus,
    ChildUncertain,
    ExecutionUnknown,
    KillSwitchReleased,
    KillSwitchSet,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    VenueDown,
    VenueUp,
)
from domain.fields import Action, CxlRejReason, OrdRejReason, OrdStatus, TimeInForce
from domain.market import MarketView
from domain.orders import CHILD_TRANSITIONS, ChildOrder, ParentOrder
from risk.checks import check_parent, check_replace
from router import strategies
from router.routing import Routing
from router.state import State

ChildReport = (
    ChildAcknowledged
    | ChildRejected
    | ChildFilled
    | ChildCanceled
    | ChildExpired
    | ChildCancelRejected
    | ChildStatus
    | ExecutionUnknown
)

# A decision that sent nothing is tried again after this long, twice as long each time, at most RETRY_MAX_NS.
RETRY_NS = 250_000_000
RETRY_MAX_NS = 8_000_000_000


@dataclass(order=True, slots=True)
class _Timer:
    at_ns: int
    parent_id: str
    child_id: str = field(default="")  # "" wakes the parent


class Engine:
    """The decisions of the router over one `State` and one `MarketView`."""

    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.is_held = False  # no new children: shutting down
        self._timers: list[_Timer] = []
        self._wake_ns: dict[str, int] = {}  # parent_id -> its one pending wake-up; other entries of the heap are stale

    # --- client commands ---

    def new_parent(self, command: NewParent, now_ns: int) -> Iterator[AnyFact]:
        """ParentAccepted and its first children, or ParentRejected."""
        state = self.state
        view = self.market.symbol(command.symbol)
        parent_id = f"{state.epoch}-P{state.parent_count + 1}"
        reason, text, limit, params = None, "", "", {}
        if command.reject is not None:
            reason, text = command.reject
        elif self.is_held:
            reason, text = OrdRejReason.BROKER_OPTION, "shutting down: no new orders"
        else:
            reject = check_parent(
                command,
                instrument=self.routing.instruments.get(command.symbol),
                reference_mid2_px=view.reference_mid2_px(now_ns),
                now_ns=now_ns,
                limits=self.routing.limits,
                exposure=state.exposure,
                kill_switch=state.kill_switch,
                duplicate=(command.client, command.cl_ord_id) in state.parent_by_cl_ord_id,
            )
            if reject is not None:
                reason, text, limit = reject.reason, reject.text, reject.limit
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
        )
        yield from self._work(state.parents[parent_id], now_ns)

    def cancel_parent(self, command: CancelParent, now_ns: int) -> Iterator[AnyFact]:
        parent = yield from self._addressed(command, now_ns)
        if parent is None:
            return
        yield ParentCancelRequested(at_ns=now_ns, parent_id=parent.parent_id, cl_ord_id=command.cl_ord_id)
        yield from self._cancel_children(self._open_children(parent), "parent_cancel", now_ns)
        yield from self._settle(parent, now_ns)

    def replace_parent(self, command: ReplaceParent, now_ns: int) -> Iterator[AnyFact]:
        """What rests is cancelled first; the replace takes effect when the truth about the children is known."""
        parent = yield from self._addressed(command, now_ns)
        if parent is None:
            return
        accepted, text, params = parent.accepted, command.reject, parent.params
        if not text:
            text = _changes_identity(command, parent)
        if not text:
            reject = check_replace(
                command,
                parent,
                instrument=self.routing.instruments.get(accepted.symbol),
                reference_mid2_px=self.market.symbol(accepted.symbol).reference_mid2_px(now_ns),
                now_ns=now_ns,
                limits=self.routing.limits,
                exposure=self.state.exposure,
                kill_switch=self.state.kill_switch,
            )
            text = reject.text if reject is not None else ""
        if not text and command.params:
            try:
                params = strategies.parse_replace(command, parent, now_ns)
            except ValueError as error:
                text = str(error)
        if text:
            yield self._request_rejected(command, parent, CxlRejReason.BROKER_OPTION, text, now_ns)
            return
        yield ParentReplaceRequested(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=command.cl_ord_id,
            order_qty=command.order_qty,
            limit_px=command.limit_px,
            params=params,
        )
        yield from self._cancel_children(self._open_children(parent), "parent_replace", now_ns)
        yield from self._settle(parent, now_ns)

    def _addressed(
        self, command: CancelParent | ReplaceParent, now_ns: int
    ) -> Generator[AnyFact, None, ParentOrder | None]:
        """Returns the open parent that the command names; yields the reject where there is none to act on."""
        state = self.state
        parent_id = state.parent_by_cl_ord_id.get((command.client, command.orig_cl_ord_id))
        parent = state.parents.get(parent_id or "")
        if parent is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"unknown order: OrigClOrdID(41) {command.orig_cl_ord_id!r}"
        elif (command.client, command.cl_ord_id) in state.parent_by_cl_ord_id:
            reason = CxlRejReason.DUPLICATE_CL_ORD_ID
            text = f"duplicate ClOrdID(11) {command.cl_ord_id!r}"
        elif not parent.is_open or parent.status is OrdStatus.FILLED:
            reason, text = CxlRejReason.TOO_LATE, f"too late: the order is {parent.ord_status.name.lower()}"
        elif parent.pending_cancel_id or parent.pending_replace is not None:
            reason, text = CxlRejReason.ALREADY_PENDING, f"already {parent.ord_status.name.lower().replace('_', ' ')}"
        else:
            return parent
        yield self._request_rejected(command, parent, reason, text, now_ns)
        return None

    @staticmethod
    def _request_rejected(
        command: CancelParent | ReplaceParent,
        parent: ParentOrder | None,
        reason: CxlRejReason,
        text: str,
        now_ns: int,
    ) -> ParentRequestRejected:
        too_late = reason is CxlRejReason.TOO_LATE  # the pending request is over with this answer
        return ParentRequestRejected(
            at_ns=now_ns,
            parent_id=parent.parent_id if parent is not None else "",
            client=command.client,
            cl_ord_id=command.cl_ord_id,
            orig_cl_ord_id=command.orig_cl_ord_id,
            ord_status=(parent.status if too_late else parent.ord_status) if parent else OrdStatus.REJECTED,
            response_to=command.response_to,
            reason=reason,
            text=text,
        )

    # --- what venues report ---

    def child_report(self, report: ChildReport, now_ns: int) -> Iterator[AnyFact]:
        """The report itself as a fact (once), then what follows from it for the parent."""
        state = self.state
        if isinstance(report, ExecutionUnknown):
            yield report
            return
        child = state.children.get(state.child_by_cancel_id.get(report.child_id, report.child_id))
        if child is None:
            yield _disputed(report, "", f"unknown order {report.child_id!r}", now_ns)
            return
        if report.child_id != child.child_id:  # a venue may report under the ClOrdID(11) of our cancel request
            report = msgspec.structs.replace(report, child_id=child.child_id)
        venue = child.submitted.venue
        match report:
            case ChildFilled():
                if report.venue != venue:
                    yield _disputed(report, report.venue, f"{report.child_id} was sent to {venue}", now_ns)
                    return
                if (venue, report.exec_id) in state.executions:
                    return  # told twice: a resend, counted the first time
                yield msgspec.structs.replace(report, mid2_px=self.market.symbol(child.submitted.symbol).mid2_px)
                if child.cum_qty > child.submitted.order_qty:
                    text = f"overfill: {child.cum_qty} of {child.submitted.order_qty} sent"
                    yield _disputed(report, venue, text, now_ns)
            case ChildStatus():
                yield from self._settle_status(child, report, now_ns)
            case ChildCancelRejected():
                yield report
            case _:
                if (child.ord_status, type(report)) not in CHILD_TRANSITIONS:
                    if child.is_open:
                        text = f"{type(report).__name__} while {child.ord_status.name.lower()}"
                        yield _disputed(report, venue, text, now_ns)
                    return  # the order had ended before; saying so again changes nothing
                yield report
        yield from self._settle(state.parents[child.submitted.parent_id], now_ns)

    def _settle_status(self, child: ChildOrder, status: ChildStatus, now_ns: int) -> Iterator[AnyFact]:
        """A venue's answer after a reconnect. Fills come by resend before it, so a difference now is a dispute."""
        if status.cum_qty != child.cum_qty:
            text = f"venue says CumQty {status.cum_qty}, counted {child.cum_qty}: held until it is settled"
            yield _disputed(status, child.submitted.venue, text, now_ns)
            return
        yield status
        child_id = child.child_id
        if not child.is_open:
            return
        if status.ord_status in (OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY):
            yield ChildCanceled(at_ns=now_ns, child_id=child_id, text=f"status: {status.ord_status.name.lower()}")
        elif status.ord_status is OrdStatus.REJECTED:
            text = "status: the venue does not know the order"
            if child.ord_status is OrdStatus.PENDING_NEW:
                yield ChildRejected(at_ns=now_ns, child_id=child_id, reason=OrdRejReason.UNKNOWN_ORDER, text=text)
            else:
                yield ChildCanceled(at_ns=now_ns, child_id=child_id, text=text)
        else:
            if child.ord_status is OrdStatus.PENDING_NEW:
                yield ChildAcknowledged(at_ns=now_ns, child_id=child_id, venue_order_id=child.venue_order_id)
            # Its horizon passed, or a cancel was lost, while nobody could be asked: it does not rest any longer.
            yield self._cancel_request(child, child.cancel_reason or "reconnect", now_ns)

    # --- time, venues, operator ---

    def timer(self, now_ns: int) -> Iterator[AnyFact]:
        while self._timers and self._timers[0].at_ns <= now_ns:
            due = heapq.heappop(self._timers)
            if not due.child_id:
                parent = self.state.open_parents.get(due.parent_id)
                if parent is not None and self._wake_ns.get(due.parent_id) == due.at_ns:
                    del self._wake_ns[due.parent_id]
                    yield from self._settle(parent, now_ns)
                continue
            child = self.state.open_children.get(due.parent_id, {}).get(due.child_id)
            if child is None or child.pending_cancel_id or child.uncertain:
                continue
            if self._rests_on(child, now_ns):
                self._rest_until(now_ns + child.submitted.horizon_ns, child)
            else:
                yield self._cancel_request(child, "horizon", now_ns)

    def next_timer_ns(self) -> int | None:
        return self._timers[0].at_ns if self._timers else None

    def venue_up(self, venue: str, now_ns: int) -> Iterator[AnyFact]:
        yield VenueUp(at_ns=now_ns, venue=venue)

    def venue_down(self, venue: str, text: str, now_ns: int) -> Iterator[AnyFact]:
        yield VenueDown(at_ns=now_ns, venue=venue, text=text)
        yield from self.venue_unsure(venue, now_ns)

    def venue_unsure(self, venue: str, now_ns: int) -> Iterator[AnyFact]:
        """Its open children are uncertain, not dead: their quantity stays at risk until the venue was asked."""
        for child in self.children_at(venue):
            if not child.uncertain:
                yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)

    def resume(self, now_ns: int) -> Iterator[AnyFact]:
        """After a restart: every open child is uncertain, and every open parent goes on when its timer says."""
        for parent in list(self.state.open_parents.values()):
            for child in self._open_children(parent):
                if not child.uncertain:
                    yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                if child.submitted.horizon_ns:
                    self._rest_until(child.submitted.at_ns + child.submitted.horizon_ns, child)
            yield ParentRestated(at_ns=now_ns, parent_id=parent.parent_id, text="resumed after a restart")
            self._wake(now_ns + RETRY_NS, parent.parent_id)
        for venue in sorted(self.state.venues_up):
            yield VenueDown(at_ns=now_ns, venue=venue, text="restart")

    def hold(self, now_ns: int, *, cancel_parents: bool) -> Iterator[AnyFact]:
        """Shutting down: no new children from here on, working ones are cancelled, the clients are told."""
        self.is_held = True
        for parent in list(self.state.open_parents.values()):
            yield from self._cancel_children(self._open_children(parent), "shutdown", now_ns)
            if cancel_parents:
                yield from self._settle(parent, now_ns)
            else:
                yield ParentRestated(
                    at_ns=now_ns, parent_id=parent.parent_id, text="held: shutting down, goes on after the restart"
                )

    def finish(self, now_ns: int, *, text: str) -> Iterator[AnyFact]:
        """Ends every parent that has no child left; for a shutdown that cancels parents."""
        for parent in list(self.state.open_parents.values()):
            if not self.state.open_children[parent.parent_id]:
                yield self._done(parent, OrdStatus.CANCELED, "", text, now_ns)

    def operator(self, command: OperatorCommand, now_ns: int) -> Iterator[AnyFact]:
        if isinstance(command, SetKillSwitch):
            yield KillSwitchSet(at_ns=now_ns, scope=command.scope, by=command.by, text=command.text)
            for parent in list(self.state.open_parents.values()):
                blocked = [child for child in self._open_children(parent) if self._is_killed(parent, child)]
                yield from self._cancel_children(blocked, "kill_switch", now_ns)
        else:
            yield KillSwitchReleased(at_ns=now_ns, scope=command.scope, by=command.by)
            for parent in list(self.state.open_parents.values()):
                yield from self._settle(parent, now_ns)

    def children_at(self, venue: str) -> list[ChildOrder]:
        return [
            child
            for children in self.state.open_children.values()
            for child in children.values()
            if child.submitted.venue == venue
        ]

    # --- the work on one parent ---

    def _settle(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        """What the present state of a parent calls for: an end, the answer to a pending request, or more work."""
        if not parent.is_open:
            return
        has_children = bool(self.state.open_children[parent.parent_id])
        if parent.pending_replace is not None:
            if not has_children:
                yield self._replaced(parent, parent.pending_replace, now_ns)
                yield from self._settle(parent, now_ns)
            return
        if parent.cum_qty >= parent.order_qty:
            if has_children:
                yield from self._cancel_children(self._open_children(parent), "parent_filled", now_ns)
                return
            if parent.pending_cancel_id:
                yield self._too_late(parent, now_ns)
            yield self._done(parent, OrdStatus.FILLED, "", "", now_ns)
        elif parent.pending_cancel_id:
            if not has_children:
                yield self._done(parent, OrdStatus.CANCELED, parent.pending_cancel_id, "", now_ns)
        else:
            yield from self._work(parent, now_ns)

    def _work(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        state, order = self.state, parent.accepted
        if self.is_held or state.kill_switch.blocks(
            client=order.client, account=order.account, strategy=order.strategy, symbol=order.symbol
        ):
            return
        parent_id = parent.parent_id
        children = self._open_children(parent)
        instrument = self.routing.instruments[order.symbol]
        is_immediate = order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL
        if (
            strategies.is_over(parent, now_ns)
            or not instrument.hours.is_open(now_ns)
            or (is_immediate and state.decisions_of.get(parent_id))
        ):
            if children:
                yield from self._cancel_children(
                    [child for child in children if child.submitted.horizon_ns], "strategy_end", now_ns
                )
            else:
                text = f"{parent.leaves_qty} of {parent.order_qty} not filled"
                ended = OrdStatus.CANCELED if is_immediate else OrdStatus.EXPIRED
                yield self._done(parent, ended, "", text, now_ns)
            return
        view = self.market.symbol(order.symbol)
        slice_ = strategies.next_slice(parent, state.open_qty(parent_id), now_ns, instrument.lot_qty)
        wake_ns = strategies.next_wake_ns(parent, now_ns)
        if slice_ is not None:
            for fact in self.routing.decide(state, parent, slice_, view, now_ns):
                yield fact
                child = state.children.get(getattr(fact, "child_id", ""))
                if child is not None and child.submitted.horizon_ns:
                    self._rest_until(now_ns + child.submitted.horizon_ns, child)
            idle = state.idle_decisions[parent_id]
            if idle:
                wake_ns = now_ns + min(RETRY_NS << (idle - 1), RETRY_MAX_NS) if idle < 8 else now_ns + RETRY_MAX_NS
        if wake_ns is not None:
            self._wake(wake_ns, parent_id)

    def _rests_on(self, child: ChildOrder, now_ns: int) -> bool:
        """Whether nothing better could be done than to go on resting: at the parent's limit, which nobody offers.

        A cancel would only give up the place in the queue to ask for it again.
        """
        order = child.submitted
        parent = self.state.parents[order.parent_id]
        view, sign = self.market.symbol(order.symbol), order.side.sign
        far_px = view.ask_px if sign > 0 else view.bid_px
        tick_px = self.routing.instruments[order.symbol].tick_px
        return (
            order.action is Action.POST
            and 0 <= sign * (parent.limit_px - order.px) < tick_px
            and (not far_px or sign * far_px > sign * parent.limit_px)
            and not strategies.is_over(parent, now_ns)
            and not self.is_held
        )

    def _open_children(self, parent: ParentOrder) -> list[ChildOrder]:
        return list(self.state.open_children[parent.parent_id].values())

    def _cancel_children(self, children: Iterable[ChildOrder], reason: str, now_ns: int) -> Iterator[AnyFact]:
        """Immediate orders answer by themselves; uncertain ones can't be told now and are settled on reconnect."""
        for child in children:
            if child.submitted.horizon_ns and not child.pending_cancel_id and not child.uncertain:
                yield self._cancel_request(child, reason, now_ns)

    def _cancel_request(self, child: ChildOrder, reason: str, now_ns: int) -> ChildCancelRequested:
        cancel_id = f"{self.state.epoch}-X{self.state.cancel_count + 1}"
        return ChildCancelRequested(at_ns=now_ns, child_id=child.child_id, cancel_id=cancel_id, reason=reason)

    def _is_killed(self, parent: ParentOrder, child: ChildOrder) -> bool:
        order = parent.accepted
        blocked = self.state.kill_switch.blocks(
            client=order.client,
            account=order.account,
            venue=child.submitted.venue,
            strategy=order.strategy,
            symbol=order.symbol,
        )
        return blocked is not None

    @staticmethod
    def _replaced(parent: ParentOrder, request: ParentReplaceRequested, now_ns: int) -> ParentReplaced:
        return ParentReplaced(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=request.cl_ord_id,
            order_qty=max(request.order_qty, parent.cum_qty),
            limit_px=request.limit_px,
            params=request.params,
        )

    def _too_late(self, parent: ParentOrder, now_ns: int) -> ParentRequestRejected:
        command = CancelParent(parent.accepted.client, parent.pending_cancel_id, parent.cl_ord_id)
        text = "too late: the order was filled"
        return self._request_rejected(command, parent, CxlRejReason.TOO_LATE, text, now_ns)

    def _done(self, parent: ParentOrder, ord_status: OrdStatus, cl_ord_id: str, text: str, now_ns: int) -> ParentDone:
        view = self.market.symbol(parent.accepted.symbol)
        return ParentDone(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            ord_status=ord_status,
            cl_ord_id=cl_ord_id,
            text=text,
            tape_qty=view.tape_qty,
            tape_notional_px=view.tape_notional_px,
        )

    def _wake(self, at_ns: int, parent_id: str) -> None:
        """One pending wake-up a parent, the earliest: each fires once and asks for the next."""
        if at_ns < self._wake_ns.get(parent_id, at_ns + 1):
            self._wake_ns[parent_id] = at_ns
            heapq.heappush(self._timers, _Timer(at_ns, parent_id))

    def _rest_until(self, at_ns: int, child: ChildOrder) -> None:
        heapq.heappush(self._timers, _Timer(at_ns, child.submitted.parent_id, child.child_id))


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


def _disputed(report: ChildReport, venue: str, text: str, now_ns: int) -> ExecutionUnknown:
    return ExecutionUnknown(
        at_ns=now_ns,
        venue=venue or getattr(report, "venue", ""),
        child_id=getattr(report, "child_id", ""),
        exec_id=getattr(report, "exec_id", ""),
        last_qty=getattr(report, "last_qty", 0),
        last_px=getattr(report, "last_px", 0),
        text=text,
    )
