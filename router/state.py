"""All that the router knows about orders, and the only place where it changes.

`State.apply` is the sum of facts: the same facts in the same order give the same state, live, in recovery and in
simulation. It decides nothing and refuses nothing: a fact has already happened.
"""

from collections import OrderedDict
from collections.abc import Callable

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildDisputed,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildReplaceRequested,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    ClientDown,
    ClientUp,
    DecisionMade,
    DecisionShadowed,
    EpochStarted,
    KillSwitchReleased,
    KillSwitchSet,
    MarkoutMeasured,
    MassCancelAnswered,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
    OrdersPaused,
    OrdersResumed,
    OrdersRetired,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentDoneForDay,
    ParentEnding,
    ParentReinstated,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentSuspended,
    ParentTriggered,
    PasswordReplaced,
    QuoteRefused,
    QuoteRequested,
    ReturnPathKept,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
    TradingStatusChanged,
    VenueDown,
    VenueUp,
)
from domain.fields import Action, OrdStatus, TradingStatus
from domain.orders import ChildOrder, ParentOrder
from domain.parent import Executions, apply_execution
from risk.exposure import Exposure
from risk.kill_switch import KillSwitch
from risk.locates import Locates
from risk.rate import MessageRate
from router.markouts import DueMarkouts
from router.statistics import VenueStatistics
from router.trial import Trial
from router.used_ids import UsedIds


class _Trail:
    """The keys under which a parent's belongings are found, so that they can leave with it."""

    __slots__ = ("child_ids", "cl_ord_ids", "executions", "request_ids")

    def __init__(self) -> None:
        self.child_ids: list[str] = []
        self.cl_ord_ids: list[str] = []
        self.executions: list[tuple[str, str]] = []
        self.request_ids: list[str] = []


MAX_RETURN_PATHS = 100_000  # orders of a session that came through a third party


