"""Decides what to do about each input. Looks at the state, never changes it: facts come out, one at a time.

Every public method is a generator. The caller applies each fact before it asks for the next, so a later part of the
answer sees the earlier part. Time is an argument; the timers are data, rebuilt from the state after a restart.
"""

from collections.abc import Iterator, Mapping

import msgspec

from domain.commands import (
    AmendOrder,
    CancelOrder,
    NotifyClients,
    OperatorCommand,
    PromoteModel,
    ReleaseKillSwitch,
    SetKillSwitch,
)
from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildStatus,
    ChildUncertain,
    ClientNotified,
    ClientUp,
    ExecutionUnknown,
    KillSwitchReleased,
    KillSwitchSet,
    ModelRolledBack,
    ModelStaged,
    OrdersPaused,
    OrdersResumed,
    ParentEnding,
    ParentRestated,
    QuoteRefused,
    ShutdownBegan,
    ShutdownEnded,
    TradingStatusChanged,
    VenueDown,
    VenueUnsure,
    VenueUp,
)
from domain.fields import ExecRestatementReason, OrdStatus, TradingStatus
from domain.market import MarketUpdate, MarketView
from domain.orders import CHILD_TRANSITIONS, FINAL, ChildOrder, ParentOrder
from router.answers import done
from router.model import FillModel
from router.phases import RETRY_NS
from router.requests import Requests
from router.routing import Routing
from router.settlement import answered, falls_short, is_counted
from router.state import State
from router.trial import LEAST_ORDERS, LEAST_PARENTS, STEPS
from router.upkeep import Keep, Upkeep

ChildReport = (
    ChildAcknowledged
    | ChildRejected
    | ChildFilled
    | ChildFillBusted
    | ChildFillCorrected
    | ChildCanceled
    | ChildExpired
    | ChildCancelRejected
    | ChildReplaced
    | ChildReplaceRejected
    | ChildStatus
    | ExecutionUnknown
)


JUDGED_EVERY = 50  # pieces of evidence between two looks at a trial; an error of the model is looked at at once


