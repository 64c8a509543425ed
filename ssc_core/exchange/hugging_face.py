"""A folder that ``datasets.load_dataset`` reads: Parquet, a row per photo, the photo and its masks as pictures in it.

    data/{split}-00000-of-00001.parquet

Written with pyarrow alone: ``datasets`` keeps what a column means in the file's metadata, under ``huggingface``. What
made the masks is there too, under ``ssc``: JSON, the version and by file settings, models and digest of the code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ssc_core.config.toys import toys_in
from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, refs_of
from ssc_core.files import path_inside
from ssc_core.folders import new_folder
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore
from ssc_core.version import __version__

MADE_BY = b"ssc"
"""Key of the file's metadata that says what made the masks."""

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
    made_by = {
        "version": __version__,
        "files": _origin(export.made_by),
        "toys": any(toys_in(info.settings) for info in export.made_by.values()),
        "reviewed": _reviewed(export),
    }
    metadata = {b"huggingface": json.dumps(features).encode(), MADE_BY: json.dumps(made_by).encode()}
    schema = pa.schema(list(_COLUMNS.items()), metadata=metadata)
    with new_folder(out) as folder:
        (folder / "data").mkdir()
        with pq.ParquetWriter(folder / "data" / f"{export.split}-00000-of-00001.parquet", schema) as writer:
            rows: list[dict[str, Any]] = []
            for image in export.all_images():
                rows.append(_row(image, export.photos))
                if len(rows) == _ROWS_AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _origin(made_by: Mapping[str, StoreInfo]) -> dict[str, Any]:
    return {
        name: {"settings": _without_folders(info.settings), "models": info.models, "code": info.code}
        for name, info in made_by.items()
    }


def _without_folders(value: Any) -> Any:
    """Settings whose absolute paths have lost their folders, which say nothing to others."""
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _reviewed(export: Export) -> int:
    """How many refs have the mask that a person chose."""
    return len(export.store.reviewed) if isinstance(export.store, SelectionStore) else 0


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
