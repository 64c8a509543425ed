"""What the stores of this package share: columns in one HDF5 file, and a note of what made it.

A file is a set of one-dimensional (or n x width) columns that grow row by row, and attributes that say what it is. Its
writer (``writer.py``) sets the attribute ``complete`` last; its reader (``reader.py``) takes no file without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

VERSION = 1


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What made a file.

    class_names: what the labels index; settings: the config section, plain JSON values; code: digest of the code;
    models: name -> sha256 of the weights; refs: digest of the refs that it is about, as they were then
    (``refer.refs_digest``), "" where it does not say.
    """

    class_names: tuple[str, ...]
    settings: dict[str, Any]
    code: str
    models: dict[str, str]
    refs: str = ""


def sum_of_refs(digests: Iterable[int]) -> str:
    """``StoreInfo.refs`` of refs with these digests, of 64 bits each: 16 hex digits."""
    return f"{sum(digests) % 2**64:016x}"


class Column(NamedTuple):
    """dtype of a column, rows a chunk, values per row (0: one, without an axis of its own), and its first rows."""

    dtype: str
    chunk: int
    width: int = 0
    start: tuple[int, ...] = ()

    @property
    def tail(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.width,) if self.width else ()


def offsets(chunk: int) -> Column:
    """A column of n + 1 ends of ranges, the first 0."""
    return Column("<i8", chunk, start=(0,))
