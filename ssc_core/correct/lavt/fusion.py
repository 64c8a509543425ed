"""Pixel-word attention (PWAM) and the language gate, LAVT sections 3.1 and 3.2.

Pixels are (B, N, C) with N = H * W, words (B, T, D). The layers are 1 x 1 convolutions in the published files, with
weights (out, in, 1); here they work as linear layers on the last dimension, which needs no permuted copies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssc_core.errors import SscError

EPSILON = 1e-5
"""Added to the variance in instance norms, PyTorch's default."""


class Pointwise(nn.Conv1d):
    """A 1 x 1 convolution on channels-last input: (B, N, in) to (B, N, out)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.squeeze(-1), self.bias)


class PixelWordAttention(nn.Module):
    """For each pixel, a mix of the words by attention, instance-normed over the pixels.

    With P the pixels and L the words: Q = IN(f_query P), K = f_key L, V = f_value L (zero at padding), and the result
    is IN(W (softmax(Q K^T / sqrt(C) - 1e4 [padding]) V)). The scale is that of all C channels for any number of heads.

    Neither instance norm (no parameters) is ever applied to a map of N x C. Both are moved to the T words, of which
    there are few: the first scales the keys; the second follows from the T x T covariance of the attention, since
    W (A V) = A (W V). Biases in front of an instance norm cancel: they are kept for the file format, without gradient.
    """

    def __init__(self, channels: int, text_dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise SscError(f"fusion_heads: {channels} channels do not divide by {heads} heads")
        self.heads = heads
        self.f_key = nn.Sequential(Pointwise(text_dim, channels))
        self.f_query = nn.Sequential(Pointwise(channels, channels))
        self.f_value = nn.Sequential(Pointwise(text_dim, channels))
        self.W = nn.Sequential(Pointwise(channels, channels))
        for normed in (self.f_query, self.W):
            normed[0].get_parameter("bias").requires_grad_(False)

    def forward(self, pixels: Tensor, words: Tensor, word_mask: Tensor, photo_of: Tensor | None = None) -> Tensor:
        """(B, N, C), (B, T, D) and (B, T, 1) with 1 at words, 0 at padding; to (B, N, C).

        With ``photo_of``, int64 (B,), pixels are (P, N, C), and those of sentence b are ``pixels[photo_of[b]]``.
        """
        key = self._by_head(self.f_key(words) * word_mask)  # (B, heads, T, C / heads)
        value = self._by_head(self.f_value(words) * word_mask)
        attention = self._attention(pixels, key, word_mask, photo_of)  # (B, N, heads * T)

        out_weight = self._by_head(_matrix(self.W)[None])  # (1, heads, C, C / heads)
        mixed = (value @ out_weight.transpose(-1, -2)).flatten(1, 2)  # W V: (B, heads * T, C)
        return _normed_mixture(attention, mixed)

    def _attention(self, pixels: Tensor, key: Tensor, word_mask: Tensor, photo_of: Tensor | None) -> Tensor:
        """softmax over the words, (B, N, heads * T), of IN(f_query pixels) key^T / sqrt(C)."""
        channels = pixels.shape[-1]
        query = F.linear(pixels, _matrix(self.f_query))
        variance, mean = torch.var_mean(_exact(query), dim=1, keepdim=True, correction=0)
        query, variance, mean = (per_sample(part, photo_of) for part in (query, variance, mean))
        key = key * self._by_head(channels**-0.5 * torch.rsqrt(variance + EPSILON))
        padding = (1e4 * word_mask - 1e4).transpose(1, 2)[:, None]  # (B, 1, 1, T)
        scores = self._by_head(query) @ key.transpose(-1, -2)
        scores = scores + (padding - self._by_head(mean) @ key.transpose(-1, -2))
        return scores.softmax(-1).transpose(1, 2).flatten(2)

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def per_sample(x: Tensor, photo_of: Tensor | None) -> Tensor:
    """(P, ...) to (B, ...): row ``photo_of[b]`` for sample b. Without ``photo_of`` each sample has its own already."""
    return x if photo_of is None else x.index_select(0, photo_of)


def _matrix(convolution: nn.Sequential) -> Tensor:
    """The weight (out, in) of a 1 x 1 convolution that its user applies by itself."""
    return convolution[0].get_parameter("weight").squeeze(-1)


def _normed_mixture(attention: Tensor, mixed: Tensor) -> Tensor:
    """IN(attention mixed) over the pixels, for attention (B, N, T) whose rows sum to a constant and mixed (B, T, C).

    The variance of channel c is m_c^T Cov(attention) m_c.
    """
    attention = attention - attention.mean(1, keepdim=True)
    # The rows now sum to 0, so what the words share has no effect; without it, half precision loses less.
    mixed = mixed - mixed.mean(1, keepdim=True)
    with torch.autocast(mixed.device.type, enabled=False):
        attention, mixed = _exact(attention), _exact(mixed)
        covariance = attention.transpose(1, 2) @ attention / attention.shape[1]
        variance = (mixed * (covariance @ mixed)).sum(1, keepdim=True).clamp_min(0)
        mixed = mixed * torch.rsqrt(variance + EPSILON)
    return attention @ mixed


def _exact(x: Tensor) -> Tensor:
    """At least single precision, for statistics."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Fusion(nn.Module):
    """PWAM: the words as each pixel sees them, times the projected pixels, projected again."""

    def __init__(self, channels: int, text_dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.vis_project = nn.Sequential(Pointwise(channels, channels), nn.GELU(), nn.Dropout(dropout))
        self.image_lang_att = PixelWordAttention(channels, text_dim, heads)
        self.project_mm = nn.Sequential(Pointwise(channels, channels), nn.GELU(), nn.Dropout(dropout))

    def forward(self, x: Tensor, words: Tensor, word_mask: Tensor, photo_of: Tensor | None = None) -> Tensor:
        """(B, H, W, C), (B, T, D), (B, T, 1) to (B, H, W, C); with ``photo_of`` as ``PixelWordAttention``."""
        if self.training and self.dropout > 0:  # each sample draws for itself
            x, photo_of = per_sample(x, photo_of), None
        pixels = x.flatten(1, 2)
        seen = self.image_lang_att(pixels, words, word_mask, photo_of)
        visual = per_sample(self.vis_project(pixels), photo_of)
        return self.project_mm(visual * seen).unflatten(1, x.shape[1:3])


def language_gate(channels: int) -> nn.Sequential:
    """How much of the fused features enters the visual stream, in (-1, 1) per pixel and channel."""
    return nn.Sequential(
        nn.Linear(channels, channels, bias=False),
        nn.ReLU(),
        nn.Linear(channels, channels, bias=False),
        nn.Tanh(),
    )
