"""Rows of a user's table, as spreadsheets save it, JSONL, COCO JSON, parquet or a folder of Hugging Face ``datasets``:
dicts by column, with their places."""

from __future__ import annotations

import csv
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, zip_longest
from pathlib import Path
from typing import Any, TextIO

from ssc_core.errors import SscError
from ssc_core.files import parse_json, read_json
from ssc_core.wording import counted

READ_COLUMNS = ("image", "sentences", "split", "mask")
REQUIRED = READ_COLUMNS[:2]

_AS_CSV = "a spreadsheet saves it as 'CSV UTF-8'"
_DELIMITERS = (",", ";", "\t")
_MAX_SHOWN = 10
_ROWS_AT_ONCE = 100
_LEAST_UNPACKED, _MOST_UNPACKED = 2**20, 100
"""Bytes that the rows of a parquet file may take, and so many more for each byte of the file."""
_SPLITS, _STATE = "dataset_dict.json", "state.json"
"""What `save_to_disk` writes beside its Arrow files: of a folder of splits, and of one."""

_MISSING = frozenset({"NA", "NaN", "nan"})
"""What R, and a data frame whose values were made texts, write into a cell of CSV that has none."""

log = logging.getLogger(__name__)

PlacedRow = tuple[str, dict[str, Any]]
"""Place, and what the row says by column."""


def read_rows(path: Path) -> Iterator[PlacedRow]:
    """The rows that are not blank. Columns that nothing reads are announced in the log.

    CSV may be separated by commas, semicolons or tabs, and its header may have capitals and blanks, as spreadsheets
    write it; a cell of NA, NaN or nan is empty, and such a sentence blank. Of COCO JSON, every annotation with a
    ``caption`` is a row, its ``segmentation`` the mask, its ``split`` or its photo's the split. Of photos that Hugging
    Face put inside, in a parquet file or a folder that ``save_to_disk`` wrote, the ``path`` is the name; rows of such a
    folder with several splits are of theirs, unless they say another. Raises SscError that names the place: for a file
    that is no table, columns that are missing or occur twice, and rows that are longer than the header or no JSON.
    """
    reader = _saved_rows if path.is_dir() else _READERS.get(path.suffix.lower())
    if reader is None:
        raise SscError(f"{path}: a table ends in {SUFFIXES_TEXT}, or is a folder that `datasets` saved; {_AS_CSV}")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise SscError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); {_AS_CSV}") from error
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror or error}") from error


def filled(cell: Any, other: Any = None) -> Any:
    """A cell, a text without blanks around it; ``other`` for an empty one, as spreadsheets and data frames leave it."""
    cell = cell.strip() if isinstance(cell, str) else cell
    return other if cell in (None, "") or (isinstance(cell, float) and math.isnan(cell)) else cell


def _csv_rows(path: Path) -> Iterator[PlacedRow]:
    # Spreadsheets put a byte order mark first; utf-8-sig drops it.
    with path.open(encoding="utf-8-sig", newline="") as stream:
        before, start = _start(stream)
        place = f"{path}, line {before + 1}"
        delimiter, columns = _header(stream, start, place)
        _announce_unused([column for column in columns if column], place)
        stream.seek(start)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            next(reader)
            for cells in reader:
                where = f"{path}, line {before + reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                _check_named(cells, columns, where)
                read = (pair for pair in zip(columns, cells, strict=False) if pair[0] in READ_COLUMNS)
                yield where, {column: _without_missing(column, cell) for column, cell in read}
        except csv.Error as error:
            raise SscError(f"{path}, line {before + reader.line_num}: {error}") from error


def _without_missing(column: str, cell: str) -> str:
    """A cell, "" where it says that there is none; and so each of several sentences, which R pastes together."""
    parts = cell.split("|") if column == "sentences" else [cell]
    return "|".join("" if part.strip() in _MISSING else part for part in parts)


def _start(stream: TextIO) -> tuple[int, int]:
    """Of the header, the first line that is neither blank nor Excel's ``sep=;``: the lines before it, and its place."""
    start = stream.tell()
    for before, line in enumerate(iter(stream.readline, "")):
        if line.strip(" \t\r\n;,") and not re.fullmatch("sep=.", line.strip('\r\n" ')):
            return before, start
        start = stream.tell()
    return 0, 0


