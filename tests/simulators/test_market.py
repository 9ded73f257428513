"""The whole market: a seed is a run to the byte, and what it shows is a market."""

from collections import Counter, defaultdict
from itertools import pairwise
from random import Random

import msgspec
import pytest

from domain.fields import Side, TradingStatus, VenueKind
from domain.market import BookSnapshot, DealerQuoted, LevelChange, MarketView, TradePrinted
from simulators.book import Book, Reference, Resting
from simulators.latent import Latent
from simulators.market import Market
from simulators.market_config import DarkConfig, LitConfig, MarketConfig, SymbolConfig, default_market
from simulators.orders import Accepted, Canceled, Order, Publisher, Rejected, StatusChanged, Traded
from simulators.takers import FastFlow, TakerFlow

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
TICK = 100


def order(number: int, side: Side, qty: int, px: int = 0, symbol: str = "CHRL", **options) -> Order:
    return Order(f"o{number}", "R", f"c{number}", symbol, side, qty, px, **options)


def run(steps_ns: list[int], seed: int = 7) -> tuple[list, Market]:
    """Thirty seconds in the given steps, with a client's order at 5, 10 and 15 seconds whatever the steps are."""
    market = Market(default_market(), seed, START_NS)
    events, now_ns, number = [], START_NS, 0
    orders = [(5, "ARGO", Side.BUY), (10, "DUSK", Side.SELL), (15, "BRIG", Side.SELL_SHORT)]
    ends_ns = START_NS + 30 * SECOND_NS
    while now_ns < ends_ns:
        now_ns = min(now_ns + steps_ns[number % len(steps_ns)], ends_ns)
        number += 1
        while orders and START_NS + orders[0][0] * SECOND_NS <= now_ns:
            second, venue, side = orders.pop(0)
            events += market.submit(venue, order(second, side, 700), START_NS + second * SECOND_NS)
        events += market.advance(now_ns)
    return events, market


def test_a_seed_is_a_run_to_the_byte_whatever_the_steps():
    whole, _ = run([30 * SECOND_NS])
    assert len(whole) > 5000
    for steps_ns in ([SECOND_NS], [1, 40_000_000, 3_000_001], [7 * SECOND_NS, 123]):
        events, _ = run(steps_ns)
        assert repr(events) == repr(whole)
    assert repr(run([SECOND_NS], seed=8)[0]) != repr(whole)


def test_events_come_in_order_and_next_event_is_announced():
    market = Market(default_market(), 1, START_NS)
    last_ns = START_NS
    for _ in range(500):
        due_ns = market.next_event_ns()
        assert market.advance(due_ns - 1) == []
        for _, at_ns, _ in market.advance(due_ns):
            assert last_ns <= at_ns == due_ns
            last_ns = at_ns


def test_a_subscriber_who_follows_the_changes_has_the_books():
    market = Market(default_market(), 3, START_NS)
    view = MarketView()
    for venue in market.venues:
        for symbol in market.references:
            for update in market.snapshot(venue, symbol):
                view.apply(update, START_NS)
    for venue, at_ns, update in market.advance(START_NS + 60 * SECOND_NS):
        assert update.venue == venue
        view.apply(update, at_ns)
    for symbol, reference in market.references.items():
        seen = view.symbol(symbol)
        assert (seen.bid_px, seen.ask_px) == (reference.bid_px, reference.ask_px)
        for book in reference.books:
            assert seen.books[book.venue].bids == dict(book.bids.depth())
            assert seen.books[book.venue].asks == dict(book.asks.depth())
    # An empty answer for the dark, one quote from a dealer, and a name that is not there is an error.
    assert market.snapshot("DUSK", "ALFA") == []
    assert isinstance(market.snapshot("FORD", "ALFA")[0], DealerQuoted)
    for venue, symbol in (("NONE", "ALFA"), ("ARGO", "NONE"), ("DUSK", "NONE"), ("FORD", "NONE")):
        with pytest.raises(KeyError):
            market.snapshot(venue, symbol)


