"""Training on several processes, started by ``torchrun``: who this process is, and sums over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ssc_core.correct.launch import started_by_torchrun

_BUCKET_BYTES = 64 * 2**20
"""Gradients are sent in pieces of about this size."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all. rank 0 writes files and logs."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, value: bool, device: torch.device) -> bool:
        """Whether it is so in any process."""
        return value if self.size == 1 else bool(self.sum(torch.tensor(int(value), device=device)))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over all processes. Parameters without one must be the same everywhere."""
        if self.size == 1:
            return
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view(gradient.shape))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


def is_first_process() -> bool:
    """Before it joined the others: whether this process is alone, or the first that ``torchrun`` started."""
    return not started_by_torchrun(os.environ) or os.environ["RANK"] == "0"


def join_world(device: torch.device) -> tuple[World, torch.device]:
    """Join the processes that ``torchrun`` started, if it did. Returns this process's place and its own GPU."""
    size = int(os.environ["WORLD_SIZE"]) if started_by_torchrun(os.environ) else 1
    if size == 1:
        return World(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(dist.get_rank(), size), device


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Batch norms take their statistics over all processes. Key names stay as they are."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                child.__class__ = _SyncedBatchNorm2d
                setattr(parent, name, child)
    return model


class _Sum(torch.autograd.Function):
    """Sum over all processes. What one of them puts in changes the results of all, so gradients are summed, too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class _SyncedBatchNorm2d(nn.BatchNorm2d):
    """``nn.SyncBatchNorm``, which is for GPUs only, on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            return super().forward(x)
        wide = x.float()
        count = wide.new_full((x.shape[1],), x.numel() // x.shape[1])
        total, count = _Sum.apply(torch.stack([wide.sum((0, 2, 3)), count]))
        mean = total / count
        # Not the mean square minus the square of the mean: where these are large, roundings are all that is left of it.
        centred = wide - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        if self.training:
            self._track(mean, variance * count / (count - 1))
        normed = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            normed = normed * self.weight[:, None, None] + self.bias[:, None, None]
        return normed.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _buckets(gradients: list[Tensor]) -> Iterable[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(g.nbytes for g in bucket) >= _BUCKET_BYTES:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
