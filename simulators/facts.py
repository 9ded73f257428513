"""The facts of a market, measured on a recording: the same code for a simulated day and for a real tape.

Each measure is defined in docs/market.md with its formula and its source. All are computed on one day; several days of
a source are averaged. What a day is too short or too quiet to say is None, never a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import msgspec
import numpy as np
import numpy.typing as npt

from simulators.recording import Recording

Floats = npt.NDArray[np.float64]

SECOND_NS = 1_000_000_000
SIGNATURE_S = (1, 2, 5, 10, 20, 30, 60, 120)
SIGN_LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
RESPONSE_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)
ABS_RETURN_LAGS = tuple(range(1, 31))
_FEWEST = 20  # observations below which a figure is no figure


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One source's figures. Field names are the keys of the report's JSON."""

    kurtosis_1s: float | None
    kurtosis_10s: float | None
    kurtosis_60s: float | None
    abs_return_acf_10s: float | None
    signature_1s_120s: float | None
    sign_acf_1: float | None
    sign_acf_2: float | None
    sign_acf_5: float | None
    sign_acf_10: float | None
    interarrival_cv: float | None
    response_1s_bps: float | None
    response_10s_bps: float | None
    r2_signed_volume_10s: float | None
    imbalance_corr_10s: float | None
    executed_over_submitted: float | None
    off_exchange_share: float | None
    impact_exponent: float | None


# What a mid-cap has to show, all together; the figures of real tapes of large US stocks lie inside.
BANDS: dict[str, tuple[float, float]] = {
    "kurtosis_1s": (15.0, 45.0),
    "kurtosis_10s": (5.0, 15.0),
    "kurtosis_60s": (3.0, 7.0),
    "abs_return_acf_10s": (0.10, 0.25),
    "signature_1s_120s": (0.85, 1.15),
    "sign_acf_1": (0.50, 0.70),
    "sign_acf_2": (0.30, 0.50),
    "sign_acf_5": (0.12, 0.30),
    "sign_acf_10": (0.03, 0.15),
    "interarrival_cv": (2.0, 3.0),
    "response_1s_bps": (0.3, 2.0),
    "response_10s_bps": (0.5, 2.5),
    "r2_signed_volume_10s": (0.04, 0.40),
    "imbalance_corr_10s": (0.03, 0.20),
    "executed_over_submitted": (0.05, 0.35),
    "off_exchange_share": (0.29, 0.38),
    "impact_exponent": (0.45, 0.55),
}


@dataclass(frozen=True)
class Curves:
    """What the pictures show. Each is on the fixed lags above; NaN where there is nothing to say."""

    signature: Floats  # variance per second at SIGNATURE_S relative to that at 120 s
    sign_acf: Floats  # at SIGN_LAGS
    response_bps: Floats  # at RESPONSE_S
    abs_return_acf: Floats  # of 10 s returns at ABS_RETURN_LAGS


@dataclass(frozen=True)
class Distributions:
    """What LOB-Bench compares: samples of the book once a second, and the messages."""

    spread_bps: Floats
    depth: Floats  # shares at the best bid and ask, in mean market orders
    imbalance: Floats  # (bid - ask) / (bid + ask) at the best prices
    pause: Floats  # between two messages, as the decimal logarithm of seconds, from the microsecond up
    order_qty: Floats  # shares of limit orders at the best price


@dataclass(frozen=True)
class Measured:
    """One source: its facts, curves and distributions, and counts to judge them by."""

    name: str
    facts: Facts
    curves: Curves
    distributions: Distributions
    days: int
    hours: float  # of one day
    messages: float  # quotes seen, a day
    market_orders: float  # a day
    volume: float  # shares a day, on and off the displayed books
    spread_px: float  # mean
    lifetime_s: float | None  # median, of cancelled orders
    mid_path: tuple[Floats, Floats]  # of the first day: hours from its first message, mid in currency units


