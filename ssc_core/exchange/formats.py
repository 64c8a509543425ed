"""The formats that masks are exchanged in: what ``ssc export --to`` and ``ssc import --from`` know.

A format is an entry here and a module with ``write(export, out)``, ``read(path, photos, passed_over, per_ref=...)`` or
both.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssc_core.errors import SscError, did_you_mean
from ssc_core.files import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format.

    about: for the help. module, writes: where it is, and the function. suffix: how its file ends, ``""`` for a folder.
    photos: whether an export takes them along. keeps: what is said of a mask that the format has a place for. refs:
    whether an export needs the RefTable. reads: whether there is an import, and of what: "file" or "folder".
    """

    about: str
    module: str
    writes: str = "write"
    suffix: str = ""
    photos: bool = False
    keeps: frozenset[str] = frozenset()
    refs: bool = True
    reads: str = ""

    @property
    def write(self) -> Callable[..., None]:
        return getattr(importlib.import_module(self.module), self.writes)

    @property
    def read(self) -> Callable[..., Any]:
        return importlib.import_module(self.module).read


_HERE = "ssc_core.exchange"
_REFS = frozenset({"ref_id", "ref_ids", "sentences"})
_ALL = _REFS | {"score"}

FORMATS = {
    "coco": Format(about="COCO instances JSON", module=f"{_HERE}.coco", suffix=".json", keeps=_ALL, reads="file"),
    "yolo": Format(about="YOLO-seg, with data.yaml", module=f"{_HERE}.yolo", photos=True),
    "labelme": Format(
        about="LabelMe JSON beside photos", module=f"{_HERE}.labelme", photos=True, keeps=_REFS, reads="folder"
    ),
    "label-studio": Format(
        about="Label Studio tasks with brush masks", module=f"{_HERE}.label_studio", keeps=_ALL, reads="file"
    ),
    "cvat": Format(about="CVAT for images 1.1", module=f"{_HERE}.cvat", suffix=".xml", keeps=_ALL, reads="file"),
    "png": Format(
        about="pseudo_gt_mask_{ref_id}.png files",
        module=f"{_HERE}.png",
        keeps=frozenset({"ref_id", "ref_ids"}),
        refs=False,
        reads="folder",
    ),
    "fiftyone": Format(
        about="what FiftyOne reads", module=f"{_HERE}.coco", writes="write_fiftyone", photos=True, keeps=_ALL
    ),
    "hf": Format(about="what Hugging Face datasets reads", module=f"{_HERE}.hugging_face", photos=True, keeps=_ALL),
}
"""By name."""

READ = tuple(name for name, one in FORMATS.items() if one.reads)
"""Names of those that can be imported."""


def named(name: str, among: Iterable[str]) -> Format:
    """The format ``name``. Raises SscError for one that is not ``among`` those that are meant."""
    if name not in among:
        raise SscError(f"there is no format '{name:.40}' here, but {', '.join(among)}{did_you_mean(name, among)}")
    return FORMATS[name]


def recognised(path: Path) -> str:
    """Name of the format of a file or folder that is there. Raises SscError for one that none of ours begins like."""
    if path.is_dir():
        if next(path.glob("pseudo_gt_mask_*.png"), None):
            return "png"
        if next(path.rglob("*.json"), None):
            return "labelme"
        raise SscError(
            f"{path} has neither pseudo_gt_mask_{{ref_id}}.png files nor JSON files of LabelMe; is it the right folder?"
        )
    if path.suffix.lower() == ".xml":
        return "cvat"
    if path.suffix.lower() == ".zip":
        raise SscError(f"{path} is packed; unpack it, and name the file in it")
    if path.suffix.lower() == ".json":
        content = read_json(path)
        return "label-studio" if isinstance(content, list) and not are_results(content) else "coco"
    raise SscError(f"{path} is of no format that can be imported ({', '.join(READ)}); or name it with --from")


def are_results(content: Any) -> bool:
    """Whether JSON is a list of COCO results, as models give it to evaluation: masks without their photos' names."""
    return isinstance(content, list) and any(isinstance(one, dict) and "image_id" in one for one in content)


def check_place(name: str, path: Path) -> None:
    """Raise SscError when a format that is read from a file is to be read from a folder, or the other way round."""
    kind = FORMATS[name].reads
    if path.is_dir() != (kind == "folder"):
        raise SscError(f"{path} is a {'folder' if path.is_dir() else 'file'}; {name} is imported from a {kind}")
