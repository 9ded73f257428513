"""A dark pool: hidden orders that meet at the midpoint of the lit market, by time or by size, and show nothing.

Contra interest comes in spells: for a good part of the time a pool is dry, and when it is not, sizes are heavy tailed.
Some contras know where the price is going and stand on that side, so a fill here is often bad news. MinQty(110) is the
smallest single execution and holds for both sides; an order whose rest is smaller than its minimum takes executions of
that rest.
"""

from dataclasses import replace
from math import log

from domain.fields import LastLiquidityInd, TradingStatus
from domain.market import MarketUpdate, TradePrinted
from simulators.flow import NEVER, Scene
from simulators.market_config import DarkConfig
from simulators.orders import (
    Accepted,
    Canceled,
    CancelRejected,
    Order,
    Publisher,
    Reduced,
    Rejected,
    Replaced,
    ReplaceRejected,
)
from simulators.takers import pareto_lots

_SPELL_MEAN_NS = 20e9


class Hidden:
    """Hidden interest; `order` is None for the background. `limit_px` 0: any midpoint."""

    __slots__ = ("ends_ns", "is_buy", "limit_px", "min_qty", "order", "qty")

    def __init__(self, is_buy: bool, qty: int, min_qty: int, ends_ns: int, order: Order | None = None) -> None:
        self.is_buy = is_buy
        self.qty = qty
        self.min_qty = min_qty
        self.ends_ns = ends_ns
        self.order = order
        self.limit_px = order.px if order is not None else 0

    def accepts(self, px: int, qty: int) -> bool:
        if qty < min(self.min_qty, self.qty):
            return False
        return not self.limit_px or (px <= self.limit_px if self.is_buy else px >= self.limit_px)


