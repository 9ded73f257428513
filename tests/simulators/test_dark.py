"""A dark pool by hand: who meets whom at the midpoint, and who does not."""

from dataclasses import replace
from random import Random

import pytest

from domain.fields import LastLiquidityInd, Side
from domain.market import TradePrinted
from simulators.book import Book, Reference, Resting
from simulators.dark import DarkPool, DarkVenue, Hidden
from simulators.flow import NEVER, Scene
from simulators.latent import Latent
from simulators.leak import LeakFlow
from simulators.market_config import DarkConfig, SymbolConfig
from simulators.orders import Accepted, Canceled, CancelRejected, Order, Publisher, Rejected, Traded

BUY, SELL = Side.BUY, Side.SELL
ADDED, REMOVED = LastLiquidityInd.ADDED, LastLiquidityInd.REMOVED
BID_PX, ASK_PX = 99_9900, 100_0200
MID_PX = (BID_PX + ASK_PX) // 2


class Pressed:
    """A signal that says what the test wants."""

    pressure = 0.0


class Dark:
    """One dark venue beside a lit market of 99.99 / 100.02, with no background interest but what the test puts in."""

    def __init__(self, random: Random | None = None, **figures) -> None:
        self.events = []
        self.leaks: list[tuple[int, float]] = []
        publisher = Publisher("DUSK", self.events, 0)
        self.reference = Reference()
        self.lit = Book("XYZ", Publisher("ARGO", [], 0))
        self.reference.books.append(self.lit)
        self.quote(BID_PX, ASK_PX)
        self.pressed = Pressed()
        scene = Scene(SymbolConfig(symbol="XYZ", start_px=100_0000), self.reference, self.pressed, random, 0)
        scene = replace(scene, leaked=lambda sign, orders: self.leaks.append((sign, orders)))
        self.pool = DarkPool(scene, DarkConfig(name="DUSK", **figures), publisher)
        self.venue = DarkVenue({"XYZ": self.pool}, {"XYZ": 100}, publisher)

    def quote(self, bid_px: int, ask_px: int) -> None:
        for book_side in (self.lit.bids, self.lit.asks):
            if book_side.keys:
                self.lit.withdraw_background(book_side, book_side.best_px, 0)
        self.lit.add(self.lit.bids, bid_px, Resting(100), 0)
        self.lit.add(self.lit.asks, ask_px, Resting(100), 0)

    def contra(self, side: Side, qty: int, min_qty: int = 0, ends_ns: int = NEVER) -> list:
        self.pool.arrive(Hidden(side is BUY, qty, min_qty, ends_ns), 1)
        return self.said()

    def submit(self, order: Order, at_ns: int = 2) -> list:
        self.venue.submit(order, at_ns)
        return self.said()

    def said(self) -> list:
        events = [event for _, _, event in self.events]
        self.events.clear()
        return [
            (event.order.order_id, event.qty, event.px, event.liquidity) if isinstance(event, Traded) else event
            for event in events
        ]


def order(order_id: str, side: Side, qty: int, px: int = 0, **options) -> Order:
    return Order(order_id, "R", "c" + order_id, options.pop("symbol", "XYZ"), side, qty, px, mid_peg=True, **options)


def printed(qty: int, px: int = MID_PX) -> TradePrinted:
    return TradePrinted("DUSK", "XYZ", px, qty, None)


def fills(events: list) -> list[tuple[str, int]]:
    return [event[:2] for event in events if isinstance(event, tuple)]


def test_an_order_meets_hidden_contras_at_the_midpoint_in_time_priority():
    dark = Dark()
    assert dark.contra(SELL, 300) == []
    assert dark.contra(SELL, 500) == []
    assert dark.contra(BUY, 100) == [printed(100)]  # contras meet each other too
    ours = order("1", BUY, 400)
    assert dark.submit(ours) == [
        Accepted(ours),
        ("1", 200, MID_PX, REMOVED),
        printed(200),
        ("1", 200, MID_PX, REMOVED),
        printed(200),
    ]
    assert [hidden.qty for hidden in dark.pool.resting] == [300]


