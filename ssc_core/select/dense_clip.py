"""Patch features of open_clip's models in the space of their sentences, for dense scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ssc_core.errors import SscError
from ssc_core.pretrained import Dtype, torch_dtype
from ssc_core.select.clip import OpenClip
from ssc_core.select.dense import DenseScorer
from ssc_core.select.scorers import SCORE_SCALE
from ssc_core.torch_runtime import Precision


class DenseOpenClip(DenseScorer):
    """Cosines of patch features and sentences by any open_clip model, as a ``PairScorer``.

    Settings are those of ``OpenClip``, and dtype: of the weights of the image tower, half the memory with 16 bits.
    (The text tower stays at 32, and how attention is computed is open_clip's choice.) The whole photo is resized to the
    model's square, since nothing of it may be cut off. A patch has the feature that the model's last step of pooling
    gives when it sees that patch alone; in CLIP's transformer, whose class token gathers the photo in the last block,
    each patch sees only itself there (MaskCLIP, Zhou et al., arXiv 2112.01071).
    """

    scale = "cosine x 100"

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        *,
        quick_gelu: bool | None = None,
        tag: str | None = None,
        tokenizer: str | None = None,
        dtype: Dtype = "float32",
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self._dtype = torch_dtype(dtype)
        self._clip = OpenClip(
            model,
            pretrained,
            quick_gelu=quick_gelu,
            tag=tag,
            tokenizer=tokenizer,
            precision=precision,
            device=device,
            threads=threads,
        )
        self._tower = self._clip.model.visual.to(self._dtype)
        if not isinstance(self._tower, VisionTransformer | TimmModel | ModifiedResNet):
            raise SscError(f"open_clip: {model} has a {type(self._tower).__name__}, whose patches cannot be read")

    def _see(self, image: np.ndarray) -> Tensor:
        """Unit features of the patches, float32 (h, w, D)."""
        pixels = self._clip.normalised([self._squeezed(image)]).to(self._dtype)
        with torch.autocast(self._clip.device.type, torch.bfloat16, enabled=self._clip.bf16):
            features = patch_features(self._tower, pixels)[0]
        return functional.normalize(features.float(), dim=-1)

    def _maps(self, seen: Tensor, sentences: Sequence[str]) -> Tensor:
        texts = torch.from_numpy(self._clip.encode_texts(sentences)).to(seen.device)
        return SCORE_SCALE * torch.einsum("hwd,sd->shw", seen, texts)

    def _squeezed(self, image: np.ndarray) -> np.ndarray:
        height, width = self._clip.input_size
        bilinear = self._clip.interpolation == "bilinear"
        kernel = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(image).resize((width, height), kernel))


def patch_features(tower: Any, pixels: Tensor) -> Tensor:
    """Features (B, h, w, D) of the patches of normalised pixels (B, 3, H, W), in the space of sentences."""
    if isinstance(tower, VisionTransformer):
        return _transformer_patches(tower, pixels)
    if isinstance(tower, TimmModel):
        return _timm_patches(tower, pixels)
    return _resnet_patches(tower, pixels)


def _transformer_patches(tower: VisionTransformer, pixels: Tensor) -> Tensor:
    if tower.attn_pool is not None or tower.proj is None:
        raise SscError("open_clip: patches of a transformer with a head of its own cannot be read; use one as CLIP's")
    *blocks, last = tower.transformer.resblocks
    tokens = tower._embeds(pixels)
    for block in blocks:
        tokens = block(tokens)
    itself = torch.full((tokens.shape[1],) * 2, float("-inf"), dtype=tokens.dtype, device=tokens.device).fill_diagonal_(
        0
    )
    tokens = tower.ln_post(last(tokens, attn_mask=itself))
    patches = tokens[:, 1:] @ tower.proj
    return patches.unflatten(1, tower.grid_size)


def _timm_patches(tower: TimmModel, pixels: Tensor) -> Tensor:
    trunk = tower.trunk
    seen = trunk.forward_features(pixels)
    if seen.ndim == 4:  # convolutions: (B, C, h, w)
        batch, _, height, width = seen.shape
        alone = seen.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]
    else:  # tokens (B, N, C), of which the first may stand for the whole photo
        height, width = trunk.patch_embed.grid_size
        batch, alone = len(seen), seen[:, seen.shape[1] - height * width :].flatten(0, 1)[:, None]
    features = tower.head(trunk.forward_head(alone))
    return features.unflatten(0, (batch, height, width))


def _resnet_patches(tower: ModifiedResNet, pixels: Tensor) -> Tensor:
    """The attention that pools, with each place alone: its value, projected."""
    seen = tower.stem(pixels)
    for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        seen = layer(seen)
    pool = tower.attnpool
    return pool.c_proj(pool.v_proj(seen.permute(0, 2, 3, 1)))
