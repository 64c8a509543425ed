"""Snakemake's locks, where several runs work in one folder: a killed run's go, a living run's stay.

They are plain files, which outlive a ``kill -9`` and then ask for ``snakemake --unlock``. So every run of this workflow
keeps a note beside them, which says which of these files are its own, and holds a kernel lock on it, which dies with
the process. A lock that a dead run's note means and no living one's is a left-over, whoever else works in the folder.

A run that ends, on the other hand, has Snakemake remove all of them, other runs' too.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import platform
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from ssc_core.locks import allow, opened

NOTES = "alive"
_MUTEX = "mutex"
_PLANNING_SECONDS = 3600.0
"""A note of another machine that names no locks after so long is of a run that died while it planned."""


@dataclass(frozen=True, slots=True)
class Run:
    """This process, from when it has marked itself until it ends.

    note: open and locked, None where the drive does not allow it; cleared: whether locks of a killed run were removed.
    """

    note: IO[str] | None
    cleared: bool = False

    def owns(self, locks: Iterable[str | Path]) -> None:
        """Say which lock files are this run's, once Snakemake has made them. Until then, and where it cannot be written
        (a full drive), any later one may be."""
        if self.note:
            with suppress(OSError):
                _write(self.note, {Path(lock).name: Path(lock).stat().st_mtime_ns for lock in locks})


def begin_run(folder: Path = Path(".snakemake")) -> Run:
    """Mark this process as alive and remove the lock files below ``folder`` that killed runs have left there.

    Nothing is removed when a run on another machine may hold it, and where the drive has no locks: then Snakemake says
    what to do, as ever.
    """
    notes = folder / NOTES
    try:
        if not notes.is_dir():
            notes.mkdir(parents=True, exist_ok=True)
            allow(notes, stat.S_IMODE(folder.stat().st_mode))
        with opened(notes / _MUTEX) as mutex:  # so that nobody sees half a note
            fcntl.flock(mutex, fcntl.LOCK_EX)
            others = list(filter(None, map(_Note.read, notes.glob("*.json"))))
            return Run(_mark(notes / f"{uuid4().hex}.json"), _clear(folder / "locks", others))
    except OSError:
        return Run(None)  # a read-only folder: Snakemake says so


def keep_locks_of_others(persistence: type[Any]) -> None:
    """Have the end of a run remove its own lock files alone, with Snakemake's class that keeps them as files.

    It removes their whole folder otherwise. Other runs go on without a lock then, so that a third may write their files
    at the same time, and one that has just planned finds no folder for its own.
    """

    def remove_own(self: Any) -> None:
        while self._lockfile:
            Path(self._lockfile.popitem()[1]).unlink(missing_ok=True)

    persistence.cleanup_locks = persistence._delete_locks  # of `snakemake --unlock`, which is about all of them
    persistence.unlock = remove_own


def _mark(path: Path) -> IO[str]:
    note = path.open("x", encoding="utf-8")
    allow(path, 0o644)  # to see whether it is held
    atexit.register(_remove_own, note, os.getpid())  # which also keeps it open
    _write(note, None)
    fcntl.flock(note, fcntl.LOCK_EX)
    return note


def _remove_own(note: IO[str], process: int) -> None:
    if os.getpid() == process:  # and not a fork's
        with suppress(OSError):
            Path(note.name).unlink()


def _write(note: IO[str], locks: Mapping[str, int] | None) -> None:
    note.seek(0)
    json.dump({"host": platform.node(), "locks": locks}, note)
    note.truncate()
    note.flush()


@dataclass(frozen=True, slots=True)
class _Note:
    """What another run has noted. locks: names and times of its lock files, None while it has not said; written: when,
    on the drive's clock, as the times of locks are."""

    path: Path
    alive: bool
    dead: bool
    locks: Mapping[str, int] | None
    written: int

    @classmethod
    def read(cls, path: Path) -> _Note | None:
        """``alive`` and ``dead`` are both False of what cannot be told. None where the run has just ended."""
        try:
            note = path.open(encoding="utf-8")
        except FileNotFoundError:
            return None
        except PermissionError:  # another user's, who may be at work
            return cls(path, alive=True, dead=False, locks=None, written=path.stat().st_mtime_ns)
        with note as file:
            held = _is_held(file)
            written = os.fstat(file.fileno()).st_mtime_ns
            try:
                said = json.load(file)
                host, locks = said["host"], said["locks"]
            except (ValueError, KeyError, TypeError):
                return cls(path, alive=held, dead=False, locks=None, written=written)
        here = host == platform.node()
        planning = locks is None and time.time() - written / 1e9 < _PLANNING_SECONDS
        return cls(path, held or (not here and (planning or bool(locks))), here and not held, locks, written)

    def may_mean(self, lock: str, made: int) -> bool:
        return self.written <= made if self.locks is None else self.locks.get(lock) == made


def _is_held(file: IO[str]) -> bool:
    try:  # network drives (NFS) take no other lock of a file that is open for reading
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _clear(folder: Path, notes: list[_Note]) -> bool:
    """Remove the locks of dead runs, and the notes of those of which none is left."""
    locks: dict[str, int] = {}
    for path in folder.glob("*.lock"):
        with suppress(FileNotFoundError):  # its run has just ended
            locks[path.name] = path.stat().st_mtime_ns
    alive, dead = [note for note in notes if note.alive], [note for note in notes if note.dead]
    left = {
        lock
        for lock, made in locks.items()
        if any(note.may_mean(lock, made) for note in dead) and not any(note.may_mean(lock, made) for note in alive)
    }
    kept = {lock: made for lock, made in locks.items() if lock not in left}
    done = [note for note in dead if not any(note.may_mean(lock, made) for lock, made in kept.items())]
    removed = [_removed(folder / lock) for lock in left]
    if all(removed):
        for note in done:
            _removed(note.path)
    return any(removed)


def _removed(path: Path) -> bool:
    """Whether a file is gone, which another user's may not be ours to remove."""
    with suppress(PermissionError):
        path.unlink(missing_ok=True)
        return True
    return False
