"""A dealer by hand: streamed quotes, and the last look that fills or declines."""

from random import Random

import pytest

from domain.fields import LastLiquidityInd, Side
from domain.market import DealerQuoted, TradePrinted
from simulators.book import Book, Reference, Resting
from simulators.dealer import DealerDesk, DealerVenue
from simulators.flow import NEVER, Scene
from simulators.market import Market
from simulators.market_config import DealerConfig, SymbolConfig, default_market
from simulators.orders import Accepted, CancelRejected, Order, Publisher, Rejected, Traded

BUY, SELL = Side.BUY, Side.SELL
PX = 100_0000
HOLD_NS = 40
VALID_NS = 1000
CONFIG = DealerConfig(
    name="FORD",
    half_spread_ticks=1.0,
    half_spread_bps=0.0,
    quote_interval_ns=100,
    validity_ns=VALID_NS,
    max_lots=20,
    hold_ns=HOLD_NS,
    tolerance_bps=1.0,
)


class Quiet:
    pressure = 0.0


class Dealer:
    """One dealer beside a lit market that the test moves; the quote of time 1 is 99.99 / 100.01 for 2000 each."""

    def __init__(self) -> None:
        self.events = []
        publisher = Publisher("FORD", self.events, 0)
        self.reference = Reference()
        self.lit = Book("XYZ", Publisher("ARGO", [], 0))
        self.reference.books.append(self.lit)
        self.move_to(PX)
        scene = Scene(SymbolConfig(symbol="XYZ", start_px=PX), self.reference, Quiet(), Random(1), 0)
        self.desk = DealerDesk(scene, CONFIG, publisher)
        self.venue = DealerVenue(CONFIG, {"XYZ": self.desk}, publisher)
        self.quoted = self.quote(1)

    def move_to(self, mid_px: int) -> None:
        for book_side in (self.lit.bids, self.lit.asks):
            if book_side.keys:
                self.lit.withdraw_background(book_side, book_side.best_px, 0)
        self.lit.add(self.lit.bids, mid_px - 100, Resting(100), 0)
        self.lit.add(self.lit.asks, mid_px + 100, Resting(100), 0)

    def quote(self, at_ns: int) -> DealerQuoted:
        self.desk._quote_ns = at_ns
        self.desk.step(at_ns)
        (quoted,) = self.said()
        return quoted

    def submit(self, order: Order, at_ns: int = 10) -> list:
        self.venue.submit(order, at_ns)
        return self.said()

    def decide(self, at_ns: int = 10 + HOLD_NS) -> list:
        assert self.venue.last_look.next_ns == at_ns
        self.venue.last_look.step(at_ns)
        return self.said()

    def said(self) -> list:
        events = [event for _, _, event in self.events]
        self.events.clear()
        return events


def order(side: Side, qty: int, quote_id: str, px: int = 0, symbol: str = "XYZ") -> Order:
    return Order("1", "R", "c1", symbol, side, qty, px, quote_id=quote_id)


def test_quotes_stand_around_the_midpoint_for_a_while():
    dealer = Dealer()
    assert dealer.quoted == DealerQuoted(
        "FORD", "XYZ", dealer.quoted.quote_id, PX - 100, 2000, PX + 100, 2000, 1 + VALID_NS
    )
    dealer.move_to(PX + 500)
    assert dealer.quote(200).bid_px == PX + 400
    assert dealer.venue.snapshot("XYZ") == [dealer.desk.last_quoted]


def test_an_order_on_a_quote_is_held_and_then_filled_at_the_quoted_price():
    dealer = Dealer()
    ours = order(BUY, 500, dealer.quoted.quote_id, PX + 100)
    assert dealer.submit(ours) == [Accepted(ours)]
    dealer.venue.cancel("1", 20)
    assert dealer.said() == [CancelRejected("1", "order 1 is in last look")]
    filled, printed = dealer.decide()
    assert isinstance(filled, Traded)
    assert (filled.qty, filled.px, filled.liquidity, filled.cum_qty) == (500, PX + 100, LastLiquidityInd.REMOVED, 500)
    assert printed == TradePrinted("FORD", "XYZ", PX + 100, 500)
    assert dealer.venue.last_look.next_ns == NEVER
    dealer.venue.cancel("1", 60)
    assert dealer.said() == [CancelRejected("1", "no open order 1")]


@pytest.mark.parametrize(
    ("side", "move_px", "outcome"),
    [
        (BUY, 100, Traded),  # 1 bps against the dealer: within the tolerance
        (BUY, 200, Rejected),
        (BUY, -900, Traded),  # in the dealer's favour: gladly
        (SELL, -100, Traded),
        (SELL, -200, Rejected),
        (SELL, 900, Traded),
    ],
)
def test_last_look_is_one_sided(side, move_px, outcome):
    dealer = Dealer()
    dealer.submit(order(side, 500, dealer.quoted.quote_id))
    dealer.move_to(PX + move_px)
    event = dealer.decide()[0]
    assert isinstance(event, outcome)
    if outcome is Rejected:
        assert event.text == "last look: price moved 2.00 bps, tolerance 1.00"
        assert event.order.cum_qty == 0
    else:
        assert event.px == (PX + 100 if side is BUY else PX - 100)


