"""Our orders at venues; the client's order with us, of which they are parts, is `domain.parent`.

`CHILD_TRANSITIONS` says which fact may follow in which status. A fact that has no row changes nothing and `apply`
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
)
from domain.fields import OrdStatus
from domain.parent import STOPS as STOPS
from domain.parent import Execution as Execution
from domain.parent import ParentOrder as ParentOrder

NEW = OrdStatus.NEW
PENDING_NEW = OrdStatus.PENDING_NEW
PARTIALLY_FILLED = OrdStatus.PARTIALLY_FILLED
FILLED = OrdStatus.FILLED
CANCELED = OrdStatus.CANCELED
REJECTED = OrdStatus.REJECTED
EXPIRED = OrdStatus.EXPIRED

FINAL = frozenset({FILLED, CANCELED, REJECTED, EXPIRED})

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
        "cancel_rejected_ns",
        "cl_ord_id",
        "cum_qty",
        "disputed_ns",
        "first_fill_ns",
        "missing_qty",
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
        self.missing_qty = 0  # how much more than we counted the venue said it filled, and since when
        self.disputed_ns = 0
        self.cancel_rejected_ns = 0  # when a cancel was refused last
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
            self.missing_qty, self.disputed_ns = fact.missing_qty, fact.at_ns
            return True
        elif isinstance(fact, ChildFillBusted):
            self.cum_qty -= fact.last_qty
            self.notional_px -= fact.last_qty * fact.last_px
            return True
        elif isinstance(fact, ChildFillCorrected):
            self.cum_qty += fact.last_qty - fact.was_qty
            self.notional_px += fact.last_qty * fact.last_px - fact.was_qty * fact.was_px
            return True
        elif isinstance(fact, ChildUncertain):
            self.uncertain = self.is_open
            return True
        elif isinstance(fact, ChildStatus):
            self.uncertain, self.missing_qty = False, 0
            return True
        elif isinstance(fact, ChildCancelRequested):
            if not self.is_open:
                return False
            self.pending_cancel_id, self.cancel_reason = fact.cancel_id, fact.reason
            return True
        elif isinstance(fact, ChildCancelRejected):
            self.pending_cancel_id, self.cancel_rejected_ns = "", fact.at_ns
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
        self.uncertain = self.is_open and self.missing_qty != 0  # what is disputed, the venue's answer settles
        return True
