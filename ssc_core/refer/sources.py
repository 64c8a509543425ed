"""Where a dataset comes from: the config section, and the way from it to records. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ssc_core.errors import SscError
from ssc_core.sections.paths import FilePath

if TYPE_CHECKING:
    from ssc_core.refer.records import RefData

T = TypeVar("T")

_REQUIRED = {"refer": ("root", "name", "split_by"), "table": ("file", "images")}
_FOREIGN = {"refer": ("file", "split"), "table": ("root", "name", "split_by", "instances")}


def images_folder_of(root: Path, name: str) -> Path:
    """Where the photos of a dataset in the REFER layout lie by convention: the first folder that is there, or else the
    first. RefClef and RRSIS-D have folders of their own, all others share COCO's."""
    folders = {
        "refclef": ("images/saiapr_tc-12", "images/saiaprtc12_images"),
        "rrsisd": ("images/rrsisd/JPEGImages", f"{name}/images/rrsisd/JPEGImages", f"{name}/JPEGImages"),
    }.get(name.lower().replace("-", "").replace("_", ""), ("images/mscoco/images/train2014",))
    return next((root / folder for folder in folders if (root / folder).is_dir()), root / folders[0])


class DatasetSource(BaseModel):
    """Files of one dataset, either in the published REFER layout or as a user's own table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["refer", "table"] = Field(description="refer (published layout) or table (your own CSV or JSONL)")
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
        default=None, description="table: .csv or .jsonl with columns image, sentences, [split], [mask]"
    )
    split: str | None = Field(
        default=None, min_length=1, description="table: split of rows that name none; null: train"
    )

    @model_validator(mode="after")
    def _fields_fit_layout(self) -> DatasetSource:
        missing = [key for key in _REQUIRED[self.layout] if getattr(self, key) is None]
        foreign = [key for key in _FOREIGN[self.layout] if getattr(self, key) is not None]
        if missing:
            raise ValueError(f"layout '{self.layout}' needs {', '.join(missing)}")
        if foreign:
            raise ValueError(f"layout '{self.layout}' does not use {', '.join(foreign)}; remove it")
        return self

    @property
    def annotation_files(self) -> tuple[Path, ...]:
        """The files that say which refs there are, in reading order."""
        if self.layout == "table":
            return (_given(self.file),)
        folder = _given(self.root) / _given(self.name)
        return folder / f"refs({self.split_by}).p", self.instances or folder / "instances.json"

    @property
    def images_folder(self) -> Path:
        """The folder that ``file_name`` of the RefTable is relative to."""
        return self.images or images_folder_of(_given(self.root), _given(self.name))

    @property
    def upright(self) -> bool:
        """Whether annotations refer to photos as a viewer turns them (own data) rather than to stored pixels (COCO)."""
        return self.layout == "table"


def open_source(dataset: str, source: DatasetSource, *, skip_bad_photos: bool = False) -> RefData:
    """Read all refs of a dataset. ``dataset`` is its name in the config, for messages; skip_bad_photos: see
    ``read_table``. Raises SscError."""
    # Readers need PIL and NumPy, and the config, which imports this module, must load fast.
    try:
        if source.layout == "refer":
            from ssc_core.refer.refer_layout import read_refer

            return read_refer(
                _given(source.root),
                _given(source.name),
                _given(source.split_by),
                instances=source.instances,
                images_folder=source.images,
            )
        from ssc_core.refer.table import read_table

        return read_table(
            _given(source.file),
            _given(source.images),
            default_split=source.split or "train",
            skip_bad_photos=skip_bad_photos,
        )
    except SscError as error:
        raise SscError(f"dataset '{dataset}': {error}") from error


def data_digest(source: DatasetSource) -> str:
    """SHA-256 over name, size and content of the annotation files: the same digest, the same refs.

    Photos are not read, and the folder that holds the files does not count, so data may be moved.
    Raises SscError when a file is missing.
    """
    digest = hashlib.sha256(source.layout.encode())
    for path in source.annotation_files:
        try:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"\n{path.name} {path.stat().st_size} {content}".encode())
        except OSError as error:
            raise SscError(f"cannot read {path}: {error.strerror}; check the dataset's paths in the config") from error
    return digest.hexdigest()


def _given(value: T | None) -> T:
    assert value is not None, "the validator has checked this field"
    return value
