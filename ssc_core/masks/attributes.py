"""Attributes of HDF5 stores: text inside the attribute itself, plain values, and nothing else.

By default h5py puts text on a heap of the file, and the HDF5 library (2.0) reads a damaged heap without end: such text
is neither written nor read.
"""

from __future__ import annotations

import zlib
from typing import Any

import h5py
import numpy as np

_MOST_BYTES = 60_000
"""HDF5 keeps attributes of up to 64 KiB in place, under a checksum. Longer text is packed, under one of zlib's."""

_MOST_UNPACKED = 2**26


def write_text(attributes: h5py.AttributeManager, name: str, text: str) -> None:
    """Set an attribute."""
    raw = text.encode("utf-8")
    attributes[name] = np.bytes_(raw or b"\0") if len(raw) <= _MOST_BYTES else np.void(zlib.compress(raw))


def read_attribute(attributes: h5py.AttributeManager, name: str) -> Any:
    """Text, a number or a truth value; None when there is none of that name.

    Raises ValueError for anything else: arrays, text on the heap, references, what claims to be larger than 64 MiB.
    """
    if name not in attributes:
        return None
    found = attributes.get_id(name)
    if found.shape != () or found.dtype.kind not in "SVbiu" or found.dtype.itemsize > _MOST_UNPACKED:
        raise ValueError(f"attribute {name} is neither text in place nor a plain value")
    value = attributes[name]
    if isinstance(value, np.void):
        value = unpack(value.tobytes(), _MOST_UNPACKED)
    return value.decode("utf-8") if isinstance(value, bytes) else value


def unpack(packed: bytes | memoryview, most: int) -> bytes:
    """What zlib packed, checked against its Adler-32 sum. Raises ValueError for damage and for more than ``most``."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(content) > most or not unpacker.eof or unpacker.unused_data:
        raise ValueError("packed data are cut short, or longer than they may be")
    return content
