"""The settings that a run was planned with, kept for its jobs.

A job of a cluster reads the config files anew, days later. Who has changed one meanwhile, for the next experiment,
would get results of other settings than those that Snakemake has noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssc_core.config.settings import Settings
from ssc_core.errors import SscError
from ssc_core.files import atomic_path, read_json

KEPT = Path(".snakemake/planned").absolute()
"""Where kept files lie: content by its digest, so that runs share what is the same."""


def keep(settings: Settings, folder: Path = KEPT) -> Path | None:
    """Keep settings in a file, named after its content, as a config file for jobs. None where it cannot be written."""
    # not the defaults: a phase of training takes what is not set from another one
    text = json.dumps(settings.model_dump(mode="json", exclude_unset=True), indent=1)
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, SscError):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # for all who share the folder, whatever this user's umask
                folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))
        if not os.access(file, os.R_OK):
            with atomic_path(file) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return file
    return None  # Snakemake, which needs this folder, says so once it runs jobs


def planned(files: Iterable[Path], folder: Path = KEPT) -> dict[str, Any] | None:
    """The kept settings among the config files of a job; None: there are none. Raises SscError as ``read_json``."""
    kept = [file for file in files if file.parent == folder]
    return read_json(kept[0]) if kept else None
