"""``ssc export`` and ``ssc import``: what they say, and that what went out comes in as what it is said to be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.exchange.formats import FORMATS, READ
from ssc_core.files import write_json
from ssc_core.locks import only_process
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.reviews import read_lines, that_count
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.images import PhotoDigests
from ssc_core.refer.index import build_index
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.refer.truth import TruthStore

SIZE = (20, 30)
INFO = StoreInfo(class_names=("dog",), settings={}, code="", models={})


def ssc(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def boxes() -> np.ndarray:
    """bool (2, 20, 30)."""
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 5:15, 5:15] = masks[1, 2:6, 20:26] = True
    return masks


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """``results/mine/train``: two photos, the first with two refs that have two candidates, the second with none."""
    photos, folder = tmp_path / "photos", tmp_path / "results" / "mine"
    (folder / "train").mkdir(parents=True)
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", SIZE[::-1], (90, 120, 150)).save(photos / name)
    table = tmp_path / "refs.jsonl"
    rows = [{"image": "a.png", "sentences": ["left", "big"]}, {"image": "a.png", "sentences": ["up"]},
            {"image": "b.png", "sentences": ["none"]}]  # fmt: skip
    table.write_text("\n".join(map(json.dumps, rows)))
    source = DatasetSource(layout="table", file=table, images=photos)
    build_index(
        dataset="mine", source=source, out_refs=folder / "refs.parquet", out_truth=folder / "truth.h5",
        check_counts=False,
    )  # fmt: skip
    codes = rle.encode(boxes())
    with MaskStoreWriter(folder / "train/masks.h5", INFO, with_masks=True) as writer:
        writer.append_image(
            1, SIZE, boxes_xyxy=np.zeros((2, 4)), box_scores=np.array([0.5, 0.25]), labels=np.zeros(2, int),
            rles=codes, mask_scores=np.ones(2), candidates={1: [0, 1], 2: [1, 0]},
        )  # fmt: skip
        writer.append_image(
            2, SIZE, boxes_xyxy=np.zeros((0, 4)), box_scores=np.zeros(0), labels=np.zeros(0, int), rles=[],
            mask_scores=np.zeros(0), candidates={3: []},
        )  # fmt: skip
    with SelectionWriter(folder / "train/selected.h5", INFO) as writer:
        for ref_id, row in ((1, 0), (2, 1)):
            values = {"image_id": 1, "size": SIZE, "scores": np.zeros((1, 2))}
            writer.append_ref(ref_id, **values, chosen=[row], rles=[codes[row]])
        writer.append_ref(3, image_id=2, size=SIZE, chosen=[-1], scores=np.zeros((1, 0)), rles=[None])
    return folder / "train"


def exported(split: Path, name: str, store: str) -> tuple[Path, str]:
    """Where it can be read from, and what was said."""
    out = split.parents[2] / f"{name}{FORMATS[name].suffix}"
    said = ssc("export", split / store, "--to", name, "--out", out, "--images", split.parents[2] / "photos")
    return out / "tasks.json" if name == "label-studio" else out, said


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_says_by_name_what_it_leaves_out(split: Path, name: str) -> None:
    said = exported(split, name, "selected.h5")[1]
    if name == "png":
        assert "left out, masks of refs that have none, so that their pictures are black: 1 (3)" in said
    else:
        assert said.startswith("2 masks of 2 photos in ")
        assert "left out, refs without a choice: 1 (ref 3 of b.png)" in said
    assert ("the format has no place for it: ref_id, sentences" in said) == (name == "yolo")


def test_what_is_counted_is_what_was_written(split: Path) -> None:
    code = rle.encode(boxes())[0]
    with SelectionWriter(split / "selected.h5", INFO) as writer:
        for ref_id in (1, 2):  # one mask
            writer.append_ref(ref_id, image_id=1, size=SIZE, scores=np.zeros((1, 2)), chosen=[0], rles=[code])
    out, said = exported(split, "yolo", "selected.h5")
    assert said.startswith("1 mask of 1 photo in ")
    assert len((out / "labels/train/a.txt").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.photos])
def test_a_photo_of_another_size_than_its_masks_is_not_taken_along(split: Path, name: str) -> None:
    photo = split.parents[2] / "photos" / "b.png"
    Image.new("RGB", (9, 8)).save(photo)
    with pytest.raises(SscError, match=r"b\.png has 8 x 9 .*, the annotations say 20 x 30"):
        exported(split, name, "selected.h5")
    assert not (split.parents[2] / name).exists()
    photo.unlink()
    with pytest.raises(SscError, match=r"b\.png"):
        exported(split, name, "selected.h5")


def test_what_could_not_be_read_and_has_no_masks_is_taken_along_as_it_is(split: Path) -> None:
    folder = split.parents[2]
    source = DatasetSource(layout="table", file=folder / "refs.jsonl", images=folder / "photos")
    refs = {"out_refs": split.parent / "refs.parquet", "out_truth": split.parent / "truth.h5"}
    build_index(dataset="mine", source=source, check_counts=False, skip_bad_photos=True, **refs)
    (folder / "photos" / "b.png").write_bytes(b"")
    assert exported(split, "labelme", "selected.h5")[1].startswith("2 masks of 2 photos in ")
    (folder / "labelme").rename(folder / "before")
    (folder / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(SscError, match=r"a\.png is empty"):
        exported(split, "labelme", "selected.h5")


@pytest.mark.parametrize("name", READ)
def test_candidates_and_choices_come_back(split: Path, name: str) -> None:
    candidates = exported(split, name, "masks.h5")[0]
    back = split.parent / "back"
    said = ssc("import", back, "--candidates", candidates, "--split", "train")
    assert said.startswith(f"2 masks: {back / 'masks.h5'}")
    assert "passed over, refs without a candidate: 1 (ref 3 of b.png)" in said
    ours, theirs = MaskStore.open(split / "masks.h5"), MaskStore.open(back / "masks.h5")
    for ref_id in (1, 2, 3):
        rows = sorted(ours.rles(ours.candidates(ref_id).rows))
        assert sorted(theirs.rles(theirs.candidates(ref_id).rows)) == rows
    with pytest.raises(SscError, match=r"masks.h5 exists"):
        ssc("import", back, "--candidates", candidates, "--split", "train")

    out = split.parents[2] / f"{name}{FORMATS[name].suffix}"
    out.rename(out.with_stem("candidates"))
    selected = exported(split, name, "selected.h5")[0]
    (back / "masks.h5").unlink()
    said = ssc("import", back, "--selected", selected, "--split", "train")
    assert f"2 choices: {back / 'selected.h5'}" in said
    store = SelectionStore(back / "selected.h5")
    np.testing.assert_array_equal([store.mask(1), store.mask(2)], boxes())
    assert store.chosen(3) == -1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_import_that_was_killed_is_not_in_the_way_of_the_next(split: Path, number: signal.Signals) -> None:
    back, source = split.parent / "back", exported(split, "coco", "masks.h5")[0]
    arguments = ["import", str(back), "--candidates", str(source), "--selected", str(source), "--split", "train"]
    code = (
        "import os, sys; from ssc_core.cli import main; from ssc_core.exchange import incoming\n"
        f"incoming.write_selection = lambda *_, **__: os.kill(os.getpid(), {int(number)})\n"
        f"sys.argv = ['ssc', *{arguments}]\nmain.main()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -number
    left = {path.suffix for path in back.iterdir()}
    assert left == ({".tmp", ".importing"} if number == signal.SIGKILL else set())
    assert "2 masks: " in ssc(*arguments)
    assert {"masks.h5", "selected.h5"} <= {path.name for path in back.iterdir()}


def test_one_process_imports_into_a_folder(split: Path) -> None:
    source = exported(split, "coco", "masks.h5")[0]
    with (
        only_process(split.parent / "back/masks.h5.importing", wait=False),
        pytest.raises(SscError, match=r"another process is importing into .*back"),
    ):
        ssc("import", split.parent / "back", "--candidates", source, "--split", "train")


@pytest.mark.parametrize("name", READ)
def test_decisions_and_truth_come_back(split: Path, name: str) -> None:
    source = exported(split, name, "selected.h5")[0]
    said = ssc("import", split, "--decisions", source, "--truth", source, "--who", "ana")
    black = name == "png"  # a black picture says that there is nothing
    reviews = that_count(read_lines(split.parent / "reviews.csv"))
    assert {ref: (one.decision.value, one.photo, one.who) for ref, one in reviews.items()} == {
        1: ("chosen", "a.png", "ana"),
        2: ("chosen", "a.png", "ana"),
        **({3: ("none", "b.png", "ana")} if black else {}),
    }
    np.testing.assert_array_equal([reviews[1].mask(), reviews[2].mask()], boxes())
    truth = TruthStore(split.parent / "truth.h5")
    assert truth.ref_ids == (1, 2)
    np.testing.assert_array_equal([truth.mask(1), truth.mask(2)], boxes())
    assert f"{2 + black} new decisions" in said
    assert "2 new true masks" in said
    again = ssc("import", split, "--decisions", source, "--truth", source)
    assert "0 new decisions" in again
    assert "0 new true masks" in again


def test_a_drawn_mask_is_uploaded_and_another_truth_is_refused(split: Path) -> None:
    source = exported(split, "coco", "selected.h5")[0]
    ssc("import", split, "--truth", source)
    content = json.loads(source.read_text())
    drawn = rle.encode(boxes()[:1] | boxes()[1:])[0]
    content["annotations"][0]["segmentation"]["counts"] = drawn.decode()
    source.write_text(json.dumps(content))
    ssc("import", split, "--decisions", source)
    reviews = that_count(read_lines(split.parent / "reviews.csv"))
    assert (reviews[1].decision, reviews[1].rle) == ("uploaded", drawn)
    with pytest.raises(SscError, match=r"ref 1 of a\.png has another ground truth"):
        ssc("import", split, "--truth", source)
    assert TruthStore(split.parent / "truth.h5").ref_ids == (1, 2)


def test_decisions_that_come_in_are_of_the_photos_as_they_are(split: Path) -> None:
    source = exported(split, "coco", "selected.h5")[0]
    folder = split.parents[2]
    of = DatasetSource(layout="table", file=folder / "refs.jsonl", images=folder / "photos").model_dump(mode="json")
    write_json(split.parent / "data.json", {"identity": json.dumps({"source": of})})
    ssc("import", split, "--decisions", source)
    digest = PhotoDigests(folder / "photos")
    assert {one.digest for one in read_lines(split.parent / "reviews.csv")} == {digest("a.png")}
    assert ssc("import", split, "--decisions", source).startswith("0 new decisions")
    Image.new("RGB", SIZE[::-1], "white").save(folder / "photos" / "a.png")
    assert ssc("import", split, "--decisions", source).startswith("2 new decisions"), "on another photo"


def test_masks_that_do_not_say_whose_they_are(split: Path) -> None:
    source = exported(split, "coco", "selected.h5")[0]
    content = json.loads(source.read_text())
    for one in content["annotations"]:
        del one["ref_id"]
    source.write_text(json.dumps(content))
    said = ssc("import", split, "--decisions", source)
    assert said.startswith("0 new decisions")
    assert "passed over, masks that do not say which ref they are of: 2 (" in said
    content["annotations"] = [content["annotations"][0] | {"image_id": 2}]  # the only mask of a photo with one ref
    source.write_text(json.dumps(content))
    assert ssc("import", split, "--decisions", source).startswith("1 new decision:")
    assert list(that_count(read_lines(split.parent / "reviews.csv"))) == [3]
    ssc("import", split.parent / "back", "--candidates", source, "--split", "train")
    assert len(MaskStore.open(split.parent / "back/masks.h5").candidates(3)) == 1


@pytest.mark.parametrize("name", ["coco", "png"])
def test_masks_of_other_rows_than_the_table_has_now_are_refused(split: Path, name: str) -> None:
    """As where another split alone was made after rows changed places: each row would get the other's mask."""
    source = exported(split, "coco", "selected.h5")[0]
    back = split.parent / "back"
    ssc("import", back, "--selected", source, "--split", "train")
    with SelectionStore(back / "selected.h5") as store:
        assert store.info.refs == TableRefs(split.parent / "refs.parquet", "train").digest(np.array([1, 2, 3]))
    assert exported(back, name, "selected.h5")[1]
    table = split.parents[2] / "refs.jsonl"
    first, second, third = table.read_text().splitlines()
    for rows, same in ([first, second, third, first], True), ([second, first, third], False):
        table.write_text("\n".join(rows))
        build_index(
            dataset="mine", source=DatasetSource(layout="table", file=table, images=split.parents[2] / "photos"),
            out_refs=split.parent / "refs.parquet", out_truth=split.parent / "truth.h5", check_counts=False,
        )  # fmt: skip
        out = split.parents[2] / f"{same}{FORMATS[name].suffix}"
        if same:
            assert ssc("export", back / "selected.h5", "--to", name, "--out", out)
            continue
        for store in ("selected.h5", "masks.h5"):
            with pytest.raises(SscError, match=rf"{store} is of other rows than .*refs\.parquet.*; import it again"):
                ssc("export", back / store, "--to", name, "--out", out)
        assert not out.exists()