class State:
    """Orders, exposure, kill switch, venue statistics and counters. Read freely; change only through `apply`."""

    def __init__(self) -> None:
        self.epoch = ""
        self.parents: dict[str, ParentOrder] = {}
        self.children: dict[str, ChildOrder] = {}
        self.open_parents: dict[str, ParentOrder] = {}
        self.open_children: dict[str, dict[str, ChildOrder]] = {}  # parent_id -> child_id -> child
        self.parent_by_cl_ord_id: dict[tuple[str, str], str] = {}  # every ClOrdID(11) a client ever used -> parent_id
        self.child_by_request_id: dict[str, str] = {}  # ClOrdID(11) of our cancel or replace request -> child_id
        self.executions: Executions = {}  # a fill is counted once
        self.venues_up: set[str] = set()
        self.done_parents: OrderedDict[str, int] = OrderedDict()  # parent_id -> when it ended, the first first
        self.sessions_began_ns: dict[str, int] = {}  # when the numbers of one with a schedule began
        self.passwords: dict[str, dict[str, str]] = {}  # by session: a hash, and the one that holds in its place
        self.return_paths: dict[str, dict[str, str]] = {}  # by session and ClOrdID(11), the latest ones
        self.sessions: dict[str, tuple[int, int, bool]] = {}  # MsgSeqNum(34) in and out that come next, may connect
        self.retired_cl_ord_ids = UsedIds()
        self.ending: dict[str, str] = {}  # open parents that end without being asked to -> why
        self.clients_up: dict[str, int] = {}  # client -> since when
        self.clients_away: dict[str, int] = {}  # the same; who never logged on is in neither
        self.paused = ""  # why no new orders are taken or sent, "" while they are
        self.quote_requests: dict[str, dict[str, QuoteRequested]] = {}  # parent_id -> quote_req_id -> not yet used
        self.quotes_asked_ns: dict[str, int] = {}  # parent_id -> when dealers were asked last
        self.parent_by_quote_req: dict[str, str] = {}  # quote_req_id -> parent_id, while it is in quote_requests
        self.quote_request_count = 0
        self.trading: dict[tuple[str, str], TradingStatus] = {}  # (venue, symbol), as it said; nothing said: open
        self.exposure = Exposure()
        self.locates = Locates()
        self.rate = MessageRate()
        self.kill_switch = KillSwitch()
        self.statistics = VenueStatistics()
        self.markouts = DueMarkouts()
        self.trial = Trial()
        self._made: DecisionMade | None = None  # the latest
        self.parent_count = 0
        self.child_count = 0
        self.cancel_count = 0
        self.replace_count = 0
        self.mass_cancel_count = 0
        self.decision_count = 0
        self.auctioned: dict[str, OrdStatus] = {}  # parent_id -> how its order for an auction ended, not by us
        self.decisions_of: dict[str, int] = {}  # parent_id -> decisions made so far
        self.idle_decisions: dict[str, int] = {}  # parent_id -> decisions in a row that sent nothing
        self._trails: dict[str, _Trail] = {}  # by parent_id
        self._appliers: dict[type, Callable[..., None]] = {
            EpochStarted: self._epoch_started,
            ParentAccepted: self._parent_accepted,
            ParentRejected: self._parent_rejected,
            ParentCancelRequested: self._parent_requested,
            ParentReplaceRequested: self._parent_requested,
            ParentReplaced: self._parent_changed,
            ParentRestated: self._parent_changed,
            ParentDoneForDay: self._parent_changed,
            ParentSuspended: self._parent_changed,
            ParentReinstated: self._parent_changed,
            MassCancelAnswered: self._mass_cancel_answered,
            ParentTriggered: self._parent_changed,
            ParentRequestRejected: self._parent_request_rejected,
            ParentEnding: self._parent_ending,
            ParentDone: self._parent_done,
            DecisionMade: self._decision_made,
            ChildSubmitted: self._child_submitted,
            ChildAcknowledged: self._child_changed,
            ChildCancelRequested: self._child_cancel_requested,
            ChildCancelRejected: self._child_changed,
            ChildReplaceRequested: self._child_replace_requested,
            ChildReplaceRejected: self._child_resized,
            ChildReplaced: self._child_resized,
            ChildUncertain: self._child_changed,
            ChildStatus: self._child_changed,
            ChildDisputed: self._child_changed,
            ChildFilled: self._child_filled,
            ChildFillBusted: self._child_fill_changed,
            ChildFillCorrected: self._child_fill_changed,
            MarkoutMeasured: self._markout_measured,
            DecisionShadowed: self._decision_shadowed,
            ModelStaged: self._model_staged,
            ModelRolledBack: self._model_rolled_back,
            ModelFailed: self._model_failed,
            ChildCanceled: self._child_ended,
            ChildExpired: self._child_ended,
            ChildRejected: self._child_ended,
            VenueUp: self._venue_up,
            VenueDown: self._venue_down,
            QuoteRequested: self._quote_requested,
            QuoteRefused: self._quote_refused,
            TradingStatusChanged: self._trading_status_changed,
            KillSwitchSet: self._kill_switch_set,
            KillSwitchReleased: self._kill_switch_released,
            ClientUp: self._client_up,
            ClientDown: self._client_down,
            OrdersPaused: self._orders_paused,
            OrdersResumed: self._orders_resumed,
            OrdersRetired: self._orders_retired,
            PasswordReplaced: self._password_replaced,
            ReturnPathKept: self._return_path_kept,
            SessionAdvanced: self._session_advanced,
            SessionReset: self._session_reset,
            SessionSwitched: self._session_switched,
        }

    def apply(self, fact: AnyFact) -> None:
        applier = self._appliers.get(type(fact))
        if applier is not None:  # the others (messages, alarms, measurements) are evidence and change nothing here
            applier(fact)

    def trading_status(self, venue: str, symbol: str) -> TradingStatus:
        """Whether the venue trades the symbol; open where it never said otherwise, of this symbol or of all."""
        of_all = self.trading.get((venue, ""), TradingStatus.OPEN)
        return self.trading.get((venue, symbol), TradingStatus.OPEN) if of_all is TradingStatus.OPEN else of_all

    def open_qty(self, parent_id: str) -> int:
        """Shares of the parent that may still fill at venues, uncertain ones included."""
        return sum(child.leaves_qty for child in self.open_children.get(parent_id, {}).values())

    def is_used(self, client: str, cl_ord_id: str) -> bool:
        """Whether the client used this ClOrdID(11) before, for an order that is here or one that left today."""
        return (client, cl_ord_id) in self.parent_by_cl_ord_id or self.retired_cl_ord_ids.has(client, cl_ord_id)

    def _epoch_started(self, fact: EpochStarted) -> None:
        self.epoch = fact.epoch

    def _parent_accepted(self, fact: ParentAccepted) -> None:
        self.parent_count += 1
        parent = ParentOrder(fact)
        self.parents[fact.parent_id] = self.open_parents[fact.parent_id] = parent
        self.open_children[fact.parent_id] = {}
        self._trails[fact.parent_id] = _Trail()
        self._cl_ord_id_used(fact.client, fact.cl_ord_id, fact.parent_id)
        self.locates.apply_changed(parent, parent.order_qty, fact.at_ns)
        self.trial.apply_accepted(fact)

    def _cl_ord_id_used(self, client: str, cl_ord_id: str, parent_id: str) -> None:
        self.parent_by_cl_ord_id[client, cl_ord_id] = parent_id
        self._trails[parent_id].cl_ord_ids.append(cl_ord_id)

    def _parent_rejected(self, fact: ParentRejected) -> None:
        self.parent_count += 1

    def _parent_requested(self, fact: ParentCancelRequested | ParentReplaceRequested) -> None:
        parent = self.parents[fact.parent_id]
        parent.apply(fact)
        if fact.cl_ord_id and not (isinstance(fact, ParentCancelRequested) and fact.mass):
            self._cl_ord_id_used(parent.accepted.client, fact.cl_ord_id, fact.parent_id)

    def _mass_cancel_answered(self, fact: MassCancelAnswered) -> None:
        self.mass_cancel_count += 1
        if not fact.reject_reason:
            self.retired_cl_ord_ids.add(fact.client, fact.cl_ord_id)  # used, and by no single order

    def _parent_changed(
        self,
        fact: ParentReplaced | ParentRestated | ParentTriggered | ParentDoneForDay | ParentSuspended | ParentReinstated,
    ) -> None:
        parent = self.parents[fact.parent_id]
        was_qty = parent.order_qty
        parent.apply(fact)
        self.locates.apply_changed(parent, parent.order_qty - was_qty, fact.at_ns)
        self._reopened(parent)

    def _reopened(self, parent: ParentOrder) -> None:
        """A filled order takes more, or a fill of it was taken back."""
        if parent.is_open:
            self.open_parents.setdefault(parent.parent_id, parent)
            self.done_parents.pop(parent.parent_id, None)

    def _parent_request_rejected(self, fact: ParentRequestRejected) -> None:
        if fact.parent_id:
            self.parents[fact.parent_id].apply(fact)

    def _parent_ending(self, fact: ParentEnding) -> None:
        self.ending[fact.parent_id] = fact.text

    def _parent_done(self, fact: ParentDone) -> None:
        parent = self.parents[fact.parent_id]
        self.locates.apply_changed(parent, min(parent.cum_qty - parent.order_qty, 0), fact.at_ns)
        parent.apply(fact)
        self.open_parents.pop(fact.parent_id, None)
        self.ending.pop(fact.parent_id, None)
        self.done_parents[fact.parent_id] = fact.at_ns
        self.trial.apply_done(fact.parent_id)
        self.decisions_of.pop(fact.parent_id, None)
        self.idle_decisions.pop(fact.parent_id, None)
        self.auctioned.pop(fact.parent_id, None)
        self._forget_quotes(fact.parent_id)
        self.quotes_asked_ns.pop(fact.parent_id, None)

    def _decision_made(self, fact: DecisionMade) -> None:
        self.decision_count += 1
        self.decisions_of[fact.parent_id] = self.decisions_of.get(fact.parent_id, 0) + 1
        self.idle_decisions[fact.parent_id] = self.idle_decisions.get(fact.parent_id, 0) + 1
        self._forget_quotes(fact.parent_id)
        self.trial.apply_decision(fact)
        self._made = fact if self.trial.model_id else None

    def _decision_shadowed(self, fact: DecisionShadowed) -> None:
        self.trial.apply_shadowed(self._made, fact)

    def _model_staged(self, fact: ModelStaged) -> None:
        self.trial.apply_staged(fact)

    def _model_rolled_back(self, fact: ModelRolledBack) -> None:
        self.trial.apply_rolled_back(fact)

    def _model_failed(self, fact: ModelFailed) -> None:
        self.trial.apply_failed(fact)

    def _child_submitted(self, fact: ChildSubmitted) -> None:
        self.child_count += 1
        child = ChildOrder(fact)
        self.children[fact.child_id] = child
        self._trails[fact.parent_id].child_ids.append(fact.child_id)
        self.open_children[fact.parent_id][fact.child_id] = child
        self.idle_decisions[fact.parent_id] = 0
        self.exposure.apply_submitted(fact.child_id, fact.account, fact.symbol, fact.side, fact.order_qty, fact.px)
        self.rate.apply(fact.venue, fact.at_ns)
        self.statistics.apply_submitted(fact)
        self.trial.apply_submitted(self._made, fact)

    def _child_changed(
        self, fact: ChildAcknowledged | ChildCancelRejected | ChildUncertain | ChildStatus | ChildDisputed
    ) -> None:
        self.children[fact.child_id].apply(fact)

    def _child_cancel_requested(self, fact: ChildCancelRequested) -> None:
        self.cancel_count += 1
        self._remember_request(fact.child_id, fact.cancel_id)
        self.children[fact.child_id].apply(fact)

    def _child_replace_requested(self, fact: ChildReplaceRequested) -> None:
        self.replace_count += 1
        self.rate.apply(self.children[fact.child_id].submitted.venue, fact.at_ns)
        self._remember_request(fact.child_id, fact.replace_id)
        self._child_resized(fact)

    def _remember_request(self, child_id: str, request_id: str) -> None:
        self.child_by_request_id[request_id] = child_id
        self._trails[self.children[child_id].submitted.parent_id].request_ids.append(request_id)

    def _child_resized(self, fact: ChildReplaceRequested | ChildReplaced | ChildReplaceRejected) -> None:
        child = self.children[fact.child_id]
        was_open = child.is_open
        child.apply(fact)
        if child.is_open:
            pending_px = child.pending_replace.px if child.pending_replace is not None else 0
            self.exposure.apply_resized(fact.child_id, child.leaves_qty, max(child.px, pending_px))
        elif was_open:
            self.exposure.apply_ended(fact.child_id)
            self._forget_open(child)

    def _child_filled(self, fact: ChildFilled) -> None:
        child = self.children[fact.child_id]
        parent = self.parents[child.submitted.parent_id]
        child.apply(fact)
        self._trails[parent.parent_id].executions.append((fact.venue, fact.exec_id))
        apply_execution(parent, fact, self.executions)
        order = child.submitted
        self.exposure.apply_filled(fact.child_id, order.account, order.symbol, order.side, fact.last_qty, fact.last_px)
        self.statistics.apply_filled(child, fact)
        self.markouts.apply_filled(order, fact)
        self.trial.apply_filled(self.parents[order.parent_id].accepted, child, fact)
        if not child.is_open:
            self._forget_open(child)

    def _markout_measured(self, fact: MarkoutMeasured) -> None:
        filled = self.markouts.apply_measured(fact)
        if filled is not None:
            self.statistics.apply_markout(filled.order, filled.fill, fact)
            self.trial.apply_markout(filled.order, filled.fill, fact)

    def _child_fill_changed(self, fact: ChildFillBusted | ChildFillCorrected) -> None:
        child = self.children[fact.child_id]
        parent = self.parents[child.submitted.parent_id]
        self._trails[parent.parent_id].executions.append((fact.venue, fact.exec_id))
        child.apply(fact)
        apply_execution(parent, fact, self.executions)
        self._reopened(parent)
        order = (fact.child_id, child.submitted.account, child.submitted.symbol, child.submitted.side)
        if isinstance(fact, ChildFillBusted):
            self.exposure.apply_filled(*order, -fact.last_qty, fact.last_px)
        else:
            self.exposure.apply_filled(*order, -fact.was_qty, fact.was_px)
            self.exposure.apply_filled(*order, fact.last_qty, fact.last_px)

    def _child_ended(self, fact: ChildCanceled | ChildExpired | ChildRejected) -> None:
        child = self.children[fact.child_id]
        was_open = child.is_open
        child.apply(fact)
        if was_open and not child.is_open:
            self.exposure.apply_ended(fact.child_id)
            counted = self.statistics.apply_ended(child, fact)
            self.trial.apply_ended(child, known=counted)
            if child.submitted.action is Action.AUCTION and not child.cancel_reason:
                expired = child.ord_status is OrdStatus.EXPIRED
                self.auctioned[child.submitted.parent_id] = OrdStatus.EXPIRED if expired else OrdStatus.CANCELED
            self._forget_open(child)

    def _forget_open(self, child: ChildOrder) -> None:
        self.open_children[child.submitted.parent_id].pop(child.child_id, None)

    def _venue_up(self, fact: VenueUp) -> None:
        self.venues_up.add(fact.venue)
        for venue, symbol in [key for key in self.trading if key[0] == fact.venue]:
            del self.trading[venue, symbol]  # it says anew what it does not trade

    def _venue_down(self, fact: VenueDown) -> None:
        self.venues_up.discard(fact.venue)

    def _quote_requested(self, fact: QuoteRequested) -> None:
        self.quote_request_count += 1
        self.quote_requests.setdefault(fact.parent_id, {})[fact.quote_req_id] = fact
        self.parent_by_quote_req[fact.quote_req_id] = fact.parent_id
        self.quotes_asked_ns[fact.parent_id] = fact.at_ns

    def _quote_refused(self, fact: QuoteRefused) -> None:
        parent_id = self.parent_by_quote_req.pop(fact.quote_req_id, "")
        self.quote_requests.get(parent_id, {}).pop(fact.quote_req_id, None)

    def _forget_quotes(self, parent_id: str) -> None:
        """What was asked for was used, or is of no use any more."""
        for quote_req_id in self.quote_requests.pop(parent_id, {}):
            self.parent_by_quote_req.pop(quote_req_id, None)

    def _trading_status_changed(self, fact: TradingStatusChanged) -> None:
        self.trading[fact.venue, fact.symbol] = fact.status

    def _kill_switch_set(self, fact: KillSwitchSet) -> None:
        self.kill_switch.apply_set(fact.scope, fact.by, fact.text)

    def _kill_switch_released(self, fact: KillSwitchReleased) -> None:
        self.kill_switch.apply_released(fact.scope)

    def _client_up(self, fact: ClientUp) -> None:
        self.clients_away.pop(fact.client, None)
        self.clients_up[fact.client] = fact.at_ns

    def _client_down(self, fact: ClientDown) -> None:
        self.clients_up.pop(fact.client, None)
        self.clients_away.setdefault(fact.client, fact.at_ns)

    def _password_replaced(self, fact: PasswordReplaced) -> None:
        self.passwords.setdefault(fact.session, {})[fact.replaced] = fact.hashed

    def _return_path_kept(self, fact: ReturnPathKept) -> None:
        paths = self.return_paths.setdefault(fact.session, {})
        paths[fact.cl_ord_id] = fact.path
        if len(paths) > MAX_RETURN_PATHS:
            del paths[next(iter(paths))]

    def _session_advanced(self, fact: SessionAdvanced) -> None:
        _, _, enabled = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (fact.next_in, fact.next_out, enabled)
        if fact.began_ns:
            self.sessions_began_ns[fact.session] = fact.began_ns

    def _session_reset(self, fact: SessionReset) -> None:
        _, _, enabled = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (1, 1, enabled)
        self.sessions_began_ns[fact.session] = fact.at_ns

    def _session_switched(self, fact: SessionSwitched) -> None:
        next_in, next_out, _ = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (next_in, next_out, fact.enabled)

    def _orders_paused(self, fact: OrdersPaused) -> None:
        self.paused = fact.text

    def _orders_resumed(self, fact: OrdersResumed) -> None:
        self.paused = ""

    def _orders_retired(self, fact: OrdersRetired) -> None:
        self.retired_cl_ord_ids.turn(fact.at_ns)
        for parent_id in fact.parent_ids:
            client = self.parents.pop(parent_id).accepted.client
            del self.done_parents[parent_id]
            del self.open_children[parent_id]
            trail = self._trails.pop(parent_id)
            for cl_ord_id in trail.cl_ord_ids:
                del self.parent_by_cl_ord_id[client, cl_ord_id]
                self.retired_cl_ord_ids.add(client, cl_ord_id)
            for child_id in trail.child_ids:
                del self.children[child_id]
            for request_id in trail.request_ids:
                self.child_by_request_id.pop(request_id, None)
            for key in trail.executions:
                del self.executions[key]
