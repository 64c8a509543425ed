"""What is written in a format and read again is the same, to the pixel; and what strangers' files may say."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import Export, LeftOut, note_of, refs_in
from ssc_core.exchange.foreign import Photo, PhotoNames, score_in
from ssc_core.exchange.formats import FORMATS, READ, check_place, recognised
from ssc_core.exchange.incoming import collect, write_candidates
from ssc_core.masks import rle
from ssc_core.masks.store import MaskStore
from tests.unit.exchange.conftest import CATEGORIES, NAMES, masks_of, refs_of_masks

OURS = [name for name in READ if name != "png"]  # its pictures are of a store: see test_png.py


def place(name: str, folder: Path) -> Path:
    """Where an export goes, and where it is read from."""
    return folder / f"out{FORMATS[name].suffix}"


def source(name: str, folder: Path) -> Path:
    return place(name, folder) / "tasks.json" if name == "label-studio" else place(name, folder)


@pytest.fixture(params=OURS)
def written(request: pytest.FixtureRequest, export: Callable[..., Export], tmp_path: Path) -> tuple[str, Path]:
    FORMATS[request.param].write(export(), place(request.param, tmp_path))
    return request.param, source(request.param, tmp_path)


def test_masks_classes_and_refs_come_back(written: tuple[str, Path], split: list[Photo]) -> None:
    name, path = written
    assert recognised(path) == name
    check_place(name, path)
    passed_over = LeftOut()
    found = collect(name, path, split, passed_over, per_ref=False)
    assert passed_over.lines() == []
    for image_id, (_, size) in NAMES.items():
        masks = rle.decode([one.rle for one in found[image_id]], size)
        np.testing.assert_array_equal(masks, np.array(masks_of(image_id)))
        assert [one.ref_ids for one in found[image_id]] == refs_of_masks(image_id)
        assert [one.category for one in found[image_id]] == [
            list(CATEGORIES.values())[number % 2] for number in range(len(found[image_id]))
        ]


@pytest.mark.parametrize("name", [name for name in OURS if "score" in FORMATS[name].keeps])
def test_scores_come_back(export: Callable[..., Export], split: list[Photo], tmp_path: Path, name: str) -> None:
    FORMATS[name].write(export(), place(name, tmp_path))
    found = collect(name, source(name, tmp_path), split, LeftOut(), per_ref=False)
    assert {one.score for masks in found.values() for one in masks} == {0.5}


def test_what_is_no_score_is_none() -> None:
    assert [score_in(text) for text in ("0.5", "nan", "inf", "", None, "high")] == [0.5, *[None] * 5]


@pytest.mark.parametrize("name", OURS)
def test_choices_follow_their_rows(
    export: Callable[..., Export], split: list[Photo], tmp_path: Path, name: str
) -> None:
    FORMATS[name].write(export("choices"), place(name, tmp_path))
    first, second = split
    new = replace(first.refs[0], sentences=("a new row",))
    moved = [replace(ref, ref_id=ref.ref_id + 1) for ref in first.refs]
    gone = replace(second, refs=second.refs[:1])  # the row of ref 21 is gone
    passed_over = LeftOut()
    after = [replace(first, refs=(new, *moved)), gone]
    found = collect(name, source(name, tmp_path), after, passed_over, per_ref=True)
    assert [one.ref_ids for one in found[1]] == [(11,), (12,)]
    assert [one.ref_ids for one in found[2]] == [(20,)]
    assert {why: len(names) for why, names in passed_over.names.items()} == {
        "masks of refs, or of sentences, that their photo does not have": 1
    }


def test_a_mask_of_several_refs_says_what_all_of_them_say(
    export: Callable[..., Export], split: list[Photo], tmp_path: Path
) -> None:
    path = place("coco", tmp_path)
    FORMATS["coco"].write(export(), path)
    content = json.loads(path.read_text())
    of_both = next(one for one in content["annotations"] if len(one.get("ref_ids", ())) == 2)
    said = {ref.ref_id: ref.sentences for photo in split for ref in photo.refs}
    of_both["sentences"] = [text for ref_id in of_both["ref_ids"] for text in said[ref_id]]
    path.write_text(json.dumps(content))
    found = collect("coco", path, split, LeftOut(), per_ref=False)
    assert tuple(of_both["ref_ids"]) in [one.ref_ids for masks in found.values() for one in masks]


def test_photos_of_other_splits_are_passed_over_by_name(written: tuple[str, Path], split: list[Photo]) -> None:
    name, path = written
    passed_over = LeftOut()
    assert list(collect(name, path, split[:1], passed_over, per_ref=False)) == [1]
    assert passed_over.names == {"photos that the split does not have": ["sub/möwe.png"]}
    with pytest.raises(SscError, match="no mask for 0 photos of the split"):
        collect(name, path, [], LeftOut(), per_ref=False)


def test_a_photo_of_another_size_is_an_error(written: tuple[str, Path], split: list[Photo]) -> None:
    name, path = written
    other = [Photo(one.image_id, one.file_name, (9, 9), one.refs) for one in split]
    with pytest.raises(SscError, match=r"beach day\.jpg.*37 x 50.*and here 9 x 9"):
        collect(name, path, other, LeftOut(), per_ref=False)


def test_a_file_that_is_cut_is_an_error(written: tuple[str, Path], split: list[Photo]) -> None:
    name, path = written
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    content = files[0].read_bytes()
    for share in (0.0, 0.3, 0.9):
        files[0].write_bytes(content[: int(len(content) * share)])
        with pytest.raises(SscError):
            collect(name, path, split, LeftOut(), per_ref=False)


def test_notes() -> None:
    assert note_of({"ref_ids": [3]}) == "ref 3"
    assert note_of({"ref_id": 3, "sentences": ["a", "b: c"]}) == "ref 3: a | b: c"
    assert note_of({"ref_ids": [3, 14], "score": 0.5}) == "refs 3, 14"
    assert note_of({"score": 0.5}) == ""
    for about in ({"ref_ids": [3, 14]}, {"ref_id": 7, "sentences": ["ref 8"]}, {"ref_ids": []}):
        assert list(refs_in(note_of(about))) == (
            about.get("ref_ids") or [about["ref_id"]] if about.get("ref_ids") != [] else []
        )
    assert refs_in("referee 7") == refs_in(None) == refs_in("a ref 7") == refs_in("ref 7 or so") == ()


def label_studio(values: list[int], name: str = "/data/upload/3/0123abcd-beach%20day.jpg", **region: object) -> str:
    result = {
        "id": "a",
        "type": "brushlabels",
        "original_width": 50,
        "original_height": 37,
        "value": {"format": "rle", "rle": values, "brushlabels": ["cat"]},
    }
    return json.dumps([{"data": {"image": name}, "annotations": [{"result": [result | region]}]}])


def test_label_studio_counts_the_annotation_and_not_the_prediction(split: list[Photo], tmp_path: Path) -> None:
    from ssc_core.exchange.label_studio import packed

    first, second = masks_of(1)[:2]
    (task,) = json.loads(label_studio(packed(second)))
    (old,) = json.loads(label_studio(packed(first)))
    cancelled = old["annotations"][0] | {"was_cancelled": True}
    task |= {"predictions": old["annotations"], "annotations": [old["annotations"][0], *task["annotations"], cancelled]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    found = collect("label-studio", tmp_path / "export.json", split, LeftOut(), per_ref=False)
    np.testing.assert_array_equal(rle.decode([one.rle for one in found[1]], (37, 50)), [second])


def test_label_studio_polygons_and_other_regions(split: list[Photo], tmp_path: Path) -> None:
    points = [[20, 20], [80, 20], [80, 70], [20, 70]]  # of 50 x 37 pixels: columns 10 to 39, rows 7.4 to 25.9
    value = {"points": points, "polygonlabels": ["dog"]}
    (task,) = json.loads(label_studio([], type="polygonlabels", value=value, meta={"text": ["ref 11: dog & cat"]}))
    results = task["annotations"][0]["result"]
    results += [
        {"id": "b", "type": "rectanglelabels", "value": {"x": 1}},
        results[0] | {"id": "c", "image_rotation": 90},
    ]
    (tmp_path / "export.json").write_text(json.dumps([task]))
    passed_over = LeftOut()
    (one,) = collect("label-studio", tmp_path / "export.json", split, passed_over, per_ref=False)[1]
    mask = rle.decode([one.rle], (37, 50))[0]
    assert (one.category, one.ref_ids) == ("dog", (11,))
    assert (np.flatnonzero(mask.any(0))[[0, -1]].tolist(), int(mask.sum())) == ([10, 39], 30 * 19)
    assert list(passed_over.names) == [
        "regions that are neither brush strokes nor polygons",
        "regions of a photo that was turned",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "values of 1 bits"),
        ([1, 2, 300], "no list of bytes"),
        (["a"], "no list of bytes"),
        ([255] * 12, "4294967295 values"),
        ([0, 0, 0x1C, 0xE8, 0x3A, 0x37, 0x8F, 0xF8], "ends too early"),
    ],
)
def test_damaged_strokes_are_named(split: list[Photo], tmp_path: Path, values: list, message: str) -> None:
    (tmp_path / "export.json").write_text(label_studio(values))
    with pytest.raises(SscError, match=f"task 1 .*{message}"):
        collect("label-studio", tmp_path / "export.json", split, LeftOut(), per_ref=False)


CVAT = '<annotations><image name="beach day.jpg" width="50" height="37">{}</image></annotations>'


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<mask label="a" rle="1, 2" left="0" top="0" width="2" height="2"/>', "do not cover its box"),
        ('<mask label="a" rle="-1, 5" left="0" top="0" width="2" height="2"/>', "do not cover its box"),
        ('<mask label="a" rle="4" left="49" top="0" width="2" height="2"/>', "not inside the photo"),
        ('<mask label="a" rle="x" left="0" top="0" width="2" height="2"/>', "no whole numbers"),
        ('<mask label="a" rle="4" left="0" top="0" width="2"/>', "height '' is no whole number"),
        ('<polygon label="a" points="1,2;a,b"/>', "shape 1"),
        ('<polygon label="a" points="1,2;3,4;5,6"><attribute name="refs">x</attribute></polygon>', "no ids of refs"),
    ],
)
def test_damaged_shapes_of_cvat_are_named(split: list[Photo], tmp_path: Path, shape: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(CVAT.format(shape))
    with pytest.raises(SscError, match=message):
        collect("cvat", tmp_path / "a.xml", split, LeftOut(), per_ref=False)


def test_xml_that_unfolds_or_is_of_videos_is_refused(split: list[Photo], tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>' + CVAT.format("&c;")
    for text, message in [(bomb, "is no XML of CVAT"), ("<annotations><track/></annotations>", "CVAT for video")]:
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(SscError, match=message):
            collect("cvat", tmp_path / "a.xml", split, LeftOut(), per_ref=False)


def test_cvat_polygons_of_a_group_are_one_mask(split: list[Photo], tmp_path: Path) -> None:
    square = '<polygon label="cat" group_id="{}" points="{}"/>'
    shapes = [("2", "1,1;4,1;4,4;1,4"), ("1", "20,20;24,20;24,24;20,24"), ("2", "10,1;12,1;12,4;10,4")]
    text = CVAT.format("".join(square.format(*one) for one in shapes) + '<box label="cat"/>')
    (tmp_path / "a.xml").write_text(text)
    passed_over = LeftOut()
    found = collect("cvat", tmp_path / "a.xml", split, passed_over, per_ref=False)[1]
    assert rle.areas([one.rle for one in found], (37, 50)).tolist() == [9 + 6, 16]
    assert passed_over.names == {
        "shapes that are neither masks nor polygons": [f"{tmp_path / 'a.xml'}, beach day.jpg, box 4"]
    }


def labelme(**shape: object) -> str:
    polygon = {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [4, 1], [4, 4]]}
    content = {"imagePath": "beach day.jpg", "imageHeight": 37, "imageWidth": 50, "shapes": [polygon | shape]}
    return json.dumps(content)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"points": [[1, 1], [2, 2]]}, "at least three points"),
        ({"points": [[1, 1], [2, "x"], [3, 3]]}, "no pairs of numbers"),
        ({"points": [[1, 1], [2, 1e400], [3, 3]]}, "finite"),
        ({"points": "x"}, "no pairs of numbers"),
        ({"label": 3}, "no text 'label'"),
        ({"group_id": "a"}, "group_id 'a' is no whole number"),
        ({"shape_type": "mask"}, "a picture and two corners"),
        ({"shape_type": "mask", "points": [[1, 1], [99, 1]], "mask": ""}, "not inside the photo"),
        ({"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "?"}, "base 64"),
        ({"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "aGFsbG8="}, "its mask is not an image"),
    ],
)
def test_damaged_shapes_of_labelme_are_named(split: list[Photo], tmp_path: Path, shape: dict, message: str) -> None:
    (tmp_path / "a.json").write_text(labelme(**shape))
    with pytest.raises(SscError, match=f"shape 1.*{message}"):
        collect("labelme", tmp_path, split, LeftOut(), per_ref=False)


def test_masks_of_labelme_and_polygons_that_leave_the_photo(split: list[Photo], tmp_path: Path) -> None:
    import base64
    import io

    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 255], [255, 0, 255]], np.uint8)).save(picture, format="PNG")
    text = base64.b64encode(picture.getvalue()).decode()
    (tmp_path / "a.json").write_text(labelme(shape_type="mask", points=[[47, 35], [49, 36]], mask=text))
    (one,) = collect("labelme", tmp_path, split, LeftOut(), per_ref=False)[1]
    mask = rle.decode([one.rle], (37, 50))[0]
    np.testing.assert_array_equal(mask[35:, 47:], [[0, 1, 1], [1, 0, 1]])
    assert mask.sum() == 4
    (tmp_path / "a.json").write_text(labelme(points=[[-1e5, -5], [1e5, -5], [1e5, 99], [-1e5, 99]]))
    (one,) = collect("labelme", tmp_path, split, LeftOut(), per_ref=False)[1]
    assert rle.decode([one.rle], (37, 50)).all()


def coco(**annotation: object) -> str:
    one = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}
    image = {"id": 1, "file_name": "train/beach day.jpg", "height": 37, "width": 50}
    return json.dumps({"images": [image], "annotations": [one | annotation], "categories": [{"id": 1, "name": "cat"}]})


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"segmentation": "x"}, "neither polygons nor run lengths"),
        ({"segmentation": {"size": [37, 50], "counts": [1]}}, "cover 1 pixels"),
        ({"segmentation": [[1, 2, 3]]}, "annotation 5 of train/beach day.jpg"),
        ({"ref_id": "x"}, "no id of a ref"),
        ({"ref_ids": [-1]}, "no id of a ref"),
        ({"image_id": None}, "no image_id"),
    ],
)
def test_damaged_annotations_of_coco_are_named(
    split: list[Photo], tmp_path: Path, annotation: dict, message: str
) -> None:
    (tmp_path / "a.json").write_text(coco(**annotation))
    with pytest.raises(SscError, match=message):
        collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)


def test_a_list_of_coco_results_lacks_the_photos(split: list[Photo], tmp_path: Path) -> None:
    whole, path = json.loads(coco(score=0.5)), tmp_path / "results.json"
    path.write_text(json.dumps(whole["annotations"]))
    assert recognised(path) == "coco"
    with pytest.raises(SscError, match=r"is a list of COCO results, .* that list as 'annotations', and with 'images'"):
        collect("coco", path, split, LeftOut(), per_ref=False)


def test_coco_of_other_tools(split: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(coco(attributes={"ref_id": "11"}))
    (one,) = collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)[1]
    assert (one.category, one.ref_ids, rle.areas([one.rle], (37, 50)).tolist()) == ("cat", (11,), [9])
    (tmp_path / "a.json").write_text(coco(segmentation=None))
    passed_over = LeftOut()
    with pytest.raises(SscError, match="annotations without a mask: 1"):
        collect("coco", tmp_path / "a.json", split, passed_over, per_ref=False)
    (tmp_path / "a.json").write_text(coco(ref_id=99))
    with pytest.raises(SscError, match="masks of refs, or of sentences, that their photo does not have: 1"):
        collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)


@pytest.mark.parametrize(("annotation", "score"), [({"score": 0.0}, 0.0), ({"score": 0.25}, 0.25), ({}, 1.0)])
def test_a_score_of_nothing_is_a_score(split: list[Photo], tmp_path: Path, annotation: dict, score: float) -> None:
    (tmp_path / "a.json").write_text(coco(ref_id=10, **annotation))
    found = collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)
    write_candidates(split, found, tmp_path / "masks.h5", LeftOut(), source="coco")
    with MaskStore.open(tmp_path / "masks.h5", with_masks=True) as store:
        assert store.instances(1).box_scores.tolist() == [score]


@pytest.mark.parametrize("key", ["images", "categories"])
def test_an_id_that_occurs_twice_in_coco(split: list[Photo], tmp_path: Path, key: str) -> None:
    content = json.loads(coco())
    content[key] *= 2
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(SscError, match="id 1 occurs twice"):
        collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)


def test_annotations_of_photos_that_coco_does_not_list_are_said(split: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(coco(image_id=2))
    with pytest.raises(SscError, match="annotations of photos that 'images' does not have: 1"):
        collect("coco", tmp_path / "a.json", split, LeftOut(), per_ref=False)


@pytest.mark.parametrize("points", [[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], [[10, 10], [400, 10], [400, 300]]])
def test_label_studio_means_percent(split: list[Photo], tmp_path: Path, points: list) -> None:
    region = {"type": "polygonlabels", "original_width": 50, "original_height": 37, "value": {"points": points}}
    tasks = [{"data": {"image": "train/beach day.jpg"}, "annotations": [{"result": [region]}]}]
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    with pytest.raises(SscError, match="percent"):
        collect("label-studio", tmp_path / "a.json", split, LeftOut(), per_ref=False)


def test_an_address_of_label_studio_that_is_none(split: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"data": {"image": "http://[x/beach day.jpg"}, "annotations": []}]))
    ((photo, _),) = FORMATS["label-studio"].read(tmp_path / "a.json", PhotoNames(split), LeftOut(), per_ref=False)
    assert photo is split[0]


def test_labelme_means_pixels(split: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(labelme(points=[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]))
    with pytest.raises(SscError, match="pixels are meant"):
        collect("labelme", tmp_path, split, LeftOut(), per_ref=False)


def test_a_backslash_may_be_part_of_a_name() -> None:
    photos = [Photo(1, "b.jpg", (37, 50), ()), Photo(2, "a\\b.jpg", (37, 50), ())]
    for known in (photos, photos[::-1]):
        names = PhotoNames(known)
        assert names.find("a\\b.jpg", LeftOut()).image_id == 2
        assert names.find("C:\\photos\\b.jpg", LeftOut()).image_id == 1


def test_photos_are_found_by_names_that_other_computers_spell_otherwise() -> None:
    composed, apart = (unicodedata.normalize(form, "Ausflug/Bär am Café.jpg") for form in ("NFC", "NFD"))
    photos = [Photo(1, composed, (37, 50), ()), Photo(2, "A.JPG", (37, 50), ()), Photo(3, "a.jpg", (37, 50), ())]
    passed_over = LeftOut()
    for name in (composed, apart, apart.upper(), apart.replace("/", "\\"), "Bär am Café.JPG"):
        assert PhotoNames(photos).find(name, passed_over).image_id == 1
    names = PhotoNames(photos)
    assert [names.find(name, passed_over).image_id for name in ("A.JPG", "a.jpg")] == [2, 3]
    with pytest.raises(SscError, match=r"'a\.JPG' may be A\.JPG or a\.jpg"):
        names.find("a.JPG", passed_over)
    assert names.find("b.jpg", passed_over) is None
    assert passed_over.lines() == ["photos that the split does not have: 1 (b.jpg)"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train/1.jpg", 1),
        ("TRAIN\\1.JPG", 1),
        ("C:\\photos\\train\\1.jpg", 1),
        ("upload/images/train/1.jpg", 1),
        ("1.jpg", 1),  # the only one of the split
        ("upload/1.jpg", 1),
        ("val/1.jpg", None),
        ("VAL/1.jpg", None),
        ("upload/val/1.jpg", None),
        ("val/2.jpg", None),
        ("2.jpg", 2),
        ("3.jpg", None),  # the one without a folder
        ("3.JPG", None),
        ("old/3.jpg", None),
        ("old/day/4.jpg", 4),
        ("day/4.jpg", 4),
        ("night/4.jpg", None),
    ],
)
def test_a_photo_of_another_split_is_not_taken_for_one_of_the_same_name(name: str, meant: int | None) -> None:
    files = {1: "train/1.jpg", 2: "train/2.jpg", 3: "train/3.jpg", 4: "train/day/4.jpg"}
    others = ["val/1.jpg", "3.jpg", "val/day/4.jpg", "val/night/4.jpg"]
    passed_over = LeftOut()
    found = PhotoNames([Photo(one, file, (37, 50), ()) for one, file in files.items()], others).find(name, passed_over)
    assert (found.image_id if found else None) == meant
    assert passed_over.names == ({} if found else {"photos that the split does not have": [name]})


def test_a_photo_has_one_name_in_a_file() -> None:
    names = PhotoNames([Photo(1, "train/1.jpg", (37, 50), ())])
    for name in ("old/1.jpg", "OLD\\1.jpg"):
        assert names.find(name, LeftOut()).image_id == 1
    with pytest.raises(
        SscError, match=r"'old/1\.jpg' and 'new/1\.jpg' may both be train/1\.jpg; leave one of them out"
    ):
        names.find("new/1.jpg", LeftOut())


def test_a_ref_of_another_split_is_none_of_this_one_that_says_the_same(split: list[Photo], tmp_path: Path) -> None:
    first = split[0]
    own, other = (replace(first.refs[1], ref_id=ref_id) for ref_id in (10, 11))
    (tmp_path / "a.json").write_text(coco(ref_id=11, sentences=list(other.sentences)))
    with pytest.raises(SscError, match="masks of refs, or of sentences, that their photo does not have: 1"):
        collect("coco", tmp_path / "a.json", [replace(first, refs=(own,), others=(other,))], LeftOut(), per_ref=True)


def test_the_folder_of_an_upload_is_of_label_studio(tmp_path: Path) -> None:
    photos = [Photo(1, "data/b.jpg", (37, 50), ())]
    for name in ("/data/upload/3/b.jpg", "/data/upload/3/0123abcd-b.jpg"):
        (tmp_path / "a.json").write_text(json.dumps([{"data": {"image": name}, "annotations": []}]))
        read = FORMATS["label-studio"].read(tmp_path / "a.json", PhotoNames(photos), LeftOut(), per_ref=False)
        assert [photo.image_id for photo, _ in read] == [1]


def test_a_group_of_cvat_may_be_of_several_objects(split: list[Photo], tmp_path: Path) -> None:
    shapes = "".join(
        f'<polygon label="{label}" group_id="7" points="{x},2;{x + 4},2;{x + 4},9;{x},9"/>'
        for label, x in (("cat", 2), ("dog", 20), ("cat", 10))
    )
    image = f'<image id="0" name="beach day.jpg" width="50" height="37">{shapes}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    found = collect("cvat", tmp_path / "a.xml", split, LeftOut(), per_ref=False)
    assert [(one.category, int(rle.areas([one.rle], (37, 50))[0])) for one in found[1]] == [("cat", 56), ("dog", 28)]


def test_a_group_of_different_refs_is_passed_over_by_name(split: list[Photo], tmp_path: Path) -> None:
    points = "2,2;9,2;9,9;2,9"
    shapes = "".join(
        f'<polygon label="cat" group_id="7" points="{points}"><attribute name="refs">{ref}</attribute></polygon>'
        for ref in (10, 11)
    )
    other = f'<polygon label="cat" points="{points}"/>'
    image = f'<image id="0" name="beach day.jpg" width="50" height="37">{shapes}{other}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    content = json.loads(labelme())
    parts = [{"group_id": 7, "description": "ref 10"}, {"group_id": 7, "description": "ref 11: cat"}, {}]
    content["shapes"] = [content["shapes"][0] | part for part in parts]
    (tmp_path / "a.json").write_text(json.dumps(content))
    for name, path in (("cvat", tmp_path / "a.xml"), ("labelme", tmp_path)):
        passed_over = LeftOut()
        found = collect(name, path, split, passed_over, per_ref=False)
        assert [one.ref_ids for one in found[1]] == [()]
        ((why, names),) = passed_over.names.items()
        assert why == "groups of shapes that are of different refs"
        assert len(names) == 1


def test_the_labelling_config_of_label_studio_is_xml_whatever_classes_are_called(tmp_path: Path) -> None:
    names = ["a\x01b", "<b>&\"'", "new\nline", "\ud800", "x" * 300, ""]
    export = Export([], None, dict(enumerate(names)), "train", tmp_path, LeftOut())
    FORMATS["label-studio"].write(export, tmp_path / "out")
    labels = ElementTree.parse(tmp_path / "out" / "labels.xml").iter("Label")
    assert [one.get("value") for one in labels] == ["a\ufffdb", "<b>&\"'", "new\nline", "\ufffd", "x" * 300, ""]


def test_runs_of_cvat_are_no_more_than_pixels(split: list[Photo], tmp_path: Path) -> None:
    runs = "1," * 100 + "1"
    shape = f'<mask label="d" left="0" top="0" width="2" height="2" rle="{runs}"/>'
    image = f'<image name="train/beach day.jpg" width="50" height="37">{shape}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    with pytest.raises(SscError, match="more runs than its box of 2 x 2 pixels"):
        collect("cvat", tmp_path / "a.xml", split, LeftOut(), per_ref=False)


def test_an_encoding_that_xml_does_not_have(split: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<?xml version="1.0" encoding="utf-7"?><annotations/>')
    with pytest.raises(SscError, match="no XML of CVAT"):
        collect("cvat", tmp_path / "a.xml", split, LeftOut(), per_ref=False)


def test_what_a_file_looks_like(tmp_path: Path) -> None:
    for name, message in [("a.zip", "unpack it"), ("a.txt", "of no format")]:
        (tmp_path / name).write_text("x")
        with pytest.raises(SscError, match=message):
            recognised(tmp_path / name)
    with pytest.raises(SscError, match="is it the right folder"):
        recognised(tmp_path)
    with pytest.raises(SscError, match="coco is imported from a file"):
        check_place("coco", tmp_path)


def test_photos_of_one_name_in_two_folders(split: list[Photo], tmp_path: Path) -> None:
    twice = [Photo(3, "a/beach day.jpg", (37, 50), ()), Photo(4, "b/beach day.jpg", (37, 50), ())]
    (tmp_path / "a.json").write_text(coco())
    with pytest.raises(SscError, match=r"may be a/beach day.jpg or b/beach day.jpg"):
        collect("coco", tmp_path / "a.json", twice, LeftOut(), per_ref=False)
