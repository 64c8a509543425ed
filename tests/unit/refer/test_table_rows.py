"""The same rows from every kind of table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
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
        ("t.csv", "sep=;\r\nimage;sentences\r\na.png;the dog|brown dog\r\nb.png;a cat\r\n"),
        ("t.csv", ",,\n\nimage,sentences,\na.png,the dog|brown dog,\nb.png,a cat,\n"),
        ("t.csv", '"","image","sentences"\n"1","a.png","the dog|brown dog"\n"2","b.png","a cat"\n'),
        ("t.csv", 'image,"Sentences\n","a\nnote"\na.png,the dog|brown dog,x\nb.png,a cat,\n'),
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
        {"image": "b.png", "sentences": ["a cat"], "mask": square, "split": None},
        {"image": "a.png", "sentences": ["the dog"], "mask": None, "split": None},
    ]
    assert "passed over 1 annotation without a caption" in caplog.text


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
        ("t.json", {"images": [{"id": 1, "file_name": "a"}] * 2, "annotations": []}, r"images\[1\]: .*another photo's"),
        ("t.csv", "\n\nimage,sentences\na.png,dog,x\n", "line 4: more cells"),
        (
            "t.csv",
            "image,sentences,,,\na.png,the dog, brown,,\n",
            r"line 2: more cells than columns \('brown' is below",
        ),
        ("t.csv", "image,sentences,,split\na.png,the dog, brown,val\n", "line 2: more cells"),
        ("t.csv", 'image,sentences,"a\nnote"\na.png,dog\na.png,dog,,x\n', "line 4: more cells"),
        ("t.csv", '"image\nname",sentences\na.png,dog\n', "no column 'image'; .* begins 'image name,sentences'"),
        ("t.json", {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": 3}]}, "a text"),
        ("t.parquet", [{"photo": "a.png"}], "no column 'image'"),
        ("t.parquet", [{"image": None, "sentences": ["dog"]}], "row 1: 'image' is empty"),
        ("t.xlsx", "", "a table ends in .csv, .tsv, .jsonl, .json or .parquet"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: Any, message: str) -> None:
    with pytest.raises(SscError, match=message):
        list(read_sentences(write(tmp_path / name, content)))


@pytest.mark.parametrize(("photo", "own"), [("val", None), (None, "val"), ("train", "val"), ("val", " ")])
def test_the_split_of_coco_is_its_photos_or_its_own(tmp_path: Path, photo: str | None, own: str | None) -> None:
    image, annotation = ({"split": split} if split else {} for split in (photo, own))
    content = {
        "images": [{"id": 7, "file_name": "a.png", **image}],
        "annotations": [{"image_id": 7, "caption": "dog", **annotation}],
    }
    ((_, row),) = read_rows(write(tmp_path / "t.json", content))
    assert row["split"] == "val"


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    content = {"images": [{"id": 7, "file_name": "a.png"}], "annotations": [{"image_id": 7, "caption": "dog"}]}
    (tmp_path / "t.json").write_text(json.dumps(content), encoding="utf-8-sig")
    assert list(read_sentences(tmp_path / "t.json")) == [("a.png", ("dog",))]


def test_a_column_of_parquet_that_occurs_twice(tmp_path: Path) -> None:
    arrays = [pa.array(["a.png"]), pa.array(["dog"]), pa.array(["cat"])]
    pq.write_table(pa.Table.from_arrays(arrays, names=["image", "sentences", "sentences"]), tmp_path / "t.parquet")
    with pytest.raises(SscError, match="column 'sentences' occurs twice"):
        list(read_rows(tmp_path / "t.parquet"))


def test_parquet_that_would_unpack_to_much_more_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    names = pa.array([f"{i}.png" for i in range(100)])
    long = pa.array([f"{i}" + "x" * 1_000_000 for i in range(100)])
    pq.write_table(pa.table({"image": names, "sentences": long}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(SscError, match="rows of 95 MiB in a file of"):
        list(read_rows(path))


@pytest.mark.parametrize("content", [b"PAR1" + bytes(100) + b"PAR1", b"image,sentences"])
def test_what_is_no_parquet_says_why(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(SscError, match=r"t\.parquet.*: \w+ \w+"):
        list(read_rows(tmp_path / "t.parquet"))


def test_values_of_parquet_that_python_does_not_have(tmp_path: Path) -> None:
    times = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"image": times, "sentences": ["dog"]}), tmp_path / "t.parquet")
    with pytest.raises(SscError, match="no whole parquet file"):
        list(read_rows(tmp_path / "t.parquet"))


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


def saved(folder: Path, splits: dict[str, list[dict[str, Any]]] | list[dict[str, Any]]) -> Path:
    """A folder that Hugging Face itself writes."""
    datasets = pytest.importorskip("datasets", reason="the extra `dev` has Hugging Face datasets")
    if isinstance(splits, dict):
        of = {name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}
        datasets.DatasetDict(of).save_to_disk(str(folder))
    else:
        datasets.Dataset.from_list(splits).save_to_disk(str(folder), num_shards=min(2, len(splits)))
    return folder


def test_a_folder_of_datasets(tmp_path: Path) -> None:
    rows = [{"image": name, "sentences": list(texts)} for name, texts in ROWS]
    assert list(read_sentences(saved(tmp_path / "t", rows))) == ROWS, "in two files"


def test_splits_of_a_folder_of_datasets_are_those_of_its_rows(tmp_path: Path) -> None:
    blanks = (None, " ")
    rows = [{"image": name, "sentences": list(texts), "source": "x", "split": blank}
            for (name, texts), blank in zip(ROWS, blanks, strict=True)]  # fmt: skip
    found = [row for _, row in read_rows(saved(tmp_path / "t", {"train": rows[:1], "val": rows[1:]}))]
    assert [(row["split"], row["image"]) for row in found] == [("train", "a.png"), ("val", "b.png")]
    assert all("source" not in row for row in found), "nothing reads it"


def test_photos_inside_a_folder_of_datasets_are_known_by_their_path(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `dev` has Hugging Face datasets")
    features = datasets.Features({"image": datasets.Image(), "sentences": datasets.List(datasets.Value("string"))})
    photos = [{"bytes": b"pixels", "path": name} for name, _ in ROWS]
    rows = {"image": photos, "sentences": [list(texts) for _, texts in ROWS]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "t"))
    assert list(read_sentences(tmp_path / "t")) == ROWS


def test_photos_without_a_name_are_told(tmp_path: Path) -> None:
    table = saved(tmp_path / "t", [{"image": {"bytes": b"x", "path": None}, "sentences": ["dog"]}])
    with pytest.raises(SscError, match=r"row 1: 'image' is empty"):
        list(read_sentences(table))


@pytest.mark.parametrize("cut", [1, 300, 700])
def test_a_damaged_folder_of_datasets(tmp_path: Path, cut: int) -> None:
    (path,) = saved(tmp_path / "t", [{"image": "a.png", "sentences": ["dog"]}]).glob("*.arrow")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut] if cut < 700 else content[:cut])
    with pytest.raises(SscError, match="no whole file of `datasets`"):
        list(read_rows(tmp_path / "t"))


def test_offsets_that_lead_elsewhere_are_found_before_they_are_followed(tmp_path: Path) -> None:
    (path,) = saved(tmp_path / "t", [{"image": "a.png", "sentences": ["dog", "cat"]}]).glob("*.arrow")
    offsets = np.array([0, 5], dtype=np.int32).tobytes()  # of the photo's name
    content = path.read_bytes()
    assert offsets in content
    path.write_bytes(content.replace(offsets, np.array([0, 2**30], dtype=np.int32).tobytes()))
    with pytest.raises(SscError, match="no whole file of `datasets`"):
        list(read_rows(tmp_path / "t"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "x", r"without state.json: name a table, or a folder that `save_to_disk`"),
        ("state.json", "{}", "it has no list '_data_files' of names"),
        ("state.json", "[]", "it has no list '_data_files' of names"),
        ("state.json", {"_data_files": [{"filename": "../t.arrow"}]}, "lies in another folder"),
        ("state.json", {"_data_files": [{"filename": "gone.arrow"}]}, "cannot read"),
        ("state.json", {"_data_files": [], "_indices_data_files": ["i"]}, "flatten_indices"),
        ("dataset_dict.json", {"splits": ["/etc"]}, "lies in another folder"),
        ("dataset_dict.json", {"splits": [".."]}, "no list 'splits' of names"),
    ],
)
def test_a_folder_that_is_none_of_datasets(tmp_path: Path, name: str, content: Any, message: str) -> None:
    write(tmp_path / name, content)
    with pytest.raises(SscError, match=message):
        list(read_rows(tmp_path))
