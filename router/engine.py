"""Decides what to do about each input. Looks at the state, never changes it: facts come out, one at a time.

Every public method is a generator. The caller applies each fact before it asks for the next, so a later part of the
answer sees the earlier part. Time is an argument; the timers are data, rebuilt from the state after a restart.
"""

from collections.abc import Generator, Iterator, Mapping

import msgspec

from domain.commands import CancelParent, NewParent, OperatorCommand, ReplaceParent, SetKillSwitch
from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildExpired,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildStatus,
    ChildUncertain,
    ClientUp,
    ExecutionUnknown,
    KillSwitchReleased,
    KillSwitchSet,
    OrdersPaused,
    OrdersResumed,
    ParentAccepted,
    ParentCancelRequested,
    ParentEnding,
    ParentRejected,
    ParentReplaceRequested,
    ParentRestated,
    ShutdownBegan,
    ShutdownEnded,
    TradingStatusChanged,
    VenueDown,
    VenueUnsure,
    VenueUp,
)
from domain.fields import CxlRejReason, OrdRejReason, OrdStatus, TradingStatus
from domain.market import MarketUpdate, MarketView
from domain.orders import CHILD_TRANSITIONS, ChildOrder, ParentOrder
from risk.checks import check_parent, check_replace
from router import instructed, strategies
from router.routing import Routing
from router.settlement import answered, is_counted
from router.state import State
from router.upkeep import Keep, Upkeep
from router.working import RETRY_NS, Working, request_rejected

ChildReport = (
    ChildAcknowledged
    | ChildRejected
    | ChildFilled
    | ChildCanceled
    | ChildExpired
    | ChildCancelRejected
    | ChildReplaced
    | ChildReplaceRejected
    | ChildStatus
    | ExecutionUnknown
)


