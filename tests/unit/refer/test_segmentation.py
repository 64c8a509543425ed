from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.refer.segmentation import CLIPPED, DEGENERATE, EMPTY, WHOLE, segmentation_to_rle

HEIGHT, WIDTH = 8, 10


def square(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def box(*bounds: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in bounds:
        mask[y0:y1, x0:x1] = True
    return mask


def convert(segmentation: Any, *, overlap_hole: bool = False) -> tuple[np.ndarray | None, Counter[str]]:
    notes: Counter[str] = Counter()
    code = segmentation_to_rle(segmentation, HEIGHT, WIDTH, overlap_hole=overlap_hole, notes=notes)
    mask = None if code is None else coco_mask.decode({"size": [HEIGHT, WIDTH], "counts": code}).astype(bool)
    return mask, notes


def test_polygon() -> None:
    mask, notes = convert([square(2, 1, 6, 5)])
    np.testing.assert_array_equal(mask, box((2, 1, 6, 5)))
    assert not notes


@pytest.mark.parametrize("second", [square(4, 3, 8, 7), square(7, 5, 9, 8)], ids=["overlapping", "apart"])
def test_polygons_make_their_union(second: list[float]) -> None:
    bounds = tuple(int(v) for v in (second[0], second[1], second[2], second[5]))
    mask, _ = convert([square(2, 1, 6, 5), second])
    np.testing.assert_array_equal(mask, box((2, 1, 6, 5)) | box(bounds))  # type: ignore[arg-type]


def test_overlap_hole_is_where_polygons_overlap() -> None:
    polygons = [square(2, 1, 6, 5), square(4, 3, 8, 7)]
    mask, _ = convert(polygons, overlap_hole=True)
    np.testing.assert_array_equal(mask, box((2, 1, 6, 5)) ^ box((4, 3, 8, 7)))
    thrice, _ = convert([*polygons, square(4, 3, 6, 5)], overlap_hole=True)
    assert thrice is not None
    assert not thrice[3:5, 4:6].any()


def test_single_polygon_has_no_hole() -> None:
    mask, _ = convert([square(2, 1, 6, 5)], overlap_hole=True)
    np.testing.assert_array_equal(mask, box((2, 1, 6, 5)))


@pytest.mark.parametrize("nothing", [None, []])
def test_no_ground_truth(nothing: Any) -> None:
    mask, notes = convert(nothing)
    assert mask is None
    assert not notes


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        (square(-5, -5, 4, 3), (0, 0, 4, 3)),
        (square(7, 6, 50, 60), (7, 6, 10, 8)),
        (square(-1e9, 2, 1e9, 4), (0, 2, 10, 4)),
    ],
)
def test_polygon_that_reaches_outside_is_clipped(polygon: list[float], expected: tuple[int, int, int, int]) -> None:
    mask, notes = convert([polygon])
    np.testing.assert_array_equal(mask, box(expected))
    assert notes == {CLIPPED: 1}


def test_clipping_keeps_what_lies_inside() -> None:
    inside, _ = convert([[0, 0, 10, 0, 5, 5]])
    through, notes = convert([[-10, -10, 20, -10, 5, 5]])
    np.testing.assert_array_equal(inside, through)
    assert notes[CLIPPED] == 1


def test_rounding_at_the_border_is_no_clipping() -> None:
    mask, notes = convert([square(-0.4, 0, 10.4, 8.2)])
    assert mask is not None and mask.all()
    assert not notes


def test_polygon_wholly_outside_is_no_ground_truth() -> None:
    mask, notes = convert([square(20, 20, 30, 30)])
    assert mask is None
    assert notes == {CLIPPED: 1, EMPTY: 1}


def test_degenerate_polygons_are_dropped() -> None:
    mask, notes = convert([[1, 1, 2, 2], [3, 3], square(2, 1, 6, 5)])
    np.testing.assert_array_equal(mask, box((2, 1, 6, 5)))
    assert notes == {DEGENERATE: 2}
    assert convert([[1, 1, 2, 2]]) == (None, Counter({DEGENERATE: 1, EMPTY: 1}))


@pytest.mark.parametrize(
    "polygon", [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, float("nan")], ["a", "b"], [[1, 2], [3, 4], [5, 6]], None, 7]
)
def test_polygon_that_is_none(polygon: Any) -> None:
    with pytest.raises(SscError, match="a polygon is no list"):
        convert([polygon])