@pytest.fixture
def two_splits(tmp_path: Path) -> Path:
    """``results/two``: a photo of the same name and sentence in each of train and val, with its choice."""
    folder = tmp_path / "results" / "two"
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        (tmp_path / "photos" / split).mkdir(parents=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "photos" / split / "1.png")
    table = tmp_path / "refs.csv"
    table.write_text("image,sentences,split\ntrain/1.png,the dog,train\nval/1.png,the dog,val\n")
    source = DatasetSource(layout="table", file=table, images=tmp_path / "photos")
    build_index(
        dataset="two", source=source, out_refs=folder / "refs.parquet", out_truth=folder / "truth.h5",
        check_counts=False,
    )  # fmt: skip
    for ref_id, (split, code) in enumerate(zip(("train", "val"), rle.encode(boxes()), strict=True), start=1):
        with SelectionWriter(folder / split / "selected.h5", INFO) as writer:
            writer.append_ref(ref_id, image_id=ref_id, size=SIZE, chosen=[0], scores=np.zeros((1, 1)), rles=[code])
    return folder


@pytest.mark.parametrize("name", ["coco", "labelme", "label-studio", "cvat"])
def test_masks_of_another_split_are_of_none_of_this_ones_photos(two_splits: Path, name: str) -> None:
    source = exported(two_splits / "val", name, "selected.h5")[0]
    for option in ("--decisions", "--truth", "--candidates"):
        with pytest.raises(SscError, match=r"no mask for 1 photo .*\n  photos that the split does not have: 1 \(val/1"):
            ssc("import", two_splits / "train", option, source)
    assert ssc("import", two_splits / "val", "--decisions", source).startswith("1 new decision:")
    (review,) = that_count(read_lines(two_splits / "reviews.csv")).values()
    assert (review.photo, review.rle) == ("val/1.png", rle.encode(boxes())[1])


