"""Markets for the routing tests: one with known numbers, and any that Hypothesis can think of."""

from hypothesis import strategies as st

from domain.fields import VenueKind
from domain.instruments import Instrument, VenueTerms
from domain.market import BookSnapshot, DealerQuoted, SymbolView

NOW_NS = 1_700_000_000_000_000_000
TICK_PX = 100
INSTRUMENT = Instrument("ALFA", tick_px=TICK_PX)
VENUES = {
    "LIT1": VenueTerms("LIT1", VenueKind.LIT, "XLI1", maker_fee_px=-20.0, taker_fee_px=30.0),
    "LIT2": VenueTerms("LIT2", VenueKind.LIT, "XLI2", maker_fee_px=10.0, taker_fee_px=-10.0),
    "DARK": VenueTerms("DARK", VenueKind.DARK, "XDAR", maker_fee_px=10.0, taker_fee_px=10.0, min_qty=50),
    "DEAL": VenueTerms("DEAL", VenueKind.DEALER, "XDEA", fill_prior=0.8),
}


def market(bids1=(), asks1=(), bids2=(), asks2=(), quote=None, valid_ns=1_000_000_000) -> SymbolView:
    """Levels are (ticks, qty); `quote` is (bid ticks, qty, ask ticks, qty)."""
    view = SymbolView("ALFA")
    for venue, bids, asks in (("LIT1", bids1, asks1), ("LIT2", bids2, asks2)):
        levels = [tuple((ticks * TICK_PX, qty) for ticks, qty in side) for side in (bids, asks)]
        view.apply(BookSnapshot(venue, "ALFA", *levels), NOW_NS - 2_000_000_000)
    if quote is not None:
        bid, bid_qty, ask, ask_qty = quote
        view.apply(
            DealerQuoted("DEAL", "ALFA", "Q7", bid * TICK_PX, bid_qty, ask * TICK_PX, ask_qty, NOW_NS + valid_ns),
            NOW_NS,
        )
    return view


def usual() -> SymbolView:
    """LIT1 100.00/100.03, LIT2 99.99/100.04 three levels each, dealer 99.99/100.04; mid 100.015."""
    return market(
        bids1=((10_000, 300), (9_999, 500), (9_998, 700)),
        asks1=((10_003, 200), (10_004, 400), (10_005, 600)),
        bids2=((9_999, 100), (9_998, 200)),
        asks2=((10_004, 100), (10_006, 900)),
        quote=(9_999, 1_000, 10_004, 1_000),
    )


def mirrored(view: SymbolView) -> SymbolView:
    """The same market seen by the other side: bids and asks swapped around the mid."""
    other = SymbolView(view.symbol)
    flip = view.mid2_px
    for venue, book in view.books.items():
        bids = tuple((flip - px, qty) for px, qty in book.asks.items())
        asks = tuple((flip - px, qty) for px, qty in book.bids.items())
        other.apply(BookSnapshot(venue, view.symbol, bids, asks), book.updated_ns)
    for venue, quote in view.quotes.items():
        bid_px, ask_px = flip - quote.ask_px, flip - quote.bid_px
        other.apply(
            DealerQuoted(
                venue, view.symbol, quote.quote_id, bid_px, quote.ask_qty, ask_px, quote.bid_qty, quote.valid_until_ns
            ),
            view.updated_ns,
        )
    other.updated_ns = view.updated_ns
    return other


def _levels(low: int, high: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    level = st.tuples(st.integers(low, high), st.integers(1, 900))
    return st.lists(level, max_size=4, unique_by=lambda level: level[0]).map(tuple)


# Each venue by itself is never crossed; together they may be.
_books = st.integers(90, 110).flatmap(lambda middle: st.tuples(_levels(80, middle), _levels(middle + 1, 120)))
_quotes = st.none() | st.tuples(st.integers(80, 100), st.integers(0, 900), st.integers(95, 120), st.integers(0, 900))
markets = st.builds(
    lambda one, two, quote, valid_ns: market(*one, *two, quote, valid_ns),
    _books,
    _books,
    _quotes,
    st.integers(-10_000_000, 50_000_000),
)
