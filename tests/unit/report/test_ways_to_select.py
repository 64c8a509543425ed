from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.config.settings import Settings, load_settings
from ssc_core.drawing.marks import number_place
from ssc_core.errors import SscError
from ssc_core.evaluate.masks import evaluate_masks
from ssc_core.evaluate.metrics import Figure
from ssc_core.layout import DatasetFolder
from ssc_core.masks import rle
from ssc_core.masks.selection import ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore
from ssc_core.provenance import file_sha256
from ssc_core.refer.ref_table import open_photos, refs_in_order
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import NUMBER, PhotoShelf
from ssc_core.report.pages import render
from ssc_core.report.report_page import PhotoFolders, write_report
from ssc_core.report.run import margin
from ssc_core.report.select_docs import write_table
from ssc_core.report.select_table import (
    Line,
    Ways,
    changes,
    compared,
    csv_table,
    read_lines,
    read_selections,
    write_select_table,
)
from ssc_core.report.ways_to_select import select_view, tagged_choices
from tests.files import write_nouns
from tests.unit.report.conftest import INFO, LEFT, NASTY, PHOTOS, RIGHT, SIZE, meta
from tests.unit.report.test_report_page import Page

WAYS = Ways({"selected": {}, "right": {"score.prompt": "crop"}})


