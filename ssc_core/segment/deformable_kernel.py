"""The kernel of ``deformable_attention``, in a module of its own: Triton is there only where PyTorch is for GPUs."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

QUERIES = 16
"""That a program of the kernel answers, for one head."""


def sample(value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Arguments and result as ``FusedDeformableAttention.forward`` has them."""
    batch, pixels, heads, depth = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    found = torch.empty(batch, queries, heads * depth, dtype=value.dtype, device=value.device)
    _sample[(triton.cdiv(queries, QUERIES), batch * heads)](
        value.contiguous(), shapes.contiguous(), starts.contiguous(), locations.contiguous(), weights.contiguous(),
        found, queries, pixels, heads, depth, levels, points, QUERIES, triton.next_power_of_2(depth),
    )  # fmt: skip
    return found


@triton.jit
def _sample(
    value, shapes, starts, locations, weights, found, queries, pixels,
    HEADS: tl.constexpr, DEPTH: tl.constexpr, LEVELS: tl.constexpr, POINTS: tl.constexpr,
    QUERIES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    image, head = tl.program_id(1) // HEADS, tl.program_id(1) % HEADS
    query = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    channel = tl.arange(0, WIDTH)
    asked, there = query < queries, channel < DEPTH
    row = (image.to(tl.int64) * queries + query) * HEADS + head
    total = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
    for level in range(LEVELS):
        height, width = tl.load(shapes + 2 * level), tl.load(shapes + 2 * level + 1)
        first = image.to(tl.int64) * pixels + tl.load(starts + level)
        for point in tl.static_range(POINTS):
            at = (row * LEVELS + level) * POINTS + point
            # pixel centres are at halves, as in grid_sample with align_corners=False
            x = tl.load(locations + 2 * at, mask=asked, other=0.0).to(tl.float32) * width - 0.5
            y = tl.load(locations + 2 * at + 1, mask=asked, other=0.0).to(tl.float32) * height - 0.5
            weight = tl.load(weights + at, mask=asked, other=0.0).to(tl.float32)
            left, top = tl.floor(x), tl.floor(y)
            for corner in tl.static_range(4):
                column, line = left + corner % 2, top + corner // 2
                share = (1 - tl.abs(x - column)) * (1 - tl.abs(y - line)) * weight
                inside = asked & (column >= 0) & (column < width) & (line >= 0) & (line < height)
                pixel = first + (line * width + column).to(tl.int64)
                place = (pixel * HEADS + head) * DEPTH
                corner_value = tl.load(
                    value + place[:, None] + channel[None, :], mask=inside[:, None] & there[None, :], other=0.0
                )
                total += share[:, None] * corner_value.to(tl.float32)
    tl.store(found + row[:, None] * DEPTH + channel[None, :], total, mask=asked[:, None] & there[None, :])
