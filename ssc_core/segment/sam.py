"""Segment Anything as a box-prompted segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from segment_anything.utils.transforms import ResizeLongestSide

from ssc_core.backends import InstanceMasks
from ssc_core.segment.sam_attention import fuse_attention
from ssc_core.segment.sam_build import load_sam
from ssc_core.segment.torch_runtime import Precision, ShrinkingBatches, pick_bf16, pick_device


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image as the encoder takes it. pixels: uint8 (h, w, 3), long side = input side; size: original (H, W)."""

    pixels: np.ndarray
    size: tuple[int, int]


class SegmentAnything:
    """SAM behind the ``Segmenter`` contract: of three masks a box, the one with the highest predicted IoU.

    model: ``vit_h``, ``vit_l``, ``vit_b`` with the official ``checkpoint``, or a folder (see ``sam_build``).
    batch_size: images an encoder pass; boxes_per_pass: boxes of one image a decoder pass; both shrink when memory runs
    out. precision: of the image encoder, ``auto`` is bf16 on a GPU and fp32 elsewhere; the decoder is always fp32.
    """

    def __init__(
        self,
        model: str,
        checkpoint: str | None = None,
        *,
        batch_size: int = 4,
        boxes_per_pass: int = 64,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.device = pick_device(device, threads)
        self._bf16 = pick_bf16(precision, self.device)
        self._threads = threads
        self.sam = load_sam(model, checkpoint).to(self.device).requires_grad_(False)
        fuse_attention(self.sam.image_encoder)
        self._side: int = self.sam.image_encoder.img_size
        self._geometry = ResizeLongestSide(self._side)
        self._images = ShrinkingBatches(batch_size, "SAM, images")
        self._boxes = ShrinkingBatches(boxes_per_pass, "SAM, boxes")

    def prepare(self, image: np.ndarray) -> PreparedImage:
        """Resize RGB uint8 (H, W, 3) to the input side. Thread-safe, so that workers can run ahead of the model."""
        height, width = image.shape[:2]
        rows, columns = self._geometry.get_preprocess_shape(height, width, self._side)
        resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
        return PreparedImage(np.array(resized), (height, width))

    @torch.inference_mode()
    def segment(
        self, images: Sequence[np.ndarray | PreparedImage], boxes_xyxy: Sequence[np.ndarray]
    ) -> list[InstanceMasks]:
        """Masks of the boxes float32 (N, 4) of each image; an image without boxes costs nothing."""
        busy = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
        with ThreadPoolExecutor(self._threads) as pool:
            ready = list(pool.map(self._as_prepared, [images[i] for i in busy]))
        found = self._images(list(zip(ready, [boxes_xyxy[i] for i in busy], strict=True)), self._segment_batch)
        results = [_nothing(image) for image in images]
        for i, result in zip(busy, found, strict=True):
            results[i] = result
        return results

    def _as_prepared(self, image: np.ndarray | PreparedImage) -> PreparedImage:
        return image if isinstance(image, PreparedImage) else self.prepare(image)

    def _segment_batch(self, batch: Sequence[tuple[PreparedImage, np.ndarray]]) -> list[InstanceMasks]:
        embeddings = self._encode([image for image, _ in batch])
        results = []
        for (image, boxes), embedding in zip(batch, embeddings, strict=True):
            pairs = self._boxes(boxes, lambda some, image=image, e=embedding: self._decode(e[None], image, some))
            masks, scores = zip(*pairs, strict=True)
            results.append(InstanceMasks(masks=np.stack(masks), scores=np.array(scores, dtype=np.float32)))
        return results

    def _encode(self, images: Sequence[PreparedImage]) -> torch.Tensor:
        """Image embeddings float32 (B, C, grid, grid); pixels beyond an image are 0 after normalisation."""
        pixels = torch.zeros(len(images), 3, self._side, self._side, device=self.device)
        for row, image in enumerate(images):
            height, width = image.pixels.shape[:2]
            one = torch.from_numpy(image.pixels).to(self.device, non_blocking=True).permute(2, 0, 1).float()
            pixels[row, :, :height, :width] = (one - self.sam.pixel_mean) / self.sam.pixel_std
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self.sam.image_encoder(pixels).float()

    def _decode(
        self, embedding: torch.Tensor, image: PreparedImage, boxes: np.ndarray
    ) -> list[tuple[np.ndarray, float]]:
        """Mask bool (H, W) and predicted IoU of each of the boxes (n, 4), absolute pixels of the original image."""
        corners = self._geometry.apply_boxes(np.asarray(boxes, dtype=np.float64), image.size)
        prompts = torch.as_tensor(corners, dtype=torch.float32, device=self.device)
        sparse, dense = self.sam.prompt_encoder(points=None, boxes=prompts, masks=None)
        logits, ious = self.sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        # choosing first leaves one mask in three to enlarge
        best = ious.argmax(dim=1, keepdim=True)
        chosen = torch.take_along_dim(logits, best[:, :, None, None], dim=1)
        masks = self._enlarge(chosen, image) > self.sam.mask_threshold
        return list(zip(masks[:, 0].cpu().numpy(), ious.gather(1, best)[:, 0].tolist(), strict=True))

    def _enlarge(self, logits: torch.Tensor, image: PreparedImage) -> torch.Tensor:
        """Mask logits (n, 1, h, w) to the original size: to the input side, cut, to the photo, as the package does."""
        return self.sam.postprocess_masks(logits, image.pixels.shape[:2], image.size)


def _nothing(image: np.ndarray | PreparedImage) -> InstanceMasks:
    size = image.size if isinstance(image, PreparedImage) else image.shape[:2]
    return InstanceMasks(masks=np.zeros((0, *size), dtype=bool), scores=np.zeros(0, dtype=np.float32))
