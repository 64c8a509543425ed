"""The same rows from every kind of table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssc_core.errors import SscError
from ssc_core.refer.table import read_sentences, read_table
from ssc_core.refer.table_rows import read_rows

ROWS = [("a.png", ("the dog", "brown dog")), ("b.png", ("a cat",))]


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "image,sentences\na.png,the dog|brown dog\nb.png,a cat\n"),
        ("t.csv", "Image;Sentences\na.png;the dog|brown dog\nb.png;a cat\n"),
        ("t.tsv", "image\tsentences\na.png\tthe dog|brown dog\nb.png\ta cat\n"),
        ("t.parquet", [{"image": n, "sentences": list(s)} for n, s in ROWS]),
        ("t.parquet", [{"image": {"bytes": b"x", "path": n}, "sentences": list(s)} for n, s in ROWS]),
    ],
)
def test_tables(tmp_path: Path, name: str, content: Any) -> None:
    assert list(read_sentences(write(tmp_path / name, content))) == ROWS


def test_captions_of_coco_json_are_rows(tmp_path: Path, caplog) -> None:
    square = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]]
    content = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 9, "caption": "a cat", "segmentation": square},
            {"image_id": 7, "caption": "the dog"},
            {"image_id": 7, "category_id": 1},
        ],
    }
    rows = [row for _, row in read_rows(write(tmp_path / "t.json", content))]
    assert rows == [
        {"image": "b.png", "sentences": ["a cat"], "mask": square},
        {"image": "a.png", "sentences": ["the dog"], "mask": None},
    ]
    assert "1 annotations without a caption are passed over" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", "[]", "no COCO JSON"),
        (
            "t.json",
            {"images": [], "annotations": [{"image_id": 1, "caption": "x"}]},
            r"annotations\[0\]: its 'image_id'",
        ),
        ("t.json", {"images": [{"id": [1]}], "annotations": []}, r"images\[0\]: needs 'id' and 'file_name'"),
        ("t.json", {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": 3}]}, "a text"),
        ("t.parquet", [{"photo": "a.png"}], "no column 'image'"),
        ("t.parquet", [{"image": None, "sentences": ["dog"]}], "row 1: 'image' is empty"),
        ("t.xlsx", "", "a table ends in .csv, .tsv, .jsonl, .json or .parquet"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: Any, message: str) -> None:
    with pytest.raises(SscError, match=message):
        list(read_sentences(write(tmp_path / name, content)))


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [{"image": "a.png", "sentences": ["dog"]}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SscError, match="no whole parquet file"):
        list(read_rows(path))


def test_a_mask_in_a_cell_of_csv(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    table = write(
        tmp_path / "t.csv",
        'image;sentences;mask\na.png;dog;[[1, 1, 5, 1, 5, 5, 1, 5]]\na.png;cat;"{""size"": [8, 10]}"\n',
    )
    data = read_table(table, tmp_path, default_split="train")
    assert [ref.segmentation for ref in data.refs] == [[[1, 1, 5, 1, 5, 5, 1, 5]], {"size": [8, 10]}]
