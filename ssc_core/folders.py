"""Folders that are whole or not there, for browsers and other tools, and the photos in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ssc_core.errors import SscError
from ssc_core.files import path_inside


@contextmanager
def new_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a folder that becomes ``out`` when the block ends, and is gone after an error.

    Raises SscError when ``out`` exists, unless it may be replaced.
    """
    out = Path(out)
    if out.exists() and not replace:
        raise SscError(f"{out} exists; remove it, or choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.{uuid4().hex[:8]}.tmp")  # in containers many processes have one number
    temporary.mkdir()
    try:
        yield temporary
        if replace:
            shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def place_photo(photos: Path, name: str, folder: Path) -> Path:
    """Copy the photo ``name`` of ``photos`` into ``folder``.

    Not linked: tools mend photos in place, as Ultralytics does a JPEG without an end, and would mend the original.
    Raises SscError when it is missing or, by its name or as a link, outside of ``photos``.
    """
    photo, target = path_inside(photos, name), path_inside(folder, name)
    if not photo.is_file():
        raise SscError(f"{photo} does not exist; check the folder of the photos")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(photo, target)
    return target
