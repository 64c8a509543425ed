"""Where a check runs: device, sizes, and a folder for what it makes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

PACKAGES = ("torch", "torchvision", "transformers", "numpy", "segment-anything", "open-clip-torch")


@dataclass(frozen=True, slots=True)
class Place:
    """device: ``cpu`` or ``cuda``, which is compared with the CPU; small: networks that a CPU runs in seconds; folder:
    for what the check makes, empty."""

    device: str
    small: bool
    folder: Path

    @property
    def is_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def threads(self) -> int:
        """Of the CPU, which is what takes long at the published sizes."""
        return 2 if self.small else os.cpu_count() or 2


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"


def versions() -> dict[str, str]:
    """Of Python, CUDA and the packages that are installed."""
    found = {"python": platform.python_version(), "cuda": torch.version.cuda or "none"}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def without_tf32() -> Iterator[None]:
    """Full float32 in convolutions and products, so that fp32 on a GPU can be held to tight bounds.

    PyTorch's default is TF32 in convolutions, which has the 10 bits of fp16's mantissa.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
