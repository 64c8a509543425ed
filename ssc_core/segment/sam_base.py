"""What all box-prompted segmenters share: batches of images, boxes in chunks, and the best of three masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ssc_core.backends import InstanceMasks
from ssc_core.distinct import distinct
from ssc_core.torch_runtime import Precision, ShrinkingBatches, pick_bf16, pick_device, to_host, wait_for


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """An image as the encoder takes it. pixels: uint8 (h, w, 3), resized; size: original (H, W)."""

    pixels: np.ndarray
    size: tuple[int, int]


class BoxSegmenter(ABC):
    """The ``Segmenter`` contract for networks with an image encoder and a prompted decoder.

    The encoder sees each image once; all boxes of an image go through the decoder together. Of the masks of a box, the
    one with the highest predicted IoU is kept. batch_size: images an encoder pass; boxes_per_pass: boxes of one image a
    decoder pass; both shrink when memory runs out. precision: of the image encoder, ``auto`` is bf16 autocast on a GPU
    and fp32 elsewhere; the decoder is always fp32.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        side: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        batch_size: int,
        boxes_per_pass: int,
        precision: Precision,
        device: str,
        threads: int,
    ) -> None:
        """side: of the square input; mean, std: of RGB in 0..255."""
        self.device = pick_device(device, threads)
        self.network: Any = network.to(self.device).eval().requires_grad_(False)
        self.side = side
        self._bf16 = pick_bf16(precision, self.device)
        self._threads = threads
        self._mean = torch.tensor(mean, dtype=torch.float32, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=self.device).view(3, 1, 1)
        self._images = ShrinkingBatches(batch_size, "SAM, images")
        self._boxes = ShrinkingBatches(boxes_per_pass, "SAM, boxes")

    @abstractmethod
    def _encode(self, pixels: torch.Tensor) -> list[Any]:
        """Normalised pixels (B, 3, side, side) to what the decoder needs of each image."""

    @abstractmethod
    def _decode(self, encoded: Any, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (n, 4) in input pixels to mask logits (n, masks, h, w) and predicted IoU (n, masks)."""

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image in the input. As SAM does it: the long side fills the input. (Where the short one
        is rounded to nothing, it is 1 pixel; SAM itself fails.)"""
        scale = self.side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def prepare(self, image: np.ndarray) -> EncoderInput:
        """Resize RGB uint8 (H, W, 3) to the input. Thread-safe, so that workers can run ahead of the model."""
        height, width = image.shape[:2]
        rows, columns = self._input_size(height, width)
        resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
        return EncoderInput(np.array(resized), (height, width))

    @torch.inference_mode()
    def segment(
        self, images: Sequence[np.ndarray | EncoderInput], boxes_xyxy: Sequence[np.ndarray]
    ) -> list[InstanceMasks]:
        """Masks of the boxes float32 (N, 4) of each image. An image without boxes costs nothing, and one that is given
        several times, the same object, is encoded once."""
        busy = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
        different, places = distinct([images[i] for i in busy])
        asked: list[list[np.ndarray]] = [[] for _ in different]
        for i, place in zip(busy, places, strict=True):
            asked[place].append(boxes_xyxy[i])
        with ThreadPoolExecutor(max(1, self._threads)) as pool:
            ready = list(pool.map(self._as_prepared, different))
        found = self._images(list(zip(ready, map(np.concatenate, asked), strict=True)), self._segment_batch)
        parts = [_parted(one, [len(boxes) for boxes in of]) for one, of in zip(found, asked, strict=True)]
        results = [_nothing(image) for image in images]
        for i, place in zip(busy, places, strict=True):
            results[i] = next(parts[place])
        return results

    def _as_prepared(self, image: np.ndarray | EncoderInput) -> EncoderInput:
        return image if isinstance(image, EncoderInput) else self.prepare(image)

    def _segment_batch(self, batch: Sequence[tuple[EncoderInput, np.ndarray]]) -> list[InstanceMasks]:
        pixels = self._pixels([image for image, _ in batch])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            encoded = self._encode(pixels)
        queued = []
        for (image, boxes), one in zip(batch, encoded, strict=True):
            rows: Any = boxes  # an array is sliced as a sequence is
            queued.append(self._boxes(rows, partial(self._masks, one, image)))
        wait_for(self.device)
        return [_copied(pairs) for pairs in queued]

    def _pixels(self, images: Sequence[EncoderInput]) -> torch.Tensor:
        """Normalised pixels float32 (B, 3, side, side); 0 beyond an image."""
        pixels = torch.zeros(len(images), 3, self.side, self.side, device=self.device)
        for row, image in enumerate(images):
            height, width = image.pixels.shape[:2]
            one = torch.from_numpy(image.pixels).to(self.device, non_blocking=True).permute(2, 0, 1).float()
            pixels[row, :, :height, :width] = (one - self._mean) / self._std
        return pixels

    def _masks(self, encoded: Any, image: EncoderInput, boxes: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Mask bool (H, W) and predicted IoU of each of the boxes (n, 4), absolute pixels of the original image.

        They are on their way ``to_host``.
        """
        (height, width), (rows, columns) = image.size, image.pixels.shape[:2]
        scale = np.array([columns / width, rows / height] * 2)
        prompts = torch.from_numpy((np.asarray(boxes, np.float64) * scale).astype(np.float32))
        prompts = prompts.to(self.device, non_blocking=True)
        logits, ious = self._decode(encoded, prompts)
        # choosing first leaves one mask in three to enlarge
        best = ious.argmax(dim=1, keepdim=True)
        chosen = torch.take_along_dim(logits, best[:, :, None, None], dim=1).float()
        masks = self._enlarge(chosen, (rows, columns), image.size)[:, 0] > 0
        scores = ious.gather(1, best)[:, 0].float()
        return list(zip(to_host(masks), to_host(scores), strict=True))

    def _enlarge(self, logits: torch.Tensor, shown: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
        """Mask logits (n, 1, h, w) to the photo's ``size`` by way of the input, cut to what the image fills there."""
        logits = functional.interpolate(logits, (self.side, self.side), mode="bilinear", align_corners=False)
        logits = logits[..., : shown[0], : shown[1]]
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def _copied(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> InstanceMasks:
    """The masks and predicted IoUs of an image's boxes, in memory of their own."""
    masks, scores = zip(*pairs, strict=True)
    return InstanceMasks(masks=torch.stack(masks).numpy(), scores=torch.stack(scores).numpy())


def _parted(found: InstanceMasks, counts: Sequence[int]) -> Iterator[InstanceMasks]:
    """The masks of an image's boxes, so many at a time."""
    ends = np.cumsum(counts)[:-1]
    for masks, scores in zip(np.split(found.masks, ends), np.split(found.scores, ends), strict=True):
        yield InstanceMasks(masks=masks, scores=scores)


def _nothing(image: np.ndarray | EncoderInput) -> InstanceMasks:
    size = image.size if isinstance(image, EncoderInput) else image.shape[:2]
    return InstanceMasks(masks=np.zeros((0, *size), dtype=bool), scores=np.zeros(0, dtype=np.float32))
