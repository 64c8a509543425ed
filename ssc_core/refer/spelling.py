"""Files by names that are spelled otherwise than the folder has them, as tables of other computers do."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath


class Spellings:
    """Names of files below a folder, as it has them.

    Windows writes ``day\\1.JPG`` for ``day/1.jpg``; macOS writes ö as o and two dots, which looks the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, str] = {}
        self._listed: dict[PurePosixPath, Mapping[str, Sequence[str]]] = {}

    def find(self, name: str) -> str:
        """The name of the file that ``name``, a relative path, means: the same, else the only one that differs in
        slashes, capitals and composed letters alone; where there is none, ``name``."""
        if name not in self._found:
            self._found[name] = self._find(PurePosixPath(name).as_posix())
        return self._found[name]

    def _find(self, name: str) -> str:
        if os.path.exists(self._folder / name):  # noqa: PTH110  (Path.exists raises for names that no drive takes)
            return name
        found = [PurePosixPath()]
        for part in folded_parts(name):
            found = [here / one for here in found for one in self._children(here).get(part, ())]
        return found[0].as_posix() if len(found) == 1 else name

    def _children(self, here: PurePosixPath) -> Mapping[str, Sequence[str]]:
        """Names in a folder by their folded form; none of what is no folder."""
        if here not in self._listed:
            listed: dict[str, list[str]] = {}
            if (self._folder / here).is_dir():
                for path in (self._folder / here).iterdir():
                    listed.setdefault(_folded(path.name), []).append(path.name)
            self._listed[here] = listed
        return self._listed[here]


def folded_parts(name: str) -> tuple[str, ...]:
    """The parts of a path. Those of two paths are equal that differ in slashes, capitals and composed letters alone."""
    return tuple(_folded(part) for part in PurePosixPath(name.replace("\\", "/")).parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
