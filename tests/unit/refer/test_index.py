from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer.counts import PUBLISHED_REFS
from ssc_core.refer.ref_table import (
    COLUMNS,
    open_photos,
    read_categories,
    read_refs,
    refs_by_image,
)
from ssc_core.refer.truth import TruthStore
from tests.unit.refer.conftest import Index


def test_one_row_a_sentence_in_the_files_order(refer_folder: Any, index: Index) -> None:
    summary = index.build(refer_folder.source)
    assert (summary.n_refs, summary.n_sentences, summary.n_images, summary.n_with_truth) == (3, 4, 2, 2)
    frame = read_refs(index.refs)
    assert tuple(frame.columns) == COLUMNS
    assert frame["sent_id"].tolist() == [1010, 1011, 1020, 1030]
    assert frame.iloc[1].to_dict() == {
        "dataset": "mine",
        "split": "val",
        "image_id": 2,
        "file_name": "two.png",
        "height": 8,
        "width": 10,
        "ref_id": 101,
        "ann_id": 11,
        "category_id": 3,
        "category": "dog",
        "sent_id": 1011,
        "sentence": "the big dog",
        "raw": "THE BIG DOG",
    }


def test_splits_that_differ_in_case_only_are_refused(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    photo = next(photo_folder.glob("*.png")).name
    (tmp_path / "refs.csv").write_text(f"image,sentences,split\n{photo},a,mine\n{photo},b,Mine\n")
    with pytest.raises(SscError, match="are 'mine' and 'Mine' one split"):
        index.build(DatasetSource(layout="table", file=tmp_path / "refs.csv", images=photo_folder))
    assert not index.refs.exists()


@pytest.mark.parametrize(
    ("limit", "kept"), [(1, {"train": 1, "val": 1}), (2, {"train": 2, "val": 1}), (5, {"train": 3, "val": 1})]
)
def test_a_limit_takes_the_first_refs_of_each_split(
    tmp_path: Path, photo_folder: Path, index: Index, limit: int, kept: dict[str, int]
) -> None:
    photo = next(photo_folder.glob("*.png")).name
    rows = [("train", "  "), ("train", "a"), ("val", "b"), ("train", "c"), ("train", "d")]  # a blank one does not count
    table = "image,sentences,split\n" + "".join(f"{photo},{sentence},{split}\n" for split, sentence in rows)
    (tmp_path / "refs.csv").write_text(table)
    source = DatasetSource(layout="table", file=tmp_path / "refs.csv", images=photo_folder)
    summary = index.build(source, limit=limit)
    frame = read_refs(index.refs)
    assert frame["split"].value_counts().to_dict() == kept
    assert frame["sentence"].tolist() == {1: ["a", "b"], 2: ["a", "b", "c"], 5: ["a", "b", "c", "d"]}[limit]
    left_out = 4 - sum(kept.values())
    told = [note for note in summary.notes if "limit" in note]
    assert told == (
        [f"{left_out} ref{'s' * (left_out > 1)} left out: `limit` takes the first {limit} of each split"]
        if left_out
        else []
    )


def test_ground_truth_goes_to_its_own_file(refer_folder: Any, index: Index) -> None:
    summary = index.build(refer_folder.source)
    store = TruthStore(index.truth)
    assert store.ref_ids == (101, 103)
    column = np.zeros((8, 10), bool)
    column[:, 1] = True
    np.testing.assert_array_equal(store.mask(103), column)
    assert summary.notes == ("1 ref without ground truth, for training alone and left out of evaluation",)


def test_overlap_hole_is_passed_on(refer_folder: Any, index: Index) -> None:
    refer_folder.annotations[0]["segmentation"] = [[2, 1, 6, 1, 6, 5, 2, 5], [2, 1, 4, 1, 4, 5, 2, 5]]
    source = refer_folder.write().source
    areas = []
    for hole in (False, True):
        index.build(source, gt_overlap_hole=hole)
        mask = TruthStore(index.truth).mask(101)
        assert mask is not None
        areas.append(int(mask.sum()))
    assert areas == [16, 8]


def test_same_data_same_bytes(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    before = index.refs.read_bytes(), index.truth.read_bytes()
    index.build(refer_folder.source)
    assert (index.refs.read_bytes(), index.truth.read_bytes()) == before


def test_other_photos_are_other_bytes_of_the_same_rows(refer_folder: Any, index: Index) -> None:
    """So all that is made from the RefTable is made anew, although no row of it changed."""
    index.build(refer_folder.source)
    plain, rows = index.refs.read_bytes(), read_refs(index.refs)
    index.build(refer_folder.source, photos_seen="0123")
    first = index.refs.read_bytes()
    index.build(refer_folder.source, photos_seen="4567")
    assert len({plain, first, index.refs.read_bytes()}) == 3
    assert read_refs(index.refs).equals(rows)


def test_blank_sentences_are_dropped_and_counted(
    refer_folder: Any, index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    refer_folder.refs[0]["sentences"][0]["sent"] = "  "
    refer_folder.refs[1]["sentences"][0]["sent"] = ""
    with caplog.at_level(logging.WARNING):
        summary = index.build(refer_folder.write().source)
    assert read_refs(index.refs)["sentence"].tolist() == ["the big dog", "second column"]
    assert summary.n_refs == 2
    assert "dataset 'mine': 2 sentences of blanks alone, dropped" in caplog.text
    assert "dataset 'mine': 1 ref without any sentence, dropped" in caplog.text


def test_nothing_left(refer_folder: Any, index: Index) -> None:
    for ref in refer_folder.refs:
        ref["sentences"] = []
    with pytest.raises(SscError, match="dataset 'mine' has no ref with a sentence"):
        index.build(refer_folder.write().source)
    assert not index.refs.exists()


def test_polygon_outside_the_photo_is_counted(refer_folder: Any, index: Index) -> None:
    refer_folder.annotations[0]["segmentation"] = [[-9, -9, 4, -9, 4, 4, -9, 4], [1, 1, 2, 2]]
    summary = index.build(refer_folder.write().source)
    assert "1 polygon partly outside the photo, clipped" in summary.notes
    assert "1 polygon with fewer than three points, dropped" in summary.notes


def test_damaged_segmentation_names_ref_and_annotation(refer_folder: Any, index: Index) -> None:
    refer_folder.annotations[2]["segmentation"]["counts"] = [5, 6]
    with pytest.raises(SscError, match=r"ref id 103\), annotation 13: the runs .* cover 11 pixels"):
        index.build(refer_folder.write().source)
    assert not index.refs.exists() and not index.truth.exists()


def test_missing_photos(refer_folder: Any, index: Index) -> None:
    (refer_folder.photos / "one.png").unlink()
    summary = index.build(refer_folder.source)
    assert any(note.startswith("1 photo missing") and "one.png" in note for note in summary.notes)
    (refer_folder.photos / "two.png").unlink()
    with pytest.raises(SscError, match=r"none of its 2 photos is in .*datasets\.mine\.source\.images"):
        index.build(refer_folder.source)


def test_published_counts_are_checked(refer_folder: Any, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SscError, match=r"no published counts for tiny .*datasets\.mine\.check_counts: false"):
        index.build(refer_folder.source, check_counts=True)
    monkeypatch.setattr(
        "ssc_core.refer.counts.PUBLISHED_REFS", {**PUBLISHED_REFS, ("tiny", "unc"): {"val": 2, "train": 1}}
    )
    assert index.build(refer_folder.source, check_counts=True).n_refs == 3
    refer_folder.refs.pop()
    with pytest.raises(SscError, match="val has 1 ref, published are 2"):
        index.build(refer_folder.write().source, check_counts=True)


def test_a_bad_row_names_the_dataset_and_leaves_nothing(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    (tmp_path / "mine.csv").write_text("image,sentences\na.png,dog\n,cat\n")
    source = DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder)
    with pytest.raises(SscError, match=r"^dataset 'mine': .*line 3: 'image' is empty"):
        index.build(source)
    assert not list(index.refs.parent.iterdir())


def test_own_table(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    Image.fromarray(np.eye(6, 4, dtype=np.uint8)).save(tmp_path / "m.png")
    (tmp_path / "mine.csv").write_text("image,sentences,mask\na.png,dog| |the dog,m.png\nsub/b.png,cat,\n")
    source = DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder, split="test")
    index.build(source)
    frame = read_refs(index.refs, "test")
    assert frame["sentence"].tolist() == ["dog", "the dog", "cat"]
    assert set(frame["category"]) == {""}
    assert set(frame["category_id"]) == {0}
    store = TruthStore(index.truth)
    np.testing.assert_array_equal(store.mask(1), np.eye(6, 4, dtype=bool))
    assert not store.has(2)
    assert read_categories(index.refs) == {}


def test_mask_of_a_table_that_does_not_fit_names_the_line(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    Image.fromarray(np.eye(5, dtype=np.uint8)).save(tmp_path / "m.png")
    (tmp_path / "mine.csv").write_text("image,sentences,mask\na.png,dog,\na.png,cat,m.png\n")
    with pytest.raises(SscError, match=r"mine\.csv, line 3, .*m\.png has 5 x 5 .* its photo 6 x 4"):
        index.build(DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder))


def test_real_sample(real_sample: Path, index: Index) -> None:
    source = DatasetSource(layout="refer", root=real_sample, name="refcoco", split_by="unc")
    summary = index.build(source)
    assert (summary.n_refs, summary.n_sentences, summary.n_images, summary.n_with_truth) == (15, 40, 8, 8)
    store, photos = TruthStore(index.truth), open_photos(index.refs, source.images_folder)
    grouped = refs_by_image(read_refs(index.refs))
    for refs in grouped.values():
        assert photos(refs[0].file_name).shape == (refs[0].height, refs[0].width, 3)
        for ref in refs:
            mask = store.mask(ref.ref_id)
            assert mask is None or mask.shape == (ref.height, ref.width)
    motorcyclist = store.mask(800000)
    assert motorcyclist is not None and 0.10 < motorcyclist.mean() < 0.12


@pytest.mark.parametrize("skip", [False, True])
def test_every_reader_of_photos_learns_what_a_bad_one_means(refer_folder: Any, index: Index, skip: bool) -> None:
    summary = index.build(refer_folder.source, skip_bad_photos=skip)
    assert summary.n_refs == 3
    assert open_photos(index.refs, refer_folder.photos).skip_bad == skip


def test_a_sentence_without_an_end_is_refused(refer_folder: Any, index: Index) -> None:
    refer_folder.refs[1]["sentences"][0]["raw"] = "a" * 6000
    with pytest.raises(SscError, match=r"ref id 102\): a sentence has 6000 letters"):
        index.build(refer_folder.write().source)


def test_rows_without_their_photos_are_left_out_with_a_note(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    (tmp_path / "mine.csv").write_text("image,sentences\na.png,dog\ngone.png,cat\n")
    source = DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder)
    with pytest.raises(SscError, match="1 of 2 photos cannot be read"):
        index.build(source)
    summary = index.build(source, skip_bad_photos=True)
    assert (summary.n_refs, read_refs(index.refs)["ref_id"].tolist()) == (1, [1])
    (note,) = [note for note in summary.notes if "left out (" in note]
    assert note.startswith("1 row left out (1 of 2 photos cannot be read")
