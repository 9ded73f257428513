"""Decides what to do about each input. Looks at the state, never changes it: facts come out, one at a time.

Every public method is a generator. The caller applies each fact before it asks for the next, so a later part of the
answer sees the earlier part. Time is an argument; the timers are data, rebuilt from the state after a restart.
"""

from collections.abc import Iterator, Mapping

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
    ChildUncertain,
    ClientNotified,
    ClientUp,
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
from domain.fields import TradingStatus
from domain.market import MarketUpdate, MarketView
from domain.orders import ChildOrder
from router.model import FillModel
from router.phases import RETRY_NS
from router.reports import Reports, disputed
from router.routing import Routing
from router.state import State
from router.trial import LEAST_ORDERS, LEAST_PARENTS, STEPS
from router.upkeep import Keep, Upkeep

JUDGED_EVERY = 50  # pieces of evidence between two looks at a trial; an error of the model is looked at at once


class Engine(Reports):
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
            for child in self.uncertain():
                fact = ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                text = "no answer from the venue since the restart: held until there is one"
                yield disputed(fact, child.submitted.venue, text, now_ns)
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
        if self.uncertain():
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
                    children, order = self.working.open_children(parent), parent.accepted
                    blocked = [one for one in children if self.state.blocks(order, one.submitted.venue)]
                    yield from self.working.cancel_children(blocked, "kill_switch", now_ns)
            case ReleaseKillSwitch():
                yield KillSwitchReleased(at_ns=now_ns, scope=command.scope, by=command.by)
                for parent in list(self.state.open_parents.values()):
                    yield from self.working.settle(parent, now_ns)
            case NotifyClients():
                yield ClientNotified(at_ns=now_ns, client=command.client, by=command.by, text=command.text)
            case CancelOrder() | AmendOrder():
                yield from self.intervene(command, now_ns)

    def children_at(self, venue: str) -> list[ChildOrder]:
        return [
            child
            for children in self.state.open_children.values()
            for child in children.values()
            if child.submitted.venue == venue
        ]
