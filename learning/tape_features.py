"""What was known at a moment of a recorded day, in one pass: the features of an order that joins the touch then.

Of the kind that the router computes live, signed and mirrored as there: near is our side of the book, far the other,
and positive leans towards a fill. What happened lately is kept as sums and averages that forget by half-lives, so that
a row depends on nothing but the events until then.

Left out is what made walking forward worse: the time of day, whose range a later stretch always leaves; the recent fill
rate of such joins, which the online calibration carries better (learning/tape_study.py); and how often orders come,
leave and trade on the far side, at hidden prices or as the touch moves, beyond what flows and returns say of it.
"""

from math import exp, log1p, sqrt

from domain.fields import Side
from learning.tape_events import TouchEvent, TouchKind

LOT_QTY = 100
TICK_PX = 100
_S = 1_000_000_000
_LN2 = 0.6931471805599453

# What is counted on our side of the book, and over which half-lives in seconds.
_COUNTS: dict[str, tuple[float, ...]] = {
    "executed": (1, 5, 20, 60, 300),
    "submitted": (1, 5, 60),
    "canceled": (1, 5, 60),
}
_FLOW_S = (1.0, 5.0, 60.0)
_LEVEL_S = (5.0, 20.0, 60.0, 300.0)
_QTY_S = (20.0, 300.0)
_BY_LEVEL = ("volatility_bps", "return_bps", "spread_less_mean", "spread_in_moves", "price_in_moves")
_SIDE = ("executed_age", "moved_age", "orders")  # orders: those at the price that were seen to come

FEATURES = (
    "spread_ticks",
    "imbalance",  # (far - near) / both, displayed at the touch
    "microprice_bps",
    "queue_ahead",  # log(1 + lots), as all quantities
    "far_qty",
    "front_age",  # of the oldest order at the price that was seen to come
    "last_trade_ticks",  # its price against ours, positive where it was better than ours
    *(f"{name}_{half_life_s:g}" for name in _BY_LEVEL for half_life_s in _LEVEL_S),
    *(f"queue_less_mean_{half_life_s:g}" for half_life_s in _QTY_S),
    *(f"signed_flow_{half_life_s:g}" for half_life_s in _FLOW_S),
    *(f"near_{name}_{half_life_s:g}" for name, half_lives_s in _COUNTS.items() for half_life_s in half_lives_s),
    *(f"{side}_{name}" for side in ("near", "far") for name in _SIDE),
)

_LONGEST_AGE_S = 300.0
_FURTHEST_TICKS = 30.0
# An order waits about ten seconds: moves of the price over that time, and half a tick where it hardly moves.
_MOVES, _LEAST_MOVE_TICKS = 3.0, 0.5


class Decaying:
    """Sums of what happened, one for each half-life, halved with every half-life since."""

    __slots__ = ("_at_ns", "_rates", "_sums")

    def __init__(self, half_lives_s: tuple[float, ...]) -> None:
        self._rates = [_LN2 / (half_life_s * _S) for half_life_s in half_lives_s]
        self._sums = [0.0] * len(half_lives_s)
        self._at_ns = 0

    def add(self, value: float, now_ns: int) -> None:
        self._sums = [total + value for total in self.at(now_ns)]
        self._at_ns = now_ns

    def at(self, now_ns: int) -> list[float]:
        elapsed_ns = now_ns - self._at_ns
        return [total * exp(-rate * elapsed_ns) for total, rate in zip(self._sums, self._rates, strict=True)]


class Level:
    """A value that holds until it is set anew, and its means over time, one for each half-life."""

    __slots__ = ("_apart", "value")

    def __init__(self, half_lives_s: tuple[float, ...]) -> None:
        self.value: float | None = None
        self._apart = Decaying(half_lives_s)  # the value less each mean

    def set(self, value: float, now_ns: int) -> None:
        if self.value is not None and value != self.value:
            self._apart.add(value - self.value, now_ns)
        self.value = value

    def less_means(self, now_ns: int) -> list[float]:
        return self._apart.at(now_ns)