def test_the_default_market_looks_like_one():
    """Bands wide enough for any seed, narrow enough that a broken flow falls out of them."""
    market = Market(default_market(), 11, START_NS)
    seconds = 600
    spreads, mids, crossed = defaultdict(list), defaultdict(list), Counter()
    adds, trades, per_venue = Counter(), Counter(), Counter()
    depth: dict[tuple, int] = {}
    thin = 0
    for second in range(1, seconds + 1):
        for venue, _, event in market.advance(START_NS + second * SECOND_NS):
            if isinstance(event, LevelChange):
                key = (venue, event.symbol, event.side, event.px)
                adds[event.symbol] += event.qty > depth.get(key, 0)
                depth[key] = event.qty
                per_venue[venue] += 1
            elif isinstance(event, TradePrinted):
                lit = venue in ("ARGO", "BRIG", "CLIP")
                trades[event.symbol] += lit
                assert (event.aggressor is not None) is lit
                per_venue[venue, "trades"] += 1
        for symbol, reference in market.references.items():
            spreads[symbol].append((reference.ask_px - reference.bid_px) / TICK)
            mids[symbol].append(reference.mid2_px / 2)
            crossed[symbol] += reference.bid_px >= reference.ask_px
            for book in reference.books:
                for levels in (len(book.bids.keys), len(book.asks.keys)):
                    assert levels <= 20
                    thin += levels < 3
    for symbol in market.references:
        assert 1 <= sum(spreads[symbol]) / seconds <= 5
        assert crossed[symbol] == 0
        assert len(set(mids[symbol])) > 10
        assert 0.05 <= trades[symbol] / adds[symbol] <= 0.3
    assert thin < 0.01 * seconds * 5 * 3 * 2  # of all sides of all books in all seconds: a jump empties one for a while
    assert all(per_venue[venue.name, "trades"] > 20 for venue in market.config.venues)
    lit_rates = [per_venue[name] / seconds / 5 for name in ("ARGO", "BRIG", "CLIP")]
    assert all(8 <= rate <= 20 for rate in lit_rates)


def test_trade_signs_persist_and_waiting_costs():
    """Flow is informed: the price goes on moving the way that takers went, and their signs are autocorrelated."""
    market = Market(default_market(), 5, START_NS)
    signs, responses = defaultdict(list), []
    waiting: list[tuple[int, str, int, float]] = []
    for tenth in range(1, 9000):
        now_ns = START_NS + tenth * SECOND_NS // 10
        for _, at_ns, event in market.advance(now_ns):
            if isinstance(event, TradePrinted) and event.aggressor is not None:
                mid_px = market.references[event.symbol].mid2_px / 2
                signs[event.symbol].append(event.aggressor.sign)
                waiting.append((at_ns + 5 * SECOND_NS, event.symbol, event.aggressor.sign, mid_px))
        while waiting and waiting[0][0] <= now_ns:
            _, symbol, sign, mid_px = waiting.pop(0)
            responses.append(sign * (market.references[symbol].mid2_px / 2 - mid_px) / mid_px * 1e4)
    for of_symbol in signs.values():
        product = sum(a * b for a, b in pairwise(of_symbol)) / len(of_symbol)
        assert product > 0.1
    assert sum(responses) / len(responses) > 0.05


def test_the_value_moves_as_much_as_configured():
    config = SymbolConfig(symbol="SOLO", start_px=100_0000, daily_volatility=0.02)
    variance, seconds = 0.0, 0.0
    for seed in range(20):
        latent = Latent(config, 1.0, Random(seed), 0)
        for _ in range(2000):
            before_px, before_ns = latent.value_px, latent.next_ns
            latent.step(latent.next_ns)
            variance += (latent.value_px / before_px - 1.0) ** 2
            seconds += (latent.next_ns - before_ns) / 1e9
    news = (variance / seconds * 6.5 * 3600) / 0.02**2
    assert 0.7 < news / (1.0 - config.flow_variance) < 1.4


