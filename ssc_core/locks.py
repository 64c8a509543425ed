"""What one process does at a time, on whichever machine of a shared drive."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def only_process(guard: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the file ``guard``, which is there meanwhile. Yields whether no other process does, at once or, with
    ``wait``, as soon as that is so. On a drive without locks nothing is held.

    A file that is written to, since network drives (NFS) lock no folder and nothing that is open for reading alone:
    see flock(2).
    """
    guard.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with opened(guard) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError:
                pass
            if not _lies_there(guard, file):
                continue  # it was another process's, which has removed it
            try:
                yield True
            finally:
                guard.unlink(missing_ok=True)
            return


def opened(guard: Path) -> IO[str]:
    """A file to be locked: for writing, as network drives (NFS) lock no other, also by the others who share the folder,
    whatever this user's umask; for reading, where it is one that somebody else has kept from them."""
    try:
        file = guard.open("a")
    except PermissionError:
        if not guard.exists():
            raise
        return guard.open()
    with suppress(OSError):  # of another user's; not by name, since whoever held it may just have removed it
        os.fchmod(file.fileno(), 0o666)
    return file


def allow(path: Path, mode: int) -> None:
    """What others who share the folder may do, whatever this user's umask. What is another user's stays as it is."""
    with suppress(OSError):
        path.chmod(mode)


def _lies_there(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
