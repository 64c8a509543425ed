from __future__ import annotations

from pathlib import Path

import pandas as pd

from ssc_core.report.study import draw_study


def row(variant: str, method: str, seed: int, oiou: float) -> dict[str, object]:
    resolution, per = ("native", "ref") if method == "selected" else ("480", "sentence")
    about = {"variant": variant, "seed": seed, "dataset": "refcoco", "split": "val", "world": "micro"}
    measure = {"method": method, "per": per, "resolution": resolution}
    return {**about, **measure, "oIoU": oiou, "oIoU_low": oiou - 2, "oIoU_high": oiou + 2}


def test_a_panel_a_method_a_line_a_value(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [
            row("config", "selected", 0, 51.1),
            row("select.choice = random", "selected", 0, 20.0),
            row("select.choice = random", "selected", 1, 30.0),
            row("config", "corrected", 0, 57.2),
        ]
    )
    out = tmp_path / "plot.svg"
    draw_study(table, out)
    text = out.read_text()
    for words in ("select.choice = random", "51.1", "25.0", "57.2", "once per ref, photo pixels", "micro world"):
        assert f"<!-- {words}" in text or words in text
    elsewhere = [
        {**row("config", "selected", 0, 91.1), "split": "testA"},
        {**row("config", "corrected", 0, 33.3), "dataset": "x"},
    ]
    draw_study(pd.concat([table, pd.DataFrame(elsewhere)]), out)
    text = out.read_text()
    for words in ("51.1", "25.0", "57.2", "91.1", "33.3", "refcoco testA: Select", "x val: Corrected"):
        assert f">{words}" in text
    native = pd.DataFrame(
        [row("config", "selected", 0, 51.1), {**row("config", "corrected", 0, 44.4), "resolution": "native"}]
    )
    draw_study(native, out)
    assert ">44.4" in out.read_text()
    draw_study(table[table["method"] == "selected"], out)
    assert "57.2" not in out.read_text()


def test_a_variant_is_drawn_beside_what_is_measured_as_it_is(tmp_path: Path) -> None:
    """A choice per sentence has no figure once per ref, so all are told per sentence."""
    at_480 = {"per": "sentence", "resolution": "480"}
    table = pd.DataFrame(
        [
            row("config", "selected", 0, 51.1),
            {**row("config", "selected", 0, 33.3), **at_480},
            {**row("select.per = sentence", "selected", 0, 66.6), "per": "sentence"},
            {**row("select.per = sentence", "selected", 0, 44.4), **at_480},
        ]
    )
    draw_study(table, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "once per sentence, 480 x 480" in text
    assert all(f">{shown}" in text for shown in ("33.3", "44.4")) and not any(
        f">{one}" in text for one in ("51.1", "66.6")
    )
