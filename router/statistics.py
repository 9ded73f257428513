"""What became of our recent children, by venue and action: the part of the features that learns within a day.

Everything comes from facts, so a recovery has the same numbers. An order that we cancelled before its time says nothing
about whether it would have filled (it is right-censored), so it doesn't count as a miss, nor its fill as a hit.
"""

from collections import defaultdict

from domain.facts import ChildCanceled, ChildExpired, ChildFilled, ChildRejected, ChildSubmitted, MarkoutMeasured
from domain.fields import Action, OrdStatus, Side
from domain.orders import ChildOrder
from router.markouts import markout_bps

PRIOR_COUNT = 5  # what is assumed counts like this many observed outcomes
MARKOUT_PRIOR_COUNT = 50  # a single markout is mostly noise: some bps around a mean of some tenths
MEMORY = 72  # each further outcome weighs 1/72: half of the weight lies on the last 50
MARKOUT_NS = 1_000_000_000  # the markout that is averaged: later ones are noisier than recent outcomes can smooth


class Outcomes:
    """Running means over the outcomes at one venue with one action, starting from what is assumed."""

    __slots__ = ("_fills", "_markouts", "_orders", "fill_rate", "filled_fraction", "markout_bps", "reject_rate")

    def __init__(self, fill_rate: float, filled_fraction: float, reject_rate: float, markout_bps: float) -> None:
        self.fill_rate = fill_rate  # share of orders that filled at all
        self.filled_fraction = filled_fraction  # share of its quantity that such an order filled
        self.reject_rate = reject_rate
        self.markout_bps = markout_bps  # adverse move of the mid after a fill, positive is a loss
        self._orders = self._fills = self._markouts = 0

    def apply_order(self, filled_fraction: float, *, rejected: bool) -> None:
        step = _step(self._orders)
        self._orders += 1
        self.fill_rate += ((filled_fraction > 0.0) - self.fill_rate) * step
        self.reject_rate += (rejected - self.reject_rate) * step
        if filled_fraction > 0.0:
            self.filled_fraction += (filled_fraction - self.filled_fraction) * _step(self._fills)
            self._fills += 1

    def apply_markout(self, markout_bps: float) -> None:
        self.markout_bps += (markout_bps - self.markout_bps) * _step(self._markouts, MARKOUT_PRIOR_COUNT)
        self._markouts += 1


# Assumed until there are outcomes: who rests is filled more often when the price moves against him, and a midpoint
# order less so; who takes has paid the spread and is not marked out. A few tenths of a basis point are what the gap
# between effective and realised spread of liquid shares leaves (Huang and Stoll, J. of Financial Economics 41, 1996).
ASSUMED: dict[Action, tuple[float, float, float, float]] = {
    Action.POST: (0.30, 0.60, 0.01, 0.30),
    Action.IMPROVE: (0.45, 0.70, 0.01, 0.40),
    Action.TAKE: (0.90, 0.90, 0.01, 0.0),
    Action.MID_PEG: (0.25, 0.50, 0.01, 0.15),
    Action.TAKE_QUOTE: (0.85, 0.95, 0.10, 0.0),
    Action.AUCTION: (0.80, 0.90, 0.01, 0.0),
}
_UNKNOWN = {action: Outcomes(*assumed) for action, assumed in ASSUMED.items()}


class VenueStatistics:
    """Recent outcomes, and what of ours rests where. Changes only through `apply_*`."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, Action], Outcomes] = {}
        self._resting_qty: defaultdict[tuple[str, str, int], int] = defaultdict(int)

    def of(self, venue: str, action: Action) -> Outcomes:
        """For reading: what is assumed of the action where nothing was observed yet."""
        return self._outcomes.get((venue, action)) or _UNKNOWN[action]

    def resting_qty(self, venue: str, symbol: str, side: Side) -> int:
        """Our own shares that rest at the venue on that side, part of what is displayed there."""
        return max(self._resting_qty.get((venue, symbol, side.sign), 0), 0)

    def forget_resting(self) -> None:
        """Nothing of ours rests anywhere: another day, in which the outcomes of the last one still count."""
        self._resting_qty.clear()

    def apply_submitted(self, fact: ChildSubmitted) -> None:
        if fact.horizon_ns:
            self._resting_qty[fact.venue, fact.symbol, fact.side.sign] += fact.order_qty

    def apply_leaves(self, order: ChildSubmitted, more_qty: int) -> None:
        """So many shares more of the child may still fill than before, whatever changed it; fewer, below 0."""
        if order.horizon_ns:
            self._resting_qty[order.venue, order.symbol, order.side.sign] += more_qty

    def apply_filled(self, child: ChildOrder, fact: ChildFilled) -> bool:
        """To be called after `child.apply(fact)`; whether it completed the order, and that was counted."""
        order = child.submitted
        left_before = order.order_qty - (child.cum_qty - fact.last_qty)
        completes = child.ord_status is OrdStatus.FILLED and left_before > 0
        known = completes and child.cancel_reason in ("", "horizon")
        if known:
            self._observed(order).apply_order(1.0, rejected=False)
        return known

    def apply_ended(self, child: ChildOrder, fact: ChildCanceled | ChildExpired | ChildRejected) -> bool:
        """To be called once, after the fact that ended the child; whether its outcome is known and was counted."""
        order = child.submitted
        rejected = isinstance(fact, ChildRejected)
        known = rejected or not order.horizon_ns or child.cancel_reason == "horizon"
        if known:
            self._observed(order).apply_order(min(child.cum_qty / order.order_qty, 1.0), rejected=rejected)
        return known

    def apply_markout(self, order: ChildSubmitted, fill: ChildFilled, fact: MarkoutMeasured) -> None:
        if fact.after_ns == MARKOUT_NS and fact.mid2_px:
            self._observed(order).apply_markout(markout_bps(order, fill, fact.mid2_px))

    def _observed(self, order: ChildSubmitted) -> Outcomes:
        key = (order.venue, order.action)
        outcomes = self._outcomes.get(key)
        if outcomes is None:
            outcomes = self._outcomes[key] = Outcomes(*ASSUMED[order.action])
        return outcomes


def _step(count: int, prior_count: int = PRIOR_COUNT) -> float:
    return 1.0 / min(count + prior_count + 1, MEMORY)
