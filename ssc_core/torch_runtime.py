"""What all networks share: device, precision, and batches that shrink when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch

from ssc_core.errors import SscError

log = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16"]
Item = TypeVar("Item")
Result = TypeVar("Result")


def resolve_device(device: str) -> torch.device:
    """ "auto": a GPU when there is one. Raises SscError when a GPU is asked for and there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SscError("`device: cuda`, but torch sees no GPU; set `device: auto` or `cpu`")
    return torch.device(device)


def pick_device(device: str, threads: int) -> torch.device:
    """As ``resolve_device``, and what torch does on the CPU is given ``threads`` threads."""
    torch.set_num_threads(max(1, threads))
    return resolve_device(device)


def pick_bf16(precision: Precision, device: torch.device, *, native: bool = False) -> bool:
    """Whether to run in bfloat16 autocast. Raises SscError for an unknown precision.

    ``auto`` does on a GPU and nowhere else, so that neither labels nor trained weights depend on the kind of CPU. With
    ``native``, as in training, it does on a GPU that multiplies bfloat16 in hardware.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise SscError(f"precision '{precision}' is none of auto, fp32, bf16")
    if precision != "auto":
        return precision == "bf16"
    if device.type != "cuda":
        return False
    return not native or torch.cuda.is_bf16_supported(including_emulation=False)


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in host memory. From a GPU it is on its way only: ``wait_for`` the device before it is read.

    To wait for each result by itself would leave the GPU idle while the next batch is made ready.
    """
    return tensor.to("cpu", non_blocking=tensor.is_cuda)


def wait_for(device: torch.device) -> None:
    """Until a GPU has done all that it was given, results ``to_host`` included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class ShrinkingBatches:
    """Runs a function over batches of at most ``size`` items; the size is halved, for good, when memory runs out."""

    def __init__(self, size: int, what: str) -> None:
        """what: names the batches in messages, as "GroundingDINO, images"."""
        if size < 1:
            raise SscError(f"{what} a batch: {size} is less than 1")
        self.size = size
        self._what = what

    def __call__(self, items: Sequence[Item], run: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """``run`` gives one result an item. Raises SscError when a single item does not fit."""
        results: list[Result] = []
        while len(results) < len(items):
            try:
                results += run(items[len(results) : len(results) + self.size])
            except torch.OutOfMemoryError as error:
                self._halve(error)
        return results

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        if self.size == 1:
            raise SscError(f"{self._what}: not even one fits the memory of the device; use a smaller model") from error
        self.size //= 2
        log.warning("%s: out of memory; going on with %d a batch", self._what, self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
