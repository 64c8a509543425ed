"""Join the files of a split's shards.

Ids of the result ascend, and its bytes depend on its rows alone: the same split gives the same file for every number
of shards. RLEs are copied undecoded, image by image, so that memory does not grow with the split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo, sum_of_refs
from ssc_core.masks.reader import ColumnReader
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter

Store = TypeVar("Store", bound=ColumnReader)

MOST_OPEN = 100
"""Parts that are open at once; systems commonly allow a process 1024 files, and there may be more shards."""


def gather_shards(*, kind: str, shards: list[Path], out: Path) -> None:
    """Write one file from the shards of a split. kind: boxes, masks or scores. Raises as ``gather`` does."""
    (gather_scores if kind == "scores" else gather)(shards, out)


def gather(parts: Sequence[Path], out: Path) -> None:
    """Join boxes.h5 or masks.h5 files into ``out``, images by ascending id.

    Raises SscError when parts differ in kind, settings, code, models or classes, or share an image.
    """
    with ExitStack() as stack:
        stores = _open_all(parts, MaskStore.open, stack)
        first = stores[0]
        writer = stack.enter_context(MaskStoreWriter(out, _info(stores), with_masks=first.has_masks))
        for store, image_id in _in_order(stores, lambda store: store.image_ids, "image"):
            _copy_image(store, image_id, writer)


def gather_scores(parts: Sequence[Path], out: Path) -> None:
    """Join scores.h5 files into ``out``, refs by ascending id. Errors as ``gather``."""
    with ExitStack() as stack:
        stores = _open_all(parts, ScoreStore, stack)
        writer = stack.enter_context(ScoreStoreWriter(out, _info(stores)))
        for store, ref_id in _in_order(stores, lambda store: store.ref_ids, "ref"):
            writer.append_ref(ref_id, store.scores(ref_id), store.areas(ref_id))


def _copy_image(store: MaskStore, image_id: int, writer: MaskStoreWriter) -> None:
    found = store.instances(image_id)
    first = int(found.rows[0]) if len(found) else 0
    writer.append_image(
        image_id,
        store.image_size(image_id),
        boxes_xyxy=found.boxes_xyxy,
        box_scores=found.box_scores,
        labels=found.labels,
        rles=store.rles(found.rows) if store.has_masks else None,
        mask_scores=found.mask_scores if store.has_masks else None,
        candidates={ref: store.candidates(ref).rows - first for ref in store.all_refs_of(image_id)},
    )


def _open_all(parts: Sequence[Path], open_one: Callable[[Path], Store], stack: ExitStack) -> list[Store]:
    """Open all parts and check that they were made alike."""
    if not parts:
        raise SscError("nothing to gather: no parts were given")
    stores: list[Store] = []
    for part in parts:
        stores.append(open_one(part))
        stack.callback(stores[-1].close)
        if len(stores) > MOST_OPEN:
            stores[-1].close()  # opened again when it is read
    first = stores[0]
    for store in stores[1:]:
        if store.kind != first.kind:
            raise SscError(f"cannot join {first.path} ({first.kind}) and {store.path} ({store.kind})")
        for field in ("settings", "code", "models", "class_names"):
            if getattr(store.info, field) != getattr(first.info, field):
                raise SscError(
                    f"cannot join {first.path} and {store.path}: they were made with different {field}; "
                    "delete the older one and run the same command again"
                )
    return stores


def _info(stores: Sequence[MaskStore | ScoreStore]) -> StoreInfo:
    """That of the parts, about the refs of all; not known where one does not say of which it is."""
    parts = [store.info.refs for store in stores]
    return replace(stores[0].info, refs=sum_of_refs(int(part, 16) for part in parts) if all(parts) else "")


def _in_order(stores: Sequence[Store], ids_of: Callable[[Store], np.ndarray], what: str) -> Iterator[tuple[Store, int]]:
    """Every id with the store that has it, ascending. Raises SscError for one that two stores have."""
    ids = np.concatenate([ids_of(store) for store in stores])
    owners = np.repeat(np.arange(len(stores)), [len(ids_of(store)) for store in stores])
    by_id = np.argsort(ids, kind="stable")
    ids, owners = ids[by_id], owners[by_id]
    if len(twice := np.flatnonzero(np.diff(ids) == 0)):
        one, other = (stores[owners[twice[0] + side]].path for side in (0, 1))
        raise SscError(f"{what} {ids[twice[0]]} is in {one} and in {other}: these are not shards of one split")
    used = dict.fromkeys(range(min(len(stores), MOST_OPEN)))
    for value, owner in zip(ids.tolist(), owners.tolist(), strict=True):
        used.pop(owner, None)
        used[owner] = None  # to the end: the one that was used longest ago is first
        if len(used) > MOST_OPEN:
            longest_ago = next(iter(used))
            stores[longest_ago].close()
            del used[longest_ago]
        yield stores[owner], value
