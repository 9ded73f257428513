"""What venues do wrong with orders, or have the right to and nobody expects. Whoever comes too early tries again."""

from collections import defaultdict
from random import Random

from domain.fields import Side
from fix.messages import ExecutionReport, Typed
from simulators.exchange import Exchange
from simulators.orders import Order
from tests.simulation.erratic import ErraticMarket

MOST_EXTRA = 5  # round lots that a venue fills beyond an order


class Mistakes:
    """`reports(venue)`: what was said because of one, after all fills of the order that it was about.

    A venue that forgets what it has not delivered says these again: nobody could find out about them otherwise.
    """

    def __init__(self, exchange: Exchange, market: ErraticMarket, random: Random) -> None:
        self._floor = exchange.floor
        self._exchange = exchange
        self._market = market
        self._random = random
        self._said: dict[str, list[Typed]] = {venue: [] for venue in self._floor.desks}
        self._fills: defaultdict[str, list[ExecutionReport]] = defaultdict(list)  # by the venue's id of the order
        self._now: str = ""  # the venue that is making one

    def reports(self, venue: str) -> list[Typed]:
        return self._said[venue]

    def heard(self, venue: str, message: Typed) -> None:
        """Everything that venues report."""
        if isinstance(message, ExecutionReport) and message.last_qty:
            if venue == self._now:
                self._said[venue] += self._fills[message.order_id]
            self._fills[message.order_id].append(message)
        if venue == self._now:
            self._said[venue].append(message)

    def make(self, kind: str, venue: str, now_ns: int) -> bool:
        """Whether it could be made; there may be no order to make it with."""
        self._now = venue
        try:
            return getattr(self, "_" + kind.replace(" ", "_"))(venue, now_ns)
        finally:
            self._now = ""

    def _overfill(self, venue: str, now_ns: int) -> bool:
        """An open order is filled with more than it asks for, or a filled one once more."""
        orders = [order for order in self._orders(venue) if order.cum_qty or not order.immediate]
        orders = [order for order in orders if order in self._floor.open_orders(venue) or not order.leaves_qty]
        if not orders:
            return False
        order = self._random.choice(orders)
        self._market.forget(order.order_id)
        qty = max(order.leaves_qty, 0) + 100 * self._random.randint(1, MOST_EXTRA)
        self._floor.execute(venue, order, qty, self._px(order), now_ns)
        return True

    def _late_fill(self, venue: str, now_ns: int) -> bool:
        """A fill of an order that was cancelled or rejected."""
        is_open = set(map(id, self._floor.open_orders(venue)))
        orders = [order for order in self._orders(venue) if order.leaves_qty > 0 and id(order) not in is_open]
        if not orders:
            return False
        order = self._random.choice(orders)
        self._floor.execute(venue, order, self._random.randint(1, order.leaves_qty), self._px(order), now_ns)
        return True

    def _bust(self, venue: str, now_ns: int) -> bool:
        executions = self._floor.executions(venue)
        if not executions:
            return False
        execution = self._random.choice(executions)
        self._floor.bust(venue, execution, "busted", now_ns)
        return True

    def _correction(self, venue: str, now_ns: int) -> bool:
        """Another price, fewer shares, or more of them."""
        executions = self._floor.executions(venue)
        if not executions:
            return False
        execution = self._random.choice(executions)
        order = self._floor.desks[venue].order(execution.order_id)
        qty = self._random.choice((execution.qty, self._random.randint(1, execution.qty), execution.qty + 100))
        self._floor.correct(venue, execution, qty, self._px(order), "corrected", now_ns)
        return True

    def _reduce(self, venue: str, now_ns: int) -> bool:
        orders = [order for order in self._floor.open_orders(venue) if order.leaves_qty and not order.immediate]
        if not orders:
            return False
        order = self._random.choice(orders)
        self._floor.reduce(venue, order, self._random.randint(1, order.leaves_qty), "made smaller", now_ns)
        return True

    def _purge(self, venue: str, now_ns: int) -> bool:
        orders = self._floor.open_orders(venue)
        for order in orders:
            self._floor.cancel(venue, order, now_ns)
        return bool(orders)

    def _stray(self, venue: str, now_ns: int) -> bool:
        self._exchange.report(venue, now_ns, self._floor.desks[venue].stray_fill("", 100, now_ns))
        return True

    def _orders(self, venue: str) -> list[Order]:
        return self._floor.desks[venue].orders()

    def _px(self, order: Order) -> int:
        """No worse than the order's limit."""
        if not order.px:
            return self._market.mid_px(order.symbol)
        better_px = self._random.randint(0, 2) * self._floor.tick_px(order.symbol)
        return order.px - better_px if order.side is Side.BUY else order.px + better_px