class Engine:
    """The decisions of the router over one `State` and one `MarketView`; `grace_ns` and `keep` as in `Upkeep`."""

    def __init__(
        self,
        state: State,
        market: MarketView,
        routing: Routing,
        grace_ns: Mapping[str, int] | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.working = Working(state, market, routing)
        self.upkeep = Upkeep(state, self.working, grace_ns or {}, keep or Keep())

    # --- client commands ---

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
        if parent is None:
            return
        yield ParentCancelRequested(at_ns=now_ns, parent_id=parent.parent_id, cl_ord_id=command.cl_ord_id)
        yield from self.working.cancel_children(self.working.open_children(parent), "parent_cancel", now_ns)
        yield from self.working.settle(parent, now_ns)

    def replace_parent(self, command: ReplaceParent, now_ns: int) -> Iterator[AnyFact]:
        """What rests is cancelled first; the replace takes effect when the truth about the children is known."""
        parent = yield from self._addressed(command, now_ns)
        if parent is None:
            return
        accepted, text, params = parent.accepted, command.reject, parent.params
        instructions, impossible = instructed.replaced(command, parent, now_ns)
        if not text and self.state.paused:
            text = f"no new orders for now: {self.state.paused}"
        if not text:
            text = _changes_identity(command, parent) or impossible
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
                locates=self.state.locates,
                stop_px=instructions.stop_px,
            )
            text = reject.text if reject is not None else ""
        if not text and command.params:
            try:
                params = strategies.parse_replace(command, parent, now_ns)
            except ValueError as error:
                text = str(error)
        if text:
            yield request_rejected(command, parent, CxlRejReason.BROKER_OPTION, text, now_ns)
            return
        yield ParentReplaceRequested(
            at_ns=now_ns,
            parent_id=parent.parent_id,
            cl_ord_id=command.cl_ord_id,
            order_qty=command.order_qty,
            limit_px=command.limit_px,
            params=params,
            instructions=instructions,
            ord_type=command.ord_type,
        )
        yield from self.working.cancel_children(self.working.open_children(parent), "parent_replace", now_ns)
        yield from self.working.settle(parent, now_ns)

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
        elif not parent.is_open or parent.status is OrdStatus.FILLED:
            reason, text = CxlRejReason.TOO_LATE, f"too late: the order is {parent.ord_status.name.lower()}"
        elif parent.pending_cancel_id or parent.pending_replace is not None:
            reason, text = CxlRejReason.ALREADY_PENDING, f"already {parent.ord_status.name.lower().replace('_', ' ')}"
        else:
            return parent
        yield request_rejected(command, parent, reason, text, now_ns)
        return None

    # --- what venues report ---

    def child_report(self, report: ChildReport, now_ns: int) -> Iterator[AnyFact]:
        """The report itself as a fact (once), then what follows from it for the parent."""
        state = self.state
        if isinstance(report, ExecutionUnknown):
            yield report
            return
        child = state.children.get(state.child_by_request_id.get(report.child_id, report.child_id))
        if child is None:
            yield _disputed(report, "", f"unknown order {report.child_id!r}", now_ns)
            return
        if report.child_id != child.child_id:  # a venue may report under the ClOrdID(11) of our request
            report = msgspec.structs.replace(report, child_id=child.child_id)
        venue = child.submitted.venue
        match report:
            case ChildFilled():
                if report.venue != venue:
                    yield _disputed(report, report.venue, f"{report.child_id} was sent to {venue}", now_ns)
                    return
                if (venue, report.exec_id) in state.executions:
                    return  # told twice: a resend, counted the first time
                if is_counted(child, report):
                    yield _disputed(report, venue, "told late: counted before as the venue's status had it", now_ns)
                    return
                yield msgspec.structs.replace(report, mid2_px=self.market.symbol(child.submitted.symbol).mid2_px)
                if child.cum_qty > child.order_qty:
                    text = f"overfill: {child.cum_qty} of {child.order_qty} sent"
                    yield _disputed(report, venue, text, now_ns)
            case ChildStatus():
                yield from self._settle_status(child, report, now_ns)
            case ChildCancelRejected() | ChildReplaceRejected():
                yield report
            case _:
                if (child.ord_status, type(report)) not in CHILD_TRANSITIONS:
                    if child.is_open:
                        text = f"{type(report).__name__} while {child.ord_status.name.lower()}"
                        yield _disputed(report, venue, text, now_ns)
                    return  # the order had ended before; saying so again changes nothing
                yield report
        yield from self.working.settle(state.parents[child.submitted.parent_id], now_ns)
        if self.working.reconcile_until_ns and not self._uncertain():
            self.working.reconcile_until_ns = 0
            for parent in list(state.open_parents.values()):
                yield from self.working.settle(parent, now_ns)

    def _settle_status(self, child: ChildOrder, status: ChildStatus, now_ns: int) -> Iterator[AnyFact]:
        yield from answered(child, status, self.market.symbol(child.submitted.symbol).mid2_px, now_ns)
        if child.is_open and not child.uncertain:
            # Its horizon passed, or a cancel was lost, while nobody could be asked: it does not rest any longer.
            yield self.working.cancel_request(child, child.cancel_reason or "reconnect", now_ns)

    # --- the market, time, venues, operator ---

    def watches(self, symbol: str) -> bool:
        """Whether an order would do something because its market moved: a stop that waits, a peg that follows."""
        return symbol in self.working.watching

    def market_moved(self, update: MarketUpdate, now_ns: int) -> Iterator[AnyFact]:
        """What follows for those from an update that the market view has applied."""
        return self.working.market_moved(update, now_ns)

    def timer(self, now_ns: int) -> Iterator[AnyFact]:
        yield from self.state.markouts.measure(self.market, now_ns)
        if 0 < self.working.reconcile_until_ns <= now_ns:
            self.working.reconcile_until_ns = 0
            for child in self._uncertain():
                fact = ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                text = "no answer from the venue since the restart: held until there is one"
                yield _disputed(fact, child.submitted.venue, text, now_ns)
        yield from self.working.timer(now_ns)
        yield from self.upkeep.timer(now_ns)

    def next_timer_ns(self) -> int | None:
        timers = (self.working.next_timer_ns(), self.state.markouts.next_ns(), self.upkeep.next_timer_ns())
        return min((due_ns for due_ns in timers if due_ns is not None), default=None)

    def client_up(self, client: str, now_ns: int) -> Iterator[AnyFact]:
        self.upkeep.client_up(client)
        yield ClientUp(at_ns=now_ns, client=client)

    def client_down(self, client: str, text: str, now_ns: int) -> Iterator[AnyFact]:
        return self.upkeep.client_down(client, text, now_ns)

    def pause(self, text: str, now_ns: int) -> Iterator[AnyFact]:
        """No new orders or children; cancels, and all that venues say, go on."""
        yield OrdersPaused(at_ns=now_ns, text=text)

    def unpause(self, text: str, now_ns: int) -> Iterator[AnyFact]:
        yield OrdersResumed(at_ns=now_ns, text=text)
        for parent in list(self.state.open_parents.values()):
            yield from self.working.settle(parent, now_ns)

    def venue_up(self, venue: str, now_ns: int) -> Iterator[AnyFact]:
        yield VenueUp(at_ns=now_ns, venue=venue)

    def venue_down(self, venue: str, text: str, now_ns: int) -> Iterator[AnyFact]:
        yield VenueDown(at_ns=now_ns, venue=venue, text=text)
        yield from self._doubt(venue, now_ns)

    def trading_status(self, changed: TradingStatusChanged, now_ns: int) -> Iterator[AnyFact]:
        """What a venue says of a symbol, "" for all; nothing is sent to it until it trades again."""
        if self.state.trading.get((changed.venue, changed.symbol)) is changed.status:
            return
        yield changed
        if changed.status is TradingStatus.OPEN:
            for parent in list(self.state.open_parents.values()):
                if changed.symbol in ("", parent.accepted.symbol):
                    yield from self.working.settle(parent, now_ns)

    def venue_unsure(self, venue: str, now_ns: int) -> Iterator[AnyFact]:
        yield VenueUnsure(at_ns=now_ns, venue=venue)
        yield from self._doubt(venue, now_ns)

    def _doubt(self, venue: str, now_ns: int) -> Iterator[AnyFact]:
        """Its open children are uncertain, not dead: their quantity stays at risk until the venue was asked."""
        for child in self.children_at(venue):
            if not child.uncertain:
                yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)

    def resume(self, now_ns: int) -> Iterator[AnyFact]:
        """After a restart: every open child is uncertain, and every open parent goes on when its timer says."""
        for parent in list(self.state.open_parents.values()):
            for child in self.working.open_children(parent):
                if not child.uncertain:
                    yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                if child.submitted.horizon_ns:
                    self.working.rest_until(child.submitted.at_ns + child.submitted.horizon_ns, child)
            yield ParentRestated(at_ns=now_ns, parent_id=parent.parent_id, text="resumed after a restart")
            self.working.wake(now_ns + RETRY_NS, parent.parent_id)
        if self._uncertain():
            self.working.reconcile_until_ns = now_ns + self.routing.policy.reconcile_timeout_ms * 1_000_000
        for venue in sorted(self.state.venues_up):
            yield VenueDown(at_ns=now_ns, venue=venue, text="restart")
        yield from self.upkeep.resume(now_ns)

    def hold(self, now_ns: int, *, cancel_parents: bool) -> Iterator[AnyFact]:
        """Shutting down: no new children from here on, working ones are cancelled, the clients are told."""
        self.working.is_held = True
        yield ShutdownBegan(at_ns=now_ns, cancel_parents=cancel_parents)
        for parent in list(self.state.open_parents.values()):
            yield from self.working.cancel_children(self.working.open_children(parent), "shutdown", now_ns)
            if cancel_parents:
                # A fact, so that a stop that is cut short doesn't let the next start work the order on.
                text = "canceled: the router is shutting down"
                yield ParentEnding(at_ns=now_ns, parent_id=parent.parent_id, text=text)
                yield from self.working.settle(parent, now_ns)
            else:
                yield ParentRestated(
                    at_ns=now_ns, parent_id=parent.parent_id, text="held: shutting down, goes on after the restart"
                )

    def finish(self, now_ns: int, *, cancel_parents: bool) -> Iterator[AnyFact]:
        """The last word of a shutdown: the clients of orders that could not be ended hear why."""
        if cancel_parents:
            text = "held: its orders at a venue that can't be asked may still fill; canceled when that is known"
            for parent in list(self.state.open_parents.values()):
                yield ParentRestated(at_ns=now_ns, parent_id=parent.parent_id, text=text)
        yield ShutdownEnded(at_ns=now_ns, cancel_parents=cancel_parents)

    def operator(self, command: OperatorCommand, now_ns: int) -> Iterator[AnyFact]:
        if isinstance(command, SetKillSwitch):
            yield KillSwitchSet(at_ns=now_ns, scope=command.scope, by=command.by, text=command.text)
            for parent in list(self.state.open_parents.values()):
                blocked = [child for child in self.working.open_children(parent) if self._is_killed(parent, child)]
                yield from self.working.cancel_children(blocked, "kill_switch", now_ns)
        else:
            yield KillSwitchReleased(at_ns=now_ns, scope=command.scope, by=command.by)
            for parent in list(self.state.open_parents.values()):
                yield from self.working.settle(parent, now_ns)

    def _uncertain(self) -> list[ChildOrder]:
        children = (child for open_ in self.state.open_children.values() for child in open_.values())
        return [child for child in children if child.uncertain]

    def children_at(self, venue: str) -> list[ChildOrder]:
        return [
            child
            for children in self.state.open_children.values()
            for child in children.values()
            if child.submitted.venue == venue
        ]

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


def _disputed(report: ChildReport | ChildUncertain, venue: str, text: str, now_ns: int) -> ExecutionUnknown:
    return ExecutionUnknown(
        at_ns=now_ns,
        venue=venue or getattr(report, "venue", ""),
        child_id=getattr(report, "child_id", ""),
        exec_id=getattr(report, "exec_id", ""),
        last_qty=getattr(report, "last_qty", 0),
        last_px=getattr(report, "last_px", 0),
        text=text,
    )
