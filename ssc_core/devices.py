"""GPUs of this machine, lent to one job each.

A lease is a lock on a small file a card. The kernel drops it with the process, however that ends, so that nothing has
to be cleaned up after a crash. Schedulers that hand out GPUs themselves (SLURM, Kubernetes) are left alone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ssc_core.errors import SscError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOCKS = Path(tempfile.gettempdir()) / "ssc-gpu-leases"
"""One for all users of the machine: they share its cards."""


@contextmanager
def lease(
    device: str,
    count: int = 1,
    *,
    environment: MutableMapping[str, str] = os.environ,
    cards: Sequence[str] | None = None,
    locks: Path = LOCKS,
    poll_seconds: float = 1.0,
) -> Iterator[tuple[str, ...]]:
    """Wait for ``count`` free GPUs, name them in CUDA_VISIBLE_DEVICES, and keep them until the context ends.

    device: ``auto``, ``cpu`` or ``cuda``. cards: names as CUDA_VISIBLE_DEVICES has them; None looks at that variable,
    else at the machine. Yields the names. Nothing is leased for ``cpu``, on a machine without GPUs, in a job of SLURM,
    which has its own GPUs or none, and in a process that ``torchrun`` started, whose parent holds the lease.

    Call it before CUDA is initialised. Raises SscError when more GPUs are asked for than there are.
    """
    if "SLURM_JOB_ID" in environment:
        environment.setdefault(VISIBLE, "")  # a node may show all its GPUs to a job that asked for none
    cards = visible_cards(environment) if cards is None else cards
    if device == "cpu" or not cards or {"SLURM_JOB_ID", "LOCAL_RANK"} & environment.keys():
        yield ()
        return
    if count > len(cards):
        raise SscError(f"the job asks for {count} GPUs, but there are {len(cards)} here: lower `compute.gpus`")
    before = environment.get(VISIBLE)
    with ExitStack() as held:
        names = _wait_for(cards, count, locks, poll_seconds, held)
        environment[VISIBLE] = ",".join(names)
        try:
            yield names
        finally:
            if before is None:
                del environment[VISIBLE]
            else:
                environment[VISIBLE] = before


def visible_cards(environment: MutableMapping[str, str] = os.environ, dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Names of the GPUs that this process may use, without CUDA: "0", "1", ... or what CUDA_VISIBLE_DEVICES says."""
    named = environment.get(VISIBLE)
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1", "NoDevFiles"))
    return tuple(str(i) for i, _ in enumerate(p for p in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", p.name)))


def _wait_for(cards: Sequence[str], count: int, locks: Path, poll_seconds: float, held: ExitStack) -> tuple[str, ...]:
    """Lock ``count`` cards until ``held`` closes: all or none, so that two waiting jobs cannot block each other."""
    told = False
    while True:
        with ExitStack() as attempt:
            names: list[str] = []
            for card in cards:
                if len(names) < count and _try_lock(_lock_file(locks, card), attempt):
                    names.append(card)
            if len(names) == count:
                held.enter_context(attempt.pop_all())
                return tuple(names)
        if not told:
            log.warning("waiting for %d of the GPUs %s: other jobs use them", count, ", ".join(cards))
            told = True
        time.sleep(poll_seconds)


def _lock_file(locks: Path, card: str) -> Path:
    return locks / f"gpu-{re.sub('[^A-Za-z0-9-]', '_', card)}.lock"


def _try_lock(path: Path, held: ExitStack) -> bool:
    """Whether the lock was free and is ours now, until ``held`` closes."""
    try:
        descriptor = _open_shared(path)
    except OSError as error:
        raise SscError(
            f"cannot open {path}, by which jobs share the GPUs: {error.strerror}; set TMPDIR to a folder that is yours"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True


def _open_shared(path: Path) -> int:
    """Open a lock file that any user can lock, making it and its folder when there is none."""
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY)  # enough to lock; opening to write is refused where another user made it
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):
        path.parent.chmod(0o1777)
    return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
