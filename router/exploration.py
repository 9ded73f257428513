"""How much a decision may try that the ranking would not choose, and where nothing is tried at all.

Data on what is never chosen has a price, which the client pays. So it is bounded twice, whatever the config asks for:
of all shares sent in a UTC day at most `max_explored_share` of the notional are somewhere else than the ranking would
have them, and of one parent the expected cost beyond the best candidate adds up to at most `max_explored_bps`. Nothing
is tried

- when urgent: the allocation then takes first, whatever resting would save;
- in the last tenth of a parent, of its quantity or of its time, where there is no room to make up for it;
- near a limit: less than `take_limit_ticks` between the parent's limit and the other side of the market, instructions
  that narrow the choice (MinQty, fill or kill, pegs, display), nine tenths of a gross exposure or of a venue's message
  rate in use;
- while any kill switch is set, or a venue that trades the symbol does not trade it now.

What was used is counted from the decision records as they are applied, so a recovery arrives at the same room, and the
propensities of a decision are exact given the room that it had, which is in its record.
"""

from collections.abc import Mapping

import msgspec

from domain.facts import ChildSubmitted, DecisionMade
from domain.fields import TimeInForce, TradingStatus
from domain.instruments import Instrument, VenueTerms
from domain.market import SymbolView
from domain.orders import ParentOrder
from domain.prices import PX_SCALE
from risk.exposure import Exposure
from risk.kill_switch import KillSwitch
from risk.limits import RiskLimits
from risk.rate import MessageRate
from router.policy import ExecutionPolicy
from router.strategies import Slice

_DAY_NS = 86_400_000_000_000


class Room(msgspec.Struct, frozen=True, gc=False):
    """What one decision may still use: shares, and expected cost beyond the best candidate, bps of its slice."""

    probability: float
    qty: int
    bps: float


class Explored:
    """What was sent and explored on this UTC day, in Px times shares, and what each parent has paid for it so far."""

    def __init__(self) -> None:
        self.day = 0
        self.sent_px = 0
        self.explored_px = 0
        self.paid: dict[str, float] = {}  # parent_id -> bps times shares

    def apply_decision(self, fact: DecisionMade) -> None:
        if fact.explored_qty:
            self._turn(fact.at_ns)
            self.explored_px += fact.explored_qty * (fact.bid_px + fact.ask_px) // 2
            paid = self.paid.get(fact.parent_id, 0.0) + fact.explored_bps * fact.slice_qty
            self.paid[fact.parent_id] = paid

    def apply_submitted(self, fact: ChildSubmitted) -> None:
        self._turn(fact.at_ns)
        self.sent_px += fact.order_qty * fact.px

    def apply_retired(self, parent_id: str) -> None:
        self.paid.pop(parent_id, None)

    def _turn(self, at_ns: int) -> None:
        if at_ns // _DAY_NS > self.day:
            self.day, self.sent_px, self.explored_px = at_ns // _DAY_NS, 0, 0

    def qty(self, share: float, mid_px: float, now_ns: int) -> int:
        """Shares at `mid_px` that `share` of the day's notional leaves; what is about to be sent does not count yet."""
        if now_ns // _DAY_NS > self.day:
            return 0
        return max(int((share * self.sent_px - self.explored_px) / mid_px), 0)


class Surrounding(msgspec.Struct, frozen=True):
    """The parts of the state that say whether a limit is near."""

    explored: Explored
    exposure: Exposure
    rate: MessageRate
    kill_switch: KillSwitch
    trading: Mapping[tuple[str, str], TradingStatus]


def room(
    parent: ParentOrder,
    wanted: Slice,
    view: SymbolView,
    instrument: Instrument,
    venues: Mapping[str, VenueTerms],
    policy: ExecutionPolicy,
    limits: RiskLimits,
    around: Surrounding,
    now_ns: int,
) -> Room | None:
    """None where nothing may be tried. The view must have a bid and an offer; the parent must have no terms."""
    if not policy.exploration or wanted.urgency >= 1.0 or _is_ending(parent, instrument, now_ns):
        return None
    if _near_a_limit(parent, wanted, view, instrument, venues, policy, limits, around, now_ns):
        return None
    qty = wanted.qty
    if policy.max_explored_share < 1.0:
        qty = min(qty, around.explored.qty(policy.max_explored_share, view.mid_px, now_ns))
    left = policy.max_explored_bps * parent.order_qty - around.explored.paid.get(parent.parent_id, 0.0)
    return Room(policy.exploration, qty, left / wanted.qty) if qty and left > 0.0 else None


def _is_ending(parent: ParentOrder, instrument: Instrument, now_ns: int) -> bool:
    order = parent.accepted
    if 10 * parent.leaves_qty <= parent.order_qty:
        return True
    closes_ns = instrument.hours.next_close_ns(now_ns) if order.time_in_force is TimeInForce.DAY else None
    ends_ns = (int(parent.params.get("end_ns", 0)), parent.instructions.expire_ns, closes_ns)
    return any(end_ns and 10 * (end_ns - now_ns) <= end_ns - order.at_ns for end_ns in ends_ns)


def _near_a_limit(
    parent: ParentOrder,
    wanted: Slice,
    view: SymbolView,
    instrument: Instrument,
    venues: Mapping[str, VenueTerms],
    policy: ExecutionPolicy,
    limits: RiskLimits,
    around: Surrounding,
    now_ns: int,
) -> bool:
    if around.kill_switch.scopes or any(
        status is not TradingStatus.OPEN and symbol in ("", view.symbol) and venue in venues
        for (venue, symbol), status in around.trading.items()
    ):
        return True
    order = parent.accepted
    sign, far_px = order.side.sign, view.ask_px if order.side.sign > 0 else view.bid_px
    if parent.limit_px and sign * (parent.limit_px - far_px) < policy.take_limit_ticks * instrument.tick_px:
        return True
    rate = around.rate
    if any(10 * rate.count(name, now_ns) >= 9 * limits.messages_per_second(name) for name in venues):
        return True
    account, exposure = limits.accounts.get(order.account), around.exposure
    added_px = exposure.added_px(order.account, order.symbol, order.side, wanted.qty, view.ask_px)
    return account is None or any(
        10 * (gross_px + added_px) >= 9 * allowed * PX_SCALE
        for gross_px, allowed in (
            (exposure.gross_px(order.account), account.max_gross_exposure),
            (exposure.firm_gross_px, limits.max_gross_exposure),
        )
    )
