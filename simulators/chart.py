"""Line charts as inline SVG, without a script: sharp in print, readable in light and dark, small enough to mail.

Colours are classes (`s0`, `s1`, ...) and variables of the page around the chart: one style sheet has both themes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

from simulators.facts import Floats

WIDTH, HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 12, 42


@dataclass(frozen=True)
class Series:
    """Points of one line; those that are not finite (or not positive on a log axis) are left out."""

    name: str
    xs: Sequence[float] | Floats
    ys: Sequence[float] | Floats
    number: int  # of its colour
    dots: bool = True


@dataclass(frozen=True)
class Axis:
    label: str
    log: bool = False
    low: float | None = None  # ends, if not those of the data
    high: float | None = None


def line_chart(series: Sequence[Series], x: Axis, y: Axis, band: tuple[float, float] | None = None) -> str:
    """The chart as an <svg> element. `band` shades where y should lie."""
    shown = [(one, _points(one, x, y)) for one in series]
    xs = [px for _, points in shown for px, _ in points] or [0.0, 1.0]
    ys = [py for _, points in shown for _, py in points] or [0.0, 1.0]
    x_ends, y_ends = _ends(x, xs, 0.0), _ends(y, [*ys, *(band or ())], 0.06)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y.label)} by {escape(x.label)}">']
    if band:
        top, bottom = _y(band[1], y_ends), _y(band[0], y_ends)
        width = WIDTH - _LEFT - _RIGHT
        parts.append(f'<rect class="band" x="{_LEFT}" y="{top:.1f}" width="{width}" height="{bottom - top:.1f}"/>')
    parts += _grid(x, x_ends, y, y_ends)
    for one, points in shown:
        at = [(_x(px, x_ends), _y(py, y_ends)) for px, py in points]
        if len(at) > 1:
            line = " ".join(f"{ax:.1f},{ay:.1f}" for ax, ay in at)
            parts.append(f'<polyline class="line s{one.number}" points="{line}"/>')
        if one.dots:
            parts += [f'<circle class="dot s{one.number}" cx="{ax:.1f}" cy="{ay:.1f}" r="2.6"/>' for ax, ay in at]
    parts.append("</svg>")
    return "".join(parts)


def strip(values: Sequence[tuple[int, float | None]], band: tuple[float, float]) -> str:
    """One measure of several sources on a line around its band: a dot inside is in. Far values stand at the edge."""
    width, height = 190, 22
    low, high = band
    reach = high - low
    parts = [f'<svg class="strip" viewBox="0 0 {width} {height}" role="img" aria-label="values beside the band">']
    parts.append(f'<line class="axis" x1="4" x2="{width - 4}" y1="{height / 2}" y2="{height / 2}"/>')
    parts.append(f'<rect class="band" x="{width / 3:.1f}" y="3" width="{width / 3:.1f}" height="{height - 6}"/>')
    for number, value in values:
        if value is not None and isfinite(value):
            share = min(max((value - (low - reach)) / (3.0 * reach), 0.02), 0.98)
            parts.append(f'<circle class="dot s{number}" cx="{share * width:.1f}" cy="{height / 2}" r="4.2"/>')
    parts.append("</svg>")
    return "".join(parts)


def _points(one: Series, x: Axis, y: Axis) -> list[tuple[float, float]]:
    points = []
    for px, py in zip(one.xs, one.ys, strict=True):
        if isfinite(px) and isfinite(py) and (px > 0 or not x.log) and (py > 0 or not y.log):
            points.append((log10(px) if x.log else float(px), log10(py) if y.log else float(py)))
    return points


def _ends(axis: Axis, values: Sequence[float], margin: float) -> tuple[float, float]:
    low = min(values) if axis.low is None else (log10(axis.low) if axis.log else axis.low)
    high = max(values) if axis.high is None else (log10(axis.high) if axis.log else axis.high)
    reach = (high - low) or 1.0
    return (
        low - margin * reach * (axis.low is None),
        high + margin * reach * (axis.high is None) + (0.0 if high > low else 1.0),
    )


def _ticks(axis: Axis, ends: tuple[float, float]) -> list[tuple[float, str]]:
    low, high = ends
    if axis.log:
        steps = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3 else (1,)
        values = [step * 10.0**decade for decade in range(floor(low), ceil(high) + 1) for step in steps]
        return [(log10(v), f"{v:,.10g}") for v in values if low - 1e-9 <= log10(v) <= high + 1e-9]
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    digits = max(-floor(log10(step)), 0)
    return [
        (n * step, f"{n * step:,.{digits}f}") for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    ]


def _grid(x: Axis, x_ends: tuple[float, float], y: Axis, y_ends: tuple[float, float]) -> list[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value, text in _ticks(y, y_ends):
        at = _y(value, y_ends)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in _ticks(x, x_ends):
        at = _x(value, x_ends)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>')
    height = (_TOP + bottom) / 2
    turned = f'<text transform="translate(11 {height}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    return [*parts, turned]


def _x(value: float, ends: tuple[float, float]) -> float:
    return _LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (WIDTH - _LEFT - _RIGHT)


def _y(value: float, ends: tuple[float, float]) -> float:
    return HEIGHT - _BOTTOM - (value - ends[0]) / (ends[1] - ends[0]) * (HEIGHT - _BOTTOM - _TOP)
