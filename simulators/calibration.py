"""Fits the parameters of one instrument to a tape: which market of ours would have looked like this day?

Each parameter has one statistic that it moves most. A market is simulated, measured by the code that measured the tape,
and every parameter is moved so that its statistic comes nearer: the method of simulated moments (McFadden, 1989), one
moment a parameter, solved by damped steps on common random numbers. So a parameter means what the simulator makes of
it, and what a statistic owes to others' parameters is accounted for.

What a tape cannot say stays as the market that the fit begins with has it: how far orders stand behind the best price,
if the tape shows one level; how long volatility lasts, if it is short.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, sqrt

import msgspec
import numpy as np

from simulators.facts import SECOND_NS, Floats, acf, measure
from simulators.latent import SESSION_SECONDS
from simulators.market_config import DarkConfig, DealerConfig, LitConfig, MarketConfig, SymbolConfig
from simulators.recording import Integers, Recording, record_market

ROUNDS = 12
_SETTLED = 4  # the last rounds, of which the mean is taken
SIMULATED_S = 4 * 3600  # a round, at least
_LONG_S = 2 * 3600  # a tape from which on it says how long volatility lasts
_WHOLE_S = 5 * 3600  # from which on a day has a shape
_POINTS = 9
_NEAR, _FAR = range(1, 7), range(19, 31)  # lags of 10 s: the start and the end of what volatility remembers


@dataclass(frozen=True)
class Moments:
    """What the fit compares, one figure for each parameter that it moves; NaN where a recording cannot say."""

    orders_per_second: float  # limit orders; at the best price, if the tape shows no more
    takers_per_second: float
    improving: float  # share of those that better it
    order_qty: float  # mean, of limit orders at the best price
    spread_ticks: float
    best_orders: float  # shares at a best price, in mean limit orders
    behind_ticks: float  # mean distance of limit orders from the best price of their side
    volatility: float  # of a session, from returns of a minute
    extremes: float  # the 99.9th percentile of absolute 1 s returns, in standard deviations as of `volatility`
    clustering: float  # autocorrelation of absolute 10 s returns, 10 to 60 s apart
    forgetting: float  # the same 190 to 300 s apart, over it
    pauses_cv: float
    sign_memory: float  # mean autocorrelation of the signs at lags 1, 2, 5, 10
    response_bps: float  # mean of those after 1 and 10 s


def moments(recordings: Sequence[Recording], tick_px: int, levels: int) -> Moments:
    """The mean over recordings of one source; `levels` that it shows of each side of the book."""
    return Moments(*np.mean([_moments(recording, tick_px, levels) for recording in recordings], axis=0))


def _moments(recording: Recording, tick_px: int, levels: int) -> tuple[float, ...]:
    measured = measure("", [recording])
    facts, seconds = measured.facts, measured.hours * 3600.0
    at_best = recording.submitted_qty[recording.submitted_behind_px <= 0]
    order_qty = float(at_best.mean()) if len(at_best) else np.nan
    grid_ns = np.arange(recording.quote_ns[0], recording.quote_ns[-1], SECOND_NS)
    number = np.searchsorted(recording.quote_ns, grid_ns, side="right") - 1
    spread_px = (recording.ask_px - recording.bid_px)[number]
    best_qty = (recording.ask_qty + recording.bid_qty)[number] / 2.0
    mid = np.log(((recording.ask_px + recording.bid_px) / 2.0)[number])
    clusters = acf(np.abs(np.diff(mid[::10])), (*_NEAR, *_FAR))
    near, far = np.mean(clusters[: len(_NEAR)]), np.mean(clusters[len(_NEAR) :])
    minutes = mid[60:] - mid[:-60]
    volatility = sqrt(np.mean(minutes**2) / 60.0) if len(minutes) else np.nan  # of a second
    extremes = float(np.quantile(np.abs(np.diff(mid)), 0.999)) / volatility if volatility > 0 else np.nan
    known = [value for lag in (1, 2, 5, 10) if (value := getattr(facts, f"sign_acf_{lag}")) is not None]
    return (
        (recording.submitted if levels > 1 else len(at_best)) / seconds,
        len(recording.trade_ns) / seconds,
        float(np.sum(recording.submitted_behind_px < 0)) / max(len(at_best), 1),
        order_qty,
        float(spread_px.mean()) / tick_px,
        float(best_qty.mean()) / order_qty,
        float(np.maximum(recording.submitted_behind_px, 0).mean()) / tick_px if levels > 1 else np.nan,
        volatility * sqrt(SESSION_SECONDS),
        extremes,
        float(near),
        float(max(far / near, 0.01)) if near > 0.02 and seconds >= _LONG_S else np.nan,
        _or_nan(facts.interarrival_cv),
        float(np.mean(known)) if known else np.nan,
        (_or_nan(facts.response_1s_bps) + _or_nan(facts.response_10s_bps)) / 2.0,
    )


@dataclass(frozen=True)
class Fit:
    """The market that was found, and how its statistics stand beside those of the tape."""

    config: MarketConfig
    wanted: Moments
    found: Moments
    seconds: int  # of a simulated day of the fit


def fit(
    recordings: Sequence[Recording],
    levels: int,
    start: MarketConfig,
    symbol: str,
    *,
    seed: int = 1,
    rounds: int = ROUNDS,
    simulated_s: int = SIMULATED_S,
    progress: Callable[[], None] = lambda: None,
) -> Fit:
    """The market with the venues of `start` whose first symbol looks like the days; `progress` after each round.

    ValueError where they have too little in them to fit anything: market orders, quotes, a moving price.
    """
    first = recordings[0]
    tick_px = _tick(recordings)
    wanted = moments(recordings, tick_px, levels)
    if unknown := [name for name in _NEEDED if not getattr(wanted, name) > 0]:
        raise ValueError(f"the tape has too little in it to fit a market to: no {', '.join(unknown)}")
    lot_qty = _lot(wanted.order_qty)
    first_mid_px = float(first.bid_px[0] + first.ask_px[0]) / 2.0
    lit = [venue for venue in start.venues if isinstance(venue, LitConfig)]
    flow = sum(venue.flow_share for venue in lit)
    deep = levels > 1
    depth_ticks = 1.5 * wanted.behind_ticks + 0.5 if deep else max(start.symbols[0].depth_ticks, wanted.spread_ticks)
    config = msgspec.structs.replace(
        start.symbols[0],
        symbol=symbol,
        start_px=round(first_mid_px / tick_px) * tick_px,
        tick_px=tick_px,
        lot_qty=lot_qty,
        mean_lots=wanted.order_qty / lot_qty,
        daily_volatility=wanted.volatility,
        half_spread_ticks=max(wanted.spread_ticks / 2.0 - 0.5, 0.0),
        events_per_second=2.0 * wanted.orders_per_second / flow,
        depth_ticks=depth_ticks,
        day_activity=_shape(recordings, _busy),
        day_volatility=_shape(recordings, _wild),
    )
    recorded_s = float(np.mean([day.quote_ns[-1] - day.quote_ns[0] for day in recordings])) / SECOND_NS
    seconds = int(min(max(recorded_s, 3600.0), SESSION_SECONDS))
    seeds = range(seed, seed - (-simulated_s // seconds))
    settled: list[SymbolConfig] = []
    for number in range(rounds):
        days = [record_market(MarketConfig(symbols=(config,), venues=tuple(lit)), one, seconds, 0) for one in seeds]
        found = moments(days, tick_px, levels)
        config = _moved(config, wanted, found, flow)
        if number >= rounds - _SETTLED:
            settled.append(config)
        progress()
    config = _mean(settled)
    whole = MarketConfig(symbols=(config,), venues=start.venues, day=start.day)
    days = [record_market(whole, one, seconds, 0) for one in seeds]
    whole = msgspec.structs.replace(whole, venues=_off_exchange(whole, recordings, days))
    return Fit(whole, wanted, moments(days, tick_px, levels), seconds)


_NEEDED = ("orders_per_second", "takers_per_second", "order_qty", "spread_ticks", "best_orders", "volatility")


def _moved(config: SymbolConfig, wanted: Moments, found: Moments, flow: float) -> SymbolConfig:
    """One step: each parameter by what its statistic is off, less than all of it because others move it too."""

    def scaled(value: float, of: str, power: float, low: float, high: float) -> float:
        ratio = getattr(wanted, of) / getattr(found, of) if getattr(found, of) > 0 else np.nan
        if not np.isfinite(ratio) or ratio <= 0:
            return value
        return min(max(value * min(max(ratio**power, 0.5), 2.0), low), high)

    def shifted(value: float, of: str, share: float, low: float, high: float) -> float:
        off = share * (getattr(wanted, of) - getattr(found, of))
        return min(max(value + off, low), high) if np.isfinite(off) else value

    takers = scaled(config.events_per_second * config.taker_share * flow, "takers_per_second", 0.8, 1e-4, 1e4)
    events = scaled(config.events_per_second, "orders_per_second", 0.8, 0.01, 2000.0)
    return msgspec.structs.replace(
        config,
        events_per_second=events,
        taker_share=min(takers / (events * flow), 0.6),
        lean_share=scaled(config.lean_share, "improving", -0.6, 0.002, 0.3),
        mean_lots=scaled(config.mean_lots, "order_qty", 0.8, 0.2, 40.0),
        half_spread_ticks=shifted(config.half_spread_ticks, "spread_ticks", 0.4, 0.0, 1e4),
        orders_per_side=round(scaled(config.orders_per_side, "best_orders", 0.8, 4.0, 400.0)),
        depth_ticks=shifted(config.depth_ticks, "behind_ticks", 0.9, 0.5, 1e4),
        daily_volatility=scaled(config.daily_volatility, "volatility", 0.8, 1e-5, 1.0),
        jump_share=scaled(config.jump_share, "extremes", 2.0, 0.0001, 0.05),
        volatility_spread=shifted(config.volatility_spread, "clustering", 1.0, 0.05, 1.0),
        volatility_half_life_s=scaled(config.volatility_half_life_s, "forgetting", 0.4, 30.0, 1800.0),
        excitation=shifted(config.excitation, "pauses_cv", 0.06, 0.0, 0.93),
        split_tail=shifted(config.split_tail, "sign_memory", -1.2, 1.05, 4.0),
        impact=scaled(config.impact, "response_bps", 0.6, 0.01, 2.0),
    )


def _mean(configs: Sequence[SymbolConfig]) -> SymbolConfig:
    """The mean of each figure that was moved."""
    means = {}
    for name in configs[0].__struct_fields__:
        values = [getattr(config, name) for config in configs]
        if isinstance(values[0], float):
            means[name] = float(f"{np.mean(values):.4g}")
        elif name == "orders_per_side":
            means[name] = round(float(np.mean(values)))
    return msgspec.structs.replace(configs[-1], **means)


def _off_exchange(
    config: MarketConfig, recordings: Sequence[Recording], days: Sequence[Recording]
) -> tuple[LitConfig | DarkConfig | DealerConfig, ...]:
    """The venues with as much business off the displayed books as the tape has executions of hidden orders."""
    ours = sum(day.off_qty for day in days) / max(sum(day.lit_qty for day in days), 1)
    theirs = sum(day.off_qty for day in recordings) / max(sum(day.lit_qty for day in recordings), 1)
    factor = theirs / ours if ours and theirs else 1.0
    return tuple(
        msgspec.structs.replace(venue, arrivals_per_second=float(f"{venue.arrivals_per_second * factor:.4g}"))
        if isinstance(venue, DarkConfig)
        else msgspec.structs.replace(venue, clients_per_second=float(f"{venue.clients_per_second * factor:.4g}"))
        if isinstance(venue, DealerConfig)
        else venue
        for venue in config.venues
    )


def _shape(recordings: Sequence[Recording], of: Callable[[Recording, Integers], Floats]) -> tuple[float, ...]:
    """The shape of a session at even points, relative to its mean; none from days that are not whole ones."""
    if min(day.quote_ns[-1] - day.quote_ns[0] for day in recordings) < _WHOLE_S * SECOND_NS:
        return ()
    points = np.mean(
        [of(day, np.linspace(day.quote_ns[0], day.quote_ns[-1], _POINTS + 1)) for day in recordings], axis=0
    )
    return tuple(float(f"{max(point / points.mean(), 0.05):.3g}") for point in points)


def _busy(recording: Recording, edges_ns: Integers) -> Floats:
    return np.histogram(recording.trade_ns, edges_ns)[0].astype(float)


def _wild(recording: Recording, edges_ns: Integers) -> Floats:
    """Standard deviation of 10 s moves of the mid."""
    mid = (recording.bid_px + recording.ask_px) / 2.0
    found = []
    for low_ns, high_ns in pairwise(edges_ns):
        number = np.searchsorted(recording.quote_ns, np.arange(low_ns, high_ns, 10 * SECOND_NS), side="right") - 1
        found.append(np.sqrt(np.mean(np.diff(mid[np.maximum(number, 0)]) ** 2)))
    return np.array(found)


def _tick(recordings: Sequence[Recording]) -> int:
    """The largest step that all quoted prices are multiples of."""
    return gcd(*(int(px) for day in recordings for quoted in (day.bid_px, day.ask_px) for px in np.unique(quoted)))


def _lot(order_qty: float) -> int:
    """The largest of 100, 10 and 1 shares that orders of this mean size can be made of."""
    return next((lot_qty for lot_qty in (100, 10) if order_qty >= 1.2 * lot_qty), 1)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
