"""Dense scorers by transformers: TIPSv2, whose patches lie in the space of its sentences, and CLIPSeg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    CLIPSegForImageSegmentation,
    Tipsv2ImageProcessor,
    Tipsv2Model,
    ViTImageProcessor,
)

from ssc_core.photo_network import PhotoNetwork
from ssc_core.pretrained import Attention, Dtype
from ssc_core.select.dense import DenseScorer
from ssc_core.select.scorers import SCORE_SCALE
from ssc_core.torch_runtime import Precision


class _DenseNetwork(PhotoNetwork, DenseScorer):
    """A local folder of transformers with network, image processor and tokenizer. Settings as ``PhotoNetwork`` has
    them."""

    def __init__(
        self,
        model: str,
        *,
        dtype: Dtype = "float32",
        attention: Attention | None = None,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        super().__init__(
            model,
            batch_size=1,
            dtype=dtype,
            attention=attention,
            precision=precision,
            device=device,
            threads=threads,
        )

    def _photo(self, image: np.ndarray) -> Tensor:
        return self._pixels([self.prepared(image)])


class Tipsv2(_DenseNetwork):
    """TIPSv2 (google/tipsv2-* as a local folder): cosines of patches and sentences."""

    kind = Tipsv2Model
    processor = Tipsv2ImageProcessor
    scale = "cosine x 100"

    def _see(self, image: np.ndarray) -> Tensor:
        """Unit features of the patches, float32 (h, w, D)."""
        pixels = self._photo(image)
        with self._computing():
            tokens = self.network.get_image_features(pixel_values=pixels).last_hidden_state[0].float()
        patch = self.network.config.vision_config.patch_size
        height, width = pixels.shape[2] // patch, pixels.shape[3] // patch
        return functional.normalize(tokens[-height * width :], dim=-1).unflatten(0, (height, width))

    def _maps(self, seen: Tensor, sentences: Sequence[str]) -> Tensor:
        with self._computing():
            texts = self.network.get_text_features(**self._tokens(sentences)).pooler_output.float()
        return SCORE_SCALE * torch.einsum("hwd,sd->shw", seen, functional.normalize(texts, dim=-1))


class ClipSeg(_DenseNetwork):
    """CLIPSeg (CIDAS/clipseg-rd64-refined as a local folder): the logit that a place is what the sentence says.

    Its image encoder sees a photo once; its decoder, 1 % of the network, once for each sentence.
    """

    kind: Any = CLIPSegForImageSegmentation
    processor = ViTImageProcessor
    scale = "logit"

    def _see(self, image: np.ndarray) -> list[Tensor]:
        """What the decoder reads, (1, N, D) each."""
        with self._computing():
            out = self.network.clip.get_image_features(self._photo(image), output_hidden_states=True)
        return [out.hidden_states[layer + 1] for layer in self.network.extract_layers]

    def _maps(self, seen: list[Tensor], sentences: Sequence[str]) -> Tensor:
        count = len(sentences)
        with self._computing():
            texts = self.network.clip.get_text_features(**self._tokens(sentences)).pooler_output
            maps = self.network.decoder([layer.expand(count, -1, -1) for layer in seen], texts).logits.float()
        return maps.reshape(count, *maps.shape[-2:])
