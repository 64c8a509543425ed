from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ssc_core.config.settings import Settings
from ssc_core.errors import SscError
from ssc_core.evaluate.eval_table import over_seeds, records
from ssc_core.report.collect import collect
from ssc_core.report.published import PUBLISHED
from ssc_core.report.report_page import PhotoFolders, write_report
from ssc_core.report.select_table import Ways
from tests.unit.report.conftest import NASTY, PHOTOS

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Checks that tags are balanced; collects attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.attributes if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def text(results: Path, photos_folder: Path, tmp_path_factory: pytest.TempPathFactory, config: Settings) -> str:
    out = tmp_path_factory.mktemp("report") / "index.html"
    write_report(results, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_page_needs_nothing_from_outside(page: Page) -> None:
    ids = set(page.all("id"))
    for target in page.all("href") + page.all("src"):
        assert target.startswith("data:") or target.removeprefix("#") in ids
    assert "url(" not in " ".join(page.words)


def test_ids_are_unique(page: Page) -> None:
    assert [name for name, count in Counter(page.all("id")).items() if count > 1] == []


def test_every_control_has_a_name(page: Page) -> None:
    labelled = set(page.all("for"))
    for tag, attributes in page.attributes:
        if tag in ("select", "input") and attributes.get("type") != "checkbox":
            assert attributes["id"] in labelled


def test_photos_are_held_once(page: Page) -> None:
    photos = [attributes for tag, attributes in page.attributes if tag == "image"]
    assert len(photos) == PHOTOS
    assert len([1 for tag, _ in page.attributes if tag == "use"]) > PHOTOS


def test_words_of_users_are_text(page: Page, text: str) -> None:
    assert any(NASTY in words for words in page.words)
    assert len(re.findall("<script>", text)) == 1, "only the page's own"


def test_published_numbers_are_marked_as_another_world(page: Page, text: str) -> None:
    assert "another world: real photos" in page.words
    assert any("57.22" in words for words in page.words)
    shown = ("corrected", "pretrained", "selected", "selected")  # a choice is in both tables
    assert all(("refcoco", "val", method) in PUBLISHED for method in shown)
    assert text.count('class="published number other"') == len(shown)


def test_figures_carry_their_intervals(results: Path, page: Page) -> None:
    found = json.loads((results / "refcoco" / "eval_val.json").read_text())
    low, high = found["ci95"]["oIoU"]
    assert f"{found['oIoU']:.1f}" in page.words
    assert f"{low:.1f} – {high:.1f}" in page.words


@pytest.mark.parametrize(
    "words",
    ["test only", "7 refs", "val: candidates per ref", "1 min 15 s", "pretrain: loss", "2.00 on average, 2 at most"],
)
def test_page_tells(words: str, page: Page) -> None:
    assert any(words in said for said in page.words)


def test_report_of_an_evaluation_without_masks(
    results: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    for name in ("eval_masks_val.json", "val/masks.h5"):
        (copy / "refcoco" / name).unlink()
    write_report(copy, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "index.html")
    tags = Page((tmp_path / "index.html").read_text(encoding="utf-8")).all("data-layer")
    assert set(tags) == {"prediction", "truth"}


def test_photos_that_one_method_could_not_read_are_told_whatever_others_read(
    results: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    path = copy / "refcoco" / "eval_val_pretrained.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"unreadable_photos": 3}))
    write_report(copy, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "index.html")
    words = Page((tmp_path / "index.html").read_text(encoding="utf-8")).words
    assert "val: 3 photos cannot be read; masks there count as empty." in words


def test_a_dataset_that_the_config_does_not_name_is_named_and_not_shown(
    results: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    shutil.copytree(copy / "refcoco", copy / "mine_old")
    write_report(copy, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert f"Not shown, since the config names no such dataset: {copy}/mine_old." in page.words
    assert "mine_old" not in page.all("id")
    assert "refcoco" in page.all("id")


def test_a_damaged_file_leaves_the_last_report(
    results: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    (copy / "refcoco" / "eval_val.json").write_text("{")
    out = tmp_path / "index.html"
    out.write_text("the last one")
    with pytest.raises(SscError, match=r"eval_val\.json is not valid JSON"):
        write_report(copy, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), out)
    assert out.read_text() == "the last one"


def test_all_methods_are_measured_alike_and_choices_as_published_too(page: Page) -> None:
    # said once per split, since all lines of it are measured so
    assert page.words.count("18 sentences, 480 × 480") == 1
    assert page.words.count("12 refs, photo pixels") == 1


def test_matching_time_and_contact_sheet_are_shown(page: Page) -> None:
    charts = [label for label in page.all("aria-label") if label]
    assert "Matched candidate is the true object" in charts
    assert "What takes the time" in charts
    assert {"pretrain", "1.2"} <= {word.strip() for word in page.words}, (
        "the longest rule's minutes, from its benchmark"
    )
    (sheet,) = (attributes for tag, attributes in page.attributes if tag == "img")
    assert (sheet["src"] or "").startswith("data:image/jpeg;base64,")
    assert sheet["alt"]


def test_several_seeds_have_a_table(results: Path, photos_folder: Path, tmp_path: Path, config: Settings) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    content = json.loads((copy / "refcoco" / "eval_val.json").read_text())
    (copy / "refcoco" / "seed1").mkdir()
    (copy / "refcoco" / "eval_val.json").write_text(json.dumps(content | {"seed": 0}))
    (copy / "refcoco" / "seed1" / "eval_val.json").write_text(json.dumps(content | {"seed": 1}))
    write_report(copy, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text())
    assert "refcoco: mean and standard deviation over seeds" in page.words
    assert "± 0.0" in page.words


def test_seeds_are_in_the_order_of_splits_and_methods(results: Path, tmp_path: Path, config: Settings) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    content = json.loads((copy / "refcoco" / "eval_val.json").read_text())
    for folder, seed in (("", 0), ("seed1", 1)):
        (copy / "refcoco" / folder).mkdir(exist_ok=True)
        for split in ("testA", "val"):
            for method in ("corrected", "pretrained"):
                path = copy / "refcoco" / folder / f"eval_{method}_{split}.json"
                path.write_text(json.dumps(content | {"seed": seed, "split": split, "method": method}))
                shutil.copy(results / "refcoco" / "eval_val.parquet", path.with_suffix(".parquet"))
    (dataset,) = collect(copy, config)
    assert [(row["split"], row["method"]) for row in records(over_seeds(dataset.figures)) if row["seeds"] > 1] == [
        ("val", "pretrained"), ("val", "corrected"), ("testA", "pretrained"), ("testA", "corrected"),
    ]  # fmt: skip


def test_variants_are_shown_beside_the_config_and_without_it(
    results: Path, photos_folder: Path, tmp_path: Path, config: Settings
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results")) / "refcoco"
    content = json.loads((copy / "eval_val.json").read_text())
    own = "correct.loss=%22plugins%2Fsure.py%3Asure%22+correct.lr=0.1+seed"
    for folder, seed in ((f"{own}1", 1), (f"{own}2", 2)):
        (copy / folder).mkdir()
        changed = content | {"seed": seed, "oIoU": content["oIoU"] - 10 * seed}
        (copy / folder / "eval_val.json").write_text(json.dumps(changed))
    (changed,) = collect(copy.parent, config)
    (row,) = (row for row in records(over_seeds(changed.figures)) if row["variant"])
    varied = "correct.loss = plugins/sure.py:sure, correct.lr = 0.1"
    assert (row["variant"], row["method"], row["seeds"]) == (varied, "corrected", 2)
    assert row["gain"] == pytest.approx(-15)
    write_report(copy.parent, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "a.html")
    shown = Page((tmp_path / "a.html").read_text())
    assert f"val: {varied}" in shown.words
    assert "-15.0" in shown.words
    for path in copy.glob("eval_*"):
        path.unlink()
    write_report(copy.parent, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), tmp_path / "b.html")
    assert f"val: {varied}" in Page((tmp_path / "b.html").read_text()).words
