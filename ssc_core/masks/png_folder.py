"""Masks as the published pipeline's PNG files: one grey picture a ref, ``pseudo_gt_mask_{ref_id}.png``.

A picture has a grey level a candidate, rising in their order, and 0 elsewhere; a selected mask is 255. Where candidates
overlap the picture keeps the later one, as the published files do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter

NAME = "pseudo_gt_mask_{}.png"
LEVELS = 255


@dataclass(frozen=True, slots=True)
class ImportedRef:
    """A ref to be looked for in a folder. category: class name; size: (height, width) of its photo."""

    ref_id: int
    image_id: int
    size: tuple[int, int]
    category: str


@dataclass(frozen=True, slots=True)
class Counts:
    """refs: pictures written or read; empty: those without any mask; lossy: those where a candidate lost pixels."""

    refs: int
    empty: int
    lossy: int


def write_pngs(store: MaskStore | SelectionStore, folder: Path) -> Counts:
    """Write a picture for every ref of a store. Raises SscError for a choice a sentence, which has no such layout."""
    if isinstance(store, SelectionStore) and store.choice_per == "sentence":
        raise SscError(f"{store.path} has a choice a sentence; the published layout has one a ref")
    refs = empty = lossy = 0
    for ref_id in store.ref_ids.tolist():
        masks = store.candidate_masks(ref_id) if isinstance(store, MaskStore) else store.mask(ref_id)[None]
        with atomic_path(Path(folder) / NAME.format(ref_id)) as temporary, temporary.open("wb") as file:
            Image.fromarray(to_grey(masks)).save(file, format="PNG")
        refs += 1
        empty += not masks.any()
        lossy += bool((masks.sum(axis=0) > 1).any())
    return Counts(refs, empty, lossy)


def to_grey(masks: np.ndarray) -> np.ndarray:
    """bool (K, H, W) to uint8 (H, W): the last candidate of a pixel, its place from 1 scaled so that K is 255."""
    if len(masks) > LEVELS:
        raise SscError(f"a ref has {len(masks)} candidates; a grey picture holds {LEVELS}")
    on_top = (masks * np.arange(1, len(masks) + 1)[:, None, None]).max(axis=0, initial=0)
    return (on_top * LEVELS // max(len(masks), 1)).astype(np.uint8)


def from_grey(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W) to bool (K, H, W): a mask a level above 0, from the darkest to the lightest."""
    levels = np.unique(grey)
    return grey == levels[levels > 0][:, None, None]


def import_masks(refs: Iterable[ImportedRef], folder: Path, out: Path) -> Counts:
    """Write ``out`` (masks.h5) from a folder of candidates. refs: those of a split, the refs of a photo together.

    A ref without a picture has no candidates. Equal masks of a photo become one instance, of the first ref's class,
    since matching gives an instance to one ref alone. Boxes surround the masks; scores are not known, so they are 1.

    Raises SscError for a folder without any picture of these refs, and for one that does not fit its photo.
    """
    members = list(refs)
    _require_some(members, folder)
    class_names = tuple(sorted({ref.category for ref in members}))
    counts = [0, 0]
    with MaskStoreWriter(out, _info(class_names, folder), with_masks=True) as writer:
        for group in _by_image(members):
            rows: dict[bytes, int] = {}
            categories: list[str] = []
            candidates = {}
            for ref in group:
                masks = read_png(folder, ref)
                counts[0] += masks is not None
                counts[1] += masks is None or len(masks) == 0
                encoded = rle.encode(masks) if masks is not None else []
                candidates[ref.ref_id] = [rows.setdefault(code, len(rows)) for code in encoded]
                categories += [ref.category] * (len(rows) - len(categories))
            rles = list(rows)
            writer.append_image(
                group[0].image_id,
                group[0].size,
                boxes_xyxy=_corners(rle.boxes(rles, group[0].size)),
                box_scores=np.ones(len(rows)),
                labels=np.array([class_names.index(category) for category in categories], dtype=np.int64),
                rles=rles,
                mask_scores=np.ones(len(rows)),
                candidates=candidates,
            )
    return Counts(counts[0], counts[1], 0)


def import_selection(refs: Iterable[ImportedRef], folder: Path, masks: MaskStore, out: Path) -> Counts:
    """Write ``out`` (selected.h5) from a folder of selected masks, all that is not black being the mask.

    masks: the candidates that they were chosen from; the chosen row is the candidate with the highest IoU (of equal
    ones the last), and the mask is the picture's. A black or missing picture, or one that meets no candidate, is no
    choice. Scores are these IoUs. Errors as ``import_masks``.
    """
    members = list(refs)
    _require_some(members, folder)
    read = empty = 0
    with SelectionWriter(out, _info(masks.info.class_names, folder)) as writer:
        for ref in members:
            found, picture = masks.candidates(ref.ref_id), read_png(folder, ref)
            read += picture is not None
            mask = np.zeros(ref.size, bool) if picture is None else np.asarray(picture.any(axis=0))
            code = rle.encode(mask[None])
            ious = rle.ious(code, masks.rles(found.rows), ref.size).reshape(1, len(found))
            chosen = -1
            if ious.max(initial=0) > 0:
                chosen = int(found.rows[np.flatnonzero(ious[0] == ious.max())[-1]])
            empty += chosen < 0
            writer.append_ref(
                ref.ref_id,
                image_id=ref.image_id,
                size=ref.size,
                chosen=[chosen],
                scores=ious,
                rles=[None if chosen < 0 else code[0]],
            )
    return Counts(read, empty, 0)


def read_png(folder: Path, ref: ImportedRef) -> np.ndarray | None:
    """A ref's masks, bool (K, H, W); None when it has no picture. Raises SscError for a damaged or misfit picture."""
    path = Path(folder) / NAME.format(ref.ref_id)
    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
    except Exception as error:  # damaged files make Pillow fail in any way at all
        raise SscError(f"{path} cannot be read ({error}); is it a PNG, and whole?") from error
    if grey.shape != tuple(ref.size):
        raise SscError(
            f"{path} has {grey.shape[0]} x {grey.shape[1]} pixels (height x width), the photo of ref {ref.ref_id} has "
            f"{ref.size[0]} x {ref.size[1]}: were the masks made for other annotations?"
        )
    return from_grey(grey)


def _require_some(refs: list[ImportedRef], folder: Path) -> None:
    if not any((Path(folder) / NAME.format(ref.ref_id)).is_file() for ref in refs):
        example = NAME.format(refs[0].ref_id) if refs else NAME
        raise SscError(f"{folder} has no mask of these {len(refs)} refs; the first would be {example}")


def _by_image(refs: Iterable[ImportedRef]) -> Iterator[list[ImportedRef]]:
    groups: dict[int, list[ImportedRef]] = {}
    for ref in refs:
        groups.setdefault(ref.image_id, []).append(ref)
    yield from groups.values()


def _corners(boxes_xywh: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def _info(class_names: tuple[str, ...], folder: Path) -> StoreInfo:
    return StoreInfo(class_names=class_names, settings={"imported": Path(folder).name}, code="ssc import", models={})
