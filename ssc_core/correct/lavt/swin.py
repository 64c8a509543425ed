"""The Swin backbone's parts: settings, patch embedding, shifted-window blocks and patch merging.

Feature maps are (B, H, W, C) throughout, so that linear layers and layer norms work without permuting.
Any H and W will do: maps are padded at the right and bottom to whole patches, windows and pairs, as Swin does for
detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssc_core.correct.lavt.windows import from_windows, relative_position_index, shift_mask, to_windows
from ssc_core.errors import SscError


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinArchitecture:
    """Size of a Swin backbone. Stage i has ``embed_dim * 2^i`` channels."""

    embed_dim: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int = 7
    patch: int = 4

    def __post_init__(self) -> None:
        if len(self.depths) != 4 or len(self.heads) != 4:
            raise SscError(f"a Swin backbone has four stages; got depths {self.depths} and heads {self.heads}")
        if min(self.depths) < 1:
            raise SscError(f"each stage of a Swin backbone has at least one block; got depths {self.depths}")
        for channels, heads in zip(self.channels, self.heads, strict=True):
            if heads < 1 or channels % heads:
                raise SscError(f"Swin: {channels} channels do not divide by {heads} heads; change embed_dim or heads")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four stages."""
        return tuple(self.embed_dim * 2**stage for stage in range(4))


PUBLISHED_SIZES = {
    "tiny": SwinArchitecture(embed_dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    "small": SwinArchitecture(embed_dim=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    "base": SwinArchitecture(embed_dim=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    "large": SwinArchitecture(embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48)),
}


class PatchEmbed(nn.Module):
    """Cut the picture into patches and embed each: (B, 3, H, W) to (B, ceil(H / patch), ceil(W / patch), C)."""

    def __init__(self, patch: int, channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3, channels, kernel_size=patch, stride=patch)
        self.norm = nn.LayerNorm(channels)

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        bottom, right = -height % self.patch, -width % self.patch
        if bottom or right:
            pixels = F.pad(pixels, (0, right, 0, bottom))
        return self.norm(self.proj(pixels).permute(0, 2, 3, 1))


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, shifted or not, with a learned bias per head and relative position."""

    relative_position_index: Tensor

    def __init__(self, channels: int, window: int, heads: int, shift: int) -> None:
        super().__init__()
        self.window, self.heads, self.shift = window, heads, shift
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape, in windows from its corner (after the shift), with zeros around what is cut.

        The linear layers see the map alone: of zeros, the first gives its bias, and what the padding sees is dropped.
        """
        height, width = x.shape[1:3]
        qkv = self._padded_qkv(x)
        padded = (qkv.shape[1], qkv.shape[2])
        bias, mask = self._bias(), None
        if self.shift:
            qkv = qkv.roll((-self.shift, -self.shift), dims=(1, 2))
            mask = shift_mask(*padded, self.window, self.shift, x.device)
        parts = to_windows(qkv, self.window, self.heads)  # (3, B, windows, heads, N, C / heads)
        if mask is None:
            out = _attention(parts.flatten(1, 2), bias).unflatten(0, (x.shape[0], -1))
        else:
            # Fused attention takes four dimensions: windows join the heads, so that the mask is shared by the batch.
            bias = (mask[:, None] + bias).flatten(0, 1)
            out = _attention(parts.flatten(2, 3), bias).unflatten(1, (-1, self.heads))
        x = from_windows(out, self.window, *padded)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return self.proj(x[:, :height, :width])

    def _padded_qkv(self, x: Tensor) -> Tensor:
        """Query, key and value of each place, (B, H, W, 3 C), H and W filled up to whole windows."""
        height, width = x.shape[1:3]
        bottom, right = -height % self.window, -width % self.window
        qkv = self.qkv(x)
        if not (bottom or right):
            return qkv
        around = (0, 0, 0, right, 0, bottom)
        outside = F.pad(qkv.new_zeros(height, width, 1), around, value=1.0)
        return F.pad(qkv, around) + outside * self.qkv.bias.to(qkv.dtype)

    def _bias(self) -> Tensor:
        """The learned bias of every pair of places: (heads, N, N)."""
        rows = self.relative_position_bias_table.index_select(0, self.relative_position_index.flatten())
        places = self.window**2
        return rows.t().reshape(self.heads, places, places)


def _attention(qkv: Tensor, bias: Tensor) -> Tensor:
    """(3, B, heads, N, C / heads) to (B, heads, N, C / heads). bias: (heads, N, N)."""
    query, key, value = qkv.unbind()
    bias = bias.to(query.dtype)
    if query.is_cpu and bias.requires_grad:  # no fused one has a gradient for it, and PyTorch's other one takes longer
        return ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + bias).softmax(-1) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


class Mlp(nn.Module):
    """Two linear layers with GELU, four times as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth: in training, drop a sample's residual branch with probability ``rate`` (Huang et al., 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @property
    def is_random(self) -> bool:
        return self.training and self.rate > 0

    def forward(self, branch: Tensor) -> Tensor:
        if not self.is_random:
            return branch
        keep = 1.0 - self.rate
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        return branch * branch.new_empty(shape).bernoulli_(keep).div_(keep or 1.0)


class SwinBlock(nn.Module):
    """Window attention and MLP, each on a normed residual branch; every second block works on shifted windows."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, window, heads, shift)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)

    @property
    def is_random(self) -> bool:
        """Whether equal samples may come out differently."""
        return self.drop_path.is_random

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Halve the resolution: each 2 x 2 neighbourhood becomes one place of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.view(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, channels)
        # Published order of the four neighbours: down before right.
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3)
        return self.reduction(self.norm(x))


def initialise_linear(module: nn.Module) -> None:
    """Swin's start values, for ``Module.apply``: linear layers normal with deviation 0.02, cut at 2, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
