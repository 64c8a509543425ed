"""Tables, and what a model's server says: good files, and a reader of each, for ``targets``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.errors import SscError
from ssc_core.files import read_json
from ssc_core.refer.table import read_sentences
from ssc_core.select.answers import Answers
from ssc_core.select.chat import _Failed, read_answer

_PLAIN = {"image": ["a.jpg"] * 3, "sentences": [["dog", "left"], ["ünï"], []], "split": ["train", "val", None]}
_PHOTOS = [{"bytes": b"\xff\xd8\xff", "path": "a.jpg"}] * 3
_CODES = [{"size": [8, 12], "counts": "0101"}] * 3


def _tables() -> list[pa.Table]:
    return [pa.table(_PLAIN), pa.table({**_PLAIN, "image": _PHOTOS, "mask": _CODES})]


def parquet_seeds(folder: Path) -> list[bytes]:
    found = []
    for table in _tables():
        for compression in ("none", "zstd"):
            pq.write_table(table, folder / "seed.parquet", compression=compression)
            found.append((folder / "seed.parquet").read_bytes())
    return found


def arrow_seeds(_: Path) -> list[bytes]:
    found = []
    for table in _tables():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        found.append(sink.getvalue().to_pybytes())
    return found


def read_arrow(path: Path) -> None:
    """As the one file of a folder that ``datasets`` saved."""
    folder = path.parent / f"saved{os.getpid()}"
    folder.mkdir(exist_ok=True)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (folder / "data.arrow").write_bytes(path.read_bytes())
    read_rows_of(folder)


def captions(_: Path) -> list[bytes]:
    photos = [{"id": 1, "file_name": "a.jpg", "split": "val"}, {"id": "b", "file_name": "b.jpg"}]
    shapes: list[Any] = [[[1, 1, 5, 1, 5, 5]], {"size": [8, 12], "counts": [96]}, None]
    said = [{"image_id": 1, "caption": "dog", "segmentation": shape, "split": "train"} for shape in shapes]
    return [json.dumps({"images": photos, "annotations": [*said, {"image_id": "b", "caption": "cat"}]}).encode()]


def read_rows_of(path: Path) -> None:
    """Every row to its end."""
    for _ in read_sentences(path):
        pass


def answer_seeds(_: Path) -> list[bytes]:
    likely = [{"token": token, "logprob": value} for token, value in (("1", -0.5), (" 2", -2), ("the", -9999.0))]
    place = {**likely[0], "top_logprobs": likely}
    choice = {"message": {"content": "1"}, "logprobs": {"content": [{"token": " ", "logprob": 0}, place]}}
    return [json.dumps({"choices": [choice], "usage": {"total_tokens": 9}}).encode()]


def read_server_answer(path: Path) -> None:
    """What is taken of it can be kept and read again."""
    try:
        tokens, used = read_answer(read_json(path))
    except _Failed as failed:
        raise SscError(str(failed)) from failed
    folder = path.parent / f"kept{os.getpid()}"
    for old in folder.glob("*.jsonl"):
        old.unlink()
    Answers(folder).put("key", tokens, {"used_tokens": used})
    assert Answers(folder).get("key") == tokens


def kept_seeds(_: Path) -> list[bytes]:
    lines = [json.dumps({"key": key, "tokens": [["1", -0.5], ["2", -3]], "model": "m"}) for key in "abc"]
    return ["".join(f"{line}\n" for line in lines).encode()]


def read_kept(path: Path) -> None:
    """As the one file of a folder of answers."""
    folder = path.parent / f"answers{os.getpid()}"
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_bytes(path.read_bytes())
    Answers(folder)
