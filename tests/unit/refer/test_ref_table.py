from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer import ref_table
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import (
    FORMAT,
    SCHEMA,
    open_photos,
    photos_of,
    photos_upright,
    read_categories,
    read_refs,
    refs_by_image,
    refs_by_photo,
    refs_in_order,
)
from ssc_core.tables import table_writer, write_frame
from tests.alive import counting_alive
from tests.unit.refer.conftest import Index


def test_half_turned_own_photo_is_read_upright(tmp_path: Path, photo_folder: Path, index: Index) -> None:
    stored = np.arange(24, dtype=np.uint8).reshape(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(stored).save(photo_folder / "turned.png", exif=exif)
    (tmp_path / "mine.csv").write_text("image,sentences\nturned.png,dog\n")
    index.build(DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder))
    assert photos_upright(index.refs)
    np.testing.assert_array_equal(open_photos(index.refs, photo_folder)("turned.png")[..., 0], stored[::-1, ::-1])


def test_half_turned_published_photo_is_read_as_stored(refer_folder: Any, index: Index) -> None:
    stored = np.arange(80, dtype=np.uint8).reshape(8, 10)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(stored).save(refer_folder.photos / "two.png", exif=exif)
    index.build(refer_folder.source)
    assert not photos_upright(index.refs)
    np.testing.assert_array_equal(open_photos(index.refs, refer_folder.photos)("two.png")[..., 0], stored)


def test_read_one_split(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    frame = read_refs(index.refs, "train")
    assert frame["ref_id"].tolist() == [102]
    assert frame.index.tolist() == [0]
    with pytest.raises(SscError, match=r"no split 'testA'; it has val, train"):
        read_refs(index.refs, "testA")


def test_categories_of_the_whole_dataset(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    assert read_categories(index.refs) == {3: "dog", 4: "cat", 5: "cow"}


def test_missing_damaged_and_foreign_tables(refer_folder: Any, index: Index, tmp_path: Path) -> None:
    with pytest.raises(SscError, match="does not exist; the rule index_refs makes it"):
        read_refs(index.refs)
    index.build(refer_folder.source)
    write_frame(tmp_path / "other.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(SscError, match="is no RefTable"):
        read_refs(tmp_path / "other.parquet")
    write_frame(tmp_path / "copy.parquet", read_refs(index.refs))
    with pytest.raises(SscError, match="is no RefTable"):
        read_refs(tmp_path / "copy.parquet")
    index.refs.write_bytes(index.refs.read_bytes()[:-30])
    with pytest.raises(SscError, match="is damaged"):
        read_refs(index.refs)


def test_refs_by_image(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    grouped = refs_by_image(read_refs(index.refs))
    assert list(grouped) == [2, 1]
    assert grouped[2][0] == Ref(
        ref_id=101,
        ann_id=11,
        image_id=2,
        file_name="two.png",
        height=8,
        width=10,
        split="val",
        category_id=3,
        category="dog",
        sent_ids=(1010, 1011),
        sentences=("left dog", "the big dog"),
    )
    assert [ref.ref_id for ref in grouped[2]] == [101, 103]
    assert refs_by_image(read_refs(index.refs).iloc[:0]) == {}


def test_refs_photo_by_photo(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    assert photos_of(index.refs, "val").tolist() == [2]
    assert photos_of(index.refs, "train").tolist() == [1]
    found = list(refs_by_photo(index.refs, np.array([1, 9, 2]), "val"))
    assert [photo for photo, _ in found] == [1, 9, 2], "in the order that was asked for"
    assert [len(refs) for _, refs in found] == [0, 0, 2], "no refs of another split, and none of a photo that has none"
    assert dict(refs_by_photo(index.refs, np.array([2, 1]))) == refs_by_image(read_refs(index.refs))
    for read in (
        photos_of,
        lambda *of: list(refs_by_photo(of[0], np.array([2]), of[1])),
        lambda *of: [*refs_in_order(*of)],
    ):
        with pytest.raises(SscError, match=r"no split 'testA'; it has val, train"):
            read(index.refs, "testA")


@pytest.mark.parametrize("order", ["by photo", "mixed"])
def test_few_refs_are_in_memory_at_once(
    tmp_path: Path, photo_folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(ref_table, "_PHOTOS_AT_ONCE", 3)
    monkeypatch.setattr(ref_table, "_ROWS_AT_ONCE", 5)
    names = [f"{number}.png" for number in range(20)]
    for name in names:
        Image.new("RGB", (4, 6)).save(photo_folder / name)
    rows = [f"{name},{name} {turn}|the same" for name in names for turn in range(2)]
    rows = rows if order == "by photo" else rows[::2] + rows[1::2]
    (tmp_path / "mine.csv").write_text("\n".join(["image,sentences", *rows]))
    index.build(DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder))
    whole, alive = refs_by_image(read_refs(index.refs, "train")), []
    expected = [(photo, [ref.sentences for ref in refs]) for photo, refs in whole.items()]
    del whole
    found, texts = [], []
    with counting_alive(Ref) as count:
        for photo, refs in refs_by_photo(index.refs, photos_of(index.refs, "train"), "train"):
            found.append((photo, [ref.sentences for ref in refs]))
            del refs
            alive.append(count())
        assert found == expected and len(found) == 20
        assert 0 < max(alive) <= 2 * 3, "two refs of each of three photos"
        del alive[:], found
        for ref in refs_in_order(index.refs, "train"):
            texts.append(ref.sentences[0])
            assert ref.sentences[1:] == ("the same",)
            alive.append(count())
    assert texts == [row.split(",")[1].split("|")[0] for row in rows], "the table's order"
    assert 0 < max(alive) <= 2


def test_rows_of_a_ref_in_several_places_are_refused(tmp_path: Path) -> None:
    values = dict.fromkeys(SCHEMA.names, 1) | dict.fromkeys(
        ("dataset", "split", "file_name", "category", "sentence", "raw"), "a"
    )
    with table_writer(tmp_path / "refs.parquet", SCHEMA.with_metadata(FORMAT)) as writer:
        writer.write_table(
            pa.Table.from_pylist([values | {"ref_id": ref} for ref in (1, 2, 1)], schema=SCHEMA.with_metadata(FORMAT))
        )
    found = refs_in_order(tmp_path / "refs.parquet", "a")
    with pytest.raises(SscError, match="in several places"):
        list(found)


def test_some_columns(refer_folder: Any, index: Index) -> None:
    index.build(refer_folder.source)
    frame = read_refs(index.refs, "val", ("ref_id", "category"))
    assert frame.to_dict("list") == {"ref_id": [101, 101, 103], "category": ["dog", "dog", "dog"]}
    assert list(read_refs(index.refs, columns=["sent_id"])) == ["sent_id"]


def test_columns_of_other_types_and_empty_cells_are_refused(tmp_path: Path, index: Any) -> None:
    texts = pa.schema([(name, pa.string()) for name in SCHEMA.names]).with_metadata(FORMAT)
    with table_writer(tmp_path / "texts.parquet", texts) as writer:
        writer.write_table(pa.Table.from_pylist([dict.fromkeys(SCHEMA.names, "a")], schema=texts))
    with pytest.raises(SscError, match="is no RefTable of this version"):
        open_photos(tmp_path / "texts.parquet", tmp_path)
    empty = SCHEMA.with_metadata(FORMAT)
    with table_writer(tmp_path / "empty.parquet", empty) as writer:
        writer.write_table(pa.Table.from_pylist([{"split": "train"}], schema=empty))
    with pytest.raises(SscError, match="has empty cells"):
        read_refs(tmp_path / "empty.parquet", "train")
