from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from ssc_core.drawing.style import SERIES
from ssc_core.report.figures import colour, inline, panels, percent, save


def drawn(title: str, value: float = 1) -> str:
    figure, (axis,) = panels(4, 3)
    axis.plot([0, 1], [0, value], "o-", color=colour(0), label="a < b")
    axis.legend()
    return inline(figure, title).svg


def test_an_inline_chart_is_one_element_in_the_colours_of_the_page() -> None:
    svg = drawn("T")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "<style" not in svg, "it would be the whole page's"
    assert "var(--s0)" in svg and "var(--quiet)" in svg
    assert not re.search("#[0-9a-f]{6}\\b", svg.replace("#ffffff", "")), "a colour that a dark page would not change"
    assert "a &lt; b" in svg, "letters are text"


def test_charts_share_no_id_and_refer_to_their_own() -> None:
    charts = [drawn("one"), drawn("other"), drawn("one", 2)]
    ids = [set(re.findall(' id="([^"]+)"', svg)) for svg in charts]
    assert not (ids[0] & ids[1] or ids[0] & ids[2])
    for svg, own in zip(charts, ids, strict=True):
        assert set(re.findall('href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg)) <= own


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        figure, (axis,) = panels(4, 3)
        axis.plot([0, 1], [0, 1], "o-")
        save(figure, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_colours_start_again_and_shares_are_percentages() -> None:
    assert colour(len(SERIES)) == colour(0) != colour(1)
    assert percent(0.254) == "25 %"


def test_names_of_users_are_no_formulas() -> None:
    figure, (axis,) = panels(4, 3)
    axis.set_title(r"a $\frac$ b")
    assert r"a $\frac$ b" in inline(figure, "x").svg
