"""GPUs of this machine, lent to one job each.

A lease is a lock on a small file a card. The kernel drops it when the last process that has it ends, however that ends,
so that nothing has to be cleaned up after a crash. Forked children have it too; those that were started by another
program do not, and are known by a variable that they inherit. Schedulers that hand out GPUs themselves (SLURM,
Kubernetes) are left alone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from ssc_core.errors import SscError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
LEASED = "SSC_GPU_LEASES"
"""Lock files of the cards that a job has. What it starts inherits the variable, and with it the cards."""
LOCKS = Path(tempfile.gettempdir()) / "ssc-gpu-leases"
"""One for all users of the machine: they share its cards."""


@contextmanager
def lease(
    device: str,
    count: int = 1,
    *,
    environment: MutableMapping[str, str] = os.environ,
    cards: Sequence[str] | None = None,
    uuids: Mapping[str, str] | None = None,
    locks: Path = LOCKS,
    poll_seconds: float = 1.0,
) -> Iterator[tuple[str, ...]]:
    """Wait for ``count`` free GPUs, name them in CUDA_VISIBLE_DEVICES, and keep them until the context ends.

    device: ``auto``, ``cpu`` or ``cuda``. cards: names as CUDA_VISIBLE_DEVICES has them; None looks at that variable,
    else at the machine. A card that is named twice is one. uuids: by index; None asks the driver. Yields the names.
    Nothing is leased for ``cpu``, on a machine without GPUs, in a job of SLURM, which has its own GPUs or none, and in
    a process whose parent holds the lease, as those that ``torchrun`` starts.

    A card is free when no process has its lock and none that a leaseholder of this user has started is alive.
    Call it before CUDA is initialised. Raises SscError when more GPUs are asked for than there are.
    """
    if "SLURM_JOB_ID" in environment:
        environment.setdefault(VISIBLE, "")  # a node may show all its GPUs to a job that asked for none
    cards = visible_cards(environment) if cards is None else cards
    if device == "cpu" or not cards or {"SLURM_JOB_ID", "LOCAL_RANK", LEASED} & environment.keys():
        yield ()
        return
    different = _by_card(cards, card_uuids() if uuids is None else uuids)
    if count > len(different):
        raise SscError(f"the job asks for {count} GPUs, but there are {len(different)} here: lower `compute.gpus`")
    before = {name: environment.get(name) for name in (VISIBLE, LEASED)}
    files = {name: _lock_file(locks, card) for card, name in different.items()}
    with ExitStack() as held:
        names = _wait_for(files, count, poll_seconds, held)
        environment[VISIBLE] = ",".join(names)
        environment[LEASED] = os.pathsep.join(str(files[name]) for name in names)
        try:
            yield names
        finally:
            for name, value in before.items():
                if value is None:
                    environment.pop(name, None)
                else:
                    environment[name] = value


def visible_cards(environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Names of the GPUs that this process may use, without CUDA: "0", "1", ... or what CUDA_VISIBLE_DEVICES says."""
    named = environment.get(VISIBLE)
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1", "NoDevFiles"))
    return tuple(str(i) for i, _ in enumerate(p for p in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", p.name)))


@cache
def card_uuids() -> dict[str, str]:
    """UUIDs of this machine's GPUs by index, as ``nvidia-smi`` counts them; empty where it cannot be asked."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(re.findall(r"^\s*(\d+)\s*,\s*(\S+)\s*$", answer, re.MULTILINE))


def _by_card(names: Iterable[str], uuids: Mapping[str, str]) -> dict[str, str]:
    """The first name of every card, by what is the same for all its names: its UUID, where the driver tells it.

    An index, a UUID, and the beginning of a UUID, which CUDA takes for the whole, may all name the same card.
    """
    found: dict[str, str] = {}
    for name in names:
        card = str(int(name)) if name.isdecimal() else name
        card = uuids.get(card, card)
        longer = [uuid for uuid in (*uuids.values(), *found) if uuid.startswith(card)] if "-" in card else []
        found.setdefault(longer[0] if longer else card, name)
    return found


def _wait_for(files: Mapping[str, Path], count: int, poll_seconds: float, held: ExitStack) -> tuple[str, ...]:
    """Lock ``count`` cards until ``held`` closes: all or none, so that two waiting jobs cannot block each other."""
    told = False
    while True:
        with ExitStack() as attempt:
            names: list[str] = []
            for name, file in files.items():
                if len(names) < count and _try_lock(file, attempt):
                    names.append(name)
            if len(names) == count:
                held.enter_context(attempt.pop_all())
                return tuple(names)
        if not told:
            log.warning("waiting for %d of the GPUs %s: other jobs use them", count, ", ".join(files))
            told = True
        time.sleep(poll_seconds)


def _lock_file(locks: Path, card: str) -> Path:
    return locks / f"gpu-{re.sub('[^A-Za-z0-9-]', '_', card)}.lock"


def _try_lock(path: Path, held: ExitStack) -> bool:
    """Whether the card was free and is ours now, until ``held`` closes."""
    try:
        descriptor = _open_shared(path)
    except OSError as error:
        link = next((place for place in (path.parent, path) if place.is_symlink()), None)
        why = f"{link} is a link, which anybody may have put there" if link else error.strerror
        raise SscError(
            f"cannot use {path}, by which jobs share the GPUs: {why}; have it removed, or set TMPDIR to a folder that "
            "is yours"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    if _has_orphans(path):
        os.close(descriptor)
        return False
    os.set_inheritable(descriptor, True)  # for a job that becomes another program (torchrun)
    held.callback(os.close, descriptor)
    return True


def _has_orphans(path: Path) -> bool:
    """Whether a process is alive that was started by a job with this lock, which has since ended or been killed."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended, or is another user's
            for variable in file.read_bytes().split(b"\0"):
                name, _, value = variable.partition(b"=")
                if name == LEASED.encode() and os.fsencode(path) in value.split(os.pathsep.encode()):
                    return True
    return False


def _open_shared(path: Path) -> int:
    """Open a lock file that any user can lock, making it and its folder when there is none.

    The folder lies where anybody may put one: no link is followed, so that nothing is made or changed elsewhere.
    """
    with suppress(FileExistsError):
        path.parent.mkdir(parents=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with suppress(PermissionError):
            os.fchmod(folder, 0o1777)
        with suppress(FileExistsError):
            os.close(os.open(path.name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder))
        # reading is enough to lock; opening to write is refused where another user made it
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a file")
    return descriptor