def _header(stream: TextIO, start: int, where: str) -> tuple[str, list[str]]:
    """The delimiter with which a header, of one line or several, has the columns of a table, and its columns, "" for
    those without a name."""
    found: list[tuple[list[str], str]] = []
    for delimiter in _DELIMITERS:
        stream.seek(start)
        try:
            cells = next(csv.reader(stream, delimiter=delimiter), [])
        except csv.Error as error:
            raise SscError(f"{where}: {error}") from error
        cells = [" ".join(cell.split()) for cell in cells]
        columns = [cell.lower() for cell in cells]
        if set(REQUIRED) <= set(columns):
            _check_once(columns, where)
            return delimiter, columns
        found.append((columns, delimiter.join(cells)))
    likely, text = max(found, key=lambda one: (len(set(REQUIRED) & set(one[0])), len(one[0])))
    missing = next(column for column in REQUIRED if column not in likely)
    raise SscError(
        f"{where}: no column '{missing}'; a table has the columns {', '.join(READ_COLUMNS)}, and this file begins "
        f"'{text:.80}'"
    )


def _check_named(cells: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Raise SscError for a cell below no name: it is what a comma cut off. The first columns may be row names, as R and
    pandas write them."""
    named = zip_longest(cells, columns, fillvalue="")
    for cell, column in dropwhile(lambda pair: not pair[1], named):
        if not column and cell.strip() not in ("", *_MISSING):
            raise SscError(
                f"{where}: more cells than columns ('{cell.strip():.40}' is below no name); put cells that hold commas "
                "in double quotes"
            )


def _check_once(columns: Sequence[str], where: str) -> None:
    """Raise SscError for a column that occurs twice: the later one would be read alone."""
    twice = [column for column, count in Counter(columns).items() if count > 1 and column]
    if twice:
        raise SscError(
            f"{where}: column '{twice[0]:.40}' occurs twice; which one is meant? Of several sentences of an object, "
            "make one cell, separated by |"
        )


def _jsonl_rows(path: Path) -> Iterator[PlacedRow]:
    announced: set[str] = set()
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            row = parse_json(line, where)
            if not isinstance(row, dict):
                raise SscError(
                    f'{where} is no JSON object; a row looks like {{"image": "a.jpg", "sentences": ["dog"]}}'
                )
            for column in REQUIRED:
                if column not in row:
                    keys = ", ".join(map(str, row)) or "none"
                    raise SscError(f"{where}: no column '{column}'; the row has {keys:.200}")
            new = [key for key in row if key not in READ_COLUMNS and key not in announced]
            if len(announced) < 1000:  # rows of strangers may name a new one each
                _announce_unused(new, where)
                announced.update(new)
            yield where, row


def _coco_rows(path: Path) -> Iterator[PlacedRow]:
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        raise SscError(f"{path} is no COCO JSON: it has no lists 'images' and 'annotations'; one row a line is .jsonl")
    photos = {}
    for number, image in enumerate(content["images"]):
        where = f"{path}, images[{number}]"
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str) or "file_name" not in image:
            raise SscError(f"{where}: needs 'id' and 'file_name'")
        if image["id"] in photos:
            raise SscError(f"{where}: its 'id' is another photo's, too; which one do annotations mean?")
        photos[image["id"]] = image
    without = 0
    for number, one in enumerate(content["annotations"]):
        where = f"{path}, annotations[{number}]"
        if not isinstance(one, dict) or not isinstance(one.get("image_id"), int | str) or one["image_id"] not in photos:
            raise SscError(f"{where}: its 'image_id' is no photo of 'images'")
        if "caption" not in one:
            without += 1
            continue
        if not isinstance(one["caption"], str):
            raise SscError(f"{where}: 'caption' must be a text")
        photo = photos[one["image_id"]]
        row = {"image": photo["file_name"], "sentences": [one["caption"]], "mask": one.get("segmentation") or None}
        yield where, {**row, "split": filled(one.get("split"), photo.get("split"))}
    if without:
        log.warning("%s: passed over %s without a caption", path, counted(without, "annotation"))


def _parquet_rows(path: Path) -> Iterator[PlacedRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(file.schema_arrow, path)
            inside = "path" in [part.name for part in _parts(file.schema_arrow.field("image").type)]
            read = ["image.path" if column == "image" and inside else column for column in wanted]
            _check_claims(file.metadata, path)
            yield from _arrow_rows(file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=read), path)
    except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError) as error:
        raise SscError(f"{path} is no whole parquet file: {error}") from error


def _check_claims(metadata: Any, path: Path) -> None:
    """Raise SscError where rows are much longer than the file: a kilobyte may unpack to gigabytes.

    Of row groups, since pyarrow (26) ends the process where it is asked about a damaged column.
    """
    most = _LEAST_UNPACKED + _MOST_UNPACKED * path.stat().st_size
    for number in range(metadata.num_row_groups):
        claimed = metadata.row_group(number).total_byte_size
        if claimed > most:
            raise SscError(f"{path}: rows of {claimed >> 20} MiB in a file of {path.stat().st_size >> 10} KiB; refused")


def _saved_parts(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Split ("" without) and Arrow files of a folder of ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``."""
    if (folder / _SPLITS).is_file():
        splits = _named(folder / _SPLITS, "splits")
        for split in splits:
            yield split, _arrow_files(folder / split)
    else:
        yield "", _arrow_files(folder)


def _arrow_files(folder: Path) -> list[Path]:
    state = folder / _STATE
    if not state.is_file():
        raise SscError(
            f"{folder} is a folder without {_STATE}: name a table, or a folder that `save_to_disk` of `datasets` wrote"
        )
    content = read_json(state)
    if isinstance(content, dict) and content.get("_indices_data_files"):
        raise SscError(f"{folder} holds a selection of rows: write it with `flatten_indices().save_to_disk(...)`")
    return [folder / name for name in _named(state, "_data_files", "filename")]


def _named(path: Path, key: str, part: str = "") -> list[str]:
    """Names of files or folders beside a JSON file that lists them."""
    content = read_json(path)
    listed = content.get(key) if isinstance(content, dict) else None
    names: list[Any] = [one.get(part) if part and isinstance(one, dict) else one for one in listed or []]
    if not names or not all(isinstance(name, str) and name not in ("", ".", "..") for name in names):
        raise SscError(f"{path} is none that `datasets` wrote: it has no list '{key}' of names")
    for name in names:
        if Path(name).name != name or "\\" in name or "\0" in name:
            raise SscError(f"{path}: '{name:.80}' lies in another folder")
    return names


def _saved_rows(folder: Path) -> Iterator[PlacedRow]:
    """Arrow streams, mapped into memory: photos inside are passed over without being read."""
    import pyarrow as pa

    for split, files in _saved_parts(folder):
        for path in files:
            try:
                with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                    wanted = _wanted(stream.schema, path)
                    # a stranger's offsets may lead anywhere
                    checked = (_whole(batch.select(wanted)) for batch in stream)
                    rows = _arrow_rows((part for batch in checked for part in _slices(batch)), path)
                    yield from ((where, {**row, "split": filled(row.get("split"), split)}) for where, row in rows)
            except FileNotFoundError:
                raise
            except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
                raise SscError(f"{path} is no whole file of `datasets`: {error}") from error


def _wanted(schema: Any, path: Path) -> list[str]:
    """The columns to read. Raises SscError for those that are missing."""
    columns = schema.names
    for column in REQUIRED:
        if column not in columns:
            raise SscError(f"{path}: no column '{column}'; it has {', '.join(columns) or 'none'}")
    _check_once(columns, str(path))
    _announce_unused(columns, str(path))
    return [column for column in READ_COLUMNS if column in columns]


def _whole(batch: Any) -> Any:
    batch.validate(full=True)
    return _without_pixels(batch)


def _without_pixels(batch: Any) -> Any:
    """With the path alone of photos that lie inside."""
    image = batch.column("image")
    if "path" not in [part.name for part in _parts(image.type)]:
        return batch
    place = batch.schema.get_field_index("image")
    return batch.set_column(place, "image", image.field("path"))


def _slices(batch: Any) -> Iterator[Any]:
    yield from (batch.slice(start, _ROWS_AT_ONCE) for start in range(0, batch.num_rows, _ROWS_AT_ONCE))


def _arrow_rows(batches: Iterable[Any], path: Path) -> Iterator[PlacedRow]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            image = row["image"]
            yield f"{path}, row {number}", {**row, "image": image["path"] if isinstance(image, dict) else image}


def _parts(kind: Any) -> list[Any]:
    """The fields of a struct of Arrow; none of any other type."""
    import pyarrow.types as types

    return list(kind) if types.is_struct(kind) else []


_READERS = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".json": _coco_rows,
    ".parquet": _parquet_rows,
}

TABLE_SUFFIXES = tuple(_READERS)
"""What names of tables end in."""

SUFFIXES_TEXT = f"{', '.join(TABLE_SUFFIXES[:-1])} or {TABLE_SUFFIXES[-1]}"


def _announce_unused(columns: Sequence[str], where: str) -> None:
    unused = [column for column in columns if column not in READ_COLUMNS]
    if unused:
        shown = ", ".join(f"{column:.40}" for column in unused[:_MAX_SHOWN])
        log.warning("%s: columns that nothing reads: %s (known are %s)", where, shown, ", ".join(READ_COLUMNS))
