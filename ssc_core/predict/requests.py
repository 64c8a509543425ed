"""What is asked for: photos with the sentences of one object each, from the command line or a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ssc_core.errors import SscError
from ssc_core.refer.table import read_table

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
TABLE_SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Request:
    """One object in one photo. photo: path; name: what outputs are called after, relative; sentences: at least one."""

    photo: Path
    name: str
    sentences: tuple[str, ...]


def read_requests(photos: Path, texts: Sequence[str]) -> list[Request]:
    """Requests in the order of their photos.

    photos: a photo or a folder of photos. texts: sentences, each an object of its own that is looked for in every
    photo; or the path of one table (see ``refer.table``), whose rows name photos of the folder, several sentences of a
    row meaning one object. Of a table and a single photo, the rows of that photo are taken.

    Raises SscError when there is nothing to do, and for a table that cannot be read.
    """
    photos = Path(photos)
    if not photos.exists():
        raise SscError(f"{photos} does not exist; give a photo or a folder of photos")
    if len(texts) == 1 and texts[0].lower().endswith(TABLE_SUFFIXES):
        requests = _from_table(photos, Path(texts[0]))
    else:
        requests = _from_sentences(photos, [" ".join(text.split()) for text in texts])
    return sorted(requests, key=lambda request: request.name)


def by_photo(requests: Sequence[Request]) -> Iterator[tuple[Path, list[Request]]]:
    """Photos with their requests; ``requests`` as ``read_requests`` orders them."""
    for photo, members in groupby(requests, key=lambda request: request.photo):
        yield photo, list(members)


def _from_table(photos: Path, table: Path) -> list[Request]:
    folder = photos if photos.is_dir() else photos.parent
    data = read_table(table, folder, default_split="predict")
    requests = []
    for ref in data.refs:
        name = ref.image.file_name
        sentences = tuple(sentence.text for sentence in ref.sentences if sentence.text)
        if sentences and (photos.is_dir() or name == photos.name):
            requests.append(Request(folder / name, name, sentences))
    if not requests:
        raise SscError(f"{table} has no sentence for {photos}")
    return requests


def _from_sentences(photos: Path, sentences: Sequence[str]) -> list[Request]:
    if not sentences or not all(sentences):
        raise SscError("no sentence: say what to look for, or name a .csv or .jsonl table")
    if photos.is_dir():
        names = [path.name for path in photos.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES]
        if not names:
            raise SscError(f"{photos} has no photos ({', '.join(PHOTO_SUFFIXES)})")
        return [Request(photos / name, name, (text,)) for name in names for text in sentences]
    return [Request(photos, photos.name, (text,)) for text in sentences]