def test_a_trend_is_added_to_the_same_shocks():
    config = SymbolConfig(symbol="SOLO", start_px=100_0000, trend_bps=6.0, trend_s=1e9)
    calm, trending = Latent(config, 1.0, Random(5), 0), Latent(config, 1.0, Random(5), 0, trend=Random(6))
    while calm.next_ns < 600 * SECOND_NS:
        calm.step(calm.next_ns)
        trending.step(trending.next_ns)
    assert abs(trending.value_px / calm.value_px - 1.0) * 1e4 == pytest.approx(60.0, rel=0.05)  # ten minutes, one way


def after(latent: Latent, seconds: float) -> float:
    """The part of the fair price that is impact, in bps, that much later."""
    latent.step(int(seconds * SECOND_NS))
    return (latent.fair_px / latent.value_px - 1.0) * 1e4


@pytest.mark.parametrize("sign", [1, -1])
def test_a_market_order_moves_the_price_to_its_side_and_most_of_it_is_given_back(sign):
    config = SymbolConfig(symbol="SOLO", start_px=100_0000)

    def moved(qty: int, seconds: float, beyond_px: float = 0.0) -> float:
        latent = Latent(config, 1.0, Random(3), 0)
        latent.taken(sign, qty, round(latent.fair_px + sign * beyond_px))
        return sign * after(latent, seconds)

    peak = moved(400, 0.0, 50.0)
    assert peak > 0
    assert moved(1600, 0.0, 50.0) == pytest.approx(2.0 * peak)  # concave: the square root of the size
    assert 0.6 < moved(400, 4.0, 50.0) / peak < 0.95
    assert 0.1 < moved(400, 60.0, 50.0) / peak < 0.5
    assert 0.0 < moved(400, 3600.0, 50.0) / peak < 0.1
    assert moved(400, 0.0, -50.0) == 0.0  # at a stale quote: everybody knew


def one_book() -> tuple[Book, Reference, list]:
    events: list = []
    book = Book("SOLO", Publisher("ONE", events, 0))
    reference = Reference()
    reference.books.append(book)
    return book, reference, events


def test_takers_come_in_clusters_with_the_signs_of_split_orders():
    book, reference, events = one_book()
    symbol = SymbolConfig(symbol="SOLO", start_px=10_0000)
    latent = Latent(symbol, 1.0, Random(1), 0)
    takers = TakerFlow(symbol, 1.0, reference, latent, Random(2), 0)
    book.add(book.bids, 9_9900, Resting(1 << 40), 0)
    book.add(book.asks, 10_0100, Resting(1 << 40), 0)
    at_ns = []
    for _ in range(5000):
        at_ns.append(takers.next_ns)
        takers.step(takers.next_ns)
        assert events[-2][2].aggressor.sign * latent.pressure >= 0
    signs = [event.aggressor.sign for _, _, event in events if isinstance(event, TradePrinted)]
    pauses = [later - earlier for earlier, later in pairwise(at_ns)]
    mean = sum(pauses) / len(pauses)
    assert 0.7 < mean / SECOND_NS < 1.4
    assert sum((pause - mean) ** 2 for pause in pauses) ** 0.5 / len(pauses) ** 0.5 / mean > 1.7
    assert 0.55 < sum(a * b for a, b in pairwise(signs)) / len(signs) < 0.85
    assert sum(a * b for a, b in zip(signs, signs[10:], strict=False)) / len(signs) > 0.05


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_the_fast_leave_no_quote_that_the_price_has_passed(side):
    book, reference, _ = one_book()
    symbol = SymbolConfig(symbol="SOLO", start_px=10_0000)
    latent = Latent(symbol, 1.0, Random(1), 0)
    fast = FastFlow(symbol, reference, latent, Random(2), 0)
    for behind in range(1, 6):
        book.add(book.bids, 10_0000 - behind * TICK, Resting(300), 0)
        book.add(book.asks, 10_0000 + behind * TICK, Resting(300), 0)
    latent.fair_px = 10_0000 + side.sign * 2.5 * TICK
    for _ in range(200):
        fast.step(fast.next_ns)
    assert book.bids.best_px < latent.fair_px < book.asks.best_px
    assert book.asks.best_px - book.bids.best_px <= 3 * TICK  # and the quotes left behind have followed


