"""A book by hand: every case is a list of orders and the exact list of events that they cause."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fields import LastLiquidityInd, Side, TimeInForce, TradingStatus
from domain.market import BookSnapshot, LevelChange, TradePrinted, VenueBook
from simulators.auction import Auction
from simulators.book import Book, Reference, Resting
from simulators.lit import LitVenue
from simulators.orders import Accepted, Canceled, CancelRejected, Order, Publisher, Rejected, Traded

BUY, SELL = Side.BUY, Side.SELL
ADDED, REMOVED = LastLiquidityInd.ADDED, LastLiquidityInd.REMOVED
TICK = 100
PX = 100_0000


class Lit:
    """One lit venue with one empty book of XYZ."""

    def __init__(self) -> None:
        self.events = []
        publisher = Publisher("ARGO", self.events, 0)
        self.book = Book("XYZ", publisher)
        self.reference = Reference()
        self.reference.books.append(self.book)
        self.venue = LitVenue(
            [self.book], [Auction(self.book, publisher)], {"XYZ": TICK}, {"XYZ": self.reference}, publisher
        )

    def background(self, side: Side, px: int, *sizes: int) -> None:
        for qty in sizes:
            self.book.add(self.book.bids if side is BUY else self.book.asks, px, Resting(qty), 0)
        self.events.clear()

    def submit(self, order: Order) -> list:
        self.venue.submit(order, 5)
        return self.said()

    def cancel(self, order_id: str) -> list:
        self.venue.cancel(order_id, 6)
        return self.said()

    def take(self, side: Side, qty: int, limit_px: int = 0) -> list:
        self.book.take(side, qty, limit_px, 7)
        return self.said()

    def said(self) -> list:
        """What was published, without venue, time and ExecIDs."""
        events = [event for _, _, event in self.events]
        self.events.clear()
        return [
            (event.order.order_id, event.qty, event.px, event.liquidity, event.cum_qty)
            if isinstance(event, Traded)
            else event
            for event in events
        ]


def order(order_id: str, side: Side, qty: int, px: int = 0, **options) -> Order:
    return Order(order_id, "R", f"c{order_id}", options.pop("symbol", "XYZ"), side, qty, px, **options)


def level(side: Side, px: int, qty: int) -> LevelChange:
    return LevelChange("ARGO", "XYZ", side, px, qty)


def printed(px: int, qty: int, aggressor: Side) -> TradePrinted:
    return TradePrinted("ARGO", "XYZ", px, qty, aggressor)


def test_an_order_is_filled_only_when_the_queue_ahead_is_gone():
    lit = Lit()
    lit.background(BUY, PX, 300, 200)
    ours = order("1", BUY, 400, PX)
    assert lit.submit(ours) == [Accepted(ours), level(BUY, PX, 900)]
    lit.background(BUY, PX, 100)  # behind us

    assert lit.take(SELL, 400) == [printed(PX, 300, SELL), printed(PX, 100, SELL), level(BUY, PX, 600)]
    assert lit.take(SELL, 150) == [
        printed(PX, 100, SELL),
        ("1", 50, PX, ADDED, 50),
        printed(PX, 50, SELL),
        level(BUY, PX, 450),
    ]
    assert lit.take(SELL, 400) == [
        ("1", 350, PX, ADDED, 400),
        printed(PX, 350, SELL),
        printed(PX, 50, SELL),
        level(BUY, PX, 50),
    ]
    assert lit.cancel("1") == [CancelRejected("1", "no open order 1")]


def test_price_comes_before_time_and_time_before_size():
    lit = Lit()
    for resting in (order("a", SELL, 100, PX + TICK), order("b", SELL, 900, PX), order("c", SELL, 100, PX)):
        lit.submit(resting)
    fills = [event[:3] for event in lit.submit(order("t", BUY, 1050, PX + TICK)) if isinstance(event, tuple)]
    assert fills == [
        *(("t", 900, PX), ("b", 900, PX)),
        *(("t", 100, PX), ("c", 100, PX)),
        *(("t", 50, PX + TICK), ("a", 50, PX + TICK)),
    ]


def test_a_marketable_order_walks_the_book_to_its_limit_and_rests():
    lit = Lit()
    lit.background(SELL, PX, 100)
    lit.background(SELL, PX + TICK, 200)
    lit.background(SELL, PX + 2 * TICK, 300)
    ours = order("1", BUY, 500, PX + TICK)
    assert lit.submit(ours) == [
        Accepted(ours),
        ("1", 100, PX, REMOVED, 100),
        printed(PX, 100, BUY),
        level(SELL, PX, 0),
        ("1", 200, PX + TICK, REMOVED, 300),
        printed(PX + TICK, 200, BUY),
        level(SELL, PX + TICK, 0),
        level(BUY, PX + TICK, 200),
    ]
    assert lit.venue.snapshot("XYZ") == [BookSnapshot("ARGO", "XYZ", ((PX + TICK, 200),), ((PX + 2 * TICK, 300),))]


def test_what_an_immediate_or_market_order_leaves_is_canceled():
    lit = Lit()
    lit.background(SELL, PX, 100)
    ours = order("1", BUY, 300, PX, immediate=True)
    assert lit.submit(ours)[-1] == Canceled(ours, "200 shares found nothing to trade with")
    market = order("2", BUY, 300)
    assert lit.submit(market) == [Accepted(market), Canceled(market, "300 shares found nothing to trade with")]
    assert lit.book.owned == {}


@pytest.mark.parametrize(
    ("options", "qty", "filled_qty"),
    [
        ({"time_in_force": TimeInForce.FILL_OR_KILL}, 300, 300),
        ({"time_in_force": TimeInForce.FILL_OR_KILL}, 301, 0),
        ({"min_qty": 300}, 500, 300),
        ({"min_qty": 301}, 500, 0),
    ],
)
def test_all_or_enough_or_nothing_at_once(options, qty, filled_qty):
    lit = Lit()
    lit.background(SELL, PX, 100)
    lit.background(SELL, PX + TICK, 200)
    lit.background(SELL, PX + 2 * TICK, 500)
    ours = order("1", BUY, qty, PX + TICK, immediate=True, **options)
    said = lit.submit(ours)
    assert ours.cum_qty == filled_qty
    if not filled_qty:
        text = f"fewer than {options.get('min_qty', qty)} shares within the limit"
        assert said == [Accepted(ours), Canceled(ours, text)]


def test_a_canceled_order_leaves_its_queue_and_nothing_else():
    lit = Lit()
    lit.background(BUY, PX, 300)
    first, second = order("1", BUY, 100, PX), order("2", BUY, 200, PX)
    lit.submit(first)
    lit.submit(second)
    assert lit.cancel("1") == [level(BUY, PX, 500), Canceled(first, "canceled on request")]
    assert lit.cancel("1") == [CancelRejected("1", "no open order 1")]
    assert [event for event in lit.take(SELL, 400) if isinstance(event, tuple)] == [("2", 100, PX, ADDED, 100)]


def test_background_that_withdraws_leaves_clients_orders_standing():
    lit = Lit()
    lit.background(BUY, PX, 300)
    lit.submit(order("1", BUY, 100, PX))
    lit.book.withdraw_background(lit.book.bids, PX, 0)
    assert lit.said() == [level(BUY, PX, 100)]
    lit.book.withdraw_background(lit.book.bids, PX, 0)
    assert lit.said() == []  # nothing changed, nothing is said


def test_what_a_lit_venue_refuses():
    cases = [
        (order("1", BUY, 100, PX, symbol="ZZZ"), "symbol 'ZZZ' is not traded here"),
        (order("1", BUY, 0, PX), "quantity 0 is not positive"),
        (order("1", BUY, 100, PX + 1), "price 1000001 is not on the tick of 100"),
        (order("1", BUY, 100, -PX), "price -1000000 is not on the tick of 100"),
        (order("1", BUY, 100, PX, mid_peg=True), "a lit book takes market and limit orders only"),
        (order("1", BUY, 100, PX, quote_id="Q"), "a lit book takes market and limit orders only"),
        (order("1", BUY, 100, PX, min_qty=50), "a minimum quantity is for immediate orders only"),
        (order("1", BUY, 100, PX, post_only=True), f"post-only order would take at {PX}"),
        (order("1", BUY, 100, post_only=True), "post-only order would take"),
    ]
    for refused, text in cases:
        lit = Lit()
        lit.background(SELL, PX, 100)
        (event,) = lit.submit(refused)
        assert isinstance(event, Rejected)
        assert event.text.startswith(text)
    lit = Lit()
    lit.reference.change(TradingStatus.HALTED)
    (event,) = lit.submit(order("1", BUY, 100, PX))
    assert event.text == "trading in XYZ is halted"


def test_a_post_only_order_that_does_not_take_rests():
    lit = Lit()
    lit.background(SELL, PX, 100)
    lit.submit(order("1", BUY, 100, PX - TICK, post_only=True))
    assert list(lit.book.owned) == ["1"]


random_orders = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL, Side.SELL_SHORT]),
        st.integers(-4, 4),  # ticks from the start
        st.integers(1, 9),
        st.booleans(),  # immediate
        st.booleans(),  # background
        st.integers(0, 30),  # an earlier order to cancel
    ),
    max_size=60,
)


@given(random_orders)
@settings(max_examples=150, deadline=None)
def test_shares_are_conserved_and_the_book_never_crosses(rows):
    lit = Lit()
    orders: dict[str, Order] = {}
    heard = VenueBook()  # what a subscriber makes of the published changes
    traded: dict[str, int] = {}
    final: set[str] = set()
    printed_qty = bought = sold = 0
    for number, (side, ticks, lots, immediate, background, cancel) in enumerate(rows):
        px, qty = PX + ticks * TICK, lots * 100
        book = lit.book
        if background:
            plain = BUY if side is BUY else SELL
            left = qty - book.take(plain, qty, px, number)
            if left:
                book.add(book.bids if plain is BUY else book.asks, px, Resting(left), number)
        else:
            orders[str(number)] = order(str(number), side, qty, px, immediate=immediate)
            lit.venue.submit(orders[str(number)], number)
        lit.venue.cancel(str(cancel), number)
        for _, _, event in lit.events:
            match event:
                case LevelChange():
                    heard.set_level(event.side, event.px, event.qty)
                case TradePrinted():
                    printed_qty += event.qty
                case Traded():
                    traded[event.order.order_id] = traded.get(event.order.order_id, 0) + event.qty
                    assert event.cum_qty == traded[event.order.order_id] <= event.order.order_qty
                    assert event.order.order_id not in final
                    assert (event.px <= event.order.px) if event.order.is_buy else (event.px >= event.order.px)
                    bought += event.qty if event.order.is_buy else 0
                    sold += 0 if event.order.is_buy else event.qty
                case Canceled():
                    final.add(event.order.order_id)
        lit.events.clear()
        assert not (book.bids.best_px and book.asks.best_px) or book.bids.best_px < book.asks.best_px
        assert heard.bids == dict(book.bids.depth())
        assert heard.asks == dict(book.asks.depth())
        for book_side in (book.bids, book.asks):
            queues = [level.queue for level in book_side.levels.values()]
            assert book_side.count == sum(map(len, queues))
            assert [level.qty for level in book_side.levels.values()] == [sum(r.qty for r in q) for q in queues]
    assert max(bought, sold) <= printed_qty
    for order_id, client in orders.items():
        assert client.cum_qty == traded.get(order_id, 0)
        resting = lit.book.owned.get(order_id)
        open_qty = resting.qty if resting is not None else 0
        assert open_qty == (0 if order_id in final else client.leaves_qty)