class DarkPool:
    """One symbol in the dark, and the background interest that comes to it."""

    def __init__(self, scene: Scene, config: DarkConfig, publisher: Publisher) -> None:
        symbol, random, start_ns = scene.symbol, scene.random, scene.start_ns
        self.next_ns = start_ns + 1
        self.resting: list[Hidden] = []  # both sides, in time priority
        self._config = config
        self._symbol = symbol
        self._reference = scene.reference
        self._signal = scene.signal
        self._busy = scene.busy
        self._random = random
        self._publisher = publisher
        self._leaked = scene.leaked
        self._dry = False
        self.halted = False  # in this pool alone
        self._spell_ends_ns = start_ns

    @property
    def status(self) -> TradingStatus:
        return TradingStatus.HALTED if self.halted else self._reference.status

    def adopt(self, config: DarkConfig) -> None:
        """From now on the pool's figures are these; what rests stays."""
        self._config = config

    def step(self, at_ns: int) -> None:
        """A moment when contra interest may come."""
        config, random = self._config, self._random.random
        u_pause, u_spell, u_dry, u_informed, u_side, u_size, u_min, u_life = (random() for _ in range(8))
        rate = config.arrivals_per_second * (self._busy.at(at_ns) if self._busy is not None else 1.0)
        self.next_ns = at_ns + 1 + int(-log(1.0 - u_pause) * 1e9 / rate)
        if at_ns >= self._spell_ends_ns:
            self._spell_ends_ns = at_ns + int(-log(1.0 - u_spell) * _SPELL_MEAN_NS)
            self._dry = u_dry < config.empty_share
        self.match_resting(at_ns)
        if self._dry or self.halted or self._reference.halted:
            return
        pressure = self._signal.pressure
        is_buy = pressure > 0 if pressure and u_informed < config.informed_share else u_side < 0.5
        qty = pareto_lots(u_size, config.mean_lots, config.size_tail) * self._symbol.lot_qty
        min_qty = qty // 2 if u_min < config.min_qty_share else 0
        ends_ns = at_ns + int(-log(1.0 - u_life) * config.mean_life_ns)
        self.arrive(Hidden(is_buy, qty, min_qty, ends_ns), at_ns)

    def arrive(self, hidden: Hidden, at_ns: int) -> None:
        """New interest meets what rests, the oldest first; what is left rests, unless it was immediate."""
        self._drop_ended(at_ns)
        self._match(hidden, self.resting, at_ns)
        self.resting = [other for other in self.resting if other.qty]
        if hidden.qty and hidden.ends_ns > at_ns:
            self.resting.append(hidden)

    def match_resting(self, at_ns: int) -> None:
        """The midpoint has moved: limits that stood apart may meet now."""
        self._drop_ended(at_ns)
        for number, hidden in enumerate(self.resting):
            self._match(hidden, self.resting[:number], at_ns)
        self.resting = [hidden for hidden in self.resting if hidden.qty]

    def _drop_ended(self, at_ns: int) -> None:
        self.resting = [hidden for hidden in self.resting if hidden.ends_ns > at_ns]

    def _match(self, hidden: Hidden, others: list[Hidden], at_ns: int) -> None:
        mid2_px = self._reference.mid2_px
        if not mid2_px or self.halted:
            return
        px = mid2_px // 2
        if self._config.size_priority:
            others = sorted(others, key=lambda other: -other.qty)  # which keeps the order of time
        for other in others:
            qty = min(hidden.qty, other.qty)
            if qty and other.is_buy is not hidden.is_buy and hidden.accepts(px, qty) and other.accepts(px, qty):
                self._execute(hidden, LastLiquidityInd.REMOVED, px, qty, at_ns)
                self._execute(other, LastLiquidityInd.ADDED, px, qty, at_ns)
                publisher = self._publisher
                publisher.publish(at_ns, TradePrinted(publisher.venue, self._symbol.symbol, px, qty))
                for met in (hidden, other):
                    if met.order is not None and met.qty:
                        self.leak(met.is_buy)

    def leak(self, is_buy: bool) -> None:
        """Somebody knows now that a client wants more."""
        if self._leaked is not None:
            self._leaked(1 if is_buy else -1, self._config.leakage)

    def fill(self, hidden: Hidden, qty: int, at_ns: int) -> None:
        """Contra interest of just that size."""
        px = self._reference.mid2_px // 2 or hidden.limit_px
        if qty and px:
            self._execute(hidden, LastLiquidityInd.ADDED, px, qty, at_ns)
            publisher = self._publisher
            publisher.publish(at_ns, TradePrinted(publisher.venue, self._symbol.symbol, px, qty))
            self.resting = [other for other in self.resting if other.qty]

    def _execute(self, hidden: Hidden, liquidity: LastLiquidityInd, px: int, qty: int, at_ns: int) -> None:
        hidden.qty -= qty
        if hidden.order is not None:
            self._publisher.trade(at_ns, hidden.order, qty, px, liquidity)


