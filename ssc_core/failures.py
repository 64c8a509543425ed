"""Words for what goes wrong outside the program: memory, drives, workers that are killed. Imports nothing heavy."""

from __future__ import annotations

import errno
import os
from concurrent.futures.process import BrokenProcessPool

from ssc_core.files import DISK_ERRORS

AGAIN = "Finished work is kept: run the same command again"
ASKED_MEMORY = "SSC_JOB_MEM_MB"
"""In a job of the workflow: megabytes that it asked for."""


def explain(error: BaseException) -> str | None:
    """What happened and what to do, for people; None when ``error`` is a bug and deserves its traceback."""
    if isinstance(error, MemoryError):
        return f"memory ran out. Lower `compute.threads` or {_more_memory()}. {AGAIN}"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, without importing torch
        return (
            "the GPU's memory ran out. Lower `compute.batch` (training: `max_samples_per_pass`), or use another GPU. "
            f"{AGAIN}"
        )
    if isinstance(error, BrokenProcessPool) or _is_dead_loader(error):
        return (
            "a worker process was killed, by the kernel when memory ran out or by someone. Lower `compute.threads` or "
            f"{_more_memory()}. {AGAIN}"
        )
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = f"cannot write {error.filename}: " if error.filename else ""
        return f"{place}{os.strerror(error.errno)}; {DISK_ERRORS[error.errno]}"
    if isinstance(error, OSError) and error.errno in (errno.EIO, errno.ESTALE, errno.ENOTCONN):
        return f"the drive of {error.filename or 'a file'} failed ({os.strerror(error.errno)}). {AGAIN} when it is back"
    return None


def _more_memory() -> str:
    asked = os.environ.get(ASKED_MEMORY)
    return f"give the job more memory (`mem_mb`{f': it had asked for {asked} MB' if asked else ''})"


def _is_dead_loader(error: BaseException) -> bool:
    """torch's DataLoader has no class of its own for a worker that was killed."""
    return isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
