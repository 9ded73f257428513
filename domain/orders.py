"""The two order state machines. A parent is the client's order with us; a child is our order at a venue.

`TRANSITIONS` of each says which fact may follow in which status. A fact that has no row changes nothing and `apply`
returns False: the caller records and alarms it. Quantities of a fill count in every status, because a fill that the
venue made is real whatever we believed of the order.

Every field changes in `apply` and nowhere else.
"""

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildDisputed,
    ChildExpired,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildReplaceRequested,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentTriggered,
)
from domain.fields import OrdStatus, OrdType

NEW = OrdStatus.NEW
PENDING_NEW = OrdStatus.PENDING_NEW
PARTIALLY_FILLED = OrdStatus.PARTIALLY_FILLED
FILLED = OrdStatus.FILLED
CANCELED = OrdStatus.CANCELED
REJECTED = OrdStatus.REJECTED
EXPIRED = OrdStatus.EXPIRED

FINAL = frozenset({FILLED, CANCELED, REJECTED, EXPIRED})
STOPS = frozenset({OrdType.STOP, OrdType.STOP_LIMIT})

# Status after a fact. A fill's row gives the status while shares are left; the last share always makes FILLED, except
# where the order had ended otherwise.
CHILD_TRANSITIONS: dict[tuple[OrdStatus, type], OrdStatus] = {
    (PENDING_NEW, ChildAcknowledged): NEW,
    (PENDING_NEW, ChildRejected): REJECTED,
    (PENDING_NEW, ChildFilled): PARTIALLY_FILLED,  # a venue may fill without acknowledging first
    (PENDING_NEW, ChildCanceled): CANCELED,  # immediate-or-cancel that found nothing, with no acknowledgement
    (PENDING_NEW, ChildExpired): EXPIRED,
    (PENDING_NEW, ChildReplaced): NEW,  # reduced by the venue before it was acknowledged
    (NEW, ChildReplaced): NEW,
    (NEW, ChildFilled): PARTIALLY_FILLED,
    (NEW, ChildCanceled): CANCELED,
    (NEW, ChildExpired): EXPIRED,
    (NEW, ChildRejected): REJECTED,  # last look: a dealer accepts the order, holds it and then declines
    (PARTIALLY_FILLED, ChildFilled): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ChildCanceled): CANCELED,
    (PARTIALLY_FILLED, ChildExpired): EXPIRED,
    (PARTIALLY_FILLED, ChildReplaced): PARTIALLY_FILLED,  # or FILLED, where nothing is left of it
    (PARTIALLY_FILLED, ChildAcknowledged): PARTIALLY_FILLED,  # the acknowledgement overtaken by a fill
    (FILLED, ChildAcknowledged): FILLED,
    (CANCELED, ChildFilled): CANCELED,  # a late fill: quantities count, the status stays (FIX order state matrices)
    (EXPIRED, ChildFilled): EXPIRED,
    (REJECTED, ChildFilled): REJECTED,
    (FILLED, ChildFilled): FILLED,  # an overfill: real, and alarmed by the engine
}


