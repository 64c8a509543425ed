from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer.records import ImageRecord, RefData, Sentence
from ssc_core.refer.refer_layout import read_refer, write_refer
from ssc_core.refer.sources import open_source
from tests.unit.refer.conftest import HEIGHT, WIDTH


def read(folder: Any) -> RefData:
    return read_refer(folder.root, "tiny", "unc")


def test_refs_keep_the_pickles_order(refer_folder: Any) -> None:
    data = read(refer_folder)
    assert [ref.ref_id for ref in data.refs] == [101, 102, 103]
    first = data.refs[0]
    assert (first.ann_id, first.image_id, first.split, first.category_id, first.category) == (11, 2, "val", 3, "dog")
    assert first.sentences == (Sentence(1010, "left dog", "LEFT DOG"), Sentence(1011, "the big dog", "THE BIG DOG"))


def test_photo_is_the_one_of_instances_json(refer_folder: Any) -> None:
    data = read(refer_folder)
    assert data.refs[0].image == ImageRecord(image_id=2, file_name="two.png", height=8, width=10)
    assert data.images_folder == refer_folder.photos
    assert data.categories == {3: "dog", 4: "cat", 5: "cow"}


def test_other_places_may_be_named(refer_folder: Any, tmp_path: Path) -> None:
    moved = refer_folder.instances_path.rename(tmp_path / "moved.json")
    data = read_refer(refer_folder.root, "tiny", "unc", instances=moved, images_folder=tmp_path / "photos")
    assert len(data.refs) == 3
    assert data.images_folder == tmp_path / "photos"


def _set(table: str, row: int, key: str, value: Any) -> Callable[[Any], None]:
    return lambda folder: getattr(folder, table)[row].__setitem__(key, value)


def _drop(table: str, row: int) -> Callable[[Any], None]:
    return lambda folder: getattr(folder, table).pop(row)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop("images", 1), r"ref number 1 \(ref id 101\): annotation 11 is there, but its image 2 is not in"),
        (_drop("annotations", 0), r"ref id 101\): annotation 11 is not in .*instances\.json"),
        (_drop("categories", 1), r"ref id 102\): category 4 is not in"),
        (_set("annotations", 0, "image_id", 1), "annotation 11 belongs to image 1, not to 2"),
        (_set("annotations", 0, "segmentation", "polygon"), "annotation 11: segmentation must be"),
        (_set("annotations", 1, "id", 11), "annotation id 11 occurs twice"),
        (_set("refs", 2, "ref_id", 101), "ref id 101 occurs twice"),
        (_set("refs", 1, "ref_id", None), "ref number 2: 'ref_id' is missing"),
        (_set("refs", 1, "ref_id", -5), "ref number 2: ref_id -5 and image_id 1 must be 0 or more"),
        (_set("refs", 1, "split", 3), "'split' is no str"),
        (_set("refs", 1, "sentences", [{"sent_id": 1010, "sent": "x"}]), "sentence id 1010 occurs twice"),
        (_set("refs", 1, "sentences", ["a cat"]), "a sentence: 'sent' is missing"),
        (_set("images", 0, "height", "8"), "image 1: 'height' is no int"),
        (_set("images", 0, "width", 0), "image 1 has the size 8 x 0"),
        (_set("images", 0, "file_name", "../../etc/passwd"), "must be a path inside the images folder"),
    ],
)
def test_what_does_not_fit_together_is_named(refer_folder: Any, spoil: Callable[[Any], None], message: str) -> None:
    spoil(refer_folder)
    with pytest.raises(SscError, match=message):
        read(refer_folder.write())


def test_missing_pickle(refer_folder: Any) -> None:
    refer_folder.refs_path.unlink()
    with pytest.raises(SscError, match=r"cannot read .*refs\(unc\)\.p"):
        read(refer_folder)


def test_truncated_pickle(refer_folder: Any) -> None:
    refer_folder.refs_path.write_bytes(refer_folder.refs_path.read_bytes()[:-20])
    with pytest.raises(SscError, match=r"refs\(unc\)\.p is no complete pickle"):
        read(refer_folder)


def test_pickle_that_imports(refer_folder: Any) -> None:
    refer_folder.refs_path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SscError, match=r"refs\(unc\)\.p is refused: it tries to import 'os.system'"):
        read(refer_folder)


def test_pickle_of_something_else(refer_folder: Any) -> None:
    refer_folder.refs_path.write_bytes(pickle.dumps({"refs": []}))
    with pytest.raises(SscError, match="holds a dict, not a list of refs"):
        read(refer_folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', "is not valid JSON"),
        ("[]", "has no list 'images'"),
        ('{"images": [], "annotations": []}', "'categories'"),
    ],
)
def test_damaged_instances(refer_folder: Any, content: str, message: str) -> None:
    refer_folder.instances_path.write_text(content)
    with pytest.raises(SscError, match=message):
        read(refer_folder)


