"""Segment Anything by its authors' package."""

from __future__ import annotations

import torch

from ssc_core.segment.sam_attention import fuse_attention
from ssc_core.segment.sam_base import BoxSegmenter
from ssc_core.segment.sam_build import load_sam
from ssc_core.torch_runtime import Precision


class SegmentAnything(BoxSegmenter):
    """SAM. model: ``vit_h``, ``vit_l``, ``vit_b`` with the official ``checkpoint``, or a folder (see ``sam_build``).

    compile: the image encoder of full batches by ``torch.compile``, with roundings of its own. Never measured on
    a GPU.
    """

    def __init__(
        self,
        model: str,
        checkpoint: str | None = None,
        *,
        batch_size: int = 4,
        boxes_per_pass: int = 64,
        precision: Precision = "auto",
        compile: bool = False,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        sam = load_sam(model, checkpoint)
        fuse_attention(sam.image_encoder)
        super().__init__(
            sam,
            side=sam.image_encoder.img_size,
            mean=sam.pixel_mean.flatten().tolist(),
            std=sam.pixel_std.flatten().tolist(),
            batch_size=batch_size,
            boxes_per_pass=boxes_per_pass,
            precision=precision,
            device=device,
            threads=threads,
        )

        self._compiled = torch.compile(self.network.image_encoder, dynamic=False) if compile else None

    def _encode(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        # a shape is compiled for minutes: the last batch of a shard is not worth it
        full = len(pixels) == self._images.size
        encoder = self._compiled if full and self._compiled is not None else self.network.image_encoder
        return list(encoder(pixels).float().split(1))

    def _decode(self, encoded: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sparse, dense = self.network.prompt_encoder(points=None, boxes=boxes, masks=None)
        return self.network.mask_decoder(
            image_embeddings=encoded,
            image_pe=self.network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
