"""What a store holds in the words of other tools: images with their masks, each with a class and a note of its refs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import check_inside_folder
from ssc_core.masks import rle as codes
from ssc_core.masks.choice import DRAWN, NONE
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import Instances, MaskStore
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref import Ref

NO_CATEGORY = "object"
"""Class of a mask where neither the data nor Segment's candidates name one."""

SHOWN = 20
"""Names in a line of what is left out; of more, the count."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an export could not take along: names by reason."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def lines(self) -> list[str]:
        """One for each reason, for people."""
        return [f"{reason}: {len(names)} ({listed(names)})" for reason, names in self.names.items()]


def listed(names: Sequence[object]) -> str:
    """Names separated by commas, the first ``SHOWN`` of them."""
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*map(str, names[:SHOWN]), *more])


@dataclass(frozen=True, slots=True)
class Annotation:
    """One mask. name: for messages; rle: COCO compressed RLE; about: more plain values, such as ref ids and scores;
    choice: the number of the sentence, where a ref has a choice of each."""

    name: str
    category: str
    rle: bytes
    about: dict[str, Any]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One photo and its masks. file_name: relative to the images folder; size: (height, width)."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    annotations: Sequence[Annotation]


@dataclass(slots=True)
class Taken:
    """What a format takes: how many photos and masks, and the keys of what is said of these."""

    photos: int = 0
    masks: int = 0
    keys: set[str] = field(default_factory=set)

    def add(self, image: AnnotatedImage) -> None:
        self.photos += 1
        self.masks += len(image.annotations)
        self.keys.update(*(one.about for one in image.annotations))


@dataclass(frozen=True, slots=True)
class Export:
    """What a format's ``write`` gets.

    images: read once, by one of the methods below, which count in ``taken`` what they give. store: what they are from.
    categories: id -> class name of the dataset. split: its name. photos: their folder, where the format takes photos
    along. left_out: to note what is not written. made_by: what made the files that the masks come from, by their names.
    """

    images: Iterable[AnnotatedImage]
    store: MaskStore | SelectionStore
    categories: Mapping[int, str]
    split: str
    photos: Path
    left_out: LeftOut
    made_by: Mapping[str, StoreInfo] = field(default_factory=dict)
    taken: Taken = field(default_factory=Taken)

    def all_images(self) -> Iterator[AnnotatedImage]:
        """The images."""
        for image in self.images:
            self.taken.add(image)
            yield image

    def images_by_label(self, suffix: str) -> Iterator[tuple[str, AnnotatedImage]]:
        """Images with the name of a file of their own, the photo's with another ``suffix``; a name is taken once."""
        taken: dict[str, str] = {}
        for image in self.images:
            label = PurePosixPath(image.file_name).with_suffix(suffix).as_posix()
            if label in taken:
                self.left_out.add(f"photos whose {label} is another's", f"{image.file_name} ({taken[label]})")
                continue
            taken[label] = image.file_name
            self.taken.add(image)
            yield label, image

    def leave_out_mask(self, reason: str, mask: Annotation) -> None:
        """Note that a mask of an image that was taken is not written."""
        self.left_out.add(reason, mask.name)
        self.taken.masks -= 1


def refs_of(about: Mapping[str, Any]) -> list[int]:
    """Ids of the refs that a mask is of."""
    return about.get("ref_ids") or ([about["ref_id"]] if "ref_id" in about else [])


def note_of(about: Mapping[str, Any]) -> str:
    """Refs and sentences of a mask, for formats that have a place for a note: "ref 12: lady | woman in blue"."""
    refs = refs_of(about)
    texts = " | ".join(about.get("sentences", ()))
    named = f"ref{'s' * (len(refs) > 1)} {', '.join(map(str, refs))}" if refs else ""
    return ": ".join(filter(None, (named, texts)))


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(value: str) -> str:
    """A text without the characters that XML 1.0 has no way to write."""
    return _NOT_XML.sub("\ufffd", value)


_NOTE = re.compile(r"\s*refs? (\d{1,18}(?:, \d{1,18})*)\s*(?::|$)", re.ASCII)


def refs_in(note: object) -> tuple[int, ...]:
    """Ids of refs that a note of ``note_of`` begins with; none for another text."""
    found = _NOTE.match(note) if isinstance(note, str) else None
    return tuple(int(ref) for ref in found[1].split(", ")) if found else ()


def sentences_in(note: object) -> tuple[str, ...]:
    """What a note that begins with refs says that they say, as one text."""
    found = _NOTE.match(note) if isinstance(note, str) else None
    return (found.string[found.end() :],) if found else ()


def open_masks(path: Path) -> MaskStore | SelectionStore:
    """Open masks.h5 or selected.h5, whichever it is. Raises SscError for anything else."""
    try:
        return MaskStore.open(path, with_masks=True)
    except SscError as error:
        if "ssc-selected" not in str(error):
            raise
    return SelectionStore(path)