def test_written_data_read_back(refer_folder: Any, tmp_path: Path) -> None:
    tables = {key: getattr(refer_folder, key) for key in ("refs", "images", "annotations", "categories")}
    write_refer(tmp_path / "copy", "tiny", "unc", **tables)
    copied, original = read_refer(tmp_path / "copy", "tiny", "unc"), read(refer_folder)
    assert [(r.ref_id, r.sentences, r.segmentation) for r in copied.refs] == [
        (r.ref_id, r.sentences, r.segmentation) for r in original.refs
    ]
    assert [ref.image for ref in copied.refs] == [ref.image for ref in original.refs]
    assert (tmp_path / "copy/tiny/refs(unc).p").read_bytes()[:2] == b"\x80\x02"


@pytest.mark.parametrize("value", [np.int64(1), float("nan"), Path("x"), b"bytes"])
def test_writer_refuses_what_is_not_plain(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SscError, match="cannot write refs"):
        write_refer(tmp_path, "tiny", "unc", refs=[{"ref_id": value}], images=[], annotations=[], categories=[])
    assert not list(tmp_path.rglob("*"))


def test_real_sample(real_sample: Path) -> None:
    data = read_refer(real_sample, "refcoco", "unc")
    photos = {ref.image.file_name for ref in data.refs}
    assert (len(data.refs), sum(len(ref.sentences) for ref in data.refs), len(photos)) == (15, 40, 8)
    assert len(data.categories) == 80
    assert data.refs[0].sentences[0].text == "guy holding baby"
    assert all((data.images_folder / name).is_file() for name in photos)


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("images", {"height": 10**40}, "does not fit into 64 bits"),
        ("images", {"height": 10**9}, "which no photo has|so make it smaller"),
        ("images", {"file_name": "9" * 5000}, "no drive takes it"),
        ("annotations", {"id": 2**63}, "does not fit into 64 bits"),
    ],
)
def test_values_that_no_file_has(refer_folder: Any, where: str, change: dict[str, Any], message: str) -> None:
    content = json.loads(refer_folder.instances_path.read_text())
    content[where][0] |= change
    refer_folder.instances_path.write_text(json.dumps(content))
    with pytest.raises(SscError, match=message):
        read(refer_folder)


def as_refclef(folder: Any) -> None:
    for annotation in folder.annotations:
        annotation["id"] = f"{annotation['image_id']}_{annotation['id']}"
        if isinstance(annotation["segmentation"], dict):
            annotation["segmentation"] = [annotation["segmentation"]]
    for ref in folder.refs:
        ref["ann_id"] = f"{ref['image_id']}_{ref['ann_id']}"


def test_annotations_that_are_named_by_texts_get_their_place(refer_folder: Any) -> None:
    as_refclef(refer_folder)
    refer_folder.write()
    refs = list(read_refer(refer_folder.root, "tiny", "unc").refs)
    assert [ref.ann_id for ref in refs] == [1, 2, 3]
    assert refs[2].segmentation == [{"size": [HEIGHT, WIDTH], "counts": [8, 8, 64]}]


def test_lists_of_one_entry_are_read(refer_folder: Any) -> None:
    expected = list(read(refer_folder).refs)
    for ref in refer_folder.refs:
        ref["ann_id"], ref["category_id"] = [ref["ann_id"]], [ref["category_id"]]
    refer_folder.write()
    assert list(read_refer(refer_folder.root, "tiny", "unc").refs) == expected


def test_refs_of_several_objects_or_none_are_counted(refer_folder: Any) -> None:
    refer_folder.refs[0]["ann_id"] = [11, 13]
    for ref, none in zip(refer_folder.refs[1:], ([], [-1]), strict=True):
        ref["ann_id"] = none
    refer_folder.write()
    message = r"of 3 refs, 1 mean several objects \(.* 101\) and 2 mean no object \(.* 102\)\. A ref must mean exactly"
    with pytest.raises(SscError, match=message):
        read_refer(refer_folder.root, "tiny", "unc")
    pickled = refer_folder.root / "tiny" / "refs(unc).p"
    pickled.with_name("grefs(unc).json").write_text(json.dumps(refer_folder.refs))
    pickled.unlink()
    with pytest.raises(SscError, match=r"grefs\(unc\)\.json: " + message):
        read_refer(refer_folder.root, "tiny", "unc")


@pytest.mark.parametrize("split_by", ["berkeley", "final", "my-own_2.1"])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("refclef", "images/saiapr_tc-12"),
        ("rrsisd", "images/rrsisd/JPEGImages"),
        ("RRSIS-D", "RRSIS-D/JPEGImages"),
        ("refcoco", "images/mscoco/images/train2014"),
    ],
)
def test_relatives_have_splits_and_folders_of_their_own(tmp_path: Path, name: str, folder: str, split_by: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    write_refer(tmp_path, name, split_by, refs=[], images=[], annotations=[], categories=[])
    source = DatasetSource(layout="refer", root=tmp_path, name=name, split_by=split_by)
    assert source.images_folder == tmp_path / folder
    assert open_source("x", source).images_folder == tmp_path / folder
    assert source.annotation_files[0].is_file()
