"""The page is well formed, says every fact with its verdict, and has nothing that a browser would have to fetch."""

import re
from io import StringIO
from math import nan
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from simulators.chart import Axis, Series, line_chart, strip
from simulators.facts import BANDS, Facts, measure
from simulators.impact import AFTER_S, SIZES_S, Impact
from simulators.report import MEANINGS, Source, html, table, verdict
from tests.simulators.test_facts import day, walk


def source(name: str, seed: int, impact: Impact | None = None) -> Source:
    random = np.random.default_rng(seed)
    recording = day(walk(random.normal(0, 1e-4, 2000)), random.choice([-1, 1], 1999))
    return Source(measure(name, [recording]), impact)


MOVED = Impact(np.array([100.0 * 2**n for n in range(len(SIZES_S))]), np.sqrt(SIZES_S), np.full(len(AFTER_S), 0.5), 4)


def test_the_exponent_is_the_slope_and_none_where_there_is_none():
    assert MOVED.exponent == pytest.approx(0.5)
    assert Impact(MOVED.qty, -MOVED.impact_bps, MOVED.decay, 4).exponent is None


def test_the_page():
    page = html([source("ours & <others>", 1, MOVED), source("tape", 2)])
    # The tags that HTML does not close stand in its first lines alone.
    root = ElementTree.fromstring(re.sub("<!doctype html>|<meta[^>]*>", "", page))
    said = "".join(root.itertext())
    assert all(meaning in said and key in said for key, meaning in MEANINGS.items())
    assert "ours & <others> and tape" in said
    assert len(root.findall(".//figure/svg")) == 11  # of which two for the impact
    assert {element.tag for element in root.iter()}.isdisjoint({"script", "link", "img", "iframe"})
    assert "prefers-color-scheme: dark" in page
    assert "nan" not in said


def test_without_a_simulation_there_is_no_impact_and_one_source_has_nobody_to_differ_from():
    page = html([source("tape", 2)])
    assert page.count("<figure>") == 9
    assert "Distance between" not in page


def test_the_table():
    out = StringIO()
    sources = [source("ours", 1, MOVED), source("tape", 2)]
    Console(file=out, width=160).print(table(sources))
    assert all(key in out.getvalue() for key in Facts.__struct_fields__)
    count = sum(verdict(key, getattr(sources[0].measured.facts, key)) == "in" for key in BANDS)
    known = sum(getattr(sources[0].measured.facts, key) is not None for key in BANDS)
    assert f"{count} of {known}" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "said"), [(0.45, "in"), (0.55, "in"), (0.449, "out"), (0.56, "out"), (-1.0, "out"), (None, "")]
)
def test_in_and_out_of_a_band(value, said):
    assert verdict("impact_exponent", value) == said


def points(svg: str) -> list[tuple[float, float]]:
    line = ElementTree.fromstring(svg).find("polyline")
    return [] if line is None else [tuple(map(float, point.split(","))) for point in line.get("points").split()]


def test_a_chart_rises_where_the_figures_rise_and_leaves_out_what_is_none():
    at = points(line_chart([Series("a", [1, 10, 100], [1.0, 2.0, 3.0], 0)], Axis("x", log=True), Axis("y")))
    assert at[1][0] - at[0][0] == pytest.approx(at[2][0] - at[1][0], abs=0.2)  # decades are even
    assert at[0][1] > at[1][1] > at[2][1]  # down is up on a screen
    assert len(points(line_chart([Series("a", [0, 1, 2], [1.0, nan, 3.0], 0)], Axis("x"), Axis("y")))) == 2
    assert points(line_chart([Series("a", [1, 2], [-1.0, 0.0], 0)], Axis("x"), Axis("y", log=True))) == []
    assert points(line_chart([], Axis("x"), Axis("y"))) == []


def test_a_strip_shows_what_is_in_within_the_band_and_what_is_far_off_at_its_end():
    svg = ElementTree.fromstring(strip([(0, 0.5), (1, 99.0), (2, -99.0), (3, None)], (0.4, 0.6)))
    band, dots = svg.find("rect"), svg.findall("circle")
    low, high = float(band.get("x")), float(band.get("x")) + float(band.get("width"))
    inside, above, below = (float(dot.get("cx")) for dot in dots)
    assert low < inside < high
    assert below < low < high < above
