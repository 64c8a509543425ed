"""SAM 3: noun phrases to all their instances with masks, by transformers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import Sam3ImageProcessor, Sam3LiteTextModel, Sam3Model
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from ssc_core.backends import ConceptInstances, Detections
from ssc_core.distinct import distinct
from ssc_core.photo_network import PhotoNetwork, PreparedPhoto
from ssc_core.pretrained import Attention, Dtype
from ssc_core.torch_runtime import Precision, ShrinkingBatches

MAX_TOKENS = 32
"""Of a phrase, as the model was trained; shorter ones are padded, longer ones cut."""

PHRASES_KEPT = 2048
"""Phrases whose text features are kept: photos of a split ask for the same ones again and again. 32 KB each."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Text features (T, D) and which tokens are no padding, int64 (T,)."""

    features: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found of one phrase: boxes (n, 4) in pixels of the photo, scores (n,), masks bool (n, H, W)."""

    boxes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray
    presence: float


class Sam3(PhotoNetwork):
    """SAM 3 (facebook/sam3 as a local folder) behind the ``ConceptSegmenter`` contract.

    A photo goes through the image encoder once, whatever the number of its phrases. An instance is kept when its score
    times its phrase's presence is above ``threshold``, as published; its mask is where the probability is above
    ``mask_threshold``. phrases_per_pass: phrases of one photo a decoder pass; it shrinks when memory runs out. A
    ``dtype`` of half precision tells boxes to 1/256 of the photo's sides only; ``precision`` leaves them in fp32, and
    masks do not depend on them.
    """

    kind: Any = Sam3Model
    processor = Sam3ImageProcessor

    def __init__(
        self,
        model: str,
        *,
        threshold: float = 0.3,
        mask_threshold: float = 0.5,
        batch_size: int = 2,
        phrases_per_pass: int = 8,
        dtype: Dtype = "float32",
        attention: Attention | None = None,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        super().__init__(
            model,
            batch_size=batch_size,
            dtype=dtype,
            attention=attention,
            precision=precision,
            device=device,
            threads=threads,
        )
        self.threshold, self._mask_threshold = threshold, mask_threshold
        self._passes = ShrinkingBatches(phrases_per_pass, f"{self.kind.__name__}, phrases")
        self._known: OrderedDict[str, _Phrase] = OrderedDict()

    prepare = PhotoNetwork.prepared  # workers call it, ahead of the model

    def segment_concepts(
        self, images: Sequence[np.ndarray | PreparedPhoto], phrases: Sequence[Sequence[str]]
    ) -> list[ConceptInstances]:
        """As the protocol has it: instances by phrase, those of a phrase in the order of the network's queries.

        A photo that is given several times, the same object, is encoded once.
        """
        different, places = distinct(images)
        photos = self._as_prepared(different)
        asked: list[list[str]] = [[] for _ in photos]
        for place, some in zip(places, phrases, strict=True):
            asked[place] += some
        with self._computing():
            found = self._photos(list(zip(photos, asked, strict=True)), self._answer_batch)
        answers = [iter(of_photo) for of_photo in found]
        return [
            _joined(list(islice(answers[place], len(some))), photos[place].size)
            for place, some in zip(places, phrases, strict=True)
        ]

    def _answer_batch(self, batch: Sequence[tuple[PreparedPhoto, Sequence[str]]]) -> list[list[_Answer]]:
        seen = self.network.get_vision_features(self._pixels([photo for photo, _ in batch]))
        results = []
        for row, (photo, phrases) in enumerate(batch):
            levels, places = (_row(kind, row) for kind in (seen.fpn_hidden_states, seen.fpn_position_encoding))
            results.append(self._passes(phrases, partial(self._answer, levels, places, photo.size)))
        return results

    def _answer(
        self,
        levels: Sequence[torch.Tensor],
        places: Sequence[torch.Tensor],
        size: tuple[int, int],
        phrases: Sequence[str],
    ) -> list[_Answer]:
        """What some phrases find in a photo. levels, places: its features and their positions, (1, D, h, w) each."""
        count = len(phrases)
        known = self._phrases(phrases)
        out = self.network(
            vision_embeds=Sam3VisionEncoderOutput(
                fpn_hidden_states=tuple(level.expand(count, -1, -1, -1) for level in levels),
                fpn_position_encoding=tuple(place.expand(count, -1, -1, -1) for place in places),
            ),
            text_embeds=BaseModelOutputWithPooling(pooler_output=torch.stack([one.features for one in known])),
            attention_mask=torch.stack([one.mask for one in known]),
        )
        scores, presence = out.pred_logits.float().sigmoid(), out.presence_logits.float().sigmoid()[:, 0]
        kept = scores * presence[:, None] > self.threshold
        side = torch.tensor([size[1], size[0]] * 2, device=self.device)
        return [
            _Answer(
                (out.pred_boxes[i, kept[i]].float() * side).cpu().numpy(),
                scores[i, kept[i]].cpu().numpy(),
                self._masks(out.pred_masks[i, kept[i]], size),
                float(presence[i]),
            )
            for i in range(count)
        ]

    def _masks(self, logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        """Mask logits (n, h, w) to bool (n, H, W); as published, probabilities are enlarged and not logits."""
        if not len(logits):
            return np.zeros((0, *size), dtype=bool)
        shares = functional.interpolate(logits.float().sigmoid()[None], size, mode="bilinear", align_corners=False)[0]
        return (shares > self._mask_threshold).cpu().numpy()

    def _phrases(self, phrases: Sequence[str]) -> list[_Phrase]:
        """Text features of phrases, each encoded once for as long as it is kept."""
        unknown = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if unknown:
            tokens = self._tokens(unknown, MAX_TOKENS)
            features = self.network.get_text_features(**tokens).pooler_output
            self._known.update(zip(unknown, map(_Phrase, features, tokens["attention_mask"]), strict=True))
        found = [self._known[phrase] for phrase in phrases]
        while len(self._known) > PHRASES_KEPT:
            self._known.popitem(last=False)
        return found


class Sam3LiteText(Sam3):
    """SAM 3 with a small text encoder, of which there are several sizes (SAM3-LiteText)."""

    kind = Sam3LiteTextModel


def _row(levels: Sequence[torch.Tensor], row: int) -> list[torch.Tensor]:
    """One image's part, (1, D, h, w), of levels (B, D, h, w)."""
    return [level[row : row + 1] for level in levels]


def _joined(answers: Sequence[_Answer], size: tuple[int, int]) -> ConceptInstances:
    """The answers to one photo's phrases, in their order."""
    parts = [
        Detections(answer.boxes, answer.scores, np.full(len(answer.scores), label, dtype=np.int64))
        for label, answer in enumerate(answers)
    ]
    return ConceptInstances(
        Detections.joined(parts),
        np.concatenate([np.zeros((0, *size), dtype=bool), *(answer.masks for answer in answers)]),
        np.array([answer.presence for answer in answers], dtype=np.float32),
    )
