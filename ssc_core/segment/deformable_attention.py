"""GroundingDINO's deformable attention in one kernel, on a GPU.

transformers samples every level, stacks what it found, multiplies it by the weights and adds it up: four passes over
16 values per value of the result. The authors' kernel has to be compiled or downloaded; this one of Triton, which comes
with PyTorch's builds for GPUs, keeps the sum in registers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

REPLACED = "MultiScaleDeformableAttention"
"""The class of transformers, in the files of both detectors. It has no weights."""

TOLERANCE = 1e-4
"""Relative, in float32."""


class FusedDeformableAttention(nn.Module):
    """Multi-scale deformable attention (Zhu et al., arXiv 2010.04159, equation 3), as transformers' modules call it."""

    def __init__(self, sample: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._sample = sample

    def forward(
        self,
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_spatial_shapes_list: Any,
        level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: int,
    ) -> Tensor:
        """value (B, S, heads, D): the pixels of all levels; value_spatial_shapes, int64 (L, 2), and level_start_index,
        int64 (L,): where each lies in it; sampling_locations (B, Q, heads, L, points, 2): x and y in 0..1;
        attention_weights (B, Q, heads, L, points). Returns (B, Q, heads * D), of value's type."""
        return self._sample(value, value_spatial_shapes, level_start_index, sampling_locations, attention_weights)


def fuse_deformable_attention(network: nn.Module) -> bool:
    """Give ``network``, which is on a GPU, the kernel in place of ``REPLACED``; whether it has it now.

    Before that the kernel has to give what transformers' module gives. Where it cannot be compiled, or is off, the
    network stays as it is, and a warning says so.
    """
    places = [
        (parent, name, part)
        for parent in network.modules()
        for name, part in parent.named_children()
        if type(part).__name__ == REPLACED
    ]
    if not places:
        return False
    try:
        from ssc_core.segment.deformable_kernel import sample

        fused = FusedDeformableAttention(sample)
        off = _difference(fused, places[0][2], next(network.parameters()).device)
    except Exception as error:  # no Triton, no C compiler, a GPU that it does not know
        log.warning("the detector runs without its fused attention, slower: %s", f"{error!r:.200}")
        return False
    if not off <= TOLERANCE:
        log.warning("the detector runs without its fused attention, slower: on this GPU that is off by %.2g", off)
        return False
    for parent, name, _ in places:
        setattr(parent, name, fused)
    return True


def _difference(fused: nn.Module, reference: nn.Module, device: torch.device) -> float:
    """How far both are apart on random inputs, some of which lie outside the image; relative."""
    arguments = example(device)
    expected = reference(*arguments)
    return float((fused(*arguments) - expected).norm() / expected.norm())


def example(device: torch.device) -> tuple[Any, ...]:
    """Random arguments of a forward pass: two images, three levels, four heads of 16, 40 queries, two points."""
    shapes = [(6, 9), (3, 5), (1, 2)]
    sizes = torch.tensor(shapes)
    starts = torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]])
    random = torch.Generator().manual_seed(0)
    value = torch.randn(2, int(sizes.prod(1).sum()), 4, 16, generator=random)
    locations = torch.rand(2, 40, 4, len(shapes), 2, 2, generator=random) * 1.4 - 0.2
    weights = torch.rand(2, 40, 4, len(shapes), 2, generator=random)
    on_device = [one.to(device) for one in (value, sizes, starts, locations, weights)]
    return (*on_device[:2], shapes, *on_device[2:], 64)
