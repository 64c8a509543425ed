"""Small files that once crashed a reader, ran without an end, or took gigabytes, by target. All must be refused.

They are seeds, too: damaged ones are tried as damaged good files are.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.refer.ref_table import FORMAT, SCHEMA

_SIZE = {"height": 8, "width": 12}
_MERSENNE = 2**61 - 1
"""Integers are hashed modulo this."""


def _pickles() -> list[bytes]:
    pairs = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 40  # 2**40 values
    return [
        b"\x80\x02}" + pairs[2:] + b"K\x01s.",
        pairs + b".",
        b"\x80\x02}(" + b"".join(pickle.dumps(i * _MERSENNE + 7, 2)[2:-1] + b"K\x01" for i in range(1, 20_000)) + b"u.",
        b"\x80\x02})" + b"\x85" * 10**6 + b"K\x01s.",
        b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
        b"\x80\x02" + b"]" * 6 * 10**6 + b".",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02]r\xff\xff\xff\xff.",
    ]


def _coco(segmentation: Any, **image: Any) -> bytes:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", **_SIZE, **image}],
        "annotations": [
            {"id": 10 + i, "image_id": 1, "category_id": 18, "segmentation": segmentation} for i in range(3)
        ],
        "categories": [{"id": 18, "name": "dog"}],
    }
    return json.dumps(content).encode()


def _annotations() -> list[bytes]:
    zigzag = [v for i in range(2000) for v in (8192 * (i % 2), i * 4.096)]
    good = _coco([])
    return [
        _coco([[0, 0, 2**28, 0, 2**28, 1]], height=1, width=2**28),
        _coco([zigzag], height=16384, width=16384),
        _coco([zigzag], height=8192, width=8192),
        _coco([[0, 0, 9, 0, 9, 9]] * 20_000),
        _coco({"size": [8, 12], "counts": "\ud800"}),
        _coco([{"size": [8, 12], "counts": [2**70]}]),
        good.replace(b'"id": 18', b'"id": ' + b"9" * 5000),
        good.replace(b'"id": 18', b'"id": 18, "id": 19'),
        b"[" * 100_000,
    ]


def _png(height: int, width: int) -> bytes:
    """A grey PNG that claims a size and has a few bytes of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def _pictures() -> list[bytes]:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    return [eps, b"", _png(1, 2**28), _png(2**14, 2**14), _png(2**31 - 1, 2**31 - 1), _png(0, 5)]


def _ref_tables() -> list[bytes]:
    texts = pa.schema([(name, pa.string()) for name in SCHEMA.names]).with_metadata(FORMAT)
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict.fromkeys(SCHEMA.names, "a")], schema=texts), stream)
    return [stream.getvalue(), b"PAR1PAR1"]


_CSV = [
    b"image,sentences\na.jpg,[" + b"9" * 5000 + b"]\n",
    b"image,sentences,sentences\na.jpg,dog,cat\n",
    b'image,sentences\na.jpg,"' + b"x" * 200_000 + b'"\n',
    b'image,sentences,mask\na.jpg,dog,"{""size"": [8, 12], ""counts"": [' + b"1," * 5000 + b'1]}"\n',
]
_JSONL = [
    b'{"image": "a.jpg", "sentences": ["dog"], "mask": ' + b"9" * 5000 + b"}",
    b'{"image": "a.jpg", "sentences": ["dog"], "sentences": ["cat"]}',
    b'{"image": "a.jpg", "sentences": ["dog"], "mask": [[0.1, 0.2, 0.5, 0.2, 0.5, 0.9]]}',
    b'{"image": "a.jpg", "sentences": ' + b"[" * 100_000,
]

HOSTILE: Mapping[str, Callable[[], list[bytes]]] = {
    "pickle": _pickles,
    "refer_pickle": _pickles,
    "coco_json": _annotations,
    "coco_bytes": _annotations,
    "index_coco": _annotations,
    "csv": lambda: _CSV,
    "jsonl": lambda: _JSONL,
    "index_table": lambda: _JSONL,
    "photo": _pictures,
    "mask": _pictures,
    "ref_table": _ref_tables,
}