def annotated_images(
    store: MaskStore | SelectionStore,
    photos: Iterable[tuple[int, Sequence[Ref]]],
    *,
    candidates: MaskStore | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[AnnotatedImage]:
    """Photos of a store with their masks. photos: ids and refs (``ref_table.refs_by_photo``), in any order.

    Of masks.h5, every instance with its class, ``score`` and ``ref_ids``; of selected.h5, the choices of every ref with
    the ref's class, ``ref_id`` and ``sentences``. Refs of a table without classes get the class that the chosen one of
    ``candidates`` was found as, or ``NO_CATEGORY``. What has no mask or an empty one, which no format knows, is noted
    in ``left_out``.

    Raises SscError when the files do not belong together, and for a photo whose name leaves the images folder.
    """
    left_out = LeftOut() if left_out is None else left_out
    for image_id, refs in photos:
        file = _file(refs, image_id, store.path)
        if isinstance(store, MaskStore):
            image = _instances(store, image_id, file, left_out)
        else:
            image = _choices(store, image_id, file, {ref.ref_id: ref for ref in refs}, candidates, left_out)
        areas = codes.areas([one.rle for one in image.annotations], image.size).tolist()
        for one, area in zip(image.annotations, areas, strict=True):
            if not area:
                left_out.add("masks without a pixel", one.name)
        yield replace(image, annotations=[one for one, area in zip(image.annotations, areas, strict=True) if area])


def _instances(store: MaskStore, image_id: int, file: str, left_out: LeftOut) -> AnnotatedImage:
    found = store.instances(image_id)
    ref_ids: dict[int, list[int]] = {row: [] for row in found.rows.tolist()}
    for ref_id in store.all_refs_of(image_id):
        rows = store.candidates(ref_id).rows.tolist()
        for row in rows:
            ref_ids[row].append(ref_id)
        if not rows:
            left_out.add("refs without a candidate", f"ref {ref_id} of {file}")
    annotations = []
    for row, label, score, rle in zip(
        found.rows.tolist(), found.labels, found.box_scores.tolist(), store.rles(found.rows), strict=True
    ):
        about = {"score": score, "ref_ids": ref_ids[row]}  # a store's scores are finite, as JSON's must be
        name = f"mask {row - found.rows[0] + 1} of {file}"
        annotations.append(Annotation(name, store.info.class_names[label], rle, about))
    return AnnotatedImage(image_id, file, store.image_size(image_id), annotations)


def _choices(
    store: SelectionStore,
    image_id: int,
    file: str,
    refs: Mapping[int, Ref],
    candidates: MaskStore | None,
    left_out: LeftOut,
) -> AnnotatedImage:
    found = candidates.instances(image_id) if candidates is not None else None
    per_sentence = store.choice_per == "sentence"
    members = store.all_refs_of(image_id)
    annotations = []
    for ref_id in members:
        if ref_id not in refs:
            raise SscError(
                f"{store.path} has ref {ref_id}, which the refs do not have; give the refs.parquet beside it"
            )
        texts = refs[ref_id].sentences
        for number in range(store.choices(ref_id)):
            sentences = texts[number : number + 1] if per_sentence else texts
            name = f"ref {ref_id} of {file}" + (f", sentence {number + 1}" if per_sentence else "")
            rle = store.rle(ref_id, number)
            if rle is None:
                left_out.add("refs without a choice", name)
                continue
            row = store.chosen(ref_id, number)
            if row == DRAWN:
                row = _nearest(rle, store.size(ref_id), ref_id, candidates)
            category = refs[ref_id].category or _class_of(row, found, candidates, name)
            about = {"ref_id": ref_id, "sentences": list(sentences)}
            annotations.append(Annotation(name, category, rle, about, number))
    return AnnotatedImage(image_id, file, store.size(members[0]), annotations)


def _nearest(drawn: bytes, size: codes.Size, ref_id: int, candidates: MaskStore | None) -> int:
    """Row of the candidate that a drawn mask lies on most, of those that were found for its ref; ``NONE`` without."""
    if candidates is None:
        return NONE
    rows = candidates.candidates(ref_id).rows
    nearest = codes.nearest(drawn, candidates.rles(rows), size)
    return NONE if nearest is None else int(rows[nearest[0]])


def _class_of(row: int, found: Instances | None, candidates: MaskStore | None, name: str) -> str:
    """What the chosen instance of a photo was found as."""
    if found is None or candidates is None or row == NONE:
        return NO_CATEGORY
    places = np.flatnonzero(found.rows == row)
    if not len(places):
        raise SscError(f"{name}: its choice is no candidate in {candidates.path}; was it made from other masks?")
    return candidates.info.class_names[found.labels[places[0]]]


def _file(refs: Sequence[Ref], image_id: int, store: Path) -> str:
    if not refs:
        raise SscError(f"{store} has photo {image_id}, which the refs do not have; give the refs.parquet beside it")
    check_inside_folder(refs[0].file_name, str(store))
    return refs[0].file_name


def of_their_size(images: Iterable[AnnotatedImage], photos: PhotoReader) -> Iterator[AnnotatedImage]:
    """Photos with their masks, whose files have the size that the masks are of.

    One without masks may be what could not be read, where such are skipped. Raises BadImage for another size, and for a
    file that is missing or damaged.
    """
    for image in images:
        if image.annotations or not photos.skip_bad:
            photos.check(image.file_name)
        yield image