def test_taking_moves_the_book_and_the_book_refills():
    market = Market(default_market(), 2, START_NS)
    now_ns = START_NS + 5 * SECOND_NS
    market.advance(now_ns)
    book = market.references["CHRL"].books[0]
    best_px = book.asks.best_px
    displayed_qty = sum(qty for _, qty in book.asks.depth()[:3])
    taker = order(1, Side.BUY, displayed_qty, book.asks.depth()[2][0], immediate=True)
    events = [event for _, _, event in market.submit("ARGO", taker, now_ns)]
    assert isinstance(events[0], Accepted)
    assert sum(event.qty for event in events if isinstance(event, Traded)) == displayed_qty == taker.cum_qty
    assert sum(event.qty for event in events if isinstance(event, TradePrinted)) == displayed_qty
    assert book.asks.best_px > best_px
    left_qty = sum(qty for _, qty in book.asks.depth())
    market.advance(now_ns + 20 * SECOND_NS)
    assert sum(qty for _, qty in book.asks.depth()) > left_qty


def test_resting_orders_are_filled_by_the_flow_and_can_be_canceled():
    market = Market(default_market(), 4, START_NS)
    book = market.references["ALFA"].books[0]
    joined = order(1, Side.BUY, 300, book.bids.best_px, symbol="ALFA")
    deep = order(2, Side.BUY, 300, book.bids.best_px - 200 * TICK, symbol="ALFA")
    market.submit("ARGO", joined, START_NS)
    market.submit("ARGO", deep, START_NS)
    fills = [event for _, _, event in market.advance(START_NS + 600 * SECOND_NS) if isinstance(event, Traded)]
    assert {event.order for event in fills} == {joined}
    assert joined.cum_qty == 300
    assert len({event.exec_id for event in fills}) == len(fills)
    (*_, last) = market.cancel("ARGO", "o2", START_NS + 600 * SECOND_NS)
    assert last[2] == Canceled(deep, "canceled on request")


def test_a_clients_orders_leave_other_symbols_alone():
    quiet = Market(default_market(), 9, START_NS)
    busy = Market(default_market(), 9, START_NS)
    touched = [
        event
        for number in range(20)
        for event in busy.submit("ARGO", order(number, Side.BUY, 500), START_NS + number * SECOND_NS)
    ]
    assert any(isinstance(event, Traded) for _, _, event in touched)
    untouched = busy.advance(START_NS + 60 * SECOND_NS)

    def others(events: list) -> list:
        return [
            item
            for item in events
            if getattr(item[2], "symbol", "CHRL") != "CHRL" and not isinstance(item[2], DealerQuoted)
        ]

    assert others(touched + untouched) == others(quiet.advance(START_NS + 60 * SECOND_NS))


def test_ids_never_come_back_after_a_restart():
    first, again = (Market(default_market(), 1, start_ns) for start_ns in (START_NS, START_NS + SECOND_NS))

    def ids(market: Market, now_ns: int) -> set[str]:
        book = market.references["ALFA"].books[0]
        events = market.submit("ARGO", order(1, Side.BUY, 5000, book.asks.depth()[-1][0], symbol="ALFA"), now_ns)
        return {event.exec_id for _, _, event in events if isinstance(event, Traded)}

    before, after = ids(first, START_NS), ids(again, START_NS + SECOND_NS)
    assert before
    assert after
    assert before.isdisjoint(after)


