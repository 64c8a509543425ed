"""The settings that a run was planned with, kept for its jobs.

A job of a cluster reads the config files anew, days later. Who has changed one meanwhile, for the next experiment,
would get results of other settings than those that Snakemake has noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssc_core.config.settings import Settings
from ssc_core.errors import SscError
from ssc_core.files import atomic_path

KEY = "ssc_planned"
"""Section of a kept file, and so of the config of a job: settings by module of the workflow."""

KEPT = Path(".snakemake/planned").absolute()
"""Where kept files lie: content by its digest, so that runs share what is the same."""


def keep(settings: Settings, module: str, folder: Path = KEPT) -> Path | None:
    """Keep settings in a file, named after its content, as a config file for jobs. None where it cannot be written.

    module: what another workflow calls this one, "" where there is none.
    """
    # not the defaults: a phase of training takes what is not set from another one
    text = json.dumps({KEY: {module: settings.model_dump(mode="json", exclude_unset=True)}})
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


def planned(config: Mapping[str, Any], module: str) -> dict[str, Any] | None:
    """The kept settings in the config of a job; None: there are none."""
    found: dict[str, Any] | None = config.get(KEY, {}).get(module)
    return found
