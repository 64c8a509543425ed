"""What backends share that are a network of transformers for photos and texts: whole batches, from a local folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ssc_core.pretrained import Attention, Dtype, load_image_processor, load_network, load_tokenizer
from ssc_core.torch_runtime import Precision, ShrinkingBatches, pick_bf16, pick_device


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo as the network takes it. pixels: float32 (3, h, w), normalised; size: original (height, width)."""

    pixels: torch.Tensor
    size: tuple[int, int]


class PhotoNetwork:
    """A network from a local folder that sees photos as its own processor makes them, all of one size.

    kind, processor: classes of transformers. batch_size: photos a forward pass; it shrinks when memory runs out. dtype:
    of the weights; precision: ``auto`` is bf16 autocast on a GPU and none elsewhere. The other settings are those of
    ``load_network``. Raises SscError as that does.
    """

    kind: Any
    processor: Any

    def __init__(
        self,
        model: str,
        *,
        unused: Sequence[str] = (),
        batch_size: int,
        dtype: Dtype,
        attention: Attention | None,
        precision: Precision,
        device: str,
        threads: int,
    ) -> None:
        self.device = pick_device(device, threads)
        self._bf16 = pick_bf16(precision, self.device)
        self._processor = load_image_processor(self.processor, model)
        network = load_network(self.kind, model, unused=unused, dtype=dtype, attention=attention)
        self.network: Any = network.to(self.device).requires_grad_(False)
        self._tokenizer = load_tokenizer(model)
        self._photos = ShrinkingBatches(batch_size, f"{self.kind.__name__}, photos")

    def prepared(self, image: np.ndarray) -> PreparedPhoto:
        """Resize and normalise RGB uint8 (H, W, 3). Thread-safe, so that workers can run ahead of the model."""
        # a copy in a layout that torch takes without a warning: photos may be read-only
        pixels = self._processor(images=[np.array(image)], return_tensors="pt", input_data_format="channels_last")
        return PreparedPhoto(pixels["pixel_values"][0], image.shape[:2])

    def _as_prepared(self, images: Sequence[np.ndarray | PreparedPhoto]) -> list[PreparedPhoto]:
        return [image if isinstance(image, PreparedPhoto) else self.prepared(image) for image in images]

    def _pixels(self, photos: Sequence[PreparedPhoto]) -> torch.Tensor:
        """(B, 3, h, w) on the device, of the network's dtype."""
        return torch.stack([photo.pixels for photo in photos]).to(self.device, self.network.dtype)

    def _tokens(self, texts: Sequence[str], length: int | None = None) -> dict[str, torch.Tensor]:
        """``input_ids`` and ``attention_mask``, int64 (S, T), on the device: padded to T, and cut there.

        length: T; None: the longest that the text encoder takes, as it was trained.
        """
        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=length or self.network.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        return {key: tokens[key].to(self.device) for key in ("input_ids", "attention_mask")}

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            yield
