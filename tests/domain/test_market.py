"""The view of the market follows from the updates alone."""

from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Side
from domain.market import (
    FLOW_HALF_LIFE_NS,
    REFERENCE_MAX_AGE_NS,
    BookSnapshot,
    DealerQuoted,
    LevelChange,
    MarketView,
    SymbolView,
    TradePrinted,
    VenueBook,
)


def test_best_bid_and_offer_over_venues() -> None:
    view = SymbolView("ALFA")
    view.apply(BookSnapshot("ARGO", "ALFA", ((100, 5), (99, 7)), ((102, 3),)), 1)
    view.apply(BookSnapshot("BRIG", "ALFA", ((100, 2),), ((103, 9),)), 2)
    assert (view.bid_px, view.bid_qty, view.ask_px, view.ask_qty, view.mid2_px) == (100, 7, 102, 3, 202)
    view.apply(LevelChange("ARGO", "ALFA", Side.SELL, 102, 0), 3)
    assert (view.ask_px, view.ask_qty) == (103, 9)
    view.forget_venue("BRIG", 4)
    assert (view.bid_px, view.bid_qty, view.ask_px, view.mid2_px) == (100, 5, 0, 0)


def test_the_reference_outlives_an_empty_side_for_some_seconds_only() -> None:
    view = SymbolView("ALFA")
    assert view.reference_mid2_px(0) == 0
    view.apply(BookSnapshot("ARGO", "ALFA", ((100, 5),), ((102, 3),)), 1)
    view.apply(LevelChange("ARGO", "ALFA", Side.SELL, 102, 0), 10)
    assert (view.mid2_px, view.reference_mid2_px(11)) == (0, 202)
    assert view.reference_mid2_px(10 + REFERENCE_MAX_AGE_NS) == 202
    assert view.reference_mid2_px(11 + REFERENCE_MAX_AGE_NS) == 0


def test_tape_and_signed_flow() -> None:
    view = SymbolView("ALFA")
    view.apply(TradePrinted("ARGO", "ALFA", 100, 10, Side.BUY), 0)
    view.apply(TradePrinted("DUSK", "ALFA", 101, 30), 0)  # nobody says who took: no sign
    assert (view.tape_qty, view.tape_notional_px, view.last_px) == (40, 4030, 101)
    assert view.signed_flow_qty(0) == 10
    assert abs(view.signed_flow_qty(FLOW_HALF_LIFE_NS) - 5) < 1e-9
    view.apply(TradePrinted("ARGO", "ALFA", 100, 20, Side.SELL), FLOW_HALF_LIFE_NS)
    assert abs(view.signed_flow_qty(FLOW_HALF_LIFE_NS) + 15) < 1e-9


def test_volatility_needs_a_mid_that_moves() -> None:
    view = SymbolView("ALFA")
    view.apply(BookSnapshot("ARGO", "ALFA", ((10_000, 5),), ((10_002, 5),)), 0)
    for second in range(1, 600):
        view.apply(LevelChange("ARGO", "ALFA", Side.BUY, 9_000, second), second * 10**9)
    assert view.volatility_bps == 0
    bid = 10_000
    for second in range(600, 1200):  # up and down by 2 bps of the mid each second
        view.apply(LevelChange("ARGO", "ALFA", Side.BUY, bid, 0), second * 10**9)
        bid = 10_000 if bid == 9_996 else 9_996
        view.apply(LevelChange("ARGO", "ALFA", Side.BUY, bid, 5), second * 10**9 + 1)
    assert view.volatility_bps > 1


def test_a_dealers_quote_replaces_its_last_one() -> None:
    market = MarketView()
    for number in (1, 2):
        market.apply(DealerQuoted("FORD", "ALFA", f"Q{number}", 99, 100, 101, 100, 10), number)
    assert [quote.quote_id for quote in market.symbol("ALFA").quotes.values()] == ["Q2"]
    market.forget_venue("FORD", 3)
    assert market.symbol("ALFA").quotes == {}


LEVELS = st.lists(st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 12), st.integers(0, 4)), max_size=60)


@given(LEVELS)
def test_best_prices_are_the_best_of_what_is_there(changes: list[tuple[Side, int, int]]) -> None:
    book, bids, asks = VenueBook(), {}, {}
    for side, px, qty in changes:
        book.set_level(side, px, qty)
        levels = bids if side is Side.BUY else asks
        levels[px] = qty
        assert book.best_bid_px == max((p for p, q in bids.items() if q), default=0)
        assert book.best_ask_px == min((p for p, q in asks.items() if q), default=0)
        assert book.takeable(Side.BUY, 6) == sum(q for p, q in asks.items() if p <= 6)
        assert book.takeable(Side.SELL, 0) == sum(bids.values())
