"""The photos and masks that a table names, there or not, and what tells that one of them is another."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

from ssc_core.refer.spelling import Spellings
from ssc_core.refer.table import Row


class NamedFiles:
    """Gathers the files of a table's rows, one by one.

    photos: rows by photo, as the folder spells it, in order of appearance; masks: by the name relative to the table.
    """

    def __init__(self, photos: Path, table: Path) -> None:
        self.photos = Counter[str]()
        self.masks: dict[str, Path] = {}
        self._folder, self._spellings = photos, Spellings(photos)
        self._beside = table.parent

    def add(self, row: Row) -> None:
        """Take a row's photo, and its mask where this is a file."""
        self.photos[self._spellings.find(row.image)] += 1
        if isinstance(row.mask, Path):
            self.masks[os.path.relpath(row.mask, self._beside)] = row.mask

    @property
    def paths(self) -> list[tuple[str, Path]]:
        """(name, path) of every photo, then of every mask."""
        return [*((name, self._folder / name) for name in self.photos), *self.masks.items()]

    def state(self) -> str:
        """Digest of the names and of what each file is now: size and time, or that it is not there. No file is read.

        The same for the same files wherever folder and table were moved, or however their paths are written.
        """
        digest = hashlib.sha256()
        for name, path in self.paths:
            try:
                found = os.stat(path)  # noqa: PTH116  (of any name at all)
                here = f"{found.st_size} {found.st_mtime_ns}"
            except (OSError, ValueError):
                here = "not there"
            digest.update(f"{name}\n{here}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()[:16]
