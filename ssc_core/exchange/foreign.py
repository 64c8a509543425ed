"""Masks that other tools made: what a format's ``read`` yields, and the photos and refs that they are of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import LeftOut
from ssc_core.masks.runs import Size
from ssc_core.pictures import size_text
from ssc_core.refer.ref import Ref
from ssc_core.refer.spelling import folded_parts


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a split. size: (height, width); refs: its refs, in the table's order; others: its refs of other
    splits."""

    image_id: int
    file_name: str
    size: Size
    refs: tuple[Ref, ...]
    others: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignMask:
    """One mask. name: for messages; category: class, may be empty; rle: COCO compressed RLE at its photo's size;
    ref_ids: the refs that it says it is of, none where it says nothing; sentences: what it says that they say; score:
    of a detector, where it has one.
    """

    name: str
    category: str
    rle: bytes
    ref_ids: tuple[int, ...] = ()
    sentences: tuple[str, ...] = ()
    score: float | None = None


UNKNOWN_PHOTO = "photos that the split does not have"


class PhotoNames:
    """A split's photos by the names that other tools give them: these leave folders out, or put others before.

    others: names of the dataset's other photos, which a name may mean too.
    """

    def __init__(self, of_split: Sequence[Photo], others: Iterable[str] = ()) -> None:
        self.of_split = of_split
        self._by_end: dict[tuple[str, ...], list[tuple[str, Photo | None]]] = {}
        self._folders: set[str] = set()
        self._taken: dict[int, str] = {}
        for name, photo in (*((one.file_name, one) for one in of_split), *((one, None) for one in others)):
            parts = folded_parts(name)
            self._folders.update(parts[:-1])
            for start in range(len(parts)):
                self._by_end.setdefault(parts[start:], []).append((name, photo))

    def find(self, name: str, passed_over: LeftOut, *others: str) -> Photo | None:
        """The photo ``name``, or if there is none, of one of the ``others``: that whose name ends like it for most
        parts, as ``refer.spelling`` compares them. Of several, the one that is spelled the same; then, of the split.

        None, noted in ``passed_over``, for a photo that the split does not have. Raises SscError where several photos
        may be meant, and for a photo that was found by another name before.
        """
        meant = next(filter(None, map(self._meant, (name, *others))), [])
        found = [photo for photo in meant if photo is not None]
        if len(found) > 1:
            raise SscError(f"'{name:.200}' may be {found[0].file_name} or {found[1].file_name}; name its folder, too")
        if not found:
            passed_over.add(UNKNOWN_PHOTO, f"{name:.200}")
            return None
        before = self._taken.setdefault(found[0].image_id, name)
        if folded_parts(before) != folded_parts(name):
            raise SscError(
                f"'{before:.200}' and '{name:.200}' may both be {found[0].file_name}; leave one of them out, or give "
                "both the folders that the dataset has"
            )
        return found[0]

    def _meant(self, name: str) -> list[Photo | None]:
        """The photos that end most like a name; None for those of other splits.

        With folders that the dataset has, a name means no photo of another folder.
        """
        parts = folded_parts(name)
        end = next((parts[start:] for start in range(len(parts)) if parts[start:] in self._by_end), ())
        if len(end) == 1 and self._folders.intersection(parts[:-1]):
            return []
        alike = [(_alike(name, known, len(end)), photo) for known, photo in self._by_end.get(end, ())]
        most = max((one for one, _ in alike), default=None)
        return [photo for one, photo in alike if one == most]


def _alike(name: str, known: str, parts: int) -> tuple[int, bool]:
    """More for a photo that ends like a name for more parts as they are spelled, then for one that has no more than
    the ``parts`` that they share however they are spelled."""
    own = PurePosixPath(known).parts
    spelled = (PurePosixPath(one).parts for one in (name, name.replace("\\", "/")))  # it may be part of a name, too
    same = (takewhile(lambda pair: pair[0] == pair[1], zip(own[::-1], one[::-1], strict=False)) for one in spelled)
    return max(sum(1 for _ in pairs) for pairs in same), len(folded_parts(known)) == parts


def check_size(photo: Photo, size: tuple[Any, Any], where: Path | str) -> None:
    """Raise SscError when a file was made for the photo at another size (height, width)."""
    if tuple(size) != photo.size:
        shown = f"{size[0]!r:.20} x {size[1]!r:.20}"
        raise SscError(
            f"{where}: {photo.file_name} has {shown} (height x width) there, and here {size_text(photo.size)}"
        )


def entries(content: Mapping[str, Any], key: str, where: Path | str) -> list[dict[str, Any]]:
    """A list of JSON objects; empty where there is none of that name. Raises SscError for anything else."""
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SscError(f"{where}: '{key}' must be a list of objects")
    return found


def text_of(entry: Mapping[str, Any], key: str, where: Path | str) -> str:
    """A text. Raises SscError where there is none."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise SscError(f"{where} has no text '{key}', but {value!r:.40}")
    return value


def ref_ids_of(entry: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """``ref_ids`` or ``ref_id`` of an annotation, its own or, as CVAT writes them, among its ``attributes``."""
    for values in _places(entry):
        for key in ("ref_ids", "ref_id"):
            if key in values:
                found = values[key] if isinstance(values[key], list) else [values[key]]
                return tuple(_number(one, f"{where}: {key}") for one in found)
    return ()


def differ(refs: Iterable[tuple[int, ...]], name: str, passed_over: LeftOut) -> bool:
    """Whether parts of a group say that they are of different refs, which then is noted in ``passed_over``."""
    several = len(set(filter(None, refs))) > 1
    if several:
        passed_over.add("groups of shapes that are of different refs", name)
    return several


def sentences_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """``sentences`` of an annotation, from where ``ref_ids_of`` has its refs: a list, or a text."""
    found = next((values["sentences"] for values in _places(entry) if "sentences" in values), ())
    return tuple(one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str))


def _places(entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    inner = entry.get("attributes")
    return (entry, inner) if isinstance(inner, dict) else (entry,)


def _number(value: Any, where: str) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 19:
        value = int(value)
    if type(value) is not int or not 0 <= value < 2**63:
        raise SscError(f"{where}: {value!r:.40} is no id of a ref")
    return value


def score_of(value: Any) -> float | None:
    """A score; None for what is no finite number."""
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def score_in(text: str | None) -> float | None:
    """A score that is written as a text; None for what is no finite number."""
    try:
        return score_of(float(text or ""))
    except ValueError:
        return None
