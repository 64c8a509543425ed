"""SAM's attention with relative positions, without ever holding the attention matrix.

The published code builds the matrix of all pairs (4096 x 4096 a head in a global layer), adds the relative position
terms, and softmaxes it: three passes over half a gigabyte an image. Here the same numbers come from a fused kernel.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch.nn import functional


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
        """query, key: (B, heads, H * W, D) to (B, heads, H * W, D + H + W); the query is scaled by D^-0.5."""
        grid = query.unflatten(2, (height, width))
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(height, height, self.rel_pos_h).to(query.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(width, width, self.rel_pos_w).to(query.dtype))
        query = torch.cat([query * self.scale, rows.flatten(2, 3), columns.flatten(2, 3)], dim=-1)
        units = torch.cat([_units(height).repeat_interleave(width, 0), _units(width).repeat(height, 1)], dim=-1)
        units = units.to(key).expand(*key.shape[:2], -1, -1)
        return query, torch.cat([key, units], dim=-1)


def fuse_attention(encoder: ImageEncoderViT) -> None:
    """Give every block of ``encoder`` the fused attention. Its parameters and their names stay."""
    for block in encoder.blocks:
        if block.attn.use_rel_pos:
            block.attn.__class__ = FusedAttention


def _units(count: int) -> torch.Tensor:
    return torch.eye(count)
