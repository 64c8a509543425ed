"""A folder that ``datasets.load_dataset`` reads: Parquet, a row per photo, the photo and its masks as pictures in it.

    data/{split}-00000-of-00001.parquet

Written with pyarrow alone: ``datasets`` keeps what a column means in the file's metadata, under ``huggingface``.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, refs_of
from ssc_core.exchange.folders import new_folder
from ssc_core.files import path_inside
from ssc_core.masks import rle

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_OBJECT = {
    "category": pa.string(),
    "ref_ids": pa.list_(pa.int64()),
    "sentences": pa.list_(pa.string()),
    "score": pa.float32(),
    "bbox": pa.list_(pa.float32()),
    "mask": _PICTURE,
}
_COLUMNS = {
    "image_id": pa.int64(),
    "file_name": pa.string(),
    "image": _PICTURE,
    "objects": pa.list_(pa.struct(list(_OBJECT.items()))),
}
_ROWS_AT_ONCE = 16


def write(export: Export, out: Path) -> None:
    """Write the folder."""
    features = {"info": {"features": {name: _feature(kind) for name, kind in _COLUMNS.items()}}}
    schema = pa.schema(list(_COLUMNS.items()), metadata={"huggingface": json.dumps(features)})
    with new_folder(out) as folder:
        (folder / "data").mkdir()
        with pq.ParquetWriter(folder / "data" / f"{export.split}-00000-of-00001.parquet", schema) as writer:
            rows: list[dict[str, Any]] = []
            for image in export.images:
                rows.append(_row(image, export.photos))
                if len(rows) == _ROWS_AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _feature(kind: pa.DataType) -> Any:
    """What ``datasets`` calls a type of Arrow."""
    if kind.equals(_PICTURE):
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    names = {pa.string(): "string", pa.int64(): "int64", pa.float32(): "float32"}
    return {"dtype": names[kind], "_type": "Value"}


def _row(image: AnnotatedImage, photos: Path) -> dict[str, Any]:
    photo = path_inside(photos, image.file_name)
    if not photo.is_file():
        raise SscError(f"{photo} does not exist; check the folder of the photos")
    boxes = rle.boxes([one.rle for one in image.annotations], image.size).tolist()
    return {
        "image_id": image.image_id,
        "file_name": image.file_name,
        "image": {"bytes": photo.read_bytes(), "path": image.file_name},
        "objects": [
            {
                "category": one.category,
                "ref_ids": refs_of(one.about),
                "sentences": list(one.about.get("sentences", ())),
                "score": one.about.get("score"),
                "bbox": box,
                "mask": {"bytes": _png(one.rle, image.size), "path": None},
            }
            for one, box in zip(image.annotations, boxes, strict=True)
        ],
    }


def _png(code: bytes, size: tuple[int, int]) -> bytes:
    """The mask as a grey PNG, 255 where it is."""
    file = io.BytesIO()
    Image.fromarray(rle.decode([code], size)[0].astype("uint8") * 255).save(file, format="PNG")
    return file.getvalue()
