from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.report.example_sheet import Example, example_sheet
from ssc_core.report.sheet import write_picture

PHOTO = np.full((60, 80, 3), 90, np.uint8)
MASK = np.zeros((60, 80), bool)
MASK[10:30, 10:30] = True


def test_every_known_part_gets_a_panel() -> None:
    bare = example_sheet([Example(PHOTO, "cat")], panel=160)
    full = example_sheet([Example(PHOTO, "cat", prediction=MASK, truth=MASK, candidates=[MASK], pick=0)], panel=160)
    assert full.shape[1] > bare.shape[1] + 3 * 160


def test_columns_and_title() -> None:
    examples = [Example(PHOTO, "cat")] * 4
    tall, wide = example_sheet(examples, columns=1, panel=160), example_sheet(examples, columns=2, panel=160)
    assert wide.shape[0] < 0.6 * tall.shape[0]
    assert example_sheet(examples, columns=9, panel=160).shape[0] < wide.shape[0]
    assert example_sheet(examples, columns=2, panel=160, title="a", subtitle="b").shape[0] > wide.shape[0]


def test_odd_shapes_and_empty_masks() -> None:
    narrow = np.zeros((200, 11, 3), np.uint8)
    sheet = example_sheet([Example(narrow, "a " * 300, prediction=np.zeros((5, 5), bool), candidates=[])], panel=120)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3


def test_nothing_to_show() -> None:
    with pytest.raises(ValueError, match="at least one"):
        example_sheet([])


def test_picture_is_whole_or_not_there(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", PHOTO)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), PHOTO)
    with pytest.raises(TypeError):
        write_picture(tmp_path / "b.png", PHOTO.astype(np.complex64))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