@pytest.mark.parametrize("form", ["counts", "text", "bytes"])
def test_rle(form: str) -> None:
    expected = box((3, 2, 7, 8))
    compressed = coco_mask.encode(np.asfortranarray(expected, np.uint8))["counts"]
    counts = {"counts": [26, 6, 2, 6, 2, 6, 2, 6, 24], "text": compressed.decode(), "bytes": compressed}[form]
    mask, notes = convert({"size": [HEIGHT, WIDTH], "counts": counts})
    np.testing.assert_array_equal(mask, expected)
    assert not notes


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ({"size": [10, 8], "counts": [80]}, "has the size"),
        ({"counts": [80]}, "has the size None"),
        ({"size": [8, 10], "counts": [79]}, "cover 79 pixels, its photo has 80"),
        ({"size": [8, 10], "counts": [-1, 81]}, "no valid 'counts'"),
        ({"size": [8, 10], "counts": [1.5, 78.5]}, "no valid 'counts'"),
        ({"size": [8, 10]}, "no valid 'counts'"),
        ({"size": [8, 10], "counts": "nonsense!"}, "."),
        ({"size": [8, 10], "counts": "o"}, "."),
        ({"size": [8, 10], "counts": "0ooooooooooooooooooo3"}, "."),
        ({"size": [8, 10], "counts": "é"}, "."),
        ({"size": [8, 10], "counts": "\ud800"}, "malformed"),
    ],
)
def test_damaged_rle(damaged: dict[str, Any], message: str) -> None:
    with pytest.raises(SscError, match=message):
        convert(damaged)


def test_rle_without_foreground_is_no_ground_truth() -> None:
    assert convert({"size": [8, 10], "counts": [80]}) == (None, Counter({EMPTY: 1}))


def test_a_mask_picture_without_background_is_told(tmp_path: Path) -> None:
    picture = Image.fromarray(box((3, 2, 7, 8)).astype(np.uint8), mode="P")
    picture.putpalette([255, 255, 255, 255, 0, 0])  # red on white
    picture.save(tmp_path / "white.png")
    mask, notes = convert(tmp_path / "white.png")
    assert mask is not None and mask.all()
    assert notes[WHOLE] == 1


def test_png(tmp_path: Path) -> None:
    expected = box((3, 2, 7, 8))
    Image.fromarray(expected.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    mask, _ = convert(tmp_path / "mask.png")
    np.testing.assert_array_equal(mask, expected)
    with pytest.raises(SscError, match=r"gone\.png does not exist"):
        convert(tmp_path / "gone.png")


@pytest.mark.parametrize("overlap_hole", [False, True])
def test_run_lengths_in_a_list_make_their_union(overlap_hole: bool) -> None:
    first, second = box((1, 1, 5, 5)), box((3, 3, 8, 7))
    parts = [{"size": [HEIGHT, WIDTH], "counts": rle.encode(m[None])[0].decode()} for m in (first, second)]
    mask, _ = convert(parts, overlap_hole=overlap_hole)
    np.testing.assert_array_equal(mask, first ^ second if overlap_hole else first | second)
    alone, _ = convert(parts[:1], overlap_hole=overlap_hole)
    np.testing.assert_array_equal(alone, first)


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_shares_of_the_photo_are_no_pixels(scale: float) -> None:
    shares = [scale * value for value in square(0.1, 0.2, 0.6, 0.9)]
    with pytest.raises(SscError, match=r"between 0 and 1, as shares of the photo; .* x by 640 and y by 480"):
        segmentation_to_rle([shares, square(0, 0, 1, 1)], 480, 640, overlap_hole=False, notes=Counter())
    small = [square(0.1, 0.2, 0.6, 0.9), square(100, 100, 120, 120)]
    assert segmentation_to_rle(small, 480, 640, overlap_hole=False, notes=Counter()) is not None


def zigzag(turns: int, side: int) -> list[float]:
    return [v for i in range(turns) for v in (side * (i % 2), side * i / turns)]


def test_an_outline_without_an_end_is_refused_before_it_is_walked_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(*_: object) -> None:
        raise AssertionError("it was walked along")

    monkeypatch.setattr("ssc_core.refer.segmentation.coco_mask.frPyObjects", walk)
    for polygons in ([zigzag(2000, 8000)], [zigzag(300, 8000)] * 2):
        with pytest.raises(SscError, match=r"its outline is .* pixels long"):
            segmentation_to_rle(polygons, 8192, 8192, overlap_hole=False, notes=Counter())
    with pytest.raises(SscError, match="it has 6000 parts"):
        segmentation_to_rle([square(0, 0, 9, 9)] * 6000, 8, 10, overlap_hole=True, notes=Counter())