def test_of_masks_of_all_splits_those_of_one_come_in(two_splits: Path, tmp_path: Path) -> None:
    files = [exported(two_splits / split, "coco", "selected.h5")[0].rename(tmp_path / f"{split}.json")
             for split in ("train", "val")]  # fmt: skip
    train, val = (json.loads(file.read_text()) for file in files)
    for key in ("images", "annotations"):
        train[key] += val[key]
    files[0].write_text(json.dumps(train))
    said = ssc("import", two_splits / "train", "--decisions", files[0])
    assert said.startswith("1 new decision:")
    assert "passed over, photos that the split does not have: 1 (val/1.png)" in said
    (review,) = that_count(read_lines(two_splits / "reviews.csv")).values()
    assert (review.photo, review.rle) == ("train/1.png", rle.encode(boxes())[0])


def test_a_ref_has_one_decision_whatever_its_sentences_have(split: Path) -> None:
    source = exported(split, "coco", "selected.h5")[0]
    content = json.loads(source.read_text())
    first, second = content["annotations"]
    other = first | {"id": 9, "segmentation": second["segmentation"], "sentences": ["big"]}
    content["annotations"] = [first | {"sentences": ["left"]}, other]
    source.write_text(json.dumps(content))
    said = ssc("import", split, "--decisions", source)
    assert said.startswith("0 new decisions")
    assert (
        "refs with several masks, of which one for all their sentences is meant: 1 (ref 1 of a.png (2 masks))" in said
    )
    other["segmentation"] = first["segmentation"]
    source.write_text(json.dumps(content))
    assert ssc("import", split, "--decisions", source).startswith("1 new decision:")


def test_what_cannot_be_meant(split: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, message in [
        (["import", split], "nothing to import"),
        (["import", split, "--truth", tmp_path / "file", "--from", "yolo"], "no format 'yolo' here, but coco, labelme"),
        (["export", split / "masks.h5", "--out", tmp_path / "x", "--to", "coca"], "did you mean 'coco'"),
        (["import", split, "--truth", tmp_path / "none"], "none does not exist"),
        (["import", split, "--truth", tmp_path / "results", "--from", "cvat"], "cvat is imported from a file"),
        (["export", split / "masks.h5", "--out", tmp_path / "x", "--to", "cvat"], r"ends in \.xml"),
        (["export", split / "masks.h5", "--out", tmp_path / "x", "--to", "yolo"], "needs --images"),
        (["export", split / "masks.h5", "--out", tmp_path / "file", "--to", "label-studio"], "writes a folder"),
    ]:
        with pytest.raises(SscError, match=message):
            ssc(*arguments)