def test_held_orders_are_decided_in_order():
    dealer = Dealer()
    dealer.submit(order(BUY, 500, dealer.quoted.quote_id), at_ns=10)
    dealer.submit(order(SELL, 300, dealer.quoted.quote_id), at_ns=20)
    assert dealer.decide(10 + HOLD_NS)[0].qty == 500
    assert dealer.decide(20 + HOLD_NS)[0].qty == 300


def test_a_quote_is_good_for_its_size_once():
    dealer = Dealer()
    dealer.submit(order(BUY, 1500, dealer.quoted.quote_id))
    (event,) = dealer.submit(order(BUY, 501, dealer.quoted.quote_id))
    assert event.text == "quantity 501 exceeds the quote's 500"
    assert isinstance(dealer.submit(order(SELL, 2000, dealer.quoted.quote_id))[0], Accepted)  # the other side is whole
    dealer.move_to(PX + 900)
    assert isinstance(dealer.decide()[0], Rejected)
    dealer.move_to(PX)
    assert isinstance(dealer.submit(order(BUY, 2000, dealer.quoted.quote_id))[0], Accepted)  # a declined size returns


@pytest.mark.parametrize(
    ("change", "at_ns", "text"),
    [
        ({"symbol": "ZZZ"}, 10, "symbol 'ZZZ' is not traded here"),
        ({"qty": 0}, 10, "quantity 0 is not positive"),
        ({"quote_id": ""}, 10, "an order needs the id of a quote"),
        ({"quote_id": "Q9"}, 10, "quote Q9 is unknown or no longer stands"),
        ({}, 2_001_001, "quote {id} expired 2.0 ms ago"),
        ({"qty": 2001}, 10, "quantity 2001 exceeds the quote's 2000"),
        ({"px": PX}, 10, "price 1000000 is worse than the quote's 1000100"),
    ],
)
def test_what_a_dealer_refuses(change, at_ns, text):
    dealer = Dealer()
    fields = {"side": BUY, "qty": 100, "quote_id": dealer.quoted.quote_id} | change
    (event,) = dealer.submit(order(**fields), at_ns)
    assert isinstance(event, Rejected)
    assert event.text == text.format(id=dealer.quoted.quote_id)


def test_an_expired_quote_no_longer_stands_after_the_next_one():
    dealer = Dealer()
    newer = dealer.quote(VALID_NS + 2)
    (event,) = dealer.submit(order(BUY, 100, dealer.quoted.quote_id), VALID_NS + 3)
    assert "unknown or no longer stands" in event.text
    assert isinstance(dealer.submit(order(BUY, 100, newer.quote_id), VALID_NS + 3)[0], Accepted)


def test_inventory_skews_the_quote_until_it_is_hedged():
    dealer = Dealer()
    dealer.desk.inventory_qty = -100 * CONFIG.inventory_lots  # short to the full: bids up, shows less to sell
    skewed = dealer.quote(200)
    assert (skewed.bid_px + skewed.ask_px) / 2 > PX
    assert skewed.ask_qty == 1000
    assert skewed.bid_qty == 2000
    hedged = dealer.quote(200 + 20 * CONFIG.inventory_half_life_ns)
    assert (hedged.bid_px + hedged.ask_px) / 2 == PX


def test_without_a_market_quotes_are_withdrawn_and_held_orders_declined():
    dealer = Dealer()
    dealer.submit(order(BUY, 100, dealer.quoted.quote_id))
    dealer.reference.halted = True
    withdrawn = dealer.quote(45)
    assert (withdrawn.bid_qty, withdrawn.ask_qty) == (0, 0)
    assert dealer.venue.snapshot("XYZ") == []
    (event,) = dealer.decide()
    assert event.text == "last look: no market to price against"


def test_the_market_decides_a_held_order_when_its_time_has_come():
    """The hold is a process of the market: no one has to ask for it."""
    market = Market(default_market(), 1, 0)
    market.advance(10_000_000_000)
    now_ns = 10_000_000_000
    hold_ns = next(venue.hold_ns for venue in market.config.venues if venue.name == "FORD")
    (quoted,) = market.snapshot("FORD", "ALFA")
    ours = order(SELL, 200, quoted.quote_id, symbol="ALFA")
    events = market.submit("FORD", ours, now_ns)
    assert events[-1] == ("FORD", now_ns, Accepted(ours))
    assert market.next_event_ns() <= now_ns + hold_ns
    early = market.advance(now_ns + hold_ns - 1)
    due = market.advance(now_ns + hold_ns)
    assert not any(isinstance(event, Traded | Rejected) for _, _, event in early)
    (outcome,) = [event for _, _, event in due if isinstance(event, Traded | Rejected)]
    assert outcome.order is ours
