"""SAM's attention with relative positions, without ever holding the attention matrix.

The published code builds the matrix of all pairs (4096 x 4096 a head in a global layer), adds the relative position
terms, and softmaxes it: three passes over half a gigabyte an image. Here the same numbers come from a fused kernel.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention
from torch.nn import functional

ALIGNED = 8
"""Fused kernels copy everything once more where the depth is no multiple of this."""


class FusedAttention(Attention):
    """``Attention`` of the segment_anything package, with the same parameters and the same result.

    The position term of query q for the key in row y and column x is a_q[y] + b_q[x]. Appending a_q and b_q to the
    query, and the unit vectors of y and x to the key, makes it a part of their scalar product.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self._with_positions(query, key, height, width)
        depth, extra = value.shape[-1], query.shape[-1] - value.shape[-1]
        # fused kernels want one depth for all three
        value = functional.pad(value, (0, extra))
        out = functional.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :depth]
        return self.proj(out.transpose(1, 2).reshape(batch, height, width, -1))

    def _with_positions(
        self, query: torch.Tensor, key: torch.Tensor, height: int, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """query, key: (B, heads, H * W, D) to (B, heads, H * W, E) with E of at least D + H + W; the query is scaled by
        D^-0.5."""
        grid = query.unflatten(2, (height, width))
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, _of_places(self.rel_pos_h, height).to(query.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, _of_places(self.rel_pos_w, width).to(query.dtype))
        unused = -(query.shape[-1] + height + width) % ALIGNED
        units = _units(height, width, unused, key.dtype, key.device).expand(*key.shape[:2], -1, -1)
        zeros = query.new_zeros(()).expand(*query.shape[:-1], unused)
        query = torch.cat([query * self.scale, rows.flatten(2, 3), columns.flatten(2, 3), zeros], dim=-1)
        return query, torch.cat([key, units], dim=-1)


def fuse_attention(encoder: ImageEncoderViT) -> None:
    """Give every block of ``encoder`` the fused attention. Its parameters and their names stay."""
    for block in encoder.blocks:
        if block.attn.use_rel_pos:
            block.attn.__class__ = FusedAttention


def _of_places(embeddings: torch.Tensor, size: int) -> torch.Tensor:
    """Embeddings (L, D) of distances to those of each pair of ``size`` places, (query, key, D).

    Where L is that of another size they are interpolated, as published.
    """
    distances = 2 * size - 1
    if len(embeddings) != distances:
        embeddings = functional.interpolate(embeddings.T[None], size=distances, mode="linear")[0].T
    return embeddings[_distances(size, embeddings.device)]


# What follows is kept on its device: to bring it there in each block is to wait, each time, until a GPU has done all
# work that it was given.
@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)  # it may meet gradients later
def _distances(size: int, device: torch.device) -> torch.Tensor:
    """Row of each pair of places among the embeddings, int64 (query, key)."""
    places = torch.arange(size)
    return (places[:, None] - places[None] + size - 1).to(device)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _units(height: int, width: int, unused: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Unit vectors of each place's row and column, (H * W, H + W + unused)."""
    rows, columns = torch.eye(height).repeat_interleave(width, 0), torch.eye(width).repeat(height, 1)
    return functional.pad(torch.cat([rows, columns], dim=-1), (0, unused)).to(device, dtype)