class Engine(Requests):
    """The decisions of the router over one `State` and one `MarketView`; `grace_ns` and `keep` as in `Upkeep`."""

    def __init__(
        self,
        state: State,
        market: MarketView,
        routing: Routing,
        grace_ns: Mapping[str, int] | None = None,
        keep: Keep | None = None,
    ) -> None:
        super().__init__(state, market, routing)
        self._judged_news = 0
        self.upkeep = Upkeep(state, self.working, {} if grace_ns is None else grace_ns, keep or Keep())

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
        venue, was_uncertain = child.submitted.venue, child.uncertain
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
                parent = state.parents[child.submitted.parent_id]
                excess_qty = report.last_qty - parent.last_qty
                if child.cum_qty > child.order_qty:
                    text = f"overfill: {child.cum_qty} of {child.order_qty} sent"
                    yield _disputed(report, venue, text, now_ns)
                elif excess_qty:
                    text = f"overfill: {excess_qty} more than the client's order of {parent.order_qty}"
                    yield _disputed(report, venue, text, now_ns)
                if report.cum_qty > child.cum_qty and child.is_open:
                    yield from falls_short(child, report.cum_qty, now_ns)
                elif report.cum_qty > child.cum_qty:
                    text = f"venue reports CumQty {report.cum_qty} of an order that is done, counted {child.cum_qty}"
                    yield _disputed(report, venue, text, now_ns)
            case ChildFillBusted() | ChildFillCorrected():
                if (venue, report.exec_id) in state.executions:
                    return
                execution = state.executions.get((venue, report.exec_ref_id))
                parent = state.parents[child.submitted.parent_id]
                was_done, was_excess_qty = not parent.is_open, parent.excess_qty
                if report.venue != venue or execution is None or execution.child_id != child.child_id:
                    text = f"{type(report).__name__} of an execution {report.exec_ref_id!r} that is not known"
                    yield _disputed(report, report.venue, text, now_ns)
                    return
                if isinstance(report, ChildFillBusted):
                    if not execution.qty:
                        yield _disputed(report, venue, f"{report.exec_ref_id!r} was busted before", now_ns)
                        return
                    yield msgspec.structs.replace(report, last_qty=execution.qty, last_px=execution.px)
                else:
                    yield msgspec.structs.replace(report, was_qty=execution.qty, was_px=execution.px)
                    if parent.excess_qty > was_excess_qty:
                        more_qty = parent.excess_qty - was_excess_qty
                        text = f"corrected to {more_qty} more than the client's order of {parent.order_qty}"
                        yield _disputed(report, venue, text, now_ns)
                if was_done and parent.is_open and not self.routing.policy.rework_busted:
                    # Nobody trades again unasked what was done and is taken back, perhaps hours later.
                    text = f"{parent.leaves_qty} of {parent.order_qty} taken back after the order was filled"
                    reason = ExecRestatementReason.BROKER_OPTION
                    yield done(parent, self.market, OrdStatus.CANCELED, "", text, now_ns, reason)
                    return
            case ChildStatus():
                yield from self._settle_status(child, report, now_ns)
            case ChildReplaceRejected():
                yield report
            case ChildCancelRejected():
                yield report
                if child.is_open and not child.uncertain:
                    if report.ord_status in FINAL:  # its end has not reached us, and perhaps never will
                        yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                    else:
                        self.working.cancel_later(child, now_ns)
            case ChildCanceled() | ChildExpired() | ChildRejected() if child.is_open and report.cum_qty > child.cum_qty:
                yield from falls_short(child, report.cum_qty, now_ns)
                return
            case _:
                if (child.ord_status, type(report)) not in CHILD_TRANSITIONS:
                    if child.is_open:
                        text = f"{type(report).__name__} while {child.ord_status.name.lower()}"
                        yield _disputed(report, venue, text, now_ns)
                    elif isinstance(report, ChildAcknowledged) and child.venue_order_id != report.venue_order_id:
                        # The venue said before that there was no such order, and now it has it after all.
                        text = f"acknowledged although {child.ord_status.name.lower()}: cancelled"
                        yield _disputed(report, venue, text, now_ns)
                        yield self.working.cancel_request(child, "reconnect", now_ns)
                    return  # the order had ended before; saying so again changes nothing
                yield report
        is_back = was_uncertain and child.is_open and not child.uncertain
        if is_back and child.cancel_reason and not child.pending_cancel_id:  # and was not to be any more
            yield self.working.cancel_request(child, child.cancel_reason, now_ns)
        yield from self.working.settle(state.parents[child.submitted.parent_id], now_ns)
        if self.working.reconcile_until_ns and not self._uncertain():
            self.working.reconcile_until_ns = 0
            for parent in list(state.open_parents.values()):
                yield from self.working.settle(parent, now_ns)

    def _settle_status(self, child: ChildOrder, status: ChildStatus, now_ns: int) -> Iterator[AnyFact]:
        was_uncertain = child.uncertain
        yield from answered(child, status, self.market.symbol(child.submitted.symbol).mid2_px, now_ns)
        if was_uncertain and child.is_open and not child.uncertain:
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
        timers = (self.working.timers.next_ns(), self.state.markouts.next_ns(), self.upkeep.next_timer_ns())
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

    def quoted(self, quote_req_id: str, now_ns: int) -> Iterator[AnyFact]:
        """The answer to a request for a quote is in the market view: who waited for it goes on."""
        yield from self._go_on(self.state.parent_by_quote_req.get(quote_req_id, ""), now_ns)

    def quote_refused(self, refused: QuoteRefused, now_ns: int) -> Iterator[AnyFact]:
        parent_id = self.state.parent_by_quote_req.get(refused.quote_req_id, "")
        if parent_id:  # else it comes too late, or nobody asked
            yield refused
            yield from self._go_on(parent_id, now_ns)

    def _go_on(self, parent_id: str, now_ns: int) -> Iterator[AnyFact]:
        parent = self.state.open_parents.get(parent_id)
        if parent is not None:
            yield from self.working.settle(parent, now_ns)

    def trading_status(self, changed: TradingStatusChanged, now_ns: int) -> Iterator[AnyFact]:
        """What a venue says of a symbol, "" for all; nothing is sent to it until it trades again.

        A status other than open takes effect with the next look at an order; the orders are only looked at for a halt,
        which may be the end of them.
        """
        if self.state.trading.get((changed.venue, changed.symbol)) is changed.status:
            return
        yield changed
        if changed.status in (TradingStatus.OPEN, TradingStatus.HALTED):
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
                    self.working.timers.rest_until(child.submitted.at_ns + child.submitted.horizon_ns, child)
            yield ParentRestated(at_ns=now_ns, parent_id=parent.parent_id, text="resumed after a restart")
            self.working.timers.wake(now_ns + RETRY_NS, parent.parent_id)
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
        yield ShutdownEnded(at_ns=now_ns, cancel_parents=cancel_parents)
        if cancel_parents:
            text = "held: its orders at a venue that can't be asked may still fill; canceled when that is known"
            for parent in list(self.state.open_parents.values()):
                yield ParentRestated(at_ns=now_ns, parent_id=parent.parent_id, text=text)

    def promote(self, command: PromoteModel, model: FillModel | None, now_ns: int) -> Iterator[AnyFact]:
        """The next stage of `model`, which `promotion_refused` has passed."""
        trial, routing = self.state.trial, self.routing
        again = command.model_id == trial.model_id
        if not again:
            if trial.stage == "champion" and routing.candidate is not None:
                routing.model = routing.candidate
            routing.candidate = model
        step = trial.next_step() if again else STEPS[0]
        assert step is not None
        yield ModelStaged(
            at_ns=now_ns,
            model_id=command.model_id,
            stage=step[0],
            share=step[1],
            reference_id=trial.reference_id if again else self.routing.model.model_id,
            by=command.by,
            approved_by=command.approved_by,
            text=command.text,
        )

    def promotion_refused(
        self,
        command: PromoteModel,
        approval: tuple[str, ...],
        orders: int = LEAST_ORDERS,
        parents: int = LEAST_PARENTS,
    ) -> str:
        """Why the model may not go on, "" if it may.

        `approval` names the stages that a person has to allow, `orders` and `parents` the evidence that a stage needs.
        """
        trial = self.state.trial
        again = command.model_id == trial.model_id
        if trial.model_id and not again and trial.stage != "champion":
            return f"{trial.model_id} is on trial ({trial.stage} {trial.share:.0%}): roll it back or let it end first"
        if not again and command.model_id == self.routing.model.model_id:
            serves = "serves already" if not trial.model_id else f"is what {trial.model_id} is rolled back to"
            return f"{command.model_id} {serves}"
        step = trial.next_step() if again else STEPS[0]
        if step is None:
            return f"{command.model_id} serves every parent already"
        if again and (missing := trial.missing(orders, parents)):
            return f"not enough evidence: {missing}"
        if step[0] in approval and not command.approved_by:
            return f"the config asks for a person's approval of {step[0]}: say who, with --approved-by"
        return ""

    def roll_back(self, by: str, text: str, now_ns: int) -> Iterator[AnyFact]:
        trial = self.state.trial
        yield ModelRolledBack(at_ns=now_ns, model_id=trial.model_id, reference_id=trial.reference_id, by=by, text=text)
        self.routing.candidate = None

    def judge(self, now_ns: int) -> Iterator[AnyFact]:
        """What the evidence that has come since the last look says of venues, and of the model on trial."""
        yield from self.state.health.news(now_ns)
        trial = self.state.trial
        if trial.model_id and (trial.errors or trial.news - self._judged_news >= JUDGED_EVERY):
            self._judged_news = trial.news
            if verdict := trial.verdict():
                yield from self.roll_back("", verdict, now_ns)

    def operator(self, command: OperatorCommand, now_ns: int) -> Iterator[AnyFact]:
        match command:
            case SetKillSwitch():
                yield KillSwitchSet(at_ns=now_ns, scope=command.scope, by=command.by, text=command.text)
                for parent in list(self.state.open_parents.values()):
                    blocked = [child for child in self.working.open_children(parent) if self._is_killed(parent, child)]
                    yield from self.working.cancel_children(blocked, "kill_switch", now_ns)
            case ReleaseKillSwitch():
                yield KillSwitchReleased(at_ns=now_ns, scope=command.scope, by=command.by)
                for parent in list(self.state.open_parents.values()):
                    yield from self.working.settle(parent, now_ns)
            case NotifyClients():
                yield ClientNotified(at_ns=now_ns, client=command.client, by=command.by, text=command.text)
            case CancelOrder() | AmendOrder():
                yield from self.intervene(command, now_ns)

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