class ChildOrder:
    """Our order at a venue, from the ChildSubmitted that created it."""

    __slots__ = (
        "cancel_reason",
        "cl_ord_id",
        "cum_qty",
        "disputed_ns",
        "disputed_qty",
        "first_fill_ns",
        "notional_px",
        "ord_status",
        "order_qty",
        "pending_cancel_id",
        "pending_replace",
        "px",
        "submitted",
        "taken_over_qty",
        "uncertain",
        "venue_order_id",
    )

    def __init__(self, submitted: ChildSubmitted) -> None:
        self.submitted = submitted
        self.cl_ord_id = submitted.child_id  # that it has at the venue now: the last accepted replace's
        self.order_qty = submitted.order_qty
        self.px = submitted.px
        self.ord_status = PENDING_NEW
        self.cum_qty = 0
        self.notional_px = 0
        self.first_fill_ns = 0
        self.venue_order_id = ""
        self.pending_cancel_id = ""  # ClOrdID(11) of the cancel request under way
        self.cancel_reason = ""
        self.pending_replace: ChildReplaceRequested | None = None
        self.uncertain = False  # the venue can't be asked just now
        self.disputed_qty = -1  # CumQty(14) that the venue said last where it was not ours, and since when
        self.disputed_ns = 0
        self.taken_over_qty = 0  # of `cum_qty`, shares that no report was ever heard of

    @property
    def child_id(self) -> str:
        return self.submitted.child_id

    @property
    def is_open(self) -> bool:
        return self.ord_status not in FINAL

    @property
    def leaves_qty(self) -> int:
        """Shares that may still fill; while a replace is under way, as the larger of both quantities has it."""
        if not self.is_open:
            return 0
        pending = self.pending_replace
        return (self.order_qty if pending is None else max(self.order_qty, pending.order_qty)) - self.cum_qty

    def apply(self, fact: AnyFact) -> bool:
        """Whether the fact was legal in this status; if not, nothing changed but what a fill counts."""
        if isinstance(fact, ChildFilled):
            self.cum_qty += fact.last_qty
            self.notional_px += fact.last_qty * fact.last_px
            self.first_fill_ns = self.first_fill_ns or fact.at_ns
            self.taken_over_qty += fact.last_qty if fact.taken_over else 0
        elif isinstance(fact, ChildDisputed):
            self.disputed_qty, self.disputed_ns = fact.cum_qty, fact.at_ns
            return True
        elif isinstance(fact, ChildUncertain):
            self.uncertain = self.is_open
            return True
        elif isinstance(fact, ChildStatus):
            self.uncertain = False
            return True
        elif isinstance(fact, ChildCancelRequested):
            if not self.is_open:
                return False
            self.pending_cancel_id, self.cancel_reason = fact.cancel_id, fact.reason
            return True
        elif isinstance(fact, ChildCancelRejected):
            self.pending_cancel_id = ""
            return True
        elif isinstance(fact, ChildReplaceRequested):
            if not self.is_open:
                return False
            self.pending_replace = fact
            return True
        elif isinstance(fact, ChildReplaceRejected):
            self.pending_replace = None
            return True
        following = CHILD_TRANSITIONS.get((self.ord_status, type(fact)))
        if following is None:
            return False
        if isinstance(fact, ChildAcknowledged):
            self.venue_order_id = fact.venue_order_id
        if isinstance(fact, ChildReplaced):
            asked = self.pending_replace if fact.replace_id else None  # a report may leave out the price
            self.order_qty, self.px = fact.order_qty, fact.px or (asked.px if asked else self.px)
            if fact.replace_id:
                self.cl_ord_id, self.pending_replace = fact.replace_id, None
        if isinstance(fact, ChildFilled | ChildReplaced) and self.is_open and self.cum_qty >= self.order_qty:
            following = FILLED
        self.ord_status = following
        self.uncertain = False
        return True


# Which facts may come in which status of a parent. Fills are not here: they count in every status.
PARENT_TRANSITIONS: dict[tuple[OrdStatus, type], OrdStatus] = {
    (NEW, ParentCancelRequested): NEW,
    (NEW, ParentReplaceRequested): NEW,
    (NEW, ParentReplaced): NEW,
    (NEW, ParentRestated): NEW,
    (NEW, ParentTriggered): NEW,
    (NEW, ParentDone): CANCELED,  # or EXPIRED or FILLED: the fact names it
    (PARTIALLY_FILLED, ParentCancelRequested): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentReplaceRequested): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentReplaced): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentRestated): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, ParentTriggered): PARTIALLY_FILLED,  # a replace made a stop of an order that had fills
    (PARTIALLY_FILLED, ParentDone): CANCELED,
    (FILLED, ParentDone): FILLED,
    (FILLED, ParentReplaced): PARTIALLY_FILLED,  # filled while the replace was pending: the new quantity reopens it
}