def test_a_resting_order_waits_for_contras_and_is_maker():
    dark = Dark()
    ours = order("1", SELL, 400)
    assert dark.submit(ours) == [Accepted(ours)]
    assert dark.contra(BUY, 150) == [("1", 150, MID_PX, ADDED), printed(150)]
    assert fills(dark.contra(BUY, 999)) == [("1", 250)]
    assert [hidden.is_buy for hidden in dark.pool.resting] == [True]


@pytest.mark.parametrize(
    ("order_qty", "min_qty", "contras", "filled"),
    [
        (1000, 300, [(200, 0)], []),  # too small for us
        (1000, 300, [(200, 0), (300, 0)], [300]),  # the small one is passed over, not the next
        (1000, 300, [(400, 500)], [400]),  # a contra smaller than its minimum trades all it has
        (300, 0, [(1000, 500)], []),  # we are too small for the contra
        (500, 0, [(1000, 500)], [500]),
        (1000, 300, [(800, 0), (900, 0)], [800, 200]),  # a rest below the minimum takes an execution of the rest
        (1000, 1000, [(999, 0)], []),
    ],
)
def test_minimum_quantity_holds_for_both_sides(order_qty, min_qty, contras, filled):
    dark = Dark()
    for qty, contra_min_qty in contras:
        dark.contra(SELL, qty, contra_min_qty)
    assert [qty for _, qty in fills(dark.submit(order("1", BUY, order_qty, min_qty=min_qty)))] == filled


def test_the_limit_of_the_peg_is_respected_until_the_midpoint_comes_to_it():
    dark = Dark()
    dark.contra(SELL, 300)
    assert fills(dark.submit(order("1", BUY, 300, px=MID_PX - 50))) == []  # limit 100.00, midpoint 100.005
    dark.quote(BID_PX - 100, ASK_PX)
    dark.pool.match_resting(3)
    assert dark.said() == [("1", 300, MID_PX - 50, REMOVED), printed(300, MID_PX - 50)]
    dark.contra(BUY, 300)
    assert fills(dark.submit(order("2", SELL, 300, px=MID_PX + 50))) == []


def test_nothing_trades_without_a_midpoint():
    for spoil in (
        lambda dark: dark.quote(ASK_PX, BID_PX),  # crossed
        lambda dark: dark.lit.withdraw_background(dark.lit.asks, ASK_PX, 0),
        lambda dark: setattr(dark.reference, "halted", True),
    ):
        dark = Dark()
        dark.contra(SELL, 300)
        spoil(dark)
        assert fills(dark.submit(order("1", BUY, 300))) == []


def test_an_immediate_order_takes_what_is_there_and_ends():
    dark = Dark()
    dark.contra(SELL, 100)
    ours = order("1", BUY, 300, immediate=True)
    assert dark.submit(ours) == [
        Accepted(ours),
        ("1", 100, MID_PX, REMOVED),
        printed(100),
        Canceled(ours, "200 shares found no contra at the midpoint"),
    ]
    assert dark.pool.resting == []


def test_contras_leave_when_their_time_is_over():
    dark = Dark()
    dark.contra(SELL, 300, ends_ns=10)
    assert fills(dark.submit(order("1", BUY, 100), at_ns=9)) == [("1", 100)]
    assert fills(dark.submit(order("2", BUY, 100), at_ns=10)) == []


def test_cancel():
    dark = Dark()
    ours = order("1", BUY, 300)
    dark.submit(ours)
    dark.venue.cancel("1", 5)
    dark.venue.cancel("1", 6)
    assert dark.said() == [Canceled(ours, "canceled on request"), CancelRejected("1", "no open order 1")]
    assert fills(dark.contra(SELL, 300)) == []


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        (order("1", BUY, 100, symbol="ZZZ"), "symbol 'ZZZ' is not traded here"),
        (order("1", BUY, 0), "quantity 0 is not positive"),
        (order("1", BUY, 100, min_qty=200), "minimum quantity 200 is not between 0 and the quantity 100"),
        (order("1", BUY, 100, px=99), "price 99 is not on the tick of 100"),
        (order("1", BUY, 100, quote_id="Q"), "a midpoint cross takes no quote and no post-only order"),
        (order("1", BUY, 100, post_only=True), "a midpoint cross takes no quote and no post-only order"),
    ],
)
def test_what_a_dark_venue_refuses(refused, text):
    assert Dark().submit(refused) == [Rejected(refused, text)]


