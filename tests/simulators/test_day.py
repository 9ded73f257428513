"""The phases of a day: how an auction finds its price, who takes part, price bands, and the shape of a session."""

from collections import Counter

import msgspec
import pytest

from domain.fields import Side, TimeInForce, TradingStatus
from domain.market import AuctionIndicated, LevelChange, TradePrinted
from simulators.auction import clearing
from simulators.market import Market
from simulators.market_config import DarkConfig, DayConfig, LitConfig, MarketConfig, SymbolConfig
from simulators.orders import (
    Accepted,
    Canceled,
    CancelRejected,
    Order,
    Rejected,
    StatusChanged,
    Traded,
)

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
DAY = DayConfig(opening_s=30.0, session_s=120.0, closing_s=20.0)
BUY, SELL = Side.BUY, Side.SELL
OPENING, CLOSING = TimeInForce.AT_THE_OPENING, TimeInForce.AT_THE_CLOSE


@pytest.mark.parametrize(
    ("buys", "sells", "found"),
    [
        ([], [], (0, 0, 0)),
        ([(0, 300)], [], (0, 0, 300)),  # nobody to trade with: the imbalance is what is there
        ([(0, 300)], [(0, 500)], (1000, 300, -200)),  # at the reference, where no limit says otherwise
        ([(990, 100)], [(1010, 100)], (0, 0, 0)),  # limits that don't meet
        ([(1010, 100)], [(990, 100)], (990, 100, 0)),  # as near to the reference at 1010: the lower
        ([(1010, 100)], [(995, 100)], (995, 100, 0)),  # nearer
        ([(1010, 300), (1000, 200)], [(990, 250), (1005, 200)], (1005, 300, -150)),  # most shares: 300 cross there
        ([(0, 100), (1000, 100)], [(990, 150)], (1000, 150, 50)),  # 150 cross at 990 and at 1000: the reference
        ([(1000, 500)], [(0, 200), (1001, 900)], (1000, 200, 300)),
    ],
)
def test_the_price_at_which_most_shares_change_hands(buys, sells, found):
    assert clearing(buys, sells, 1000) == found


def test_market_orders_alone_need_a_reference():
    assert clearing([(0, 300)], [(0, 500)], 0) == (0, 0, -200)


def market(seed: int = 1, day: DayConfig | None = DAY, **figures) -> Market:
    symbol = SymbolConfig(symbol="SOLO", start_px=50_0000, events_per_second=20.0, **figures)
    venues = (LitConfig(name="ARGO"), LitConfig(name="BRIG"), DarkConfig(name="DUSK"))
    return Market(MarketConfig(symbols=(symbol,), venues=venues, day=day), seed, START_NS)


def order(number: int, side: Side, qty: int, px: int = 0, **options) -> Order:
    return Order(f"o{number}", "R", f"c{number}", "SOLO", side, qty, px, **options)


def at(second: float) -> int:
    return START_NS + int(second * SECOND_NS)


def of(kind: type, events: list) -> list:
    return [event for _, _, event in events if isinstance(event, kind)]


def test_a_day_from_auction_to_auction():
    traded = market()
    events = traded.advance(at(200))
    assert [(e.venue, e.status, e.text) for e in of(StatusChanged, events) if e.venue == "ARGO"] == [
        ("ARGO", TradingStatus.AUCTION, "opening auction"),
        ("ARGO", TradingStatus.OPEN, ""),
        ("ARGO", TradingStatus.AUCTION, "closing auction"),
        ("ARGO", TradingStatus.CLOSED, "end of the day"),
    ]
    assert Counter(e.venue for e in of(StatusChanged, events)) == {"ARGO": 4, "BRIG": 4, "DUSK": 4}
    seconds = {at_ns: (at_ns - START_NS) / SECOND_NS for _, at_ns, _ in events}
    lit_prints = [
        (seconds[at_ns], e.aggressor) for venue, at_ns, e in events if isinstance(e, TradePrinted) and venue != "DUSK"
    ]
    assert {s for s, aggressor in lit_prints if aggressor is None} == {30.0, 170.0}  # one cross a venue and auction
    assert all(30.0 <= s <= 150.0 for s, aggressor in lit_prints if aggressor is not None)
    # What the auctions did is what they said a second before, but for the orders of that second.
    said = [e for _, at_ns, e in events if isinstance(e, AuctionIndicated) and seconds[at_ns] == 169.0]
    assert all(one.px and one.paired_qty > 0 for one in said)
    assert traded.next_event_ns() > at(200)  # the background goes on ticking, to no effect
    assert not of(TradePrinted, traded.advance(at(260)))