class ParentOrder:
    """A client's order, from the ParentAccepted that created it.

    `ord_status` is what the client is told: pending requests outrank the rest, as FIX's order of precedence says.
    """

    __slots__ = (
        "accepted",
        "cl_ord_id",
        "cum_qty",
        "done",
        "instructions",
        "limit_px",
        "notional_px",
        "ord_type",
        "order_qty",
        "orig_cl_ord_id",
        "params",
        "pending_cancel_id",
        "pending_replace",
        "status",
        "triggered",
        "version",
    )

    def __init__(self, accepted: ParentAccepted) -> None:
        self.accepted = accepted
        self.cl_ord_id = accepted.cl_ord_id  # of the last accepted request
        self.orig_cl_ord_id = ""  # the one before, "" while no request was accepted
        self.order_qty = accepted.order_qty
        self.ord_type = accepted.ord_type
        self.limit_px = accepted.limit_px
        self.params = accepted.params
        self.instructions = accepted.instructions
        self.status = NEW
        self.done = False
        self.triggered = False  # of a stop
        self.cum_qty = 0
        self.notional_px = 0
        self.pending_cancel_id = ""
        self.pending_replace: ParentReplaceRequested | None = None
        self.version = 1  # facts applied so far; makes ExecID(17) unique and the same in a replay

    @property
    def parent_id(self) -> str:
        return self.accepted.parent_id

    @property
    def is_open(self) -> bool:
        return not self.done

    @property
    def awaits_trigger(self) -> bool:
        return self.ord_type in STOPS and not self.triggered

    @property
    def leaves_qty(self) -> int:
        return max(self.order_qty - self.cum_qty, 0) if self.is_open else 0

    @property
    def ord_status(self) -> OrdStatus:
        if self.done:
            return self.status
        if self.pending_cancel_id:
            return OrdStatus.PENDING_CANCEL
        if self.pending_replace is not None:
            return OrdStatus.PENDING_REPLACE
        return self.status

    def apply(self, fact: AnyFact) -> bool:
        """Whether the fact was legal in this status; if not, nothing changed. A fill is always counted."""
        if isinstance(fact, ChildFilled):
            self.version += 1
            self.cum_qty += fact.last_qty
            self.notional_px += fact.last_qty * fact.last_px
            if not self.done:
                self.status = FILLED if self.cum_qty >= self.order_qty else PARTIALLY_FILLED
            return True
        if isinstance(fact, ParentRequestRejected):
            self.version += 1
            if fact.cl_ord_id == self.pending_cancel_id:
                self.pending_cancel_id = ""
            elif self.pending_replace is not None and fact.cl_ord_id == self.pending_replace.cl_ord_id:
                self.pending_replace = None
            return True
        following = PARENT_TRANSITIONS.get((self.status, type(fact)))
        if following is None or self.done:
            return False
        self.version += 1
        match fact:
            case ParentCancelRequested(cl_ord_id=cl_ord_id):
                self.pending_cancel_id = cl_ord_id
            case ParentReplaceRequested():
                self.pending_replace = fact
            case ParentReplaced():
                self.pending_replace = None
                self.orig_cl_ord_id, self.cl_ord_id = self.cl_ord_id, fact.cl_ord_id
                self.order_qty = fact.order_qty
                self.limit_px = fact.limit_px
                self.params = fact.params
                self.instructions = fact.instructions
                self.ord_type = fact.ord_type or self.ord_type
                self.status = FILLED if self.cum_qty >= fact.order_qty else PARTIALLY_FILLED if self.cum_qty else NEW
            case ParentTriggered():
                self.triggered = True
            case ParentDone():
                self.done = True
                self.status = fact.ord_status
                if fact.cl_ord_id:
                    self.orig_cl_ord_id, self.cl_ord_id = self.cl_ord_id, fact.cl_ord_id
                self.pending_cancel_id = ""
                self.pending_replace = None
        return True