def test_the_background_is_dry_at_times_and_heavy_tailed():
    dark = Dark(Random(5))
    sizes: dict[Hidden, int] = {}
    empty = 0
    for _ in range(1500):
        dark.pool.step(dark.pool.next_ns)
        sizes |= {hidden: hidden.qty for hidden in dark.pool.resting if hidden not in sizes}
        empty += not dark.pool.resting
    assert 300 < empty < 1200
    ordered = sorted(sizes.values())
    assert ordered[-1] >= 5 * ordered[len(ordered) // 2]
    assert all(qty % 100 == 0 for qty in ordered)
    assert any(event == printed(event.qty) for event in dark.said())


@pytest.mark.parametrize("pressure", [1.0, -1.0])
def test_some_contras_know_where_the_price_goes(pressure):
    """They stand on the side of the drift: who sells to them before a rise regrets it."""
    dark = Dark(Random(6))
    dark.pressed.pressure = pressure
    seen: dict[Hidden, bool] = {}
    for _ in range(3000):
        dark.pool.step(dark.pool.next_ns)
        seen |= {hidden: hidden.is_buy for hidden in dark.pool.resting}
        dark.pool.resting.clear()
    with_drift = sum(is_buy is (pressure > 0) for is_buy in seen.values()) / len(seen)
    assert 0.55 < with_drift < 0.75  # 0.3 informed, half of the others by chance


def test_by_size_the_larger_goes_first_then_the_older():
    for by_size, filled in ((False, "old"), (True, "large")):
        dark = Dark(size_priority=by_size)
        for name, qty in (("old", 300), ("large", 500), ("young", 500)):
            dark.submit(order(name, BUY, qty))
        assert fills(dark.contra(SELL, 300)) == [(filled, 300)]


def test_a_part_fill_and_a_ping_that_was_seen_leak_and_nothing_else_does():
    dark = Dark(leakage=2.0)
    dark.submit(order("1", BUY, 500))
    assert dark.leaks == []  # nobody has met it
    dark.contra(SELL, 200)
    assert dark.leaks == [(1, 2.0)]
    dark.contra(SELL, 300)
    assert dark.leaks == [(1, 2.0)]  # done: there is no more to know
    dark.submit(order("2", SELL, 100, immediate=True))
    assert dark.leaks == [(1, 2.0)]  # a ping that nobody saw
    dark.contra(BUY, 300, min_qty=300)
    dark.submit(order("3", SELL, 100, immediate=True))
    assert dark.leaks == [(1, 2.0), (-1, 2.0)]


def test_market_orders_follow_a_leak_for_some_seconds_and_only_then():
    book = Book("XYZ", Publisher("ARGO", [], 0))
    reference = Reference()
    reference.books.append(book)
    book.add(book.bids, BID_PX, Resting(1 << 40), 0)
    book.add(book.asks, ASK_PX, Resting(1 << 40), 0)
    taken: list[int] = []
    book.on_taken = lambda sign, qty, px: taken.append(sign)
    symbol = SymbolConfig(symbol="XYZ", start_px=100_0000)
    leaks = LeakFlow(symbol, reference, Latent(symbol, 1.0, Random(2), 0), Random(1), 0)
    for number in range(400):
        if number < 200 and number % 2 == 0:
            leaks.leaked(-1, 1.0)
        leaks.step(leaks.next_ns)
    assert 70 <= len(taken) <= 130  # a hundred in the mean
    assert set(taken) == {-1}
    late = len(taken)
    for _ in range(200):
        leaks.step(leaks.next_ns)
    assert len(taken) == late