def test_orders_for_an_auction_get_its_price_and_no_other():
    traded = market()
    traded.advance(at(5))
    eager = order(1, BUY, 400, time_in_force=OPENING)
    patient = order(2, BUY, 100, 49_0000)
    hopeless = order(3, SELL, 100, 60_0000, time_in_force=OPENING)
    closing = order(4, SELL, 300, time_in_force=CLOSING)
    for one in (eager, patient, hopeless, closing):
        assert of(Accepted, traded.submit("ARGO", one, at(6))) == [Accepted(one)]
    (imbalance,) = (e for e in of(AuctionIndicated, traded.advance(at(7))) if e.venue == "ARGO")
    assert imbalance.px
    opening = traded.advance(at(30))
    (fill,) = of(Traded, opening)
    (cross,) = (e for e in of(TradePrinted, opening) if e.venue == "ARGO")
    assert (fill.order, fill.qty, fill.px) == (eager, 400, cross.px)
    assert cross.qty >= 400
    assert [(e.order, e.text) for e in of(Canceled, opening)] == [
        (hopeless, "100 shares found nothing to trade with in the auction")
    ]
    book = traded.references["SOLO"].books[0]
    assert book.owned["o2"].qty == 100  # an ordinary limit order goes on in the book
    late = order(5, BUY, 100, time_in_force=OPENING)
    assert of(Rejected, traded.submit("ARGO", late, at(31))) == [
        Rejected(late, "SOLO is open, there is no opening to come")
    ]
    assert closing.cum_qty == 0
    rest = traded.advance(at(200))
    assert [e.order for e in of(Traded, rest) if e.order is closing] == [closing]
    assert closing.cum_qty == 300
    assert Canceled(patient, "the day is over") in of(Canceled, rest) or patient.cum_qty == 100
    refused = order(6, BUY, 100, 50_0000)
    assert of(Rejected, traded.submit("ARGO", refused, at(201))) == [Rejected(refused, "trading in SOLO is closed")]


def test_what_an_auction_does_not_take_and_what_may_leave_it():
    traded = market()
    traded.advance(at(5))
    hasty = order(1, BUY, 100, 50_0000, immediate=True)
    (refused,) = of(Rejected, traded.submit("ARGO", hasty, at(6)))
    assert refused.text == "an auction takes no immediate or post-only order"
    leaving = order(2, BUY, 100, time_in_force=OPENING)
    traded.submit("ARGO", leaving, at(6))
    assert of(Canceled, traded.cancel("ARGO", "o2", at(7))) == [Canceled(leaving, "canceled on request")]
    assert of(CancelRejected, traded.cancel("ARGO", "o2", at(8)))
    traded.advance(at(30))
    assert not leaving.cum_qty


def test_a_resting_order_takes_part_in_the_next_auction_at_the_auctions_price():
    traded = market()
    traded.advance(at(149))
    book = traded.references["SOLO"].books[0]
    px = book.asks.best_px + 500  # would have been taken long before: only the cross can fill it
    resting = order(1, SELL, 100, px)
    traded.submit("ARGO", resting, at(149))
    traded.submit("ARGO", order(2, BUY, 5_000_000, time_in_force=CLOSING), at(149))
    fills = of(Traded, traded.advance(at(170)))
    mine = [fill for fill in fills if fill.order is resting]
    assert sum(fill.qty for fill in mine) == 100
    assert {fill.px for fill in mine} == {fill.px for fill in fills}
    assert mine[0].px >= px


