"""The whole network: Swin stages that read the sentence, then the decoder."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ssc_core.correct.lavt.decoder import Decoder
from ssc_core.correct.lavt.fusion import Fusion, language_gate, per_sample
from ssc_core.correct.lavt.swin import (
    PUBLISHED_SIZES,
    PatchEmbed,
    PatchMerging,
    SwinArchitecture,
    SwinBlock,
    initialise_linear,
)
from ssc_core.errors import SscError


class LAVT(nn.Module):
    """Language-aware vision transformer (Yang et al., CVPR 2022), with the published files' key names and shapes.

    ``swin``: a published size (tiny, small, base, large) or settings; ``window`` overrides the settings' window.
    ``fusion_heads``: heads of the pixel-word attention of the four stages. ``drop_path``: stochastic depth of the last
    block, rising evenly from 0. ``decoder_width``: inner channels of the decoder; None is half those of the last stage,
    as published. ``checkpoint_activations``: compute the blocks again in backward instead of keeping their activations;
    less memory, about a third more time, the same numbers.
    """

    def __init__(
        self,
        swin: str | SwinArchitecture = "base",
        window: int | None = None,
        fusion_heads: tuple[int, int, int, int] = (1, 1, 1, 1),
        text_dim: int = 768,
        drop_path: float = 0.3,
        fusion_dropout: float = 0.0,
        checkpoint_activations: bool = False,
        decoder_width: int | None = None,
    ) -> None:
        super().__init__()
        self.settings = _resolve(swin, window)
        if len(fusion_heads) != 4:
            raise SscError(f"fusion_heads gives the heads of four stages; got {fusion_heads}")
        self.fusion_heads = tuple(fusion_heads)
        self.text_dim = text_dim
        self.backbone = Backbone(
            self.settings, self.fusion_heads, text_dim, drop_path, fusion_dropout, checkpoint_activations
        )
        self.classifier = Decoder(self.settings.channels, decoder_width)

    def forward(self, pixels: Tensor, words: Tensor, word_mask: Tensor, photo_of: Tensor | None = None) -> Tensor:
        """Logits (B, 2, H, W), background first, for ``pixels`` (B, 3, H, W), ``words`` (B, text_dim, T).

        ``word_mask`` is (B, T, 1) with 1 at words and 0 at padding. Pixels are ImageNet-normalised. Where several
        sentences are of one photo, ``pixels`` may be those of P photos and ``photo_of``, int64 (B,), each sentence's:
        what does not depend on the words is computed once per photo.
        """
        stages = self.backbone(pixels, words.transpose(1, 2), word_mask.to(words.dtype), photo_of)
        logits = self.classifier(stages).contiguous()  # two channels, innermost, are slow to interpolate on a CPU
        return F.interpolate(logits, size=pixels.shape[-2:], mode="bilinear", align_corners=True)


class Backbone(nn.Module):
    """Four Swin stages with a fusion each; layer norms on what goes to the decoder."""

    def __init__(
        self,
        swin: SwinArchitecture,
        fusion_heads: tuple[int, ...],
        text_dim: int,
        drop_path: float,
        fusion_dropout: float,
        checkpoint_activations: bool,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(swin.patch, swin.embed_dim)
        last_block = sum(swin.depths) - 1
        self.layers = nn.ModuleList(
            Stage(
                channels=swin.channels[i],
                heads=swin.heads[i],
                window=swin.window,
                drop_path=[drop_path * (sum(swin.depths[:i]) + j) / last_block for j in range(swin.depths[i])],
                fusion=Fusion(swin.channels[i], text_dim, fusion_heads[i], fusion_dropout),
                last=i == 3,
                checkpoint_activations=checkpoint_activations,
            )
            for i in range(4)
        )
        for i, channels in enumerate(swin.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(channels))

    def forward(self, pixels: Tensor, words: Tensor, word_mask: Tensor, photo_of: Tensor | None = None) -> list[Tensor]:
        """Stage outputs (B, C_i, H_i, W_i), finest first, in channels-last memory. ``words`` are (B, T, D)."""
        x = self.patch_embed(pixels)
        outputs = []
        for i, stage in enumerate(self.layers):
            fused, x = stage(x, words, word_mask, photo_of)
            photo_of = None
            outputs.append(self.get_submodule(f"norm{i}")(fused).permute(0, 3, 1, 2))
        return outputs


class Stage(nn.Module):
    """Swin blocks, the fusion with the words, the gate back into the stream, and patch merging."""

    def __init__(
        self,
        *,
        channels: int,
        heads: int,
        window: int,
        drop_path: list[float],
        fusion: Fusion,
        last: bool,
        checkpoint_activations: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, heads, window, shift=window // 2 if j % 2 else 0, drop_path=rate)
            for j, rate in enumerate(drop_path)
        )
        self.blocks.apply(initialise_linear)
        self.fusion = fusion
        self.res_gate = language_gate(channels)
        self.checkpoint_activations = checkpoint_activations
        self.downsample: PatchMerging | None
        if last:
            # Nothing follows the last stage's gate. It is part of the published files, so it stays, without gradient.
            self.downsample = None
            self.res_gate.requires_grad_(False)
        else:
            self.downsample = PatchMerging(channels)
            self.downsample.apply(initialise_linear)

    def forward(
        self, x: Tensor, words: Tensor, word_mask: Tensor, photo_of: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The fused features (B, H, W, C) and the input of the next stage (B, H / 2, W / 2, 2 C)."""
        for block in self.blocks:
            if block.is_random:  # each sample draws for itself
                x, photo_of = per_sample(x, photo_of), None
            x = self._run(block, x)
        fused = self._run(self.fusion, x, words, word_mask, photo_of)
        x = per_sample(x, photo_of)
        if self.downsample is None:
            return fused, x
        return fused, self.downsample(torch.addcmul(x, self.res_gate(fused), fused))

    def _run(self, module: nn.Module, *inputs: Tensor | None) -> Tensor:
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            return checkpoint(module, *inputs, use_reentrant=False)
        return module(*inputs)


def _resolve(swin: str | SwinArchitecture, window: int | None) -> SwinArchitecture:
    if isinstance(swin, str):
        if swin not in PUBLISHED_SIZES:
            raise SscError(f"there is no Swin called '{swin}'; choose one of {', '.join(PUBLISHED_SIZES)}")
        swin = PUBLISHED_SIZES[swin]
    return swin if window is None else replace(swin, window=window)
