"""How long the threads by which PyTorch computes on a CPU wait for each other before they sleep.

GNU's OpenMP lets them spin first, 300,000 turns by default. Where other work has their cores that is lost: what they
wait for cannot go on meanwhile. Imports nothing heavy: the environment is read when PyTorch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping

SPINS = "GOMP_SPINCOUNT"
TURNS = "10000"
"""Of those tried, the fewest that cost nothing where a job has its cores for itself (docs/performance.md)."""


def sleep_soon(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment, so that threads sleep soon; nothing where somebody has said how they wait."""
    return {} if {SPINS, "OMP_WAIT_POLICY"} & environment.keys() else {SPINS: TURNS}
