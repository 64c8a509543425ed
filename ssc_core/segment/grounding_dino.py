"""GroundingDINO (transformers' port) as an open-vocabulary detector."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from transformers import GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection

from ssc_core.backends import Detections
from ssc_core.distinct import distinct
from ssc_core.errors import SscError
from ssc_core.pretrained import Attention
from ssc_core.segment.captions import Caption, captions_of, labels_by_exact_phrase, labels_by_token_spans
from ssc_core.segment.deformable_attention import fuse_deformable_attention
from ssc_core.segment.grounding_dino_build import LoadedDetector, check_token_positions, load_grounding_dino
from ssc_core.segment.shared_backbone import seen_once
from ssc_core.torch_runtime import Precision, ShrinkingBatches, pick_bf16, pick_device, to_host, wait_for

ClassAssignment = Literal["token_spans", "exact_phrase"]


@dataclass(frozen=True, slots=True)
class DetectorInput:
    """An image as the network takes it. pixels: uint8 (3, h, w); size: original (H, W)."""

    pixels: torch.Tensor
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Question:
    """One image with one caption. row: index of the image."""

    row: int
    image: DetectorInput
    caption: Caption


class GroundingDino:
    """GroundingDINO behind the ``Detector`` contract.

    model: a transformers folder, or the official ``groundingdino_swint_ogc.pth``; the latter needs ``tokenizer``, a
    folder of bert-base-uncased's tokenizer. A query is kept when its highest token probability is above
    ``box_threshold``. ``class_assignment``: ``token_spans`` gives each box the class with the highest mean probability
    over that class's tokens; ``exact_phrase`` the class whose text equals the tokens above ``text_threshold``, as
    published, and label -1 where there is none. short_side, long_side: input size; null takes the model's own, else
    800 and 1333. batch_size: images a forward pass; it shrinks when memory runs out. max_padding: share of a batch that
    may be padding. At 0 only images of one input size share a batch and the results are those of each image alone;
    padding changes them slightly, since the network normalises over whole feature maps. precision: ``auto`` is bf16
    autocast on a GPU and fp32 elsewhere; attention: as ``load_network`` has it.
    """

    kind: Any = GroundingDinoForObjectDetection
    separator = ", "
    """What is between the classes of a caption, as published. (A full stop would keep them from seeing each other.)"""

    def __init__(
        self,
        model: str,
        *,
        tokenizer: str | None = None,
        box_threshold: float = 0.35,
        text_threshold: float = 0.25,
        class_assignment: ClassAssignment = "token_spans",
        short_side: int | None = None,
        long_side: int | None = None,
        batch_size: int = 8,
        max_padding: float = 0.0,
        precision: Precision = "auto",
        attention: Attention | None = None,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        if class_assignment not in ("token_spans", "exact_phrase"):
            raise SscError(f"GroundingDINO: class_assignment '{class_assignment}' is not token_spans or exact_phrase")
        self.device = pick_device(device, threads)
        self._bf16 = pick_bf16(precision, self.device)
        self._threads = threads
        loaded = self._load(model, tokenizer, attention)
        self.network: Any = loaded.network.to(self.device).eval().requires_grad_(False)
        if self.device.type == "cuda":
            fuse_deformable_attention(self.network)
        self._tokenizer, self._max_tokens = loaded.tokenizer, loaded.max_tokens
        self._short_side = short_side or loaded.short_side
        self._long_side = long_side or loaded.long_side
        self._mean = torch.tensor(loaded.mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(loaded.std, device=self.device).view(1, 3, 1, 1)
        self.threshold, self._text_threshold = box_threshold, text_threshold
        self._class_assignment = class_assignment
        self._max_padding = max_padding
        self._batches = ShrinkingBatches(batch_size, "GroundingDINO, images")

    def prepare(self, image: np.ndarray) -> DetectorInput:
        """Resize RGB uint8 (H, W, 3). Thread-safe, so that workers can run ahead of the model."""
        height, width = image.shape[:2]
        rows, columns = input_size(height, width, self._short_side, self._long_side)
        resized = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        return DetectorInput(torch.from_numpy(resized).permute(2, 0, 1), (height, width))

    @torch.inference_mode()
    def detect(
        self, images: Sequence[np.ndarray | DetectorInput], prompts: Sequence[Sequence[str]]
    ) -> list[Detections]:
        """Boxes of each image for its own prompt, in the order of the network's queries.

        An image that is given several times, the same object, is resized once, and its captions share the backbone's
        work where they share a batch.
        """
        different, places = distinct(images)
        with ThreadPoolExecutor(self._threads) as pool:
            ready = list(pool.map(self._as_prepared, different))
        limit = self._max_tokens
        questions = [
            _Question(row, ready[place], caption)
            for row, (place, prompt) in enumerate(zip(places, prompts, strict=True))
            for caption in captions_of(prompt, self._tokenizer, limit, self.separator)
        ]
        asked: list[tuple[_Question, torch.Tensor, torch.Tensor]] = []
        for bucket in _buckets(questions, self._max_padding):
            asked += self._batches(bucket, self._ask)
        wait_for(self.device)
        answers: list[list[Detections]] = [[] for _ in images]
        for question, probabilities, boxes in asked:
            answers[question.row].append(self._read(question, probabilities.numpy(), boxes.numpy()))
        return [Detections.joined(parts) for parts in answers]

    def _as_prepared(self, image: np.ndarray | DetectorInput) -> DetectorInput:
        return image if isinstance(image, DetectorInput) else self.prepare(image)

    @classmethod
    def _load(cls, model: str, tokenizer: str | None, attention: Attention | None) -> LoadedDetector:
        loaded = load_grounding_dino(model, tokenizer, kind=cls.kind, attention=attention)
        check_token_positions(loaded.network)
        return loaded

    def _ask(self, batch: Sequence[_Question]) -> list[tuple[_Question, torch.Tensor, torch.Tensor]]:
        """Questions with their token probabilities (Q, T) and boxes (Q, 4), which are on their way ``to_host``."""
        images, rows = distinct([question.image for question in batch])
        pixels, pixel_mask = self._pixels(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            logits, boxes = self._forward(pixels, pixel_mask, rows, [question.caption for question in batch])
        longest = max(len(question.caption.token_ids) for question in batch)  # what follows is padding
        probabilities = logits.float().sigmoid()[..., :longest].contiguous()
        return list(zip(batch, to_host(probabilities), to_host(boxes.float()), strict=True))

    def _forward(
        self, pixels: torch.Tensor, pixel_mask: torch.Tensor, rows: Sequence[int], captions: Sequence[Caption]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token logits (B, Q, at least T) and boxes (B, Q, 4), centre and size relative to the image.

        pixels, pixel_mask: of U different images, as ``_pixels`` gives them; rows: (B,), which of them each caption is
        asked of.
        """
        ids, text_mask = self._tokens(captions)
        of_image = torch.tensor(rows).to(self.device, non_blocking=True)
        with seen_once(self.network.model.backbone.conv_encoder.model, pixels, of_image) as shown:
            out = self.network(
                pixel_values=shown, pixel_mask=pixel_mask[of_image], input_ids=ids, attention_mask=text_mask
            )
        return out.logits, out.pred_boxes

    def _pixels(self, images: Sequence[DetectorInput]) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised pixels float32 (B, 3, h, w), 0 in the padding, and int64 (B, h, w), 1 where there is an image."""
        height, width = (max(image.pixels.shape[axis] for image in images) for axis in (1, 2))
        pixels = torch.zeros(len(images), 3, height, width, device=self.device)
        mask = torch.zeros(len(images), height, width, dtype=torch.long, device=self.device)
        for row, image in enumerate(images):
            h, w = image.pixels.shape[1:]
            one = image.pixels.to(self.device, non_blocking=True)[None].float().div_(255)
            pixels[row, :, :h, :w] = one.sub_(self._mean).div_(self._std)[0]
            mask[row, :h, :w] = 1
        return pixels, mask

    def _tokens(self, captions: Sequence[Caption]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, int64 (B, T)."""
        longest = max(len(caption.token_ids) for caption in captions)
        ids = torch.full((len(captions), longest), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for row, caption in enumerate(captions):
            ids[row, : len(caption.token_ids)] = torch.tensor(caption.token_ids)
            mask[row, : len(caption.token_ids)] = 1
        return ids.to(self.device), mask.to(self.device)

    def _read(self, question: _Question, probabilities: np.ndarray, boxes_cxcywh: np.ndarray) -> Detections:
        """Token probabilities (Q, T) and boxes relative to the image (Q, 4) of one question."""
        caption = question.caption
        probabilities = probabilities[:, : len(caption.token_ids)]
        scores = probabilities.max(axis=1)
        kept = np.flatnonzero(scores > self.threshold)
        if self._class_assignment == "token_spans":
            labels = labels_by_token_spans(probabilities[kept], caption)
        else:
            labels = labels_by_exact_phrase(probabilities[kept], caption, self._tokenizer, self._text_threshold)
        return Detections(absolute_xyxy(boxes_cxcywh[kept], question.image.size), scores[kept], labels)


class MMGroundingDino(GroundingDino):
    """MM-GroundingDINO, and LLMDet, which is the same network (a local folder of transformers, tokenizer included).

    Its classes are sentences of their own, as it was trained: no class sees another.
    """

    kind = MMGroundingDinoForObjectDetection
    separator = ". "


def input_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) with the short side at ``short_side``, or less where the long one would exceed ``long_side``.

    As published, the other side follows from the short one after that has been rounded, so that the long side ends near
    ``long_side`` only. (Where the short side is rounded to nothing, the published code fails; here it is 1 pixel.)
    """
    short, long = min(height, width), max(height, width)
    side = short_side
    if long / short * short_side > long_side:
        side = round(long_side * short / long)
    if short == side:
        return height, width
    side, other = (side, int(side * long / short)) if side else (1, long_side)
    return (other, side) if width < height else (side, other)


def absolute_xyxy(boxes_cxcywh: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes relative to an image of ``size`` (height, width) to its pixels: float32 (N, 4)."""
    height, width = size
    centre, half = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1) * [width, height, width, height]
    return corners.astype(np.float32)


def _buckets(questions: Sequence[_Question], max_padding: float) -> list[list[_Question]]:
    """Questions whose images go well together: batches of each bucket are at most ``max_padding`` padding."""
    buckets: list[list[_Question]] = []
    for question in sorted(questions, key=lambda q: tuple(q.image.pixels.shape)):
        if not buckets or _padding([*buckets[-1], question]) > max_padding:
            buckets.append([])
        buckets[-1].append(question)
    return buckets


def _padding(bucket: Sequence[_Question]) -> float:
    """Share of the pixels of a padded batch that is padding."""
    shapes = [question.image.pixels.shape[1:] for question in bucket]
    height, width = max(h for h, _ in shapes), max(w for _, w in shapes)
    return 1 - sum(h * w for h, w in shapes) / (len(shapes) * height * width)
