"""The study on routing as a table for the README and as one page with pictures: functions of its figures alone."""

from collections.abc import Sequence
from html import escape

import numpy as np

from simulators.chart import Axis, Series, line_chart
from simulators.report import CSS
from study.routing_day import RANKINGS
from study.routing_figures import ALL, Figure, Study

NAMES = {
    "learned": "learned",
    "table": "table of recent fill rates",
    "static": "static, price and fee",
    "random": "random",
}
_WIDTH, _ROW, _LEFT = 460, 16, 96
_STYLE = """tr:first-child th { overflow-wrap: normal; } .bar { fill: var(--c); }
.whisker { stroke: var(--ink); stroke-width: 1.3; }
"""
_PARTS = ("spread", "fees", "drift", "not filled")


def markdown(study: Study) -> str:
    """The table of the README: shortfall of each ranking, and what learned routing saves against static."""
    lines = [
        "| regime | days | learned | table | static | random | saved against static | reduction |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in study.regimes.items():
        costs = " | ".join(f"{found.cost_bps[ranking].value:.2f}" for ranking in RANKINGS)
        against = found.against["static"]
        lines.append(
            f"| {name} | {found.days} | {costs} | {_span(against.saved_bps, 2)} | {_share(against.reduction)} |"
        )
    return "\n".join(lines) + "\n"


def _span(figure: Figure, digits: int) -> str:
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def _share(figure: Figure) -> str:
    return f"{figure.value:.0%} ({figure.low:.0%} to {figure.high:.0%})"


def html(study: Study) -> str:
    whole = study.regimes[ALL]
    against = whole.against["static"]
    verdict = (
        f"{study.days} simulated days, {whole.parents:,} parent orders. Learned routing cost "
        f"{_span(whole.cost_bps['learned'], 2)} bps, static {_span(whole.cost_bps['static'], 2)} bps: "
        f"{_span(against.saved_bps, 2)} bps saved, {_share(against.reduction)} of the static cost."
    )
    parts = [
        "<h1>Does learned routing pay?</h1>",
        f"<p>{escape(verdict)}</p>",
        "<p>Implementation shortfall in bps of the notional at arrival: all fills and fees against the mid at arrival, "
        "and what did not fill at the price of crossing the books at the order's end. The same days and orders under "
        "each ranking. In brackets and as whiskers: the middle 95% when whole days are drawn again.</p>",
        f"<main>{_costs(study)}{_saved(study)}{_cumulative(study)}{_decomposition(study)}</main>",
        "<h2>By regime</h2>",
        _slices(study, "regime"),
        "<h2>By strategy</h2>",
        _slices(study, "strategy"),
        "<h2>Where the shares came from</h2>",
        *(_sources(study, ranking) for ranking in RANKINGS),
        "<h2>How it was made</h2>",
        _design(study),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Learned routing</title>'
    body = "\n".join(parts)
    style = CSS + _STYLE
    return f'<!doctype html>\n<html lang="en"><head>{head}\n<style>{style}</style></head><body>{body}</body></html>\n'


def _costs(study: Study) -> str:
    rows = [
        (name if number == 0 else "", found.cost_bps[ranking], number)
        for name, found in study.regimes.items()
        for number, ranking in enumerate(RANKINGS)
    ]
    return _figure("Shortfall", _key([NAMES[ranking] for ranking in RANKINGS]), _bars(rows, "bps", len(RANKINGS)))


def _saved(study: Study) -> str:
    others = RANKINGS[1:]
    rows = [
        (name if number == 0 else "", found.against[ranking].saved_bps, number + 1)
        for name, found in study.regimes.items()
        for number, ranking in enumerate(others)
    ]
    key = _key([f"against {ranking}" for ranking in others], 1)
    return _figure("Saved by learned routing", f"same days, paired {key}", _bars(rows, "bps", len(others)))


def _cumulative(study: Study) -> str:
    notional = np.array([row[2] for row in study.daily])
    costs = np.array([row[3] for row in study.daily])
    series = []
    for number, ranking in enumerate(RANKINGS[1:], 1):
        saved = np.cumsum((costs[:, number] - costs[:, 0]) * notional) / 1e4
        series.append(Series(f"against {ranking}", np.arange(1, len(saved) + 1), saved, number, dots=False))
    chart = line_chart(series, Axis("days"), Axis("saved, currency units"))
    return _figure("Saved so far", _key([one.name for one in series], 1), chart)


def _decomposition(study: Study) -> str:
    rows = []
    for ranking in RANKINGS:
        found = study.sources[ranking].values()
        figures = (
            sum(source.spread_bps for source in found),
            sum(source.fee_bps for source in found),
            sum(source.drift_bps for source in found),
            study.rest_bps[ranking],
        )
        rows += [(ranking if n == 0 else "", Figure(value, value, value), n) for n, value in enumerate(figures)]
    text = f"spread against the mid when the order was sent, drift of that mid since arrival {_key(_PARTS)}"
    return _figure("What it is made of", text, _bars(rows, "bps", len(_PARTS)))


def _bars(rows: Sequence[tuple[str, Figure, int]], unit: str, group: int) -> str:
    """Horizontal bars with whiskers; a group of rows has a name."""
    low = min(0.0, *(figure.low for _, figure, _ in rows))
    high = max(0.0, *(figure.high for _, figure, _ in rows))
    scale = (_WIDTH - _LEFT - 24) / ((high - low) or 1.0)
    gap = 10
    height = len(rows) * _ROW + (len(rows) // group) * gap + 22

    def at(value: float) -> float:
        return _LEFT + (value - low) * scale

    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="bars, {unit}">']
    for number, (name, figure, colour) in enumerate(rows):
        y = number * _ROW + (number // group) * gap + 4
        left, right = sorted((at(0.0), at(figure.value)))
        if name:
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="bar s{colour}" x="{left:.1f}" y="{y}" width="{max(right - left, 0.5):.1f}" height="11"/>'
        )
        if figure.high > figure.low:
            x1, x2 = at(figure.low), at(figure.high)
            parts.append(f'<line class="whisker" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y + 5.5}" y2="{y + 5.5}"/>')
    zero, bottom = at(0.0), height - 18
    parts.append(f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{bottom}"/>')
    ends = sorted({0.0, round(low, 1), round(high, 1)})
    parts += [f'<text x="{at(x):.1f}" y="{height - 4}" text-anchor="middle">{x:g}</text>' for x in ends]
    parts.append(f'<text x="4" y="{height - 4}">{unit}</text>')
    return "".join(parts) + "</svg>"


def _slices(study: Study, kind: str) -> str:
    slices = study.regimes if kind == "regime" else study.strategies
    heads = [kind, "days", "orders", *(f"{NAMES[ranking]}, bps" for ranking in RANKINGS)]
    heads += [text for other in RANKINGS[1:] for text in (f"saved against {other}, bps", f"reduction against {other}")]
    rows = []
    for name, found in slices.items():
        cells = [escape(name), f"{found.days}", f"{found.parents:,}"]
        cells += [_cell(found.cost_bps[ranking], "{:.2f}") for ranking in RANKINGS]
        for other in RANKINGS[1:]:
            against = found.against[other]
            cells += [_cell(against.saved_bps, "{:.2f}"), _cell(against.reduction, "{:.0%}")]
        rows.append(cells)
    return _table(heads, rows)


def _sources(study: Study, ranking: str) -> str:
    heads = [NAMES[ranking], "orders", "filled", "share of the quantity", "spread", "fee", "drift", "markout, 10 s"]
    rows = [
        [
            escape(action), f"{found.orders:,}", f"{found.filled:.0%}", f"{found.share:.1%}",
            *(f"{value:.3f}" for value in (found.spread_bps, found.fee_bps, found.drift_bps, found.markout_bps)),
        ]
        for action, found in study.sources[ranking].items()
    ]  # fmt: skip
    return _table(heads, rows)


def _design(study: Study) -> str:
    rows = [[escape(name), escape(text)] for name, text in study.design.items()]
    first, last = study.seeds
    rows += [["seeds of the days", f"{first} to {last}"], ["model", escape(study.model)], ["code", escape(study.code)]]
    body = "".join(
        f'<tr><th>{name}</th><td style="text-align:left;white-space:normal">{text}</td></tr>' for name, text in rows
    )
    return f"<table>{body}</table>"


def _cell(figure: Figure, form: str) -> str:
    return f"{form.format(figure.value)}<small>{form.format(figure.low)} to {form.format(figure.high)}</small>"


def _key(names: Sequence[str], first: int = 0) -> str:
    return "".join(
        f'<span class="key"><i class="s{n}"></i>{escape(name)}</span>' for n, name in enumerate(names, first)
    )


def _figure(title: str, text: str, chart: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}</b> {text}</figcaption>{chart}</figure>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