class DarkVenue:
    """Order entry of a dark venue: pegs and limits that trade at the midpoint or not at all."""

    def __init__(self, pools: dict[str, DarkPool], ticks: dict[str, int], publisher: Publisher) -> None:
        self.pools = pools
        self._ticks = ticks
        self._publisher = publisher

    def adopt(self, config: DarkConfig) -> None:
        for pool in self.pools.values():
            pool.adopt(config)

    def status(self, symbol: str) -> TradingStatus:
        return self.pools[symbol].status

    def set_status(self, symbol: str, status: TradingStatus, at_ns: int) -> None:
        """In a pool that is halted alone orders rest and nothing crosses."""
        pool = self.pools[symbol]
        pool.halted = status is not TradingStatus.OPEN
        pool.match_resting(at_ns)

    def submit(self, order: Order, at_ns: int) -> None:
        """Publishes Accepted and what the order met, or Rejected. What an immediate order leaves is canceled."""
        publish = self._publisher.publish
        if text := self._refusal(order):
            publish(at_ns, Rejected(order, text))
            return
        publish(at_ns, Accepted(order))
        ends_ns = at_ns if order.immediate else NEVER
        hidden = Hidden(order.is_buy, order.order_qty, order.min_qty, ends_ns, order)
        self.pools[order.symbol].arrive(hidden, at_ns)
        if order.immediate and hidden.qty:
            publish(at_ns, Canceled(order, f"{hidden.qty} shares found no contra at the midpoint"))
            if order.cum_qty == 0 and any(
                order.is_buy is not other.is_buy for other in self.pools[order.symbol].resting
            ):
                self.pools[order.symbol].leak(order.is_buy)  # a ping that was seen and did not fit

    def cancel(self, order_id: str, at_ns: int) -> None:
        """Publishes Canceled, or CancelRejected for an order that does not rest here (any more)."""
        if (hidden := self._resting(order_id)) is None:
            self._publisher.publish(at_ns, CancelRejected(order_id, f"no open order {order_id}"))
            return
        self.pools[hidden.order.symbol].resting.remove(hidden)
        self._publisher.publish(at_ns, Canceled(hidden.order, "canceled on request"))

    def replace(self, order_id: str, order_qty: int, px: int, at_ns: int) -> None:
        """Publishes Replaced, or ReplaceRejected. A smaller quantity alone keeps its place in time priority."""
        if (hidden := self._resting(order_id)) is None:
            self._publisher.publish(at_ns, ReplaceRejected(order_id, f"no open order {order_id}"))
            return
        order = hidden.order
        order_qty = max(order_qty, order.cum_qty)
        if text := self._refusal(replace(order, order_qty=order_qty, px=px, min_qty=min(order.min_qty, order_qty))):
            self._publisher.publish(at_ns, ReplaceRejected(order_id, text))
            return
        keeps_place = px == order.px and order_qty <= order.order_qty
        order.order_qty, order.px = order_qty, px
        hidden.qty, hidden.limit_px = order.leaves_qty, px
        self._publisher.publish(at_ns, Replaced(order, order.cum_qty))
        pool = self.pools[order.symbol]
        if not keeps_place or not hidden.qty:
            pool.resting.remove(hidden)
        if not keeps_place and hidden.qty:
            pool.arrive(hidden, at_ns)

    def reduce(self, order_id: str, qty: int, text: str, at_ns: int) -> None:
        """Publishes Reduced, for an order that rests here."""
        if (hidden := self._resting(order_id)) is not None:
            qty = min(qty, hidden.qty)
            hidden.qty -= qty
            hidden.order.order_qty -= qty
            if not hidden.qty:
                self.pools[hidden.order.symbol].resting.remove(hidden)
            self._publisher.publish(at_ns, Reduced(hidden.order, text))

    def fill(self, order_id: str, qty: int, at_ns: int) -> None:
        """A trade with a resting order at the midpoint, or at its limit while there is none."""
        if (hidden := self._resting(order_id)) is not None:
            self.pools[hidden.order.symbol].fill(hidden, min(qty, hidden.qty), at_ns)

    def _resting(self, order_id: str) -> Hidden | None:
        owned = (hidden for pool in self.pools.values() for hidden in pool.resting if hidden.order is not None)
        return next((hidden for hidden in owned if hidden.order.order_id == order_id), None)

    def snapshot(self, symbol: str) -> list[MarketUpdate]:
        """Nothing: a dark venue shows nothing. KeyError for an unknown symbol."""
        assert self.pools[symbol]
        return []

    def _refusal(self, order: Order) -> str:
        tick_px = self._ticks.get(order.symbol)
        if tick_px is None:
            return f"symbol {order.symbol!r} is not traded here"
        if order.order_qty <= 0:
            return f"quantity {order.order_qty} is not positive"
        if not 0 <= order.min_qty <= order.order_qty:
            return f"minimum quantity {order.min_qty} is not between 0 and the quantity {order.order_qty}"
        if order.px < 0 or order.px % tick_px:
            return f"price {order.px} is not on the tick of {tick_px}"
        if order.quote_id or order.post_only:
            return "a midpoint cross takes no quote and no post-only order"
        return ""