@pytest.fixture(scope="module")
def root_of(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with scores, a variant that is always right, and their evaluation. Even refs mean the right one of two
    discs."""
    copy = Path(shutil.copytree(results, tmp_path_factory.mktemp("select") / "results"))
    source = copy / "refcoco"
    folder = source / "val" / "select"
    folder.mkdir()
    with (
        ScoreStoreWriter(source / "val" / "scores.h5", INFO) as scores,
        SelectionWriter(folder / "right.h5", INFO) as right,
    ):
        for ref_id in range(1, 2 * PHOTOS + 1):
            pick = (ref_id + 1) % 2
            scores.append_ref(ref_id, np.array([[25.0, 24.0 - ref_id]] * (2 - pick)), np.array([317, 317]))
            right.append_ref(
                ref_id, image_id=(ref_id + 1) // 2, size=SIZE, chosen=[2 * ((ref_id - 1) // 2) + pick],
                scores=np.zeros((1, 2)), rles=rle.encode(np.stack([(LEFT, RIGHT)[pick]])),
            )  # fmt: skip
    asked = [{"ref_id": n, "image_id": (n + 1) // 2, "nouns": [[]], "classes": [[]], "query": "disc"}
             for n in range(1, 2 * PHOTOS + 1)]  # fmt: skip
    write_nouns(source / "val" / "nouns.parquet", asked)
    own = source / "val" / "selected.h5"
    with (
        MaskStore(source / "val" / "masks.h5") as masks,
        SelectionStore(own) as selected,
        SelectionStore(folder / "right.h5") as right,
    ):
        about = {"data": {"selected": file_sha256(own)}, "settings": {"select": {"min_area": 40}}}
        evaluate_masks(
            refs=refs_in_order(source / "refs.parquet", "val"), split="val", masks=masks,
            truth=TruthStore(source / "truth.h5"),
            selections={"selected": selected, "right": right}, select=SelectSettings(min_area=0),
            out=folder / "eval.json", settings=EvaluateSettings(bootstrap_samples=20), compat=CompatSettings(),
            meta=meta("zero_shot", source / "refs.parquet") | about,
        )  # fmt: skip
    return copy


@pytest.fixture(scope="module")
def written(root_of: Path) -> Path:
    out = root_of / "report"
    write_select_table(
        evaluation=root_of / "refcoco" / "val" / "select" / "eval.json", ways=WAYS,
        figures=out / "select.json", table=out / "select.csv",
    )  # fmt: skip
    return out


def report_of(results: Path, photos_folder: Path, config: Settings) -> Page:
    out = results / "report" / "index.html"
    write_report(results, config, PhotoFolders({"refcoco": photos_folder}), WAYS, out)
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(written: Path, photos_folder: Path, config: Settings) -> Page:
    return report_of(written.parent, photos_folder, config)


@pytest.fixture(scope="module")
def tags(root_of: Path, photos_folder: Path) -> list[set[str]]:
    """Tags of the section's cards."""
    folder = DatasetFolder(root_of / "refcoco")
    shelf = PhotoShelf(open_photos(folder("refs"), photos_folder).or_grey, "photo")
    return [card.tags for card in select_view(folder, "val", Ways({}), shelf)["gallery"].cards]


def test_ways_to_select_alone_are_a_report(
    root_of: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(root_of, tmp_path / "results"))
    for path in (copy / "refcoco").glob("eval_*"):
        path.unlink()
    page = report_of(copy, photos_folder, config)
    assert "Ways to select: val" in page.words and "Choices worth a look" in page.words
    assert any(words.startswith("Generated micro world") for words in page.words)
    assert any("in photo pixels" in words and "differs a little there" in words for words in page.words)


def test_the_table_says_what_differs_and_what_it_gains(written: Path, page: Page) -> None:
    lines = {line.name: line for line in read_lines(json.loads((written / "select.json").read_text())["lines"])}
    assert list(lines) == ["random", "first", "selected", "right", "best"]
    assert lines["right"].what == "score.prompt: crop"
    assert lines["selected"].oIoU_gain == Figure(0, 0, 0)
    # of equal discs half are right: oIoU 6 / 18
    assert lines["selected"].oIoU.value == pytest.approx(100 / 3)
    assert lines["right"].oIoU_gain.value == pytest.approx(100 - 100 / 3)
    assert lines["right"].mIoU_gain.value == pytest.approx(50)
    assert [line.name for line in lines.values() if line.test_only] == ["best"]
    assert "looks at the truth: test only" in page.words
    assert "score.prompt: crop" in page.words


def test_masks_of_refs_without_candidates_gain_what_they_do_where_empty_ones_are_skipped(root_of: Path) -> None:
    """As if people had drawn all of them."""
    content, rows = read_selections(root_of / "refcoco" / "val" / "select" / "eval.json")
    rows["candidates"] = 0
    skipping = compared(content.model_copy(update={"oiou_skips_empty": True}), rows, WAYS)
    assert skipping == compared(content, rows, WAYS)


def test_csv_has_the_same_numbers(written: Path) -> None:
    lines = json.loads((written / "select.json").read_text())["lines"]
    table = pd.read_csv(written / "select.csv")
    assert table["name"].tolist() == [line["name"] for line in lines]
    assert table["oIoU_gain_low"].tolist() == pytest.approx([line["oIoU_gain"]["low"] for line in lines])


def test_the_page_needs_nothing_else_and_says_which_world(page: Page) -> None:
    assert all(target.startswith(("data:", "#")) for name in ("src", "href") for target in page.all(name))
    assert "world micro" in page.all("class")
    ids = page.all("id")
    assert len(ids) == len(set(ids))


def test_wrong_and_doubtful_choices_have_cards(page: Page, tags: list[set[str]]) -> None:
    assert sum("wrong" in found for found in tags) == PHOTOS  # the refs that mean the right disc
    assert sum("doubtful" in found for found in tags) == 2 * PHOTOS
    assert not any("hopeless" in found or "none" in found for found in tags)
    assert f"“{NASTY}” · “disc”" in page.words
    assert "1 ✓" in page.words
    assert any("0.png" in word for word in page.words), "the photo's name, by which it is found"


def test_numbers_on_cards_are_not_cut_by_the_photos_border() -> None:
    size = (200, 360)
    for rows, columns in ((slice(0, 3), slice(0, 3)), (slice(-3, None), slice(-3, None))):
        mask = np.zeros(size, bool)
        mask[rows, columns] = True
        x, y = number_place(mask.astype(np.float32), NUMBER / 2)
        assert NUMBER / 2 <= x <= 359 - NUMBER / 2
        assert NUMBER / 2 <= y <= 199 - NUMBER / 2


def test_an_evaluation_of_a_network_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(SscError, match="holds no choices of Select"):
        write_select_table(
            evaluation=results / "refcoco" / "eval_val.json", ways=WAYS,
            figures=tmp_path / "x.json", table=tmp_path / "x.csv",
        )  # fmt: skip


def test_choices_that_were_made_anew_are_not_shown_with_old_figures(
    root_of: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(root_of, tmp_path / "results"))
    shutil.copy(copy / "refcoco/val/select/right.h5", copy / "refcoco/val/selected.h5")
    page = report_of(copy, photos_folder, config)
    assert "Ways to select: val" in page.words
    assert "Choices worth a look" not in page.words
    assert any("chosen anew since" in word for word in page.words)


def test_a_margin_needs_two_candidates() -> None:
    assert margin(np.array([3.0, 25.0, 24.5])) == 0.5
    assert np.isnan(margin(np.array([25.0])))


def test_tags_hold_the_extremes() -> None:
    choices = pd.DataFrame(
        {
            "index": [0, 0, 1, -1, 0],
            "iou": [0.9, 0.1, 0.3, 0.0, 0.2],
            "iou_best": [0.9, 0.8, 0.9, 0.0, 0.4],
            "margin": [0.5, 0.2, 0.1, np.nan, 3.0],
        }
    )
    found = {row.Index: tags for row, tags in tagged_choices(choices, 1)}
    assert found == {3: {"hopeless", "none"}, 1: {"wrong"}, 2: {"doubtful", "wrong"}}


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({}, "nothing"),
        ({"score.prompt": ["crop", "rectangle"], "select.per": "sentence"},
         "score.prompt: crop + rectangle; select.per: sentence"),
        ({"score.backend": {"name": "mine.py:Mine"}}, 'score.backend: {"name": "mine.py:Mine"}'),
    ],
)  # fmt: skip
def test_changes(variant: dict, expected: str) -> None:
    assert changes(variant) == expected


