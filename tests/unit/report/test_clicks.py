from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from ssc_core.errors import SscError
from ssc_core.report.clicks import ReviewedVariants, percentage, write_clicks_page
from tests.unit.select.conftest import World

VARIANTS = {"doubt 5%": [0.05, "doubt"], "random 5%": [0.05, "random"], "doubt 20%": [0.2, "doubt"],
            "random 20%": [0.2, "random"]}  # fmt: skip


def table(path: Path, figures: dict[str, list[float]], method: str, resolution: str, split: str) -> Path:
    rows = [
        {"variant": variant, "seed": seed, "dataset": "refcoco", "split": split, "method": method, "oIoU": value,
         "per": "ref" if resolution == "native" else "sentence", "resolution": resolution,
         "mIoU": value, "P@0.5": value, "oIoU_low": value - 1, "oIoU_high": value + 1}
        for variant, values in figures.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    # what the page does not tell of
    others = [{**row, **other, "oIoU": 99.0} for row in rows for other in ({"method": "best"}, {"split": "testA"})]
    pd.DataFrame(rows + others).to_csv(path, index=False)
    return path


def data(folder: Path, **identity: object) -> Path:
    (folder / "data.json").write_text(json.dumps({"identity": json.dumps(identity)}))
    return folder / "data.json"


@pytest.fixture
def page(tmp_path: Path) -> str:
    figures = {"config": [40.0], "doubt 5%": [44.0], "random 5%": [42.0, 43.0], "doubt 20%": [50.0],
               "random 20%": [49.0, 51.0]}  # fmt: skip
    labels = table(tmp_path / "labels.csv", figures, "selected", "native", "val")
    few = {name: [one + 10 for one in figures[name][:1]] for name in ("config", "doubt 5%", "random 5%")}
    networks = table(tmp_path / "networks.csv", few, "corrected", "480", "val")
    write_clicks_page(
        labels=labels, networks=networks, refs=World(tmp_path).refs, data=data(tmp_path, edition=3),
        variants=ReviewedVariants(VARIANTS), note="Short.", page=tmp_path / "docs.md",
        picture=tmp_path / "images" / "clicks.svg",
    )  # fmt: skip
    return (tmp_path / "docs.md").read_text()


def test_a_line_a_share_with_gains_over_nobody(page):
    labels, networks = page.split("## ")[1:]
    assert "Nobody reviews: **40.0**." in labels
    assert "| 5 % | 0 | 44.0 | +4.0 | 42.5 ± 0.7 | +2.5 | yes |" in labels
    assert "| 20 % | 1 | 50.0 | +10.0 | 50.0 ± 1.4 | +10.0 | open |" in labels
    assert "Nobody reviews: **50.0**. Short." in networks
    assert "| 5 % | 0 | 54.0 | +4.0 | 52.0 | +2.0 | yes |" in networks


def test_it_says_where_doubt_is_no_better_than_chance_and_what_was_not_measured(page):
    labels, networks = page.split("## ")[1:]
    assert "where 5 % of the refs are reviewed, and **not** at 20 %" in labels
    assert "**not**" not in networks
    assert "Not measured on networks: 20 % by doubt, 20 % at random." in networks


def test_the_picture_has_both_panels(page, tmp_path):
    drawn = (tmp_path / "images" / "clicks.svg").read_text()
    assert all(words in drawn for words in ("Labels, refcoco val", "Corrected network", "by doubt", "at random"))
    assert "](images/clicks.svg)" in page


def test_a_share_is_not_called_by_another():
    assert [percentage(share) for share in (0.005, 0.025, 0.07, 1)] == ["0.5 %", "2.5 %", "7 %", "100 %"]


def test_networks_may_be_measured_in_photo_pixels(tmp_path):
    """evaluate.resolution: native."""
    one = {"config": [40.0], "random 5%": [42.0, 43.0]}
    tables = [
        table(tmp_path / f"{method}.csv", one, method, "native", "val") for method in ("selected", "corrected")
    ]  # fmt: skip
    write = partial(
        write_clicks_page, refs=World(tmp_path).refs, data=data(tmp_path), variants=ReviewedVariants(VARIANTS), note="",
        page=tmp_path / "a.md", picture=tmp_path / "a.svg",
    )  # fmt: skip
    write(labels=tables[0], networks=tables[1])
    assert "Nobody reviews: **40.0**" in (tmp_path / "a.md").read_text().split("## Corrected network")[1]
    with pytest.raises(SscError, match=r"selected.csv has no row of the method 'corrected'"):
        write(labels=tables[0], networks=tables[0])


def test_it_says_which_edition_of_the_micro_world_it_is_of(page):
    assert "nothing here was typed. On **edition 3** of the [micro world](micro-world.md#editions), whose" in page