class _BookSide:
    """One side of the book: its touch and what happened there."""

    def __init__(self, side: Side) -> None:
        self.sign = side.sign
        self.counts = {name: Decaying(half_lives_s) for name, half_lives_s in _COUNTS.items()}
        self.executed_lots = Decaying(_FLOW_S)
        self.queue = Level(_QTY_S)
        self.price = Level(_LEVEL_S)
        self.px = self.qty = 0
        self._came: dict[int, tuple[int, int]] = {}  # order id -> (quantity left, since when) of those seen to come
        self._executed_ns = self._moved_ns = 0

    def apply(self, event: TouchEvent) -> None:
        """An event of an order on this side, before the touch that it leaves."""
        kind, now_ns = event.kind, event.time_ns
        if kind is TouchKind.SUBMITTED and self.sign * event.px >= self.sign * self.px:
            self.counts["submitted"].add(1.0, now_ns)
        elif kind is TouchKind.CANCELED and event.px == self.px:
            self.counts["canceled"].add(1.0, now_ns)
            self._take(event)
        elif kind is TouchKind.EXECUTED:
            self.counts["executed"].add(1.0, now_ns)
            self.executed_lots.add(event.qty / LOT_QTY, now_ns)
            self._executed_ns = now_ns
            self._take(event)

    def _take(self, event: TouchEvent) -> None:
        qty, since_ns = self._came.get(event.order_id, (0, 0))
        if qty > event.qty:
            self._came[event.order_id] = qty - event.qty, since_ns
        else:
            self._came.pop(event.order_id, None)

    def touch(self, px: int, qty: int, event: TouchEvent) -> None:
        """The touch after `event`; while this side is empty, the last one counts."""
        if not px:
            return
        now_ns = event.time_ns
        if px != self.px:
            self._move(px, now_ns)
        if event.kind is TouchKind.SUBMITTED and event.px == px and event.side.sign == self.sign:
            self._came[event.order_id] = event.qty, now_ns
        self.qty = qty
        self.queue.set(log1p(qty / LOT_QTY), now_ns)

    def _move(self, px: int, now_ns: int) -> None:
        if self.px:
            self._moved_ns = now_ns
        self.px = px
        self.price.set(px / TICK_PX, now_ns)
        self._came.clear()

    def front_age(self, now_ns: int) -> float:
        return _log_age(min((since_ns for _, since_ns in self._came.values()), default=0), now_ns)

    def counted(self, now_ns: int) -> list[float]:
        return [log1p(count) for counts in self.counts.values() for count in counts.at(now_ns)]

    def state(self, now_ns: int) -> tuple[float, ...]:
        return _log_age(self._executed_ns, now_ns), _log_age(self._moved_ns, now_ns), len(self._came)


class TapeFeatures:
    """The running state of a day. `apply` each event, then ask for a `row` at any time not before the last one."""

    def __init__(self) -> None:
        self._bid, self._ask = _BookSide(Side.BUY), _BookSide(Side.SELL)
        self._spread = Level(_LEVEL_S)
        self._returns = Decaying(_LEVEL_S)
        self._squared_returns = Decaying(_LEVEL_S)
        self._mid2_px = 0
        self._last_trade_px = 0

    def apply(self, event: TouchEvent) -> None:
        (self._bid if event.side is Side.BUY else self._ask).apply(event)
        self._bid.touch(event.bid_px, event.bid_qty, event)
        self._ask.touch(event.ask_px, event.ask_qty, event)
        if event.kind in (TouchKind.EXECUTED, TouchKind.EXECUTED_HIDDEN):
            self._last_trade_px = event.px
        if not (event.bid_px and event.ask_px):
            return
        self._spread.set((event.ask_px - event.bid_px) / TICK_PX, event.time_ns)
        mid2_px = event.bid_px + event.ask_px
        if self._mid2_px and mid2_px != self._mid2_px:
            change_bps = (mid2_px / self._mid2_px - 1.0) * 1e4
            self._returns.add(change_bps, event.time_ns)
            self._squared_returns.add(change_bps**2, event.time_ns)
        self._mid2_px = mid2_px

    def row(self, side: Side, now_ns: int) -> tuple[float, ...]:
        """FEATURES of an order that joins the touch of `side` now; both sides must be there."""
        near, far = (self._bid, self._ask) if side is Side.BUY else (self._ask, self._bid)
        sign = side.sign
        mid_px = self._mid2_px / 2
        spread_px = sign * (far.px - near.px)
        spread_ticks = spread_px / TICK_PX
        imbalance = (far.qty - near.qty) / (far.qty + near.qty)
        trade_px = self._last_trade_px or near.px
        variances = zip(self._squared_returns.at(now_ns), _LEVEL_S, strict=True)
        volatilities = [sqrt(total * _LN2 / half_life_s) for total, half_life_s in variances]
        moves = [_MOVES * bps * mid_px / 1e4 / TICK_PX + _LEAST_MOVE_TICKS for bps in volatilities]
        flows = zip(near.executed_lots.at(now_ns), far.executed_lots.at(now_ns), strict=True)
        price_less_mean = near.price.less_means(now_ns)
        return (
            spread_ticks,
            imbalance,
            -imbalance * spread_px / 2 / mid_px * 1e4,
            log1p(near.qty / LOT_QTY),
            log1p(far.qty / LOT_QTY),
            near.front_age(now_ns),
            _clip(sign * (trade_px - near.px) / TICK_PX),
            *volatilities,
            *(-sign * total for total in self._returns.at(now_ns)),
            *self._spread.less_means(now_ns),
            *(spread_ticks / move for move in moves),
            *(sign * apart / move for apart, move in zip(price_less_mean, moves, strict=True)),
            *near.queue.less_means(now_ns),
            *(max(-5.0, min(5.0, ours - theirs)) for ours, theirs in flows),
            *near.counted(now_ns),
            *near.state(now_ns),
            *far.state(now_ns),
        )


def _log_age(since_ns: int, now_ns: int) -> float:
    return log1p(min((now_ns - since_ns) / _S, _LONGEST_AGE_S))


def _clip(ticks: float) -> float:
    return max(-_FURTHEST_TICKS, min(_FURTHEST_TICKS, ticks))
