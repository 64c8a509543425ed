"""Whether a file about refs is about those that a RefTable has now: ids are row numbers, and rows move."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.columnar import sum_of_refs
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import refs_in_order

Store = MaskStore | ScoreStore | SelectionStore

_ROW = np.dtype([("id", "<i8"), ("digest", "<u8"), ("size", "<i4", 2)])


def digest_of(refs: Iterable[Ref]) -> str:
    """Digest of what refs ask for: photo, its size, and sentences, by ref (``StoreInfo.refs``). Their order is nothing
    to it, so that of the shards of a split the sum is that of the split."""
    return sum_of_refs(map(_digest, refs))


def _digest(ref: Ref) -> int:
    asked = json.dumps([ref.ref_id, ref.file_name, ref.height, ref.width, ref.sentences])
    return int.from_bytes(hashlib.sha256(asked.encode()).digest()[:8])


class TableRefs:
    """The refs that a RefTable has, of one split or of all: 24 bytes of each are kept.

    Raises SscError as ``refs_in_order`` does.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        self.path = path
        rows = ((ref.ref_id, _digest(ref), (ref.height, ref.width)) for ref in refs_in_order(path, split))
        self._rows = np.sort(np.fromiter(rows, _ROW), order="id")

    def digest(self, ids: np.ndarray) -> str:
        """``digest_of`` the refs with some ids; "" where the table does not have them all."""
        rows = self._of(ids)
        return "" if rows is None else sum_of_refs(rows["digest"].tolist())

    def has(self, store: Store) -> bool:
        """Whether a file is of refs that the table has as they were: photo, its size, and sentences.

        Of a file that does not say what its refs were, the photos' sizes count. What was put after its rows since
        changes nothing for them.
        """
        if store.info.refs:
            return store.info.refs == self.digest(store.ref_ids)
        rows = self._of(store.ref_ids)
        if rows is None or isinstance(store, ScoreStore):
            return rows is not None
        sizes = [store.size(ref_id) for ref_id in store.ref_ids.tolist()]
        return np.array_equal(rows["size"], np.reshape(sizes, (-1, 2)))

    def check(self, *stores: Store) -> None:
        """Raise SscError for the first file that is of other refs. What is made from others goes first, so that what is
        named makes all of them."""
        for store in stores:
            if not self.has(store):
                raise other_refs(store, self.path)

    def _of(self, ids: np.ndarray) -> np.ndarray | None:
        places = np.searchsorted(self._rows["id"], ids)
        if len(ids) and (places.max() >= len(self._rows) or np.any(self._rows["id"][places] != ids)):
            return None
        return self._rows[places]


def other_refs(store: Store, table: Path) -> SscError:
    """The error for a file that is of other refs than the table."""
    imported = "imported" in store.info.settings
    again = "import it again" if imported else f"make it again, by the same `ssc label` or `snakemake {store.path}`"
    return SscError(
        f"{store.path} is of other rows than {table}: rows of the table have changed or moved since, or photos have "
        f"another size, and one row would get another's mask; {again}"
    )
