from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from ssc_core.report.svg import Axis, Line, bar_chart, histogram, line_chart

UNIT = Axis(0, 1, "x", percent=True)


def parse(chart: str) -> ElementTree.Element:
    """Charts are well-formed XML, so browsers agree on them."""
    return ElementTree.fromstring(chart)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 1, ""), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(0, 100, ""), [0, 20, 40, 60, 80, 100]),
        (Axis(0, 12.6, ""), [0, 2.5, 5, 7.5, 10, 12.5]),
        (Axis(0, 12.6, "", whole=True), [0, 5, 10]),
        (Axis(0, 1.05, "", whole=True), [0, 1]),
        (Axis(0.3, 0.9, ""), [0.4, 0.6, 0.8]),
    ],
)
def test_ticks(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == pytest.approx(ticks)


def test_numbers_as_text() -> None:
    assert [Axis(0, 1, "", percent=True).text(v) for v in (0.0, 0.25)] == ["0 %", "25 %"]
    assert [Axis(0, 1, "").text(v) for v in (Axis(0, 1, "").ticks()[0], 0.5, 12000)] == ["0", "0.5", "12,000"]


def test_line_chart_places_points_and_escapes_names() -> None:
    lines = [
        Line("a < b", np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        Line("second", np.array([0.0]), np.array([0.5]), dashed=True),
    ]
    figure = parse(line_chart(lines, UNIT, UNIT, title="T & t"))
    first, last = (point.split(",") for point in figure.findall(".//polyline")[0].attrib["points"].split())
    assert float(first[0]) < float(last[0])
    assert float(first[1]) > float(last[1]), "up is up"
    assert [item.find("svg").tail for item in figure.findall(".//li")] == ["a < b", "second"]
    assert "dashed" in figure.findall(".//polyline")[1].attrib["class"]


def test_faint_line_has_no_legend() -> None:
    line = Line("raw", np.arange(3.0), np.arange(3.0), faint=True)
    other = Line("mean", np.arange(3.0), np.arange(3.0))
    assert parse(line_chart([line, other], UNIT, UNIT, title="t")).find(".//li") is None


def test_histogram_heights_follow_counts() -> None:
    bars = parse(histogram([1, 4, 0], [0, 1 / 3, 2 / 3, 1], UNIT, title="t", unit="refs")).findall(".//rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.01)
    assert heights[2] == 0
    assert bars[1].find("title").text == "33 % to 67 %: 4 refs"


def test_bar_chart_names_its_bars() -> None:
    figure = parse(bar_chart({"0": 3, "1": 0}, title="t", label="candidates", unit="refs"))
    assert [bar.find("title").text for bar in figure.findall(".//rect")] == ["0: 3 refs", "1: 0 refs"]
    assert parse(bar_chart({str(i): 1 for i in range(40)}, title="t", label="", unit="")) is not None
