"""Masks as the published pipeline's PNG files: one grey picture per ref, ``pseudo_gt_mask_{ref_id}.png``.

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
from ssc_core.files import atomic_path, path_inside
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.pictures import BadImage, looks_like_jpeg, read_levels

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
    """refs: pictures written or read. Of refs, by id: empty, those without any mask; lossy, those where a candidate
    lost pixels; missing, those without a picture.
    """

    refs: int
    empty: tuple[int, ...] = ()
    lossy: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()


def write_pngs(store: MaskStore | SelectionStore, folder: Path) -> Counts:
    """Write a picture for every ref of a store. Raises SscError for a choice per sentence, which has no such layout."""
    if isinstance(store, SelectionStore) and store.choice_per == "sentence":
        raise SscError(f"{store.path} has a choice per sentence; the published layout has one per ref")
    empty, lossy = [], []
    for ref_id in store.ref_ids.tolist():
        masks = store.candidate_masks(ref_id) if isinstance(store, MaskStore) else store.mask(ref_id)[None]
        with atomic_path(Path(folder) / NAME.format(ref_id)) as temporary, temporary.open("wb") as file:
            Image.fromarray(to_grey(masks)).save(file, format="PNG")
        empty += [ref_id] * (not masks.any())
        lossy += [ref_id] * bool((masks.sum(axis=0) > 1).any())
    return Counts(len(store), tuple(empty), tuple(lossy))


def to_grey(masks: np.ndarray) -> np.ndarray:
    """bool (K, H, W) to uint8 (H, W): the last candidate of a pixel, its place from 1 scaled so that K is 255."""
    if len(masks) > LEVELS:
        raise SscError(f"a ref has {len(masks)} candidates; a grey picture holds {LEVELS}")
    on_top = (masks * np.arange(1, len(masks) + 1)[:, None, None]).max(axis=0, initial=0)
    return (on_top * LEVELS // max(len(masks), 1)).astype(np.uint8)


def from_grey(grey: np.ndarray) -> np.ndarray:
    """Integers (H, W) to bool (K, H, W): a mask a level above 0, from the darkest to the lightest."""
    levels = np.unique(grey)
    levels = levels[levels > 0]
    if len(levels) > LEVELS:
        raise SscError(f"a picture has {len(levels)} colours, each of which would be a mask; {LEVELS} are the most")
    return grey == levels[:, None, None]


def import_masks(refs: Iterable[ImportedRef], folder: Path, out: Path) -> Counts:
    """Write ``out`` (masks.h5) from a folder of candidates. refs: those of a split, the refs of a photo together.

    A ref without a picture has no candidates. Equal masks of a photo become one instance, of the first ref's class,
    since matching gives an instance to one ref alone. Boxes surround the masks; scores are not known, so they are 1.

    Raises SscError for a folder without any picture of these refs, and for one that does not fit its photo.
    """
    members = list(refs)
    _require_some(members, folder)
    class_names = tuple(sorted({ref.category for ref in members}))
    missing, empty = [], []
    with MaskStoreWriter(out, _info(class_names, folder), with_masks=True) as writer:
        for group in _by_image(members):
            rows: dict[bytes, int] = {}
            categories: list[str] = []
            candidates = {}
            for ref in group:
                masks = read_png(folder, ref)
                missing += [ref.ref_id] * (masks is None)
                empty += [ref.ref_id] * (masks is not None and len(masks) == 0)
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
    return Counts(len(members) - len(missing), tuple(empty), missing=tuple(missing))


def import_selection(refs: Iterable[ImportedRef], folder: Path, masks: MaskStore, out: Path) -> Counts:
    """Write ``out`` (selected.h5) from a folder of selected masks, all that is not black being the mask.

    masks: the candidates that they were chosen from; the chosen row is the candidate with the highest IoU (of equal
    ones the last), and the mask is the picture's. A black or missing picture, or one that meets no candidate, is no
    choice. Scores are these IoUs. Errors as ``import_masks``.
    """
    members = list(refs)
    _require_some(members, folder)
    missing, empty = [], []
    with SelectionWriter(out, _info(masks.info.class_names, folder)) as writer:
        for ref in members:
            found, picture = masks.candidates(ref.ref_id), read_png(folder, ref)
            missing += [ref.ref_id] * (picture is None)
            mask = np.zeros(ref.size, bool) if picture is None else np.asarray(picture.any(axis=0))
            code = rle.encode(mask[None])
            ious = rle.ious(code, masks.rles(found.rows), ref.size).reshape(1, len(found))
            chosen = -1
            if ious.max(initial=0) > 0:
                chosen = int(found.rows[np.flatnonzero(ious[0] == ious.max())[-1]])
            empty += [ref.ref_id] * (picture is not None and chosen < 0)
            writer.append_ref(
                ref.ref_id,
                image_id=ref.image_id,
                size=ref.size,
                chosen=[chosen],
                scores=ious,
                rles=[None if chosen < 0 else code[0]],
            )
    return Counts(len(members) - len(missing), tuple(empty), missing=tuple(missing))


def read_png(folder: Path, ref: ImportedRef) -> np.ndarray | None:
    """A ref's masks, bool (K, H, W); None when it has no picture. Raises SscError for a damaged or misfit picture.

    Transparent pixels belong to no mask. A link that leads out of the folder is refused.
    """
    path = Path(folder) / NAME.format(ref.ref_id)
    if not path.is_file():
        return None
    path_inside(folder, path.name)
    try:
        levels = read_levels(path, ref.size)
    except BadImage as error:
        raise SscError(f"ref {ref.ref_id}: {error}; were the masks made for other annotations?") from error
    if looks_like_jpeg(levels):
        raise SscError(f"{path} has the noise of a JPEG around its masks, which would become masks; save masks as PNG")
    return from_grey(levels)


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