def test_the_default_config_is_what_everybody_expects():
    config = default_market()
    assert {venue.name: venue.kind for venue in config.venues} == {
        **dict.fromkeys(("ARGO", "BRIG", "CLIP"), VenueKind.LIT),
        **dict.fromkeys(("DUSK", "EBBT"), VenueKind.DARK),
        **dict.fromkeys(("FORD", "GALE"), VenueKind.DEALER),
    }
    assert [symbol.symbol for symbol in config.symbols] == ["ALFA", "BRVO", "CHRL", "DLTA", "ECHO"]
    assert msgspec.convert(msgspec.to_builtins(config), MarketConfig) == config


ALFA = {"symbol": "ALFA", "start_px": 100_0000}
ARGO = {"kind": "lit", "name": "ARGO"}


@pytest.mark.parametrize(
    ("symbols", "venues", "text"),
    [
        ([], [ARGO], "no symbol in the market"),
        ([ALFA], [], "no venue in the market"),
        ([ALFA, ALFA], [ARGO], "symbol 'ALFA' is there twice"),
        ([ALFA], [ARGO, ARGO], "venue 'ARGO' is there twice"),
        ([ALFA], [{"kind": "dark", "name": "DUSK"}], "no lit venue in the market"),
        ([ALFA | {"ticks": 1}], [ARGO], "ticks"),
        ([ALFA | {"tick_px": 0}], [ARGO], "tick_px"),
        ([ALFA], [ARGO | {"flow_share": 0}], "flow_share"),
        ([ALFA], [ARGO, {"kind": "dark", "name": "DUSK", "size_tail": 1.0}], "size_tail"),
        ([ALFA], [{"kind": "grey", "name": "ARGO"}], "grey"),
    ],
)
def test_what_a_config_may_not_say(symbols, venues, text):
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert({"symbols": symbols, "venues": venues}, MarketConfig)


def test_a_market_of_one_book_and_nothing_else():
    config = MarketConfig(
        symbols=(SymbolConfig(symbol="SOLO", start_px=10_0000, daily_volatility=0.0),),
        venues=(LitConfig(name="ONE"), DarkConfig(name="TWO")),
    )
    market = Market(config, 1, START_NS)
    market.advance(START_NS + 60 * SECOND_NS)
    (snapshot,) = market.snapshot("ONE", "SOLO")
    assert isinstance(snapshot, BookSnapshot)
    assert abs(market.references["SOLO"].mid2_px / 2 - 10_0000) <= 3 * TICK


def test_a_halt_is_told_by_every_venue_and_stops_all_trading():
    market = Market(default_market(), 1, START_NS)
    market.advance(START_NS + 10 * SECOND_NS)
    halted_ns = START_NS + 20 * SECOND_NS
    told = market.set_status("ALFA", TradingStatus.HALTED, "news", halted_ns)
    assert [event for _, _, event in told][-7:] == [
        StatusChanged(venue.name, "ALFA", TradingStatus.HALTED, "news") for venue in market.config.venues
    ]
    assert market.set_status("ALFA", TradingStatus.HALTED, "news", halted_ns) == []
    assert market.status("ALFA") is TradingStatus.HALTED
    assert market.status("BRVO") is TradingStatus.OPEN
    refused = order(1, Side.BUY, 100, symbol="ALFA")
    ((_, _, event),) = market.submit("ARGO", refused, halted_ns)
    assert event == Rejected(refused, "trading in ALFA is halted")
    quiet = market.advance(halted_ns + 60 * SECOND_NS)
    traded = Counter(event.symbol for _, _, event in quiet if isinstance(event, TradePrinted))
    assert not traded["ALFA"]
    assert traded["BRVO"]
    market.set_status("ALFA", TradingStatus.OPEN, "", halted_ns + 60 * SECOND_NS)
    after_ns = halted_ns + 120 * SECOND_NS
    assert any(isinstance(e, TradePrinted) and e.symbol == "ALFA" for _, _, e in market.advance(after_ns))
