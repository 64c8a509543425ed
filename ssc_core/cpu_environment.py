"""What a process that computes by PyTorch on a CPU should find in its environment.

Imports nothing heavy: the C library and PyTorch read it when they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping

SPINS = {"GOMP_SPINCOUNT": "10000"}
"""How long the threads of GNU's OpenMP wait for each other before they sleep, in turns; by default 300,000. Where other
work has their cores that is lost: what they wait for cannot go on meanwhile. Of those tried, the fewest that cost
nothing where a job has its cores for itself (docs/performance.md)."""

KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
"""What GNU's C library asks the kernel for by itself, and what it keeps of freed memory, in bytes. By default most goes
back at every step of a training, and the kernel clears each page when it comes again (docs/performance.md)."""

_SAID = ((SPINS, {"OMP_WAIT_POLICY"}), (KEEPS_MEMORY, {"GLIBC_TUNABLES", "LD_PRELOAD"}))
"""Each with the other variables by which people say the same."""


def for_torch(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment, but where somebody has said something else."""
    added: dict[str, str] = {}
    for values, others in _SAID:
        if not (values.keys() | others) & environment.keys():
            added |= values
    return added
