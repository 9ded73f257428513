"""The report on markets, real and simulated side by side: a table for the terminal and one page for the browser.

Both say each fact with its band and whether it is in. The page has no script and loads nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulators.chart import Axis, Series, line_chart, strip
from simulators.facts import (
    ABS_RETURN_LAGS,
    BANDS,
    RESPONSE_S,
    SIGN_LAGS,
    SIGNATURE_S,
    Facts,
    Floats,
    Measured,
    bins,
    distances,
    shares,
)
from simulators.impact import AFTER_S, SIZES_S, Impact

MEANINGS = {
    "kurtosis_1s": "kurtosis of 1 s mid returns",
    "kurtosis_10s": "kurtosis of 10 s mid returns",
    "kurtosis_60s": "kurtosis of 60 s mid returns",
    "abs_return_acf_10s": "autocorrelation of absolute 10 s returns, lag 1",
    "signature_1s_120s": "variance a second at 1 s over that at 120 s",
    "sign_acf_1": "autocorrelation of trade signs, lag 1",
    "sign_acf_2": "autocorrelation of trade signs, lag 2",
    "sign_acf_5": "autocorrelation of trade signs, lag 5",
    "sign_acf_10": "autocorrelation of trade signs, lag 10",
    "interarrival_cv": "pauses between market orders, coefficient of variation",
    "response_1s_bps": "response 1 s after a market order, bps",
    "response_10s_bps": "response 10 s after a market order, bps",
    "r2_signed_volume_10s": "R2 of the 10 s return on signed volume",
    "imbalance_corr_10s": "correlation of imbalance with the next 10 s move",
    "executed_over_submitted": "executions over submissions of limit orders",
    "off_exchange_share": "volume off the displayed books",
    "impact_exponent": "exponent of the impact of a large order, twin runs",
}
_DISTANCES = {
    "spread_bps": "spread, bps",
    "depth": "depth, market orders",
    "imbalance": "imbalance",
    "pause": "pause, log10 of seconds",
    "order_qty": "order at the best price, shares",
}


@dataclass(frozen=True)
class Source:
    """What was measured on one market. A tape has no twin, so it has no impact."""

    measured: Measured
    impact: Impact | None

    @property
    def name(self) -> str:
        return self.measured.name


def verdict(key: str, value: float | None) -> str:
    """ "in", "out", or "" where there is no figure."""
    if value is None:
        return ""
    low, high = BANDS[key]
    return "in" if low <= value <= high else "out"


def table(sources: Sequence[Source]) -> RenderableType:
    """Facts by source beside the bands of the mid-cap, what the figures rest on, and distances between books."""
    facts = Table(title="Facts of a market", title_justify="left", box=box.SIMPLE_HEAD)
    facts.add_column("measure")
    facts.add_column("band", justify="right")
    for source in sources:
        facts.add_column(source.name, justify="right")
    for key in Facts.__struct_fields__:
        row = [Text(_figure(value), _STYLES[verdict(key, value)]) for value in _values(sources, key)]
        facts.add_row(key, _band(key), *row)
    facts.add_section()
    facts.add_row("in band", "", *map(_count, sources))
    basis = Table(title="What they rest on", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("source", *_BASIS):
        basis.add_column(name, justify="left" if name == "source" else "right")
    for source in sources:
        basis.add_row(source.name, *_basis(source))
    parts: list[RenderableType] = [facts, basis]
    if pairs := _pairs(sources):
        apart = Table(
            title="Distance between the books (L1 of 0..2, Wasserstein)", title_justify="left", box=box.SIMPLE_HEAD
        )
        apart.add_column("between")
        for name in _DISTANCES.values():
            apart.add_column(name, justify="right")
        for label, cells in pairs:
            apart.add_row(label, *cells)
        parts.append(apart)
    return Group(*parts)


def html(sources: Sequence[Source]) -> str:
    """One page: facts, pictures, distances."""
    names = "".join(f'<span class="key"><i class="s{n}"></i>{escape(s.name)}</span>' for n, s in enumerate(sources))
    figures = "".join(
        f"<figure><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption>{svg}</figure>"
        for title, note, svg in _charts(sources)
    )
    return _PAGE.format(names=names, facts=_facts_html(sources), figures=figures, rest=_rest_html(sources), css=CSS)


_STYLES = {"in": "green", "out": "red", "": "dim"}
_BASIS = (
    "days",
    "hours a day",
    "messages a day",
    "market orders a day",
    "shares a day",
    "mean spread",
    "cancelled after",
)


def _basis(source: Source) -> list[str]:
    measured = source.measured
    lifetime_s = measured.lifetime_s
    return [
        str(measured.days),
        f"{measured.hours:.1f}",
        f"{measured.messages:,.0f}",
        f"{measured.market_orders:,.0f}",
        f"{measured.volume:,.0f}",
        f"{measured.spread_px / 1e4:.4f}",
        "-" if lifetime_s is None else f"{lifetime_s:.2f} s",
    ]


def _count(source: Source) -> str:
    said = [verdict(key, getattr(source.measured.facts, key)) for key in BANDS]
    return f"{said.count('in')} of {len(said) - said.count('')}"


def _values(sources: Sequence[Source], key: str) -> list[float | None]:
    return [getattr(source.measured.facts, key) for source in sources]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _band(key: str) -> str:
    return "{:g} .. {:g}".format(*BANDS[key])


def _pairs(sources: Sequence[Source]) -> list[tuple[str, list[str]]]:
    """Every simulated source beside every tape; without a tape, or without a simulation, each beside the first."""
    tapes = [source for source in sources if source.impact is None]
    ours = [source for source in sources if source.impact is not None]
    pairs = [(a, b) for a in ours for b in tapes] or [(source, sources[0]) for source in sources[1:]]
    found = []
    for a, b in pairs:
        apart = distances(a.measured.distributions, b.measured.distributions)
        cells = ["-" if isnan(l1) else f"{l1:.2f}, {w1:.2f}" for l1, w1 in apart.values()]
        found.append((f"{a.name} and {b.name}", cells))
    return found


def _facts_html(sources: Sequence[Source]) -> str:
    heads = "".join(f"<th>{escape(source.name)}</th>" for source in sources)
    rows = []
    for key in Facts.__struct_fields__:
        values = _values(sources, key)
        cells = "".join(
            f'<td class="{verdict(key, value)}">{_figure(value)}<small>{verdict(key, value)}</small></td>'
            for value in values
        )
        picture = strip(list(enumerate(values)), BANDS[key])
        rows.append(
            f"<tr><th>{escape(MEANINGS[key])}<small>{key}</small></th><td>{_band(key)}</td><td>{picture}</td>{cells}</tr>"
        )
    return f"<table><tr><th>measure</th><th>band</th><th></th>{heads}</tr>{''.join(rows)}</table>"


def _rest_html(sources: Sequence[Source]) -> str:
    def rows(lines: Iterable[tuple[str, Iterable[str]]]) -> str:
        return "".join(
            f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
            for name, cells in lines
        )

    heads = "".join(f"<th>{name}</th>" for name in ("source", *_BASIS))
    page = (
        f"<h2>What the figures rest on</h2><table><tr>{heads}</tr>{rows((s.name, _basis(s)) for s in sources)}</table>"
    )
    if pairs := _pairs(sources):
        heads = "".join(f"<th>{name}</th>" for name in ("between", *_DISTANCES.values()))
        page += (
            "<h2>Distance between the books</h2><p>L1 between histograms (0 the same, 2 disjoint), Wasserstein-1.</p>"
        )
        page += f"<table><tr>{heads}</tr>{rows(pairs)}</table>"
    return page


def _charts(sources: Sequence[Source]) -> list[tuple[str, str, str]]:
    """(title, note, svg) of each picture."""

    def of(xs: Sequence[float], curve: str) -> list[Series]:
        return [Series(s.name, xs, getattr(s.measured.curves, curve), n) for n, s in enumerate(sources)]

    charts = [
        ("Price", "of the first day, relative to its first mid", line_chart(_paths(sources), Axis("hours"), Axis("%"))),
        (
            "Signature plot",
            "variance a second relative to that at 120 s; the band is 15%",
            line_chart(of(SIGNATURE_S, "signature"), Axis("s", log=True), Axis("ratio"), (0.85, 1.15)),
        ),
        (
            "Trade signs",
            "autocorrelation by lag in market orders",
            line_chart(of(SIGN_LAGS, "sign_acf"), Axis("lag", log=True), Axis("autocorrelation")),
        ),
        (
            "Response",
            "of the mid to a market order",
            line_chart(of(RESPONSE_S, "response_bps"), Axis("s", log=True), Axis("bps", low=0.0)),
        ),
        (
            "Volatility clusters",
            "autocorrelation of absolute 10 s returns",
            line_chart(of(ABS_RETURN_LAGS, "abs_return_acf"), Axis("lag of 10 s"), Axis("autocorrelation")),
        ),
    ]
    for key, label in _DISTANCES.items():
        what = f"of the {label.split(',')[0]}" + ("" if key in ("pause", "order_qty") else ", once a second")
        if all(len(getattr(source.measured.distributions, key)) for source in sources):
            charts.append(("Distribution", what, _histogram(sources, key, label)))
    moved = [(number, s.name, s.impact) for number, s in enumerate(sources) if s.impact is not None]
    if moved:
        charts += _impact_charts(moved)
    return charts


def _paths(sources: Sequence[Source]) -> list[Series]:
    paths = []
    for number, source in enumerate(sources):
        hours, mids = source.measured.mid_path
        paths.append(Series(source.name, hours, (mids / mids[0] - 1.0) * 100.0, number, dots=False))
    return paths


def _histogram(sources: Sequence[Source], key: str, label: str) -> str:
    samples: list[Floats] = [getattr(source.measured.distributions, key) for source in sources]
    edges = bins(*samples)
    middles = (edges[:-1] + edges[1:]) / 2.0
    series = [
        Series(source.name, middles, shares(sample, edges), number)
        for number, (source, sample) in enumerate(zip(sources, samples, strict=True))
    ]
    return line_chart(series, Axis(label), Axis("share", low=0.0))


def _impact_charts(moved: Sequence[tuple[int, str, Impact]]) -> list[tuple[str, str, str]]:
    grown = [Series(name, one.qty, one.impact_bps, number) for number, name, one in moved]
    end_s = SIZES_S[-1]
    times = (0.0, *(after / end_s for after in AFTER_S))
    decay = [Series(name, times, np.concatenate(([1.0], one.decay)), number) for number, name, one in moved]
    return [
        (
            "Impact",
            "of a large order by what it has traded, twin runs",
            line_chart(grown, Axis("shares", log=True), Axis("bps", log=True)),
        ),
        (
            "Decay",
            "of the impact after the order's end, in durations of the order",
            line_chart(decay, Axis("durations since the end"), Axis("of the peak")),
        ),
    ]


CSS = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --paper: #fff; --rule: #e4e7ec; --band: #12b76a26;
  --in: #067647; --out: #b42318; --s0: #2563eb; --s1: #d97706; --s2: #7c3aed; --s3: #0d9488; --s4: #db2777; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --paper: #12161d; --rule: #2b3240;
  --band: #32d58333; --in: #47cd89; --out: #f97066; --s0: #6ea8fe; --s1: #fdb022; --s2: #bd9bff; --s3: #2ed3b7;
  --s4: #f670c7; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 1340px; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .8rem .22rem 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child { text-align: left; font-weight: 500; } tr:first-child th { color: var(--soft); font-weight: 500;
  white-space: normal; overflow-wrap: anywhere; max-width: 11rem; vertical-align: bottom; }
small { color: var(--soft); font-size: .75em; margin-left: .5em; } td.in small { color: var(--in); }
td.out, td.out small { color: var(--out); } .wide { overflow-x: auto; }
.key { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1.2rem; margin-top: 1.5rem; }
figure { margin: 0; } figcaption { font-size: .9rem; color: var(--soft); } figcaption b { color: var(--ink); }
svg { width: 100%; height: auto; } svg.strip { width: 190px; vertical-align: middle; }
svg text { font-size: 11px; fill: var(--soft); } .grid { stroke: var(--rule); } .axis { stroke: var(--soft); }
.band { fill: var(--band); } .line { fill: none; stroke-width: 1.8; stroke: var(--c); } .dot { fill: var(--c); }
.key i { background: var(--c); } .s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Facts of a market</title>
<style>{css}</style></head><body><h1>Facts of a market</h1><p>{names}</p>
<div class="wide">{facts}</div><main>{figures}</main><div class="wide">{rest}</div></body></html>
"""