def test_markdown_and_csv_of_lines() -> None:
    best = Line("best", "looks", True, Figure(80.04, 70, 90), Figure(81), Figure(5, -1, 11), Figure(6))
    about = {
        "dataset": "d",
        "split": "val",
        "world": "files",
        "per": "ref",
        "resolution": "480",
        "n_refs": 7,
        "n_images": 4,
    }
    text = render("select_table.md", content=about, lines=[best, replace(best, name="a | b", test_only=False)])
    about_it, _, measured = text.splitlines()[0].partition(" All lines alike: ")
    assert about_it == "d val, world: files. 7 refs, 4 photos; percentages with 95 % intervals."
    assert measured == "once per ref, at 480 x 480."
    figures = "80.0 (70.0 to 90.0) | +5.0 (-1.0 to +11.0) | 81.0 | +6.0 |"
    assert text.splitlines()[4:] == [f"| `best` (looks at the truth) | {figures}", rf"| `a \| b` | {figures}"]
    assert csv_table([best]).splitlines()[0].startswith("name,what,test_only,oIoU_value,oIoU_low,oIoU_high,mIoU_value")


def test_the_table_of_the_docs_is_written_from_the_json(written: Path, tmp_path: Path) -> None:
    page = tmp_path / "select.md"
    page.write_text("Before.\n<!-- table of results/report/select.json: begin -->\nold\n<!-- end -->\nAfter.\n")
    write_table(written / "select.json", page)
    text = page.read_text()
    assert text.startswith("Before.\n<!-- table") and text.endswith("<!-- end -->\nAfter.\n")
    assert "| `right` | 100.0 (100.0 to 100.0) | +66.7" in text
    assert "refcoco val, world: micro" in text
    assert "once per ref, in photo pixels; [pages of results](results.md) measure at 480 x 480" in text
    assert "old" not in text
    page.write_text("no marks")
    with pytest.raises(SscError, match="has no place for the table"):
        write_table(written / "select.json", page)


def test_the_docs_have_a_table_of_what_the_config_compares(root: Path) -> None:
    text = (root / "docs" / "select.md").read_text(encoding="utf-8")
    compared = load_settings(yaml.safe_load((root / "config.yaml").read_text())).studies["select"].variants
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE)[-len(compared) - 4 :] == [
        *("random", "first", "selected"), *compared, "best",
    ]  # fmt: skip
