"""What a simulated market consists of: symbols, and venues of three kinds. Data only; the seed is not part of it.

What venues of all kinds have in common (latency, limits, hours, and figures that change) is in `simulators.conduct`.

Rates are per second, prices Px (1e-4 of a currency unit), quantities shares, durations nanoseconds unless a name says
otherwise. Every number has one meaning for all venues of its kind, so that two venues differ by numbers alone.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.fields import VenueKind
from simulators.conduct import Conduct, NotNegative, Positive, Share

Name = Annotated[str, Meta(min_length=1)]
Part = Annotated[float, Meta(ge=0, lt=1)]
Tail = Annotated[float, Meta(gt=1)]  # a Pareto exponent; no mean exists at 1 or below
Count = Annotated[int, Meta(gt=0)]


class SymbolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    symbol: Name
    start_px: Count
    tick_px: Count = 100
    lot_qty: Count = 100
    daily_volatility: NotNegative = 0.018  # standard deviation of the log return over a session of 6.5 hours
    events_per_second: Positive = 10.0  # orders, cancels and trades on a lit venue with flow share 1
    half_spread_ticks: NotNegative = 0.5  # what a provider keeps from the efficient price, beside rounding to ticks
    mean_lots: Positive = 2.0  # of an order
    orders_per_side: Count = 24  # resting on one side of a book with depth factor 1
    depth_ticks: Positive = 3.0  # mean distance of a new order behind the fair price
    taker_share: Share = 0.05  # of the events: orders that take
    excitation: Part = 0.86  # share of the takers that come because others came
    excitation_s: Positive = 1.0  # and how long after them, in the mean
    split_tail: Tail = 1.4  # Pareto exponent of the number of pieces of a large order
    longest_split: Count = 50  # pieces
    impact: NotNegative = 0.27  # of a taker of mean size, in standard deviations of the price between two takers
    flow_variance: Part = 0.2  # share of the price's variance that impact makes; the rest is news
    volatility_spread: NotNegative = 0.4  # standard deviation of the log of the volatility, which clusters
    volatility_half_life_s: Positive = 240.0
    jump_share: Share = 0.008  # of the price's steps, five a second: news
    jump_factor: Positive = 7.5  # how much larger they are
    day_activity: tuple[Positive, ...] = ()  # of all rates through the session, at even points; none: the same all day
    day_volatility: tuple[Positive, ...] = ()  # of the news; both count relative to their mean
    trend_bps: NotNegative = 0.0  # a minute: a drift of the news that nobody knows of, up or down
    trend_s: Positive = 600.0  # how long it keeps its direction, in the mean
    stale_ticks: NotNegative = 0.0  # how far the price has to pass a quote before the fast act on it
    requote_share: Share = 0.25  # quotes left behind by the price that the fast improve at each look
    lean_share: Share = (
        0.14  # looks of the fast at a price at a quote that end in joining the other one, or leaving this
    )


class LitConfig(Conduct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="lit"):
    """A displayed book with price-time priority."""

    name: Name
    flow_share: Positive = 1.0  # event rate relative to the symbol's
    depth_factor: Positive = 1.0  # resting orders relative to the symbol's

    @property
    def kind(self) -> VenueKind:
        return VenueKind.LIT


class DarkConfig(Conduct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="dark"):
    """A midpoint cross of hidden orders."""

    name: Name
    arrivals_per_second: Positive = 0.4  # moments when a contra may come, per symbol
    empty_share: Share = 0.5  # share of those moments when none comes (zero inflation)
    mean_lots: Positive = 6.0
    size_tail: Tail = 1.4  # Pareto exponent of sizes; smaller is heavier
    min_qty_share: Share = 0.3  # contras that insist on half their size in one execution
    informed_share: Share = 0.3  # contras on the side of the coming drift
    mean_life_ns: Count = 8_000_000_000
    size_priority: bool = False  # the larger order goes first, then the older; otherwise the older alone
    leakage: NotNegative = 1.0  # market orders that follow on the lit books when a client's order is met in part

    @property
    def kind(self) -> VenueKind:
        return VenueKind.DARK


class DealerConfig(Conduct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="dealer"):
    """A dealer who streams two-sided quotes and takes a last look before filling."""

    name: Name
    half_spread_ticks: NotNegative = 0.75
    half_spread_bps: NotNegative = 0.5  # added to the ticks
    quote_interval_ns: Count = 500_000_000
    validity_ns: Count = 2_000_000_000
    max_lots: Count = 20  # shown on each side
    hold_ns: Annotated[int, Meta(ge=0)] = 40_000_000  # last look
    tolerance_bps: NotNegative = 0.5  # a larger move against the dealer during the hold declines
    clients_per_second: Positive = 0.2  # trades of the dealer with others, per symbol
    informed_share: Share = 0.2  # of those, on the side of the coming drift
    skew_ticks: NotNegative = 1.5  # quote shift at full inventory
    inventory_lots: Count = 100  # "full"
    inventory_half_life_ns: Count = 60_000_000_000  # how fast the dealer hedges
    toxic_widening: NotNegative = 0.5  # of the half spread, for each bp that a client's trades cost, relative
    widest: Annotated[float, Meta(ge=1)] = 4.0  # half spreads, at most
    markout_ns: Count = 5_000_000_000  # after a trade, when the dealer looks what it cost
    toxicity_half_life_ns: Count = 300_000_000_000
    rfq_max_lots: Count = 100  # the most that is quoted on request
    rfq_size_spread: NotNegative = 1.0  # how much wider the half spread is for that, relative; less for less
    rfq_validity_ns: Count = 3_000_000_000
    rfq_withdraw_bps: NotNegative = 2.0  # a move against the dealer after which a quote on request is taken back

    @property
    def kind(self) -> VenueKind:
        return VenueKind.DEALER


VenueConfig = LitConfig | DarkConfig | DealerConfig


class DayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The phases of a day, from the market's start on. Without one a market is open from its start and never closes."""

    opening_s: NotNegative = 600.0  # opening auction; 0: opens without one
    session_s: Positive = 23_400.0
    closing_s: NotNegative = 300.0  # closing auction; 0: closes without one
    opening_share: Share = 0.02  # of a day's volume on the books: what the background sends to the opening auction
    closing_share: Share = 0.1
    band: Part = 0.0  # how far from its mean the price may go, relative to it; 0: anywhere
    band_reference_s: Positive = 300.0  # over which the mean is taken
    pause_s: Positive = 300.0  # once it went further


class MarketConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    symbols: tuple[SymbolConfig, ...]
    venues: tuple[VenueConfig, ...]
    day: DayConfig | None = None

    @property
    def opening_ns(self) -> int:
        """From the market's start to its first continuous trading."""
        return int(self.day.opening_s * 1e9) if self.day is not None else 0

    def __post_init__(self) -> None:
        for what, names in (
            ("symbol", [symbol.symbol for symbol in self.symbols]),
            ("venue", [venue.name for venue in self.venues]),
        ):
            if not names:
                raise ValueError(f"no {what} in the market")
            if twice := _repeated(names):
                raise ValueError(f"{what} {twice!r} is there twice")
        if not any(isinstance(venue, LitConfig) for venue in self.venues):
            raise ValueError("no lit venue in the market: nothing would make a price")


def _repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def default_symbols() -> tuple[SymbolConfig, ...]:
    """Five invented shares, from a liquid one whose tick is large to a volatile one with a wide spread."""
    return (
        SymbolConfig(
            symbol="ALFA",
            start_px=24_5000,
            daily_volatility=0.016,
            half_spread_ticks=0.0,
            mean_lots=5.0,
            orders_per_side=40,
            depth_ticks=2.5,
        ),
        SymbolConfig(
            symbol="BRVO",
            start_px=52_0000,
            daily_volatility=0.014,
            half_spread_ticks=0.2,
            mean_lots=3.0,
            orders_per_side=32,
            depth_ticks=2.5,
        ),
        SymbolConfig(symbol="CHRL", start_px=98_0000, daily_volatility=0.016, half_spread_ticks=0.6, mean_lots=2.0),
        SymbolConfig(
            symbol="DLTA",
            start_px=147_0000,
            daily_volatility=0.018,
            half_spread_ticks=1.0,
            mean_lots=1.8,
            orders_per_side=20,
        ),
        SymbolConfig(
            symbol="ECHO",
            start_px=212_0000,
            daily_volatility=0.018,
            half_spread_ticks=1.5,
            mean_lots=1.5,
            orders_per_side=18,
            depth_ticks=4.0,
        ),
    )


def default_venues() -> tuple[VenueConfig, ...]:
    """Three lit books, two dark crosses, two dealers. CLIP is the inverted one: it pays takers, so queues are short."""
    return (
        LitConfig(name="ARGO", flow_share=1.15, depth_factor=1.2),
        LitConfig(name="BRIG", flow_share=1.0),
        LitConfig(name="CLIP", flow_share=0.85, depth_factor=0.7),
        DarkConfig(name="DUSK"),
        DarkConfig(
            name="EBBT",
            arrivals_per_second=0.2,
            empty_share=0.6,
            mean_lots=15.0,
            size_tail=1.2,
            min_qty_share=0.6,
            informed_share=0.15,
        ),
        DealerConfig(name="FORD"),
        DealerConfig(
            name="GALE",
            half_spread_ticks=0.5,
            half_spread_bps=0.3,
            quote_interval_ns=250_000_000,
            validity_ns=1_000_000_000,
            max_lots=10,
            hold_ns=120_000_000,
            tolerance_bps=0.2,
        ),
    )


def default_market() -> MarketConfig:
    """The market of the demo and of the training runs."""
    return MarketConfig(symbols=default_symbols(), venues=default_venues())
