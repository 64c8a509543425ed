"""The lock that a killed Snakemake leaves behind, removed when it is certain that nobody holds it.

Snakemake's own locks are plain files, which outlive a ``kill -9`` and then ask for ``snakemake --unlock``. Every run of
this workflow also shares a kernel lock on one file, which dies with the process. Who gets that lock for itself alone
knows that no other run is alive, so that Snakemake's files are left-overs.
"""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

ALIVE = "alive.lock"

_held: list[int] = []
"""Descriptors that stay open, and so locked, until this process ends."""


def clear_stale_locks(folder: Path = Path(".snakemake")) -> bool:
    """Remove Snakemake's lock files below ``folder`` if no run of this workflow is alive there; whether it did.

    Marks this process as alive until it ends. Nothing is removed when a run on another machine may hold them, and where
    the drive has no locks: then Snakemake says what to do, as ever.
    """
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        return False  # a read-only folder: Snakemake says so
    try:
        cleared = _try_alone(descriptor) and _clear(folder / "locks", descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return False
    _held.append(descriptor)
    return cleared


def _try_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(locks: Path, descriptor: int) -> bool:
    """Remove the lock files if all runs that may have left them were on this machine, and note this run's."""
    files = sorted(locks.glob("*.lock")) if locks.is_dir() else []
    here = platform.node()
    if files and os.pread(descriptor, 4096, 0).decode(errors="replace") != here:
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, here.encode(), 0)
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)
