"""``nouns.parquet``: one row per ref, with each sentence's nouns and classes and the class that the ref asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.errors import SscError
from ssc_core.segment.tasks import RefQuery
from ssc_core.tables import open_table, rows_of, table_writer

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
_ASKED, _NAMED = "ssc_asked", "ssc_named"


class NounWriter:
    """Context manager that writes rows of ref_id, image_id, nouns and classes (a list of strings per sentence), query
    and, where asked for, phrases (a list of strings), as they come; the file is whole or not there.

    What all refs together ask for and name goes along: a shard's job needs it, and reads its own rows alone.
    """

    def __init__(self, path: Path, *, with_phrases: bool = False) -> None:
        self._path, self._schema = path, _WITH_PHRASES if with_phrases else _SCHEMA
        self._asked: set[str] = set()
        self._named: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file = stack.enter_context(table_writer(self._path, self._schema))
            self._stack = stack.pop_all()
        return self

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        for row in rows:
            query = RefQuery.of(row)
            self._asked.update(query.asks)
            self._named.update(query.names)
        self._file.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def __exit__(self, *error: Any) -> bool | None:
        names = {_ASKED: sorted(self._asked), _NAMED: sorted(self._named)}
        self._file.add_key_value_metadata({key: json.dumps(found) for key, found in names.items()})
        return self._stack.__exit__(*error)


class Nouns:
    """``nouns.parquet``. photos: ids of its photos, ascending.

    Raises SscError when the file is missing, damaged or another kind of table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            ids = [np.unique(batch["image_id"].to_numpy()) for batch in file.iter_batches(columns=["image_id"])]
            self.photos = np.unique(np.concatenate([*ids, np.zeros(0, np.int64)]))

    def names(self, *, likely: bool) -> tuple[str, ...]:
        """All that its refs ask for, or without ``likely`` all that they name, in alphabetical order."""
        with self._opened() as file:
            return tuple(json.loads(file.metadata.metadata[(_ASKED if likely else _NAMED).encode()]))

    def rows(self, photos: np.ndarray) -> pa.Table:
        """The rows of some photos."""
        with self._opened() as file:
            return rows_of(file, "image_id", photos, file.schema_arrow.names)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with open_table(self._path, made_by="extract_nouns") as file:
            if not any(map(file.schema_arrow.equals, (_SCHEMA, _WITH_PHRASES))):
                columns = ", ".join(file.schema_arrow.names)
                raise SscError(f"{self._path} is no table of nouns: it has the columns {columns}")
            yield file
