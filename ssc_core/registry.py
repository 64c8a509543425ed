"""Short names of the built-in backends, and the version of whatever code a backend's name stands for.

Apart from ``ssc_core.backends`` because the Snakefile reads it, and nothing heavy may be imported there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssc_core.checkout import find_path
from ssc_core.errors import SscError
from ssc_core.provenance import code_version, file_sha256, tree_sha256

REGISTRY: dict[str, str] = {
    "grounding_dino": "ssc_core.segment.grounding_dino:GroundingDino",
    "grounding_dino_original": "ssc_core.segment.grounding_dino_original:OriginalGroundingDino",
    "sam": "ssc_core.segment.sam:SegmentAnything",
    "sam2": "ssc_core.segment.sam_transformers:Sam2",
    "sam_hq": "ssc_core.segment.sam_transformers:SamHQ",
    "open_clip": "ssc_core.select.clip:OpenClip",
}

LARGE_FILE = 64 << 20
"""Bytes. Weights above this are known by size and time, since hashing gigabytes at every dry run is no option."""


def backend_version(name: str) -> str:
    """Digest of the code behind a backend's name: a registered name, ``file.py:Class`` or ``package.module:Class``.

    For an installed package it is the package's version. Raises SscError when a plug-in file is missing.
    """
    place = REGISTRY.get(name, name).rpartition(":")[0]
    if place.startswith("ssc_core."):
        return code_version(place)
    if place.endswith(".py"):
        place = find_path(place)
        if not Path(place).is_file():
            raise SscError(
                f"backend file {place} does not exist (paths are relative to the folder that snakemake runs in)"
            )
        return file_sha256(Path(place))[:16]
    package = place.split(".")[0]
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return place


def weights_version(path: str | None) -> str:
    """Digest of a weights file or folder, by content up to LARGE_FILE bytes a file; ``""`` when nothing lies there.

    By content and not by time, so that a git checkout, which touches files, reruns nothing.
    """
    if path is None or not (place := Path(find_path(path))).exists():
        return ""
    digest = hashlib.sha256()
    for file in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
        if file.suffix == ".md":
            continue
        stat = file.stat()
        known = file_sha256(file) if stat.st_size <= LARGE_FILE else f"{stat.st_size} {stat.st_mtime_ns}"
        digest.update(f"{file.relative_to(place).as_posix()} {known}\n".encode())
    return digest.hexdigest()[:16]


def model_digests(settings: Mapping[str, Any], section: str) -> dict[str, str]:
    """SHA-256 of every file or folder that a backend's settings name, by ``section`` and name of the setting."""
    paths = {key: Path(value) for key, value in sorted(settings.items()) if isinstance(value, str)}
    return {f"{section}.{key}": tree_sha256(path) for key, path in paths.items() if path.exists()}