def measure(name: str, days: Sequence[Recording]) -> Measured:
    """What the days of one source have in common: the mean over the days that have something to say."""
    each = [_Day(recording) for recording in days]
    facts = {
        key: _mean([day.facts[key] for day in each if key in day.facts]) if key != "impact_exponent" else None
        for key in Facts.__struct_fields__
    }
    lifetimes = np.concatenate([day.lifetime_ns for day in days])
    return Measured(
        name,
        Facts(**facts),
        Curves(
            _mean_curve([day.signature() for day in each]),
            _mean_curve([day.sign_acf for day in each]),
            _mean_curve([day.response_bps(RESPONSE_S) for day in each]),
            _mean_curve([acf(np.abs(day.returns(10)), ABS_RETURN_LAGS) for day in each]),
        ),
        Distributions(*(np.concatenate(parts) for parts in zip(*(day.samples() for day in each), strict=True))),
        len(days),
        float(np.mean([day.seconds for day in each])) / 3600.0,
        float(np.mean([len(day.quote_ns) for day in days])),
        float(np.mean([len(day.trade_ns) for day in days])),
        float(np.mean([day.lit_qty + day.off_qty for day in days])),
        float(np.mean([np.mean(day.ask_px - day.bid_px) for day in days])),
        float(np.median(lifetimes)) / SECOND_NS if len(lifetimes) >= _FEWEST else None,
        each[0].path(),
    )


