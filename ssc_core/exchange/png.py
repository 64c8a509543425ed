"""Masks as the published pipeline's PNG files: one grey picture per ref, ``pseudo_gt_mask_{ref_id}.png``.

A picture has a grey level a candidate, rising in their order, and 0 elsewhere; a selected mask is 255. Where candidates
overlap the picture keeps the later one, as the published files do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import NO_CATEGORY, Export, LeftOut
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames
from ssc_core.files import atomic_path, path_inside
from ssc_core.masks import rle
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.pictures import BadImage, looks_like_jpeg, read_levels
from ssc_core.wording import counted

NAME = "pseudo_gt_mask_{}.png"
LEVELS = 255


def write(export: Export, out: Path) -> None:
    """Write a picture for every ref of a store. Raises SscError for a choice per sentence, which has no such layout."""
    store = export.store
    if isinstance(store, SelectionStore) and store.choice_per == "sentence":
        raise SscError(f"{store.path} has a choice per sentence; the published layout has one per ref")
    for ref_id in store.ref_ids.tolist():
        masks = store.candidate_masks(ref_id) if isinstance(store, MaskStore) else store.mask(ref_id)[None]
        with atomic_path(Path(out) / NAME.format(ref_id)) as temporary, temporary.open("wb") as file:
            Image.fromarray(to_grey(masks)).save(file, format="PNG")
        if not masks.any():
            export.left_out.add("masks of refs that have none, so that their pictures are black", str(ref_id))
        if (masks.sum(axis=0) > 1).any():
            export.left_out.add("what a later candidate of a ref covers of an earlier one", str(ref_id))


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


def read_png(folder: Path, ref_id: int, size: tuple[int, int]) -> np.ndarray | None:
    """A ref's masks, bool (K, H, W); None when it has no picture. Raises SscError for a damaged or misfit picture.

    Transparent pixels belong to no mask. A link that leads out of the folder is refused.
    """
    path = Path(folder) / NAME.format(ref_id)
    if not path.is_file():
        return None
    path_inside(folder, path.name)
    try:
        levels = read_levels(path, size)
    except BadImage as error:
        raise SscError(f"ref {ref_id}: {error}; were the masks made for other annotations?") from error
    if looks_like_jpeg(levels):
        raise SscError(f"{path} has the noise of a JPEG around its masks, which would become masks; save masks as PNG")
    return from_grey(levels)


def read(
    path: Path, photos: PhotoNames, passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of a folder, those of a ref named as its own. per_ref: all that is not black in a picture is one mask.

    Raises SscError for a folder without any picture of these refs, and for one that does not fit its photo.
    """
    refs = [ref.ref_id for photo in photos.of_split for ref in photo.refs]
    if not any((Path(path) / NAME.format(ref)).is_file() for ref in refs):
        example = NAME.format(refs[0]) if refs else NAME
        raise SscError(f"{path} has no mask of {counted(len(refs), 'ref')} of the split; the first would be {example}")
    for photo in photos.of_split:
        found = []
        for ref in photo.refs:
            masks, name = read_png(path, ref.ref_id, photo.size), f"ref {ref.ref_id} of {photo.file_name}"
            if masks is None:
                passed_over.add("refs without a picture", name)
                continue
            if not per_ref and not len(masks):
                passed_over.add("refs with a black picture", name)
            codes = rle.encode(np.asarray(masks.any(axis=0, keepdims=True)) if per_ref else masks)
            found += [ForeignMask(name, ref.category or NO_CATEGORY, code, (ref.ref_id,)) for code in codes]
        yield photo, found
