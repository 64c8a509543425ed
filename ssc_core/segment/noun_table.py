"""``nouns.parquet``: one row per ref, with each sentence's nouns and classes and the class that the ref asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from ssc_core.errors import SscError
from ssc_core.tables import open_table, table_writer

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
_WITH_PHRASES = _SCHEMA.append(pa.field("phrases", pa.list_(pa.string())))
"""Where refs ask by phrases (``nouns.ask``), what each asks for."""


class NounWriter:
    """Context manager that writes rows of ref_id, image_id, nouns and classes (a list of strings per sentence), query
    and, where asked for, phrases (a list of strings), as they come; the file is whole or not there."""

    def __init__(self, path: Path, *, with_phrases: bool = False) -> None:
        self._path, self._schema = path, _WITH_PHRASES if with_phrases else _SCHEMA

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file = stack.enter_context(table_writer(self._path, self._schema))
            self._stack = stack.pop_all()
        return self

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._file.write_table(pa.Table.from_pylist(list(rows), schema=self._schema))

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)


def read_nouns(path: Path) -> pd.DataFrame:
    """Read the columns that ``NounWriter`` writes; nouns and classes are lists of lists of str.

    Raises SscError when the file is missing, damaged or another kind of table.
    """
    with open_table(path, made_by="extract_nouns") as file:
        if not any(map(file.schema_arrow.equals, (_SCHEMA, _WITH_PHRASES))):
            raise SscError(f"{path} is no table of nouns: it has the columns {', '.join(file.schema_arrow.names)}")
        table = file.read()
    return pd.DataFrame({name: table[name].to_pylist() for name in table.column_names}, columns=table.column_names)