def test_an_auction_called_by_the_authorities_and_one_broken_off():
    traded = market(day=None)
    traded.advance(at(10))
    traded.set_status("SOLO", TradingStatus.AUCTION, "news", at(10))
    buyer, seller = order(1, BUY, 300, 50_0500), order(2, SELL, 200, 49_9500)
    traded.submit("BRIG", buyer, at(11))
    traded.submit("BRIG", seller, at(11))
    assert not of(Traded, traded.set_status("SOLO", TradingStatus.HALTED, "more news", at(12)))
    opened = traded.set_status("SOLO", TradingStatus.OPEN, "", at(20))
    assert seller.cum_qty == 200
    assert buyer.cum_qty >= 200
    assert len({e.px for e in of(Traded, opened) if e.order is seller}) == 1


def test_nothing_trades_beyond_a_band_and_a_pause_ends_in_an_auction():
    day = DayConfig(opening_s=0.0, session_s=3600.0, closing_s=0.0, band=0.004, pause_s=30.0)
    traded = market(seed=3, day=day, daily_volatility=0.12)
    seen: list[str] = []
    for second in range(1, 3600):
        book = traded.references["SOLO"].books[0]
        low_px, high_px = book.low_px, book.high_px
        events = traded.advance(at(second))
        if not any(isinstance(e, StatusChanged) for _, _, e in events) and high_px:
            prints = [e.px for e in of(TradePrinted, events) if e.aggressor is not None]
            # The bands move once a second, so a print lies in the old or in the new ones.
            assert all(min(low_px, book.low_px) <= px <= max(high_px, book.high_px) for px in prints)
        seen += [e.text for e in of(StatusChanged, events) if e.venue == "ARGO"]
    pauses = seen.count("price band")
    assert pauses >= 3
    assert seen == ["price band", ""] * pauses
    assert [e.text for e in of(StatusChanged, traded.advance(at(3700))) if e.venue == "ARGO"] == ["end of the day"]


def test_a_market_order_of_ours_stops_at_the_band():
    day = DayConfig(opening_s=0.0, band=0.002)
    traded = market(day=day)
    traded.advance(at(10))
    book = traded.references["SOLO"].books[0]
    sweep = order(1, BUY, 1_000_000)
    fills = of(Traded, traded.submit("ARGO", sweep, at(10)))
    assert fills
    assert max(fill.px for fill in fills) <= book.high_px
    assert book.asks.best_px > book.high_px or not book.asks.keys


def test_the_ends_of_a_day_are_busier_and_wilder():
    shape = {"day_activity": (3.0, 1.0, 0.5, 1.0, 3.0), "day_volatility": (3.0, 1.0, 1.0, 1.0, 1.0)}
    day = DayConfig(opening_s=0.0, session_s=3600.0, closing_s=0.0)
    traded = market(day=day, volatility_spread=0.0, jump_share=0.0, **shape)
    changes, moves = [], []
    for minute in range(60):
        before = traded.references["SOLO"].mid2_px
        changes.append(len(of(LevelChange, traded.advance(at(60 * minute + 60)))))
        moves.append(abs(traded.references["SOLO"].mid2_px - before))
    assert sum(changes[:5]) > 2.0 * sum(changes[28:33])
    assert sum(changes[-5:-1]) > 2.0 * sum(changes[28:32])
    assert sum(moves[:12]) > 1.3 * sum(moves[-13:-1])


def test_a_flat_day_is_the_day_without_a_shape():
    flat = market(day=None, day_activity=(2.0, 2.0), day_volatility=(0.5, 0.5))
    assert repr(flat.advance(at(60))) == repr(market(day=None).advance(at(60)))


def test_a_day_config_is_data():
    config = msgspec.convert({"opening_s": 0, "band": 0.05}, DayConfig)
    assert (config.opening_s, config.band, config.session_s) == (0.0, 0.05, 23_400.0)
    for wrong in ({"band": 1.0}, {"session_s": 0}, {"closing": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, DayConfig)
