"""Files of one dataset, as the config names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from ssc_core.config.base import Section, name_schema, named
from ssc_core.config.paths import FilePath, NameOrPath
from ssc_core.registry import LAYOUT

T = TypeVar("T")

_REQUIRED = {"refer": ("root", "name", "split_by"), "table": ("file", "images")}
_FOREIGN = {"refer": ("file", "split"), "table": ("root", "name", "split_by", "instances")}
_OWN = ("file", "images")
"""What a reader of the user's own needs; it may take any other key."""
_SAVED = (".arrow", ".json")
"""What the files end in that Hugging Face ``datasets`` saves a table as."""


def images_folder_of(root: Path, name: str) -> Path:
    """Where the photos of a dataset in the REFER layout lie by convention: the first folder that is there, or else the
    first. RefClef and RRSIS-D have folders of their own, all others share COCO's."""
    folders = {
        "refclef": ("images/saiapr_tc-12", "images/saiaprtc12_images"),
        "rrsisd": ("images/rrsisd/JPEGImages", f"{name}/images/rrsisd/JPEGImages", f"{name}/JPEGImages"),
    }.get(name.lower().replace("-", "").replace("_", ""), ("images/mscoco/images/train2014",))
    return next((root / folder for folder in folders if (root / folder).is_dir()), root / folders[0])


class DatasetSource(Section):
    """Files of one dataset, in the published REFER layout, as a user's own table, or for a reader of the user's own."""

    layout: Annotated[NameOrPath, named(LAYOUT), name_schema(LAYOUT)] = Field(
        description="refer (published layout), table (your own CSV or JSONL), or a reader of your own: "
        "package.module:function or path/to/file.py:function"
    )
    root: FilePath | None = Field(default=None, description="refer: folder that holds the dataset's folder and images/")
    name: str | None = Field(default=None, description="refer: the dataset's folder in root, as refcoco+ or refcocog")
    split_by: str | None = Field(
        default=None,
        pattern=r"^\w[\w.+-]*$",
        description="refer: who made the splits (unc, umd, google, berkeley, ...); picks refs(<split_by>).p",
    )
    instances: FilePath | None = Field(
        default=None, description="refer: COCO annotations; null: <root>/<name>/instances.json"
    )
    images: FilePath | None = Field(
        default=None,
        description="folder of the photos; null, for refer: where they lie by convention, for RefCOCO "
        "<root>/images/mscoco/images/train2014",
    )
    file: FilePath | None = Field(
        default=None,
        description="table: .csv, .tsv, .jsonl or .parquet (image, sentences, [split], [mask]), .json (COCO captions), "
        "or a folder that `save_to_disk` of Hugging Face datasets wrote",
    )
    split: str | None = Field(
        default=None, min_length=1, description="table: split of rows that name none; null: train"
    )

    @model_validator(mode="after")
    def _fields_fit_layout(self) -> DatasetSource:
        missing = [key for key in _REQUIRED.get(self.layout, _OWN) if getattr(self, key) is None]
        foreign = [key for key in _FOREIGN.get(self.layout, ()) if getattr(self, key) is not None]
        if missing:
            raise ValueError(f"layout '{self.layout}' needs {', '.join(missing)}")
        if foreign:
            raise ValueError(f"layout '{self.layout}' does not use {', '.join(foreign)}; remove it")
        return self

    @property
    def annotation_files(self) -> tuple[Path, ...]:
        """The files that say which refs there are, in reading order."""
        if self.layout != "refer":
            file = given(self.file)
            parts = sorted(path for path in file.rglob("*") if path.suffix in _SAVED) if file.is_dir() else [file]
            return (*parts, *([self.instances] if self.instances else []))
        folder = given(self.root) / given(self.name)
        return folder / f"refs({self.split_by}).p", self.instances or folder / "instances.json"

    @property
    def images_folder(self) -> Path:
        """The folder that ``file_name`` of the RefTable is relative to."""
        return self.images or images_folder_of(given(self.root), given(self.name))

    @property
    def upright(self) -> bool:
        """Whether annotations refer to photos as a viewer turns them (own data) rather than to stored pixels (COCO)."""
        return self.layout != "refer"


def given(value: T | None) -> T:
    """A field that the validator has checked for this layout."""
    assert value is not None, "the validator has checked this field"
    return value
