"""Dealers price toxic clients wider, for a while; dark pools and dealers are as busy as the time of the day."""

from statistics import mean

import pytest

from domain.fields import Side
from domain.market import DealerQuoted, TradePrinted
from simulators import presets
from simulators.market import Market
from simulators.market_config import DayConfig, DealerConfig, MarketConfig, default_market
from simulators.orders import Order, QuoteMade
from simulators.toxicity import Clients

SECOND = 1_000_000_000
BUY, SELL = Side.BUY, Side.SELL
CONFIG = DealerConfig(name="FORD", max_lots=20, toxic_widening=0.5, widest=3.0, toxicity_half_life_ns=100 * SECOND)


# --- toxicity ---


def test_toxicity_is_the_mean_cost_of_a_clients_shares_against_a_quote_that_cost_nothing():
    clients = Clients(CONFIG)
    assert clients.widening(0) == 1.0
    clients.learn("A", 20.0, 4.0, 0)
    clients.learn("B", 60.0, -3.0, 0)  # whose trades the dealer likes
    assert clients.toxicity_bps("A", 0) == pytest.approx(2.0)
    assert clients.toxicity_bps("B", 0) == clients.toxicity_bps("nobody", 0) == 0.0
    assert clients.widening(0, "A") == clients.widening(0) == pytest.approx(2.0)  # the stream is for the worst
    assert clients.widening(0, "B") == 1.0
    assert clients.toxicity_bps("A", 100 * SECOND) == pytest.approx(40.0 / 30.0)
    assert clients.widening(3_000 * SECOND) == pytest.approx(1.0, abs=1e-6)
    clients.learn("A", 1_000.0, 50.0, 3_000 * SECOND)
    assert clients.widening(3_000 * SECOND) == 3.0  # and no wider


def market(widening: float) -> Market:
    config = default_market()
    dealer = next(venue for venue in config.venues if venue.name == "FORD")
    figures = {"toxic_widening": widening, "hold_ns": 0, "tolerance_bps": 50.0, "inventory_lots": 100_000}
    venues = tuple(venue for venue in config.venues if venue.kind == "lit")
    return Market(MarketConfig(symbols=config.symbols[2:3], venues=(*venues, dealer.changed(figures))), 11, 0)


def half_spreads(events) -> list[float]:
    return [(e.ask_px - e.bid_px) / 2 for _, _, e in events if isinstance(e, DealerQuoted) and e.ask_px]


def future(seconds: int) -> list[int]:
    """Twice the midpoint at each second of the market without clients."""
    ahead = market(0.0)
    reference = ahead.references[ahead.config.symbols[0].symbol]
    mids = []
    for second in range(seconds):
        ahead.advance(second * SECOND)
        mids.append(reference.mid2_px)
    return mids


def streamed(widening: float, knows: bool, then_s: int = 0) -> tuple[list[float], list[float]]:
    """Half spreads streamed to a client who trades every two seconds for eight minutes, by turns or knowing the next
    five seconds; and those of the last minute of `then_s` in which nobody trades."""
    mids, trading, seen = future(500), market(widening), []
    symbol = trading.config.symbols[0].symbol
    desk = trading.venues["FORD"].desks[symbol]
    for second in range(6, 480, 2):
        seen += half_spreads(trading.advance(second * SECOND))
        side = SELL if second // 2 % 2 else BUY
        if knows:
            side = BUY if mids[second + 5] > mids[second] else SELL
        order = Order(f"o{second}", "A", f"c{second}", symbol, side, 200, quote_id=desk.last_quoted.quote_id)
        trading.submit("FORD", order, second * SECOND)
    trading.advance((480 + then_s - 60) * SECOND)
    return seen, half_spreads(trading.advance((480 + then_s) * SECOND))


def test_quotes_are_wider_for_who_knows_more_and_for_nobody_else():
    plain, _ = streamed(0.0, knows=True)
    toxic, later = streamed(0.5, knows=True, then_s=3_600)
    tame, _ = streamed(0.5, knows=False)
    assert mean(toxic) > 1.3 * mean(plain)
    assert mean(tame) < 1.15 * mean(plain)
    assert mean(later) < 1.1 * mean(plain)  # an hour later it is forgotten


def test_a_quote_on_request_is_for_the_client_who_asks():
    trading = market(0.5)
    symbol = trading.config.symbols[0].symbol
    trading.advance(5 * SECOND)
    trading.venues["FORD"].clients.learn("A", 500.0, 6.0, 5 * SECOND)
    spreads = []
    for owner in ("A", "B"):
        (_, _, made), *_ = trading.request_quote("FORD", owner, symbol, None, 1_000, 5 * SECOND, owner)
        assert isinstance(made, QuoteMade)
        spreads.append(made.quoted.ask_px - made.quoted.bid_px)
    assert spreads[0] > 2 * spreads[1]


# --- the day ---


def prints_by_time(flat: bool) -> dict[str, float]:
    """How many prints of each venue off the books fall into the first and last eighth of a session, for each in the
    middle two."""
    config = presets.load("mid_cap")
    (symbol,) = config.symbols
    figures = {"dark": {"arrivals_per_second": 3.0, "empty_share": 0.0}, "dealer": {"clients_per_second": 3.0}}
    venues = tuple(venue.changed(figures.get(venue.kind.value, {})) for venue in config.venues)
    changes = {"events_per_second": 1.0} | ({"day_activity": ()} if flat else {})
    symbol = type(symbol)(**{name: getattr(symbol, name) for name in symbol.__struct_fields__} | changes)
    day = DayConfig(opening_s=0.0, session_s=1_600.0, closing_s=0.0)
    trading = Market(MarketConfig(symbols=(symbol,), venues=venues, day=day), 5, 0)
    counts: dict[str, list[int]] = {"DUSK": [0] * 8, "FORD": [0] * 8}
    for name, at_ns, event in trading.advance(1_600 * SECOND - 1):
        if name in counts and isinstance(event, TradePrinted):
            counts[name][at_ns // (200 * SECOND)] += 1
    return {name: (by[0] + by[7]) / (by[3] + by[4]) for name, by in counts.items()}


def test_venues_off_the_books_are_busier_at_the_open_and_the_close():
    shaped, flat = prints_by_time(False), prints_by_time(True)
    for name in ("DUSK", "FORD"):  # the shape says 2.2
        assert shaped[name] > 1.6, shaped
        assert 0.75 < flat[name] < 1.35, flat
