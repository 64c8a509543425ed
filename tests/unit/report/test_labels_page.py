"""Pages of labels without truth: what they count, that every row is there once with its photo's name, and two runs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter, SelectionWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer import ref_table
from ssc_core.refer.index import build_index
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import open_photos
from ssc_core.report import labels_page
from ssc_core.report.checklist import draw_overlays, overlay_of, remove_overlays, write_checklist
from ssc_core.report.doubt import in_order
from ssc_core.report.label_rows import LabelRow, Labels, by_class
from ssc_core.report.labels_page import Pages, remove_pages, write_labels_page
from ssc_core.report.run import Run
from ssc_core.review.queue import Queue
from tests.alive import counting_alive
from tests.files import write_nouns

SIZE = (30, 40)
INFO = StoreInfo(class_names=("cat", "dog"), settings={"min_area": 4}, code="", models={"sam": "ab12"})
SENTENCES = ("left <one>", "the big one")
PHOTOS = 12


def scores_of(ref_id: int) -> np.ndarray:
    """(S, K). Ref 1 is doubtful, 2 disagrees, 3 is empty, 4 has one candidate; others are clear, by 2 and more."""
    clear = np.array([[5.0, 3.0 - ref_id / 100], [5.0, 3.0 - ref_id / 100]])
    return {
        1: np.array([[5.0, 4.9], [5.0, 4.99]]),
        2: np.array([[9.0, 1.0], [3.0, 4.0]]),
        3: np.zeros((2, 0)),
        4: np.array([[5.0], [5.0]]),
    }.get(ref_id, clear)


def write_run(
    folder: Path,
    chosen: Sequence[int],
    weights: Mapping[str, float] | None = None,
    reviewed: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
) -> None:
    """The stores of a split; chosen: candidates of refs 1 to PHOTOS, one photo each; weights: of scorers, where
    ``dense`` is one."""
    name = "dense" if weights else "default"
    info = replace(INFO, settings={**INFO.settings, "scorer": name, "weights": weights or {}, **(settings or {})})
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 5:20, 5:15] = masks[1, 2:10, 20:36] = True
    codes, first = rle.encode(masks), 0
    folder.mkdir(parents=True, exist_ok=True)
    with (
        MaskStoreWriter(folder / "masks.h5", INFO, with_masks=True) as writer,
        ScoreStoreWriter(folder / f"scores{'_dense' if weights else ''}.h5", info) as scores,
        SelectionWriter(folder / "selected.h5", info, reviewed=reviewed) as selected,
    ):
        for ref_id, choice in enumerate(chosen, start=1):
            values = scores_of(ref_id)
            count = values.shape[1]
            writer.append_image(
                ref_id, SIZE, boxes_xyxy=np.zeros((count, 4)), box_scores=np.ones(count), labels=np.arange(count),
                rles=codes[:count], mask_scores=np.ones(count), candidates={ref_id: list(range(count))},
            )  # fmt: skip
            scores.append_ref(ref_id, values, masks[:count].sum((1, 2)))
            selected.append_ref(
                ref_id, image_id=ref_id, size=SIZE, chosen=[first + choice if choice >= 0 else -1],
                scores=values.mean(axis=0, keepdims=True), rles=[codes[choice] if choice >= 0 else None],
            )  # fmt: skip
            first += count


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """``results/mine``, with the split ``train`` and, of a variant, another choice of refs 5, 6 and 7."""
    photos, folder = tmp_path / "photos", tmp_path / "results" / "mine"
    photos.mkdir()
    for number in range(1, PHOTOS + 1):
        Image.new("RGB", SIZE[::-1], (90, 120, 10 * number)).save(photos / f"beach {number}.png")
    table = tmp_path / "refs.jsonl"
    table.write_text(
        "\n".join(json.dumps({"image": f"beach {n}.png", "sentences": SENTENCES}) for n in range(1, PHOTOS + 1))
    )
    source = DatasetSource(layout="table", file=table, images=photos)
    build_index(
        dataset="mine", source=source, out_refs=folder / "refs.parquet", out_truth=folder / "truth.h5",
        check_counts=False, skip_bad_photos=True,
    )  # fmt: skip
    identity = {"source": source.model_dump(mode="json", exclude_none=True)}
    write_json(folder / "data.json", {"identity": json.dumps(identity), "world": "files"})
    base = [0, 0, -1, 0, *[0] * (PHOTOS - 4)]
    write_run(folder / "train", base)
    write_run(folder / "select.choice=first" / "train", [*base[:4], 1, 1, -1, *base[7:]])
    write_nouns(
        folder / "train/nouns.parquet",
        [
            {"ref_id": n, "image_id": n, "nouns": [[], []], "classes": [[], []], "query": "dog" if n > 9 else "cat"}
            for n in range(1, PHOTOS + 1)
        ],
    )
    return folder


def files(dataset: Path) -> dict[str, Any]:
    split = dataset / "train"
    stores = {"masks": split / "masks.h5", "scores": [split / "scores.h5"], "selected": split / "selected.h5"}
    return {"refs": dataset / "refs.parquet", "nouns": split / "nouns.parquet", **stores}


def test_rows_say_why_they_are_worth_a_look(dataset: Path) -> None:
    with ExitStack() as stack:
        labels = Labels(Run.open(stack, "train", "train", **files(dataset)))
        rows = list(labels.rows())
    assert [row.why for row in rows[:5]] == [
        ["two candidates score alike (0.05)"],
        ["1 of its 2 sentences would take another"],
        ["Nothing found"],
        ["One candidate, nothing to choose from"],
        [],
    ]
    assert labels.to_check[:5].tolist() == [True, True, True, False, False]
    assert rows[0].margin == pytest.approx(5 - 4.945, abs=1e-4)
    assert np.isnan([rows[2].margin, rows[3].margin]).all()
    assert [row.ref.ref_id for row in labels.rows(labels.doubtful())] == [1, 2, 3]
    in_turn = [1, *range(5, PHOTOS + 1), 2, 4, 3]  # by margin, the empty one last
    assert labels.numbers["ref_id"][in_order(labels.numbers)].tolist() == in_turn
    assert [row.ref.ref_id for row in sorted(rows, key=lambda row: row.turn)] == in_turn
    assert labels.certainty(1, 0) == {
        "score": 5.0,
        "margin": rows[0].margin,
        "check": "two candidates score alike (0.05)",
    }
    assert labels.certainty(3, 0) == {"score": None, "margin": None, "check": "Nothing found"}
    cats, dogs = by_class(labels, np.arange(len(labels))).to_dict("records")
    assert (cats["asked"], cats["rows"], cats["empty"], cats["check"]) == ("cat", 9, 1, 3)
    assert cats["candidates"] == pytest.approx((2 * 7 + 1) / 9)
    assert (dogs["rows"], dogs["check"], dogs["margin"]) == (3, 0, pytest.approx(2.11, abs=1e-4))


def test_scores_are_of_the_scorers_that_have_a_weight(dataset: Path, tmp_path: Path) -> None:
    run = dataset / "select.weights.dense=1" / "train"
    write_run(run, [0, 0, -1, 0, *[0] * (PHOTOS - 4)], {"default": 0, "dense": 1})
    stores = {"masks": run / "masks.h5", "selected": run / "selected.h5"}
    with ExitStack() as stack:
        dense = files(dataset) | stores | {"scores": [run / "scores_dense.h5"]}
        rows = list(Labels(Run.open(stack, "a", "train", **dense)).rows())
        assert [*rows[1].reasons] == ["sentences"]
        with pytest.raises(SscError, match=r"scores of dense are needed, .*scores\.h5 \(default\)"):
            Run.open(stack, "a", "train", **files(dataset) | stores)
    page = tmp_path / "page.html"
    found = CliRunner().invoke(app, ["compare", str(dataset / "train"), str(run), "--out", str(page)])
    assert found.exit_code == 0, found.output
    text = page.read_text() + "".join(one.read_text() for one in (tmp_path / "page").iterdir())
    assert "scores of default: settings" in text
    assert "scores of dense: settings" in text


def write(dataset: Path, rows_a_page: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    monkeypatch.setattr(labels_page, "ROWS_A_PAGE", rows_a_page)
    split = dataset / "train"
    write_labels_page(
        **files(dataset), data=dataset / "data.json", images=dataset.parents[1] / "photos", split="train",
        results=str(dataset), out=split / "labels.html", pages=split / "labels",
    )  # fmt: skip
    pages = sorted((split / "labels").iterdir(), key=lambda path: int(path.stem))
    return (split / "labels.html").read_text(), [path.read_text() for path in pages]


def test_every_row_is_on_one_page_with_the_name_of_its_photo(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overview, pages = write(dataset, 5, monkeypatch)
    assert len(pages) == 3
    anchors = [re.findall(r'<article class="example" id="(ref-\d+)"', page) for page in pages]
    assert [*chain(*anchors)] == [f"ref-{n}" for n in range(1, PHOTOS + 1)]
    assert 'href="labels/2.html">beach 6.png – beach 10.png</a>' in overview
    assert 'href="labels/1.html#ref-3"' in overview
    assert overview.index("#ref-1") < overview.index("#ref-2") < overview.index("#ref-3")
    assert f'<code>ssc inspect {dataset} train 7</code> <button type="button" data-copy>Copy' in pages[1]
    assert "ref 7 of beach 7.png · looked for cat · 2 found · ahead by 2.07" in pages[1]
    assert 'href="3.html">next page' in pages[1]
    assert 'href="../labels.html">Overview' in pages[1]
    assert "next page" not in pages[2]
    assert pages[1].count('href="data:image/jpeg;base64,') == 5  # each photo once
    for page in (overview, *pages):
        assert "left <one>" not in page
        assert not re.search(r'(?:src|href)="https?:', page)
    assert "left &lt;one&gt;" in overview


def test_links_and_commands_of_folders_with_odd_names(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run #1"
    out.mkdir()
    with ExitStack() as stack:
        labels = Labels(Run.open(stack, "train", "train", **files(dataset)))
        pages = Pages(
            [labels], open_photos(dataset / "refs.parquet", tmp_path).or_grey, "train", "my results/a", "files"
        )
        pages.write(out / "50 % #1?.html", out / "50 % #1?")
    assert 'href="50%20%25%20%231%3F/1.html"' in (out / "50 % #1?.html").read_text()
    page = (out / "50 % #1?" / "1.html").read_text()
    assert 'href="../50%20%25%20%231%3F.html">Overview' in page
    assert "<code>ssc inspect &#39;my results/a&#39; train 1</code>" in page


def test_what_a_person_decided_is_said_and_needs_no_look(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(dataset / "train", [0, 0, -1, 0, *[0] * (PHOTOS - 4)], reviewed=[1, 3])
    overview, pages = write(dataset, 100, monkeypatch)
    assert "11 with a mask; a person decided 2." in overview
    assert [int(n) for n in re.findall(r'href="labels/1.html#ref-(\d+)"', overview)] == [2]
    assert pages[0].count("a person decided") == 2


def test_pages_of_photos_say_that_toys_made_them(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, warning = dataset / "train", "know drawings only"
    assert warning not in write(dataset, 100, monkeypatch)[0]
    toys = {"backend": {"name": "open_clip", "settings": {"model": "/somewhere/resources/micro/clip"}}}
    write_run(split, [0, 0, -1, 0, *[0] * (PHOTOS - 4)], settings=toys)
    assert warning in write(dataset, 100, monkeypatch)[0]
    compare(dataset / "select.choice=first" / "train", split, "--out", tmp_path / "out.html")
    assert warning in (tmp_path / "out.html").read_text(), "one of two runs is enough"


def test_rows_of_few_photos_are_in_memory_at_once(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ref_table, "_PHOTOS_AT_ONCE", 2)
    alive: list[int] = []
    drawn = labels_page._drawn

    def counting(*arguments: Any, **about: Any) -> Any:
        card = drawn(*arguments, **about)
        alive.append(count())
        return card

    monkeypatch.setattr(labels_page, "_drawn", counting)
    with counting_alive(LabelRow, Ref) as count:
        write(dataset, 3, monkeypatch)
        compare(dataset / "train", dataset / "select.choice=first" / "train", "--out", tmp_path / "out.html")
    assert len(alive) == 3 * PHOTOS
    assert 0 < max(alive[:PHOTOS]) <= 3 * 2 + 2, "a page of three rows and their refs, and the refs that are read next"
    assert max(alive[PHOTOS:]) <= 2 * (3 * 2 + 2), "the same of each run"


def test_fewer_pages_leave_none_of_the_old(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(write(dataset, 2, monkeypatch)[1]) == 6
    assert len(write(dataset, 100, monkeypatch)[1]) == 1
    assert {path.name for path in (dataset / "train").iterdir() if "tmp" in path.name} == set()


def test_a_photo_that_is_skipped_is_grey_and_its_rows_stay(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset.parents[1] / "photos/beach 3.png").write_bytes(b"no photo")
    overview, pages = write(dataset, 5, monkeypatch)
    assert 'id="ref-3"' in pages[0]
    assert "The photo cannot be read: 1" in overview
    assert "Nothing found:" not in overview


def test_the_checklist_says_what_the_page_says(dataset: Path, tmp_path: Path) -> None:
    photos = dataset.parents[1] / "photos"
    (photos / "beach 3.png").write_bytes(b"no photo")
    with ExitStack() as stack:
        run = Run.open(stack, "train", "train", **files(dataset))
        reader = open_photos(dataset / "refs.parquet", photos)
        labels = Labels(run, photos=reader)
        drawn = draw_overlays(run, labels.rows(), reader, tmp_path)
        assert drawn == {overlay_of(row) for row in labels.rows() if row.ref.ref_id != 3}
        assert [row.ref.ref_id for row in labels.rows() if not (tmp_path / overlay_of(row)).is_file()] == [3]
        assert write_checklist([labels], drawn, tmp_path / "check.csv") == 3
        write_checklist([labels], drawn - {"overlays/beach 1_1.jpg"}, tmp_path / "lost.csv")
        queue = Queue(run, reader, tmp_path / "reviews.csv")
        asked = {ref_id: queue.ref(ref_id)["why"] for ref_id in (1, 2, 3)}
    lines = list(csv.DictReader((tmp_path / "check.csv").open(encoding="utf-8")))
    assert [(line["ref"], line["why"]) for line in lines] == [
        ("1", "two candidates score alike (0.05)"), ("2", "1 of its 2 sentences would take another"),
        ("3", "The photo cannot be read"),
    ]  # fmt: skip
    assert [asked[int(line["ref"])] for line in lines] == [[line["why"]] for line in lines]
    assert lines[0] | {"image": "beach 1.png", "class": "cat", "score": "5.000", "margin": "0.055"} == lines[0]
    lost = next(csv.DictReader((tmp_path / "lost.csv").open(encoding="utf-8")))
    assert lost["why"] == "The photo cannot be read; two candidates score alike (0.05)", "of a photo lost since"
    assert (lines[2]["score"], lines[2]["overlay"], lines[0]["overlay"]) == ("", "", "overlays/beach 1_1.jpg")


@pytest.mark.parametrize("sentence", ['=HYPERLINK("http://a.example","look")', "+1", "-cat", "@SUM(A1)", "\t=1"])
def test_a_strangers_sentence_is_no_formula_in_a_spreadsheet(tmp_path: Path, sentence: str) -> None:
    ref: Any = SimpleNamespace(file_name="=a.jpg", ref_id=7)
    row = LabelRow(ref, 0, (sentence, "the = cat"), "-cat", 2, 0, -1.5, 0.25, {"margin": "two score alike"})
    labels: Any = SimpleNamespace(doubtful=lambda: None, rows=lambda places: [row])
    assert write_checklist([labels], {"overlays/=a_7.jpg"}, tmp_path / "check.csv") == 1
    with (tmp_path / "check.csv").open(encoding="utf-8", newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert (line["sentences"], line["image"], line["class"]) == (f"'{sentence} | the = cat", "'=a.jpg", "'-cat")
    assert (line["score"], line["margin"]) == ("-1.500", "0.250"), "numbers stay numbers"
    assert line["overlay"] == "overlays/=a_7.jpg"


def compare(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_two_runs_side_by_side(dataset: Path, tmp_path: Path) -> None:
    first, second = dataset / "train", dataset / "select.choice=first" / "train"
    compare(first, second, "--out", tmp_path / "out.html")
    overview, page = (tmp_path / "out.html").read_text(), (tmp_path / "out/1.html").read_text()
    for line in ("Other choice: 2", "Only the first run chose: 1", "Same choice: 8", "Neither chose: 1"):
        assert f"<li>{line}</li>" in overview
    assert [int(n) for n in re.findall(r'href="out/1.html#ref-(\d+)"', overview)] == [5, 6, 7]
    assert page.count("<article") == PHOTOS
    assert page.count('<use href="#photo') == 2 * PHOTOS
    assert "Labels: train and select.choice=first/train" in overview


def test_what_cannot_be_compared(dataset: Path, tmp_path: Path) -> None:
    (dataset / "seed4/train").mkdir(parents=True)
    for arguments, message in [
        ((dataset / "train", dataset / "seed4/train"), "selected.h5 is not there"),
        ((dataset / "train", dataset / "train", "--out", tmp_path / "x"), r"ends in \.html"),
        ((dataset / "train", dataset / "train", "--out", tmp_path / "photos.html"), "photos exists"),
    ]:
        with pytest.raises(SscError, match=message):
            compare(*arguments)


def test_a_photo_with_a_long_name_has_an_overlay(tmp_path: Path) -> None:
    name = "\u00e4" * 120 + ".jpg"
    row: Any = SimpleNamespace(ref=SimpleNamespace(file_name=name, ref_id=7), chosen=0, choice=0)
    run: Any = SimpleNamespace(candidates=lambda ref_id: np.ones((1, 8, 12), bool))
    photos: Any = SimpleNamespace(or_none=lambda file_name: np.zeros((8, 12, 3), np.uint8))
    assert draw_overlays(run, [row], photos, tmp_path) == {overlay_of(row)}
    assert (tmp_path / overlay_of(row)).is_file()


def test_overlays_of_rows_that_are_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    ours, theirs = ["a_1.jpg", "a_2.jpg", "a_2-3.jpg", "b c_12.jpg"], ["notes.txt", "me.jpg", "a_2.png", "a_x.jpg"]
    for name in ours:
        (tmp_path / "overlays" / name).write_bytes(b"\xff\xd8 overlay of ssc label")
    for name in (theirs := [*theirs, "IMG_0001.jpg"]):
        (tmp_path / "overlays" / name).touch()
    remove_overlays(tmp_path, {"overlays/a_1.jpg", "overlays/a_3.jpg"})
    assert {path.name for path in (tmp_path / "overlays").iterdir()} == {"a_1.jpg", *theirs}


def test_pages_of_a_split_that_is_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("mine", "labels", "labels_val"):
        (tmp_path / name).mkdir()
        for page in ("1.html", "2.html"):
            (tmp_path / name / page).touch()
        (tmp_path / f"{name}.html").touch()
    (tmp_path / "labels_val/notes.html").touch()
    remove_pages(tmp_path / "labels_val.html", tmp_path / "labels_val")
    remove_pages(tmp_path / "labels.html", tmp_path / "labels")
    (tmp_path / "mine.html").unlink()
    remove_pages(tmp_path / "mine.html", tmp_path / "mine")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert left == {"labels_val/notes.html", "mine/1.html", "mine/2.html"}
    assert not (tmp_path / "labels").exists()


def test_overlays_of_different_choices_have_different_names() -> None:
    """Two sentences of ref 1 of a.jpg with a choice each, and ref 2 of a_1.jpg."""
    choices = [("a.jpg", 1, 0), ("a.jpg", 1, 1), ("a_1.jpg", 2, 0)]
    rows: list[Any] = [
        SimpleNamespace(ref=SimpleNamespace(file_name=name, ref_id=ref_id), choice=choice)
        for name, ref_id, choice in choices
    ]
    assert len({overlay_of(row) for row in rows}) == 3
