"""What a process that computes by PyTorch on a CPU should find in its environment.

Imports nothing heavy: the C library and PyTorch read it when they are loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, MutableMapping

SPINS = {"GOMP_SPINCOUNT": "10000"}
"""How long the threads of GNU's OpenMP wait for each other before they sleep, in turns; by default 300,000. Where other
work has their cores that is lost: what they wait for cannot go on meanwhile. Of those tried, the fewest that cost
nothing where a job has its cores for itself (docs/performance.md)."""

KEEPS_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""How many blocks GNU's C library asks the kernel for one by one, how many freed bytes it keeps, and that it asks for
large pages. By default a network's activations go back when they are freed, and the kernel clears each page when it
comes again (docs/performance.md)."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's ``mallopt(3)``."""

_SAID = ((SPINS, {"OMP_WAIT_POLICY"}), (KEEPS_MEMORY, {"LD_PRELOAD"}))
"""Each with the other variables by which people say the same."""


def set_up(environment: MutableMapping[str, str]) -> None:
    """Add to this process's environment, before PyTorch is loaded, what ``for_torch`` says."""
    added = for_torch(environment)
    environment.update(added)
    if KEEPS_MEMORY.keys() <= added.keys():
        keep_memory()


def keep_memory() -> None:
    """What ``KEEPS_MEMORY`` says, large pages aside, for this process, whose C library has read its environment."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # not every C library has it
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def for_torch(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment, but where somebody has said something else."""
    added: dict[str, str] = {}
    for values, others in _SAID:
        if not (values.keys() | others) & environment.keys():
            added |= values
    return added
