"""What a check found: how far two results are from each other, and how far they may be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

Outputs = Mapping[str, np.ndarray]
"""Results by name, as "boxes" or "gradients"; masks are bool."""


@dataclass(frozen=True, slots=True)
class Finding:
    """what: what was compared; worst: how far it was off; bound: how far it may be; unit: of both."""

    what: str
    worst: float
    bound: float
    unit: str = "relative"

    @property
    def ok(self) -> bool:
        return self.worst <= self.bound


class Skip(Exception):
    """A case that cannot run on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """numbers, gradients: ``difference`` of floats; masks: share of pixels that may differ."""

    numbers: float
    gradients: float
    masks: float

    def of(self, name: str, value: np.ndarray) -> float:
        if value.dtype == bool:
            return self.masks
        return self.gradients if name.startswith("gradients") else self.numbers


BOUNDS = {"fp32": Bounds(2e-4, 2e-3, 2e-3), "bf16": Bounds(5e-2, 3e-1, 5e-2)}
"""By precision. Roundings of fp32 are within 6e-8 and those of bf16 within 4e-3 (2^-24, 2^-8); they grow with the depth
of a network, and again in backward. The bf16 of a CPU, too, is up to 0.16 off in gradients of random networks."""

DEEP_GRADIENTS = 1e-2
"""Of LAVT of the published size, fp32. Where a ReLU's input is nearly 0, a rounding decides whether its gradient is all
or nothing: on one CPU they differ by 0.0015 with another number of threads and by 0.0021 without oneDNN."""


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Share of the values that differ, of bool; else ||found - expected|| / ||expected||. Infinite for another shape,
    and where a number is not finite."""
    if found.shape != expected.shape:
        return math.inf
    if expected.dtype == bool:
        return float((found != expected).mean()) if expected.size else 0.0
    off, whole = np.float64(found) - np.float64(expected), np.float64(expected)
    if not (np.isfinite(off).all() and np.isfinite(whole).all()):
        return math.inf
    size = float(np.linalg.norm(whole))
    return float(np.linalg.norm(off)) / size if size else float(np.abs(off).max(initial=0.0))


def compare(what: str, found: Outputs, expected: Outputs, bounds: Bounds) -> Iterator[Finding]:
    """A finding per result. what: as "GroundingDINO, bf16"."""
    for name, value in expected.items():
        unit = "share of pixels" if value.dtype == bool else "relative"
        yield Finding(f"{what}: {name}", difference(found[name], value), bounds.of(name, value), unit)
