"""``nouns.parquet``: one row a ref, with the nouns and classes of each sentence and the class that the ref asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.errors import SscError
from ssc_core.files import atomic_path

NO_CLASS = "object"
"""What is asked for when a ref has no noun."""

_STRINGS = pa.list_(pa.list_(pa.string()))
_SCHEMA = pa.schema(
    [
        ("ref_id", pa.int64()),
        ("image_id", pa.int64()),
        ("nouns", _STRINGS),
        ("classes", _STRINGS),
        ("query", pa.string()),
    ]
)


class NounWriter:
    """Context manager that writes rows of ref_id, image_id, nouns and classes (a list of strings a sentence), and
    query, as they come; the file is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self._path))
            self._file = stack.enter_context(pq.ParquetWriter(temporary, _SCHEMA))
            self._stack = stack.pop_all()
        return self

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._file.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMA))

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)


def write_nouns(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table at once, see ``NounWriter``."""
    with NounWriter(path) as writer:
        writer.write(rows)


def read_nouns(path: Path) -> pd.DataFrame:
    """Read the columns that ``write_nouns`` writes; nouns and classes are lists of lists of str.

    Raises SscError when the file is missing, damaged or another kind of table.
    """
    path = Path(path)
    if not path.is_file():
        raise SscError(f"{path} does not exist; the rule extract_nouns makes it")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise SscError(f"{path} is damaged ({error}); delete it and run extract_nouns again") from error
    if table.column_names != _SCHEMA.names:
        raise SscError(f"{path} is no table of nouns: it has the columns {', '.join(table.column_names)}")
    return pd.DataFrame({name: table[name].to_pylist() for name in table.column_names}, columns=_SCHEMA.names)
