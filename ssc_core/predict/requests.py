"""What is asked for: photos with the sentences of one object each, from the command line or a table."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from ssc_core.errors import SscError
from ssc_core.pictures import PHOTO_SUFFIXES
from ssc_core.predict.outputs import is_answer
from ssc_core.refer.spelling import Spellings, folded_parts
from ssc_core.refer.table import read_sentences
from ssc_core.refer.table_rows import SUFFIXES_TEXT, TABLE_SUFFIXES
from ssc_core.wording import counted

OTHER_FILES = (".xlsx", ".xls", ".ods", ".txt", ".md", ".yaml", ".yml", ".pt", ".pth")
"""Endings of files that people bring along and that hold no sentences for us."""

_FILE_NAME = re.compile(r"\S+\.[A-Za-z][A-Za-z0-9]{1,6}")
"""A single word that ends as a file does."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One object in one photo. photo: path; name: what outputs are called after, relative; sentences: at least one."""

    photo: Path
    name: str
    sentences: tuple[str, ...]


def read_requests(photos: Path, texts: Sequence[str]) -> list[Request]:
    """Requests in the order of their photos. No photo is opened.

    photos: a photo or a folder of photos; sub-folders and hidden files are left out, and one line of the log counts
    what was. texts: sentences, each an object of its own that is looked for in every photo; or the path of one table
    (see ``refer.table``), whose rows name photos of the folder, several sentences of a row meaning one object. Of a
    table and a single photo, the rows of that photo are taken, and only those are read.

    Raises SscError when there is nothing to do, for a table that cannot be read, and for a file that is no table and
    would be taken for a sentence.
    """
    photos = Path(photos)
    _check_photos(photos)
    tables = [text for text in texts if text.lower().endswith(TABLE_SUFFIXES)]
    if len(tables) == len(texts) == 1:
        requests = _from_table(photos, Path(tables[0]))
    else:
        _check_texts(texts, tables)
        requests = _from_sentences(photos, [" ".join(text.split()) for text in texts])
    return sorted(requests, key=lambda request: request.name)


def by_photo(requests: Sequence[Request]) -> Iterator[tuple[Path, list[Request]]]:
    """Photos with their requests; ``requests`` as ``read_requests`` orders them."""
    for photo, members in groupby(requests, key=lambda request: request.photo):
        yield photo, list(members)


def _check_photos(photos: Path) -> None:
    if not _exists(photos):
        raise SscError(f"{photos!s:.200} does not exist; give a photo or a folder of photos")
    if photos.suffix.lower() in (*TABLE_SUFFIXES, *OTHER_FILES) and photos.is_file():
        raise SscError(f"{photos} is no photo; the photo or folder comes first, then the sentences or the table")


def _check_texts(texts: Sequence[str], tables: Sequence[str]) -> None:
    """Refuse what is a file, or was meant to be one: taken for sentences, it would get masks all the same."""
    if len(tables) > 1:
        raise SscError(f"{len(tables)} tables ({', '.join(tables)}): give one; put their rows into one file")
    if tables:
        raise SscError(f"{tables[0]} is a table: give the table alone, or sentences alone")
    for text in texts:
        if text.lower().endswith(tuple(PHOTO_SUFFIXES)):
            raise SscError(f"{text} is a photo, and stands where a sentence should: give one photo, or their folder")
        if _FILE_NAME.fullmatch(text) or text.lower().endswith(OTHER_FILES) or _is_path(text):
            raise SscError(f"'{text}' is the name of a file and not a sentence; a table ends in {SUFFIXES_TEXT}")


def _is_path(text: str) -> bool:
    """Whether a file, or a folder that is written as one, lies there; a folder 'dog' may be beside the sentence."""
    return _exists(Path(text)) and ("/" in text or not Path(text).is_dir())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than any name, or with a zero byte
        return False


def _from_table(photos: Path, table: Path) -> list[Request]:
    folder = photos if photos.is_dir() else None
    rows, blank = [], 0
    for name, texts in read_sentences(table, wanted=lambda name: folder is not None or _means(name, photos)):
        sentences = tuple(text for text in texts if text)
        blank += not sentences
        rows += [(name, sentences)] * bool(sentences)
    if blank:
        log.warning("%s: passed over %s without a sentence", table, counted(blank, "row"))
    if not rows:
        raise SscError(f"{table} has no sentence for {photos}")
    if folder is not None:
        spellings = Spellings(folder)
        return [Request(folder / name, name, texts) for name, texts in ((spellings.find(n), t) for n, t in rows)]
    # 'c.jpg', 'day/c.jpg' and 'Day\\C.JPG' may all be meant by day/c.jpg; of one table, the rows that say more are
    whole = photos.absolute().parts
    rows = [row for row in rows if _ends_with(whole, PurePosixPath(row[0]).parts)] or rows
    longest = max(len(folded_parts(name)) for name, _ in rows)
    own = PurePosixPath(*whole[-longest:]).as_posix()
    return [Request(photos, own, texts) for name, texts in rows if len(folded_parts(name)) == longest]


def _means(name: str, photo: Path) -> bool:
    """Whether a table's photo ``name``, relative to some folder, may be ``photo``, however it is spelled."""
    return _ends_with(folded_parts(str(photo.absolute())), folded_parts(name))


def _ends_with(parts: tuple[str, ...], last: tuple[str, ...]) -> bool:
    return parts[-len(last) :] == last


def _from_sentences(photos: Path, sentences: Sequence[str]) -> list[Request]:
    if not sentences or not all(sentences):
        raise SscError(f"no sentence: say what to look for, or name a table ({SUFFIXES_TEXT})")
    names = _photos_of(photos) if photos.is_dir() else None
    if names is None:
        return [Request(photos, photos.name, (text,)) for text in sentences]
    return [Request(photos / name, name, (text,)) for name in names for text in sentences]


def _photos_of(folder: Path) -> list[str]:
    """Names of the photos of a folder; what else lies there is counted in one line of the log."""
    names: list[str] = []
    others: Counter[str] = Counter()
    sub_folders = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            others["hidden"] += 1
        elif path.is_dir():
            sub_folders.append(path.name)
        elif is_answer(folder, path):
            others["of a former run"] += 1
        elif path.suffix.lower() in PHOTO_SUFFIXES:
            names.append(path.name)
        else:
            others[path.suffix.lower() or "without ending"] += 1
    passed = [f"{count} {kind}" for kind, count in sorted(others.items())]
    if sub_folders:
        passed.append(f"{counted(len(sub_folders), 'sub-folder')}: {', '.join(sub_folders[:3])}")
    note = f"passed over {'; '.join(passed)}" if passed else "it is empty"
    if not names:
        raise SscError(f"{folder} has no photos ({' '.join(sorted(PHOTO_SUFFIXES))}): {note}")
    if passed:
        log.warning(
            "%s: %s; %s (a folder's own photos are taken, sub-folders are not)",
            folder,
            counted(len(names), "photo"),
            note,
        )
    return names
