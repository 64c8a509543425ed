from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.refer.refs_digest import refs_digest
from tests.unit.refer.conftest import Index

ROWS = ["a.png,a cup|the cup,train", "sub/b.png,a dog,train", "a.png,a cat,val"]


def digest(index: Index, photos: Path, rows: list[str], ids: list[int] | None = None) -> str:
    table = photos.parent / "refs.csv"
    table.write_text("\n".join(["image,sentences,split", *rows]) + "\n")
    index.build(DatasetSource(layout="table", file=table, images=photos))
    return refs_digest(index.refs, "train", None if ids is None else np.array(ids))


def test_rows_of_other_splits_and_after_these_change_nothing(photo_folder: Path, index: Index) -> None:
    before = digest(index, photo_folder, ROWS)
    assert digest(index, photo_folder, ROWS[:2]) == before
    more = [*ROWS, "a.png,a hat,train"]
    assert digest(index, photo_folder, more, ids=[1, 2]) == before
    assert digest(index, photo_folder, more) != before


@pytest.mark.parametrize(
    "rows",
    [
        ["a.png,a hat,train", *ROWS],
        [ROWS[1], ROWS[0], ROWS[2]],
        [ROWS[0], "sub/b.png,the dog,train"],
        [ROWS[0], "a.png,a dog,train"],
        [ROWS[0]],
    ],
)
def test_refs_that_moved_or_changed_are_others(photo_folder: Path, index: Index, rows: list[str]) -> None:
    assert digest(index, photo_folder, rows, ids=[1, 2]) != digest(index, photo_folder, ROWS)


def test_a_photo_of_another_size_is_another(photo_folder: Path, index: Index) -> None:
    before = digest(index, photo_folder, ROWS)
    Image.new("RGB", (4, 6)).save(photo_folder / "a.png")
    assert digest(index, photo_folder, ROWS) == before
    Image.new("RGB", (4, 7)).save(photo_folder / "a.png")
    assert digest(index, photo_folder, ROWS) != before
