"""What is known of the clients' orders: the orders, the ids by which they are found, what was decided for them.

A part of `router.state.State`. Each method says what one fact changes; nothing is decided or refused here.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar

from domain.facts import (
    DecisionMade,
    DecisionShadowed,
    MassCancelAnswered,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
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
    QuoteRefused,
    QuoteRequested,
)
from domain.fields import OrdStatus
from domain.orders import ChildOrder, ParentOrder
from risk.locates import Locates
from router.exploration import Explored
from router.trial import Trial
from router.used_ids import UsedIds

Appliers = dict[type, Callable[..., None]]


class Trail:
    """The keys under which a parent's belongings are found, so that they can leave with it."""

    __slots__ = ("child_ids", "cl_ord_ids", "executions", "request_ids")

    def __init__(self) -> None:
        self.child_ids: list[str] = []
        self.cl_ord_ids: list[str] = []
        self.executions: list[tuple[str, str]] = []
        self.request_ids: list[str] = []


class Parents:
    def __init__(self) -> None:
        super().__init__()
        self.parents: dict[str, ParentOrder] = {}
        self.open_parents: dict[str, ParentOrder] = {}
        self.open_children: dict[str, dict[str, ChildOrder]] = {}  # parent_id -> child_id -> child
        self.done_parents: OrderedDict[str, int] = OrderedDict()  # parent_id -> when it ended, the first first
        self.parent_by_cl_ord_id: dict[tuple[str, str], str] = {}  # every ClOrdID(11) a client ever used -> parent_id
        self.retired_cl_ord_ids = UsedIds()
        self.ending: dict[str, str] = {}  # open parents that end without being asked to -> why
        self.locates = Locates()
        self.trial = Trial()
        self.explored = Explored()
        self.parent_count = 0
        self.mass_cancel_count = 0
        self.decision_count = 0
        self.decisions_of: dict[str, int] = {}  # parent_id -> decisions made so far
        self.idle_decisions: dict[str, int] = {}  # parent_id -> decisions in a row that sent nothing
        self.auctioned: dict[str, OrdStatus] = {}  # parent_id -> how its order for an auction ended, not by us
        self.quote_requests: dict[str, dict[str, QuoteRequested]] = {}  # parent_id -> quote_req_id -> not yet used
        self.quotes_asked_ns: dict[str, int] = {}  # parent_id -> when dealers were asked last
        self.parent_by_quote_req: dict[str, str] = {}  # quote_req_id -> parent_id, while it is in quote_requests
        self.quote_request_count = 0
        self._made: DecisionMade | None = None  # the latest
        self._trails: dict[str, Trail] = {}  # by parent_id

    def is_used(self, client: str, cl_ord_id: str) -> bool:
        """Whether the client used this ClOrdID(11) before, for an order that is here or one that left today."""
        return (client, cl_ord_id) in self.parent_by_cl_ord_id or self.retired_cl_ord_ids.has(client, cl_ord_id)

    def _parent_accepted(self, fact: ParentAccepted) -> None:
        self.parent_count += 1
        parent = ParentOrder(fact)
        self.parents[fact.parent_id] = self.open_parents[fact.parent_id] = parent
        self.open_children[fact.parent_id] = {}
        self._trails[fact.parent_id] = Trail()
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
        self.explored.apply_decision(fact)
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

    APPLIERS: ClassVar[Appliers] = {
        ParentAccepted: _parent_accepted,
        ParentRejected: _parent_rejected,
        ParentCancelRequested: _parent_requested,
        ParentReplaceRequested: _parent_requested,
        ParentReplaced: _parent_changed,
        ParentRestated: _parent_changed,
        ParentDoneForDay: _parent_changed,
        ParentSuspended: _parent_changed,
        ParentReinstated: _parent_changed,
        MassCancelAnswered: _mass_cancel_answered,
        ParentTriggered: _parent_changed,
        ParentRequestRejected: _parent_request_rejected,
        ParentEnding: _parent_ending,
        ParentDone: _parent_done,
        DecisionMade: _decision_made,
        DecisionShadowed: _decision_shadowed,
        ModelStaged: _model_staged,
        ModelRolledBack: _model_rolled_back,
        ModelFailed: _model_failed,
        QuoteRequested: _quote_requested,
        QuoteRefused: _quote_refused,
    }
