"""Whether a file about refs is about those that a RefTable has now: ids are row numbers, and rows move."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from ssc_core.tables import read_frames

_COLUMNS = ["ref_id", "file_name", "height", "width", "sentence"]


def refs_digest(path: Path, split: str, ids: np.ndarray | None = None) -> str:
    """Digest of what a split's refs ask for: photo, its size, and sentences, by ref.

    path: refs.parquet; ids: of some refs alone, of which all must be there for the digest to be the same. What was
    appended to a table changes nothing for the refs before it. Raises SscError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for frame in read_frames(path, made_by="index_refs", columns=["split", *_COLUMNS]):
        own = frame["split"] == split
        if ids is not None:
            own &= frame["ref_id"].isin(ids)
        for row in frame.loc[own, _COLUMNS].itertuples(index=False, name=None):
            digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:16]
