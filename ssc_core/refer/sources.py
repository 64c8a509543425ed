"""From a dataset's files to its records, by the reader of its layout."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ssc_core.config.sources import DatasetSource, given
from ssc_core.errors import SscError
from ssc_core.registry import LAYOUT

if TYPE_CHECKING:
    from ssc_core.refer.records import RefData


def open_source(dataset: str, source: DatasetSource, *, skip_bad_photos: bool = False) -> RefData:
    """Read all refs of a dataset. ``dataset`` is its name in the config, for messages; skip_bad_photos: see
    ``read_table``. Raises SscError."""
    # Readers need PIL and NumPy, and the config, which imports this module, must load fast.
    try:
        if source.layout == "refer":
            from ssc_core.refer.refer_layout import read_refer

            return read_refer(
                given(source.root),
                given(source.name),
                given(source.split_by),
                instances=source.instances,
                images_folder=source.images,
            )
        if source.layout not in LAYOUT.registered:
            from ssc_core.refer.own_reader import read_own

            return read_own(source)
        from ssc_core.refer.table import read_table

        return read_table(
            given(source.file),
            given(source.images),
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
