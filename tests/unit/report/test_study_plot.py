from __future__ import annotations

from pathlib import Path

import pandas as pd

from ssc_core.report.study_plot import write_study_plot


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
    write_study_plot(table, out)
    text = out.read_text()
    for words in ("select.choice = random", "51.1", "25.0", "57.2", "once per ref, photo pixels", "micro world"):
        assert f"<!-- {words}" in text or words in text
    elsewhere = [
        {**row("config", "selected", 0, 91.1), "split": "testA"},
        {**row("config", "corrected", 0, 33.3), "dataset": "x"},
    ]
    write_study_plot(pd.concat([table, pd.DataFrame(elsewhere)]), out)
    text = out.read_text()
    for words in ("51.1", "25.0", "57.2", "91.1", "33.3", "refcoco testA: Select", "x val: Corrected"):
        assert f">{words}" in text
    native = pd.DataFrame(
        [row("config", "selected", 0, 51.1), {**row("config", "corrected", 0, 44.4), "resolution": "native"}]
    )
    write_study_plot(native, out)
    assert ">44.4" in out.read_text()
    write_study_plot(table[table["method"] == "selected"], out)
    assert "57.2" not in out.read_text()