class _Day:
    """One recording on a grid of whole seconds, from the first one that has a quote."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._mid = (recording.bid_px + recording.ask_px) / 2.0
        first_ns, last_ns = int(recording.quote_ns[0]), int(recording.quote_ns[-1])
        start_ns = -(-first_ns // SECOND_NS) * SECOND_NS
        self._grid_ns = np.arange(start_ns, last_ns + 1, SECOND_NS)
        self._log_mid = np.log(self.mid_at(self._grid_ns))
        self.seconds = (last_ns - first_ns) / SECOND_NS
        self.sign_acf = acf(recording.trade_sign.astype(float), SIGN_LAGS)
        self.facts = self._facts()

    def mid_at(self, at_ns: npt.NDArray[np.int64]) -> Floats:
        """The last mid at or before each instant; the first one before there was any."""
        number = np.searchsorted(self._recording.quote_ns, at_ns, side="right") - 1
        return self._mid[np.maximum(number, 0)]

    def returns(self, seconds: int) -> Floats:
        return np.diff(self._log_mid[::seconds])

    def path(self) -> tuple[Floats, Floats]:
        every = max(len(self._grid_ns) // 800, 1)
        shown = self._grid_ns[::every]
        return (shown - self._recording.quote_ns[0]) / SECOND_NS / 3600.0, np.exp(self._log_mid[::every]) / 1e4

    def signature(self) -> Floats:
        """Variance of overlapping returns per second, at SIGNATURE_S relative to the last of them."""
        rates = np.full(len(SIGNATURE_S), np.nan)
        for number, seconds in enumerate(SIGNATURE_S):
            if len(self._log_mid) > 10 * seconds:
                rates[number] = np.mean((self._log_mid[seconds:] - self._log_mid[:-seconds]) ** 2) / seconds
        return rates / rates[-1] if rates[-1] else rates * np.nan

    def response_bps(self, lags_s: Sequence[float]) -> Floats:
        """Mean of sign x (mid after the lag - mid just after the market order), in bps of the latter."""
        recording = self._recording
        known = recording.trade_ns + int(max(lags_s) * SECOND_NS) <= recording.quote_ns[-1]
        at_ns, sign = recording.trade_ns[known], recording.trade_sign[known]
        if len(at_ns) < _FEWEST:
            return np.full(len(lags_s), np.nan)
        before = self.mid_at(at_ns)
        moves = [(self.mid_at(at_ns + int(lag * SECOND_NS)) / before - 1.0) * sign for lag in lags_s]
        return np.array([move.mean() * 1e4 for move in moves])

    def book_samples(self) -> tuple[Floats, Floats, Floats]:
        recording = self._recording
        number = np.maximum(np.searchsorted(recording.quote_ns, self._grid_ns, side="right") - 1, 0)
        bid_qty, ask_qty = recording.bid_qty[number], recording.ask_qty[number]
        spread_bps = (recording.ask_px - recording.bid_px)[number] / self._mid[number] * 1e4
        mean_qty = recording.trade_qty.mean() if len(recording.trade_qty) else 1.0
        return spread_bps, (bid_qty + ask_qty) / 2.0 / mean_qty, (bid_qty - ask_qty) / (bid_qty + ask_qty)

    def samples(self) -> tuple[Floats, ...]:
        return *self.book_samples(), *self.message_samples()

    def message_samples(self) -> tuple[Floats, Floats]:
        pauses_s = np.diff(self._recording.quote_ns) / SECOND_NS
        at_best = self._recording.submitted_qty[self._recording.submitted_behind_px <= 0]
        return np.log10(np.maximum(pauses_s, 1e-6)), at_best.astype(float)

    def _facts(self) -> dict[str, float | None]:
        recording = self._recording
        signature, (response_1s, response_10s) = self.signature(), self.response_bps((1.0, 10.0))
        returns = self.returns(10)
        edges_ns = self._grid_ns[::10]
        volume = np.histogram(recording.trade_ns, edges_ns, weights=recording.trade_sign * recording.trade_qty)[0]
        imbalance = self.book_samples()[2][::10][: len(returns)]
        flow_correlation = _correlation(volume, returns)
        memory = dict(zip(SIGN_LAGS, self.sign_acf, strict=True))
        traded = recording.lit_qty + recording.off_qty
        found = {
            "kurtosis_1s": _kurtosis(self.returns(1)),
            "kurtosis_10s": _kurtosis(returns),
            "kurtosis_60s": _kurtosis(self.returns(60)),
            "abs_return_acf_10s": acf(np.abs(returns), (1,))[0],
            "signature_1s_120s": signature[0],
            **{f"sign_acf_{lag}": memory[lag] for lag in (1, 2, 5, 10)},
            "interarrival_cv": _variation(np.diff(recording.trade_ns)),
            "response_1s_bps": response_1s,
            "response_10s_bps": response_10s,
            "r2_signed_volume_10s": flow_correlation**2,
            "imbalance_corr_10s": _correlation(imbalance, returns),
            "executed_over_submitted": recording.executed / recording.submitted if recording.submitted else np.nan,
            "off_exchange_share": recording.off_qty / traded if traded else np.nan,
        }
        return {key: float(value) if np.isfinite(value) else None for key, value in found.items()}


def distances(ours: Distributions, theirs: Distributions) -> dict[str, tuple[float, float]]:
    """For each distribution: L1 between the histograms (0 same, 2 disjoint) and Wasserstein-1 in its unit; NaN where a
    side has no sample."""
    found = {}
    for field in fields(Distributions):
        pair = getattr(ours, field.name), getattr(theirs, field.name)
        found[field.name] = (_l1(*pair), _wasserstein(*pair)) if all(map(len, pair)) else (np.nan, np.nan)
    return found


def bins(*samples: Floats, count: int = 24) -> Floats:
    """Edges of common bins over all samples; what lies beyond the 99th percentile of all goes to the last one."""
    together = np.concatenate(samples)
    low, high = float(together.min()), float(np.quantile(together, 0.99))
    return np.linspace(low, high if high > low else low + 1.0, count + 1)


def shares(sample: Floats, edges: Floats) -> Floats:
    """The share of a sample in each bin."""
    return np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / max(len(sample), 1)


def _l1(ours: Floats, theirs: Floats) -> float:
    edges = bins(ours, theirs)
    return float(np.abs(shares(ours, edges) - shares(theirs, edges)).sum())


def _wasserstein(ours: Floats, theirs: Floats) -> float:
    """The area between the two distribution functions, by quantiles."""
    at = (np.arange(1000) + 0.5) / 1000
    return float(np.abs(np.quantile(ours, at) - np.quantile(theirs, at)).mean())


def _kurtosis(values: Floats) -> float:
    """Fourth central moment over the squared variance; 3 for a normal distribution."""
    centred = values - values.mean() if len(values) >= _FEWEST else values[:0]
    variance = np.mean(centred**2) if len(centred) else 0.0
    return float(np.mean(centred**4) / variance**2) if variance else np.nan


def acf(values: Floats, lags: Sequence[int]) -> Floats:
    """Autocorrelation at each lag; NaN where fewer than _FEWEST products are there."""
    centred = values - values.mean() if len(values) else values
    power = float(np.sum(centred**2))
    longest = len(values) - _FEWEST if power else 0
    return np.array([np.sum(centred[lag:] * centred[:-lag]) / power if lag <= longest else np.nan for lag in lags])


def _correlation(first: Floats, second: Floats) -> float:
    if len(first) < _FEWEST or not first.std() or not second.std():
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])


def _variation(pauses: npt.NDArray[np.int64]) -> float:
    return float(pauses.std() / pauses.mean()) if len(pauses) >= _FEWEST and pauses.any() else np.nan


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean_curve(curves: Sequence[Floats]) -> Floats:
    stacked = np.array(curves)
    known = np.isfinite(stacked)
    return np.where(known.any(0), np.where(known, stacked, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
