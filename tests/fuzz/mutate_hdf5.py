"""Damage to stores that leaves a well-formed HDF5 file: other values, types, layouts, chunks, links, attributes."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

_ODD = [0, 1, -1, 2, 127, 255, 2**15, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63)]
_ODD_FLOATS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e38, 0.5]
_DTYPES = ["<i8", "<i4", "<f4", "<f8", "|u1", ">i8", "S4", "?", "<f2", "V16"]
_FILES = ["/etc/passwd", "/dev/zero", "nowhere.h5"]
_ATTRIBUTES: list[Any] = [
    "text on the heap",
    np.bytes_(b"[]"),
    np.bytes_(b'["cat"]'),
    np.bytes_(b"[" * 5000),
    np.bytes_(b"9" * 5000),
    np.bytes_(b"\xff"),
    np.void(zlib.compress(bytes(2**22))),
    np.void(b"abc"),
    True,
    False,
    0,
    -1,
    2**40,
    0.5,
    [1, 2],
    h5py.Empty("i4"),
    np.zeros(4000, "i8"),
]


def hdf5_mutated(content: bytes, chance: random.Random) -> bytes:
    """A store with one to three changes; one that HDF5 will not make is none."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+", libver=("v110", "v110")) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in chance.sample(names, chance.choice((1, 1, 2, 3))):
            with suppress(OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError):
                chance.choice(_CHANGES)(file, name, chance)
    return buffer.getvalue()


def _values(file: h5py.File, name: str, chance: random.Random) -> None:
    """Some other values, packed as they should be."""
    data = file[name]
    if not data.size:
        return
    values = data[:]
    flat = values.reshape(-1)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(flat))
        if flat.dtype.kind == "f":
            flat[at] = chance.choice(_ODD_FLOATS)
        else:
            value = chance.choice(_ODD) if chance.random() < 0.6 else int(flat[at]) + chance.choice((-1, 1, 2, 100))
            flat[at] = np.array(value & (2**64 - 1), np.uint64).astype(flat.dtype)
    data[:] = values


def _shuffled(file: h5py.File, name: str, chance: random.Random) -> None:
    values = file[name][:]
    file[name][:] = values[chance.sample(range(len(values)), len(values))] if len(values) else values


def _length(file: h5py.File, name: str, chance: random.Random) -> None:
    rows = len(file[name])
    file[name].resize(chance.choice((0, max(0, rows - 1), rows + 1, 2 * rows, 5000, 2**20, 2**33, 2**50)), axis=0)


def _anew(file: h5py.File, name: str, chance: random.Random) -> None:
    """The values under another type, shape or layout."""
    values, chunks = file[name][:], file[name].chunks
    dtype = chance.choice([*_DTYPES, values.dtype, values.dtype])
    shape = chance.choice((values.shape, values.shape, (values.size,), (*values.shape, 1), (values.size, 1), ()))
    chunked = {"chunks": chunks, "maxshape": (None, *values.shape[1:]), "compression": "gzip"}
    wide = {"chunks": (chance.choice((1, 7, 2**16, 2**21)), *values.shape[1:]), "compression": "gzip"}
    layout = chance.choice(
        (chunked, wide, {}, {"compression": "lzf"}, {"chunks": chunks}, {"chunks": chunks, "fletcher32": True})
    )
    del file[name]
    if shape == values.shape:
        made = file.create_dataset(name, shape, dtype, **layout)
    elif shape == ():
        made = file.create_dataset(name, shape, dtype)
    else:
        made = file.create_dataset(name, shape, dtype, chunks=True, compression="gzip")
    if made.dtype.kind in "iuf" and values.dtype.kind in "iuf" and made.size == values.size:
        with np.errstate(all="ignore"):
            made[...] = values.reshape(shape).astype(dtype)


def _chunk(file: h5py.File, name: str, chance: random.Random) -> None:
    """The first chunk unpacks to another length, to anything, or not at all."""
    data = file[name]
    whole = int(np.prod(data.chunks)) * data.dtype.itemsize
    length = chance.choice((0, 1, whole - 1, whole, whole + 1, 2 * whole, 2**26))
    packed = zlib.compress(bytes(length) if chance.random() < 0.5 else chance.randbytes(min(length, whole)))
    packed = chance.choice((packed, packed[:-1], packed + b"x", chance.randbytes(100), b""))
    if len(data) and len(packed) < 2**22:
        data.id.write_direct_chunk((0,) * data.ndim, packed, chance.choice((0, 0, 1, 2, 3)))


def _elsewhere(file: h5py.File, name: str, chance: random.Random) -> None:
    """A link, data outside of the file, virtual data, or another kind of object."""
    shape, dtype, outside = file[name].shape, file[name].dtype, chance.choice(_FILES)
    kind = chance.randrange(7)
    if kind == 6:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(outside, "x", shape)
    where = chance.choice((name, name.split("/")[0])) if kind < 2 else name
    del file[where]
    match kind:
        case 0:
            file[where] = h5py.ExternalLink(outside, "/")
        case 1:
            file[where] = h5py.SoftLink(chance.choice(("/", "/ref/id", "/nowhere", where)))
        case 2:
            file.create_dataset(name, shape, dtype, external=[(outside, 0, h5py.h5f.UNLIMITED)])
        case 3:
            file.create_group(name)
        case 4:
            file[name] = np.dtype("i4")
        case 6:
            file.create_virtual_dataset(name, layout)


def _attribute(file: h5py.File, name: str, chance: random.Random) -> None:
    key = chance.choice(list(file.attrs))
    del file.attrs[key]
    if chance.random() < 0.9:
        file.attrs[key] = chance.choice(_ATTRIBUTES)


_CHANGES: list[Callable[[h5py.File, str, random.Random], None]] = [
    _values, _values, _values, _values, _shuffled, _length, _anew, _chunk, _elsewhere, _attribute
]  # fmt: skip
