"""A trained network as a function of photos and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ssc_core.checkout import find_path
from ssc_core.correct.checkpoints import load_published, restore_network
from ssc_core.correct.network import LAVT_NAME, checked_logits, takes_each_photo_once
from ssc_core.correct.pixels import normalised, resized_photo
from ssc_core.correct.text import ReferringSegmenter, check_tokens, load_tokenizer, tokenize
from ssc_core.errors import SscError
from ssc_core.pictures import MAX_PIXELS
from ssc_core.torch_runtime import ShrinkingBatches, pick_device

PUBLISHED_SIDE = 480
PUBLISHED_TOKENS = 20


_MOST_TOKENS = 4096


def checked_sizes(side: Any, tokens: Any, path: Path) -> tuple[int, int]:
    """Input side and tokens that a file says its network has. Raises SscError for what no network has."""
    if not all(type(size) is int and size > 0 for size in (side, tokens)):
        raise SscError(f"{path}: {side!r:.40} and {tokens!r:.40} are no side of a photo and number of tokens")
    if side * side > MAX_PIXELS or tokens > _MOST_TOKENS:
        raise SscError(f"{path} wants photos of {side} x {side} pixels and sentences of {tokens} tokens; refused")
    return side, tokens


class Predictor:
    """Photos and their sentences to what is the object's, in eval mode and without gradients.

    checkpoint: ours or a published one. bert: folder of the tokenizer; None takes that which the checkpoint was trained
    with, and ``default_bert`` where it names none. network: its ``network.name``; see ``restore_network``. samples:
    (photo, sentence) pairs a forward pass, fewer when memory runs out.

    Raises SscError when checkpoint or tokenizer cannot be used.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        bert: str | None = None,
        default_bert: str | None = None,
        network: str = LAVT_NAME,
        device: str = "auto",
        threads: int = 1,
        samples: int = 32,
    ) -> None:
        self.device = pick_device(device, threads)
        self._passes = ShrinkingBatches(samples, "LAVT, sentences")
        content = load_published(checkpoint)
        section = content.network
        sizes = section.get("image_size", PUBLISHED_SIDE), section.get("max_tokens", PUBLISHED_TOKENS)
        self.side, self.max_tokens = checked_sizes(*sizes, checkpoint)
        self.settings, self.meta = content.settings, content.meta
        folder = bert or section.get("tokenizer") or section.get("bert") or default_bert
        if folder is None:
            raise SscError(f"{checkpoint} does not say which BERT it was trained with; name the folder of one")
        self.tokenizer = load_tokenizer(find_path(folder))
        model = restore_network(content, checkpoint, network, vocabulary=len(self.tokenizer))
        if isinstance(model, ReferringSegmenter):
            check_tokens(model.bert, vocabulary=len(self.tokenizer), longest=self.max_tokens, where=folder)
        self.model: nn.Module = model.to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Photos RGB uint8 (H, W, 3) with S_i sentences each to margins, float32 (S_i, side, side): foreground minus
        background logit at the network's size. ``masks.resize.masks_at`` makes masks of them, at any size."""
        counts = [len(of) for of in sentences]
        owner = torch.from_numpy(np.repeat(np.arange(len(images)), counts))
        if not len(owner):
            return [np.zeros((0, self.side, self.side), np.float32) for _ in images]
        photos = torch.from_numpy(np.stack([resized_photo(image, self.side) for image in images]))
        ids, mask = tokenize(self.tokenizer, [text for of in sentences for text in of], self.max_tokens)

        def run(part: Sequence[int]) -> list[np.ndarray]:
            rows = torch.tensor(part)
            seen, photo_of = owner[rows].unique(return_inverse=True)
            logits = checked_logits(
                self.model,
                normalised(photos[seen].to(self.device)),
                *(part.to(self.device) for part in (photo_of, ids[rows], mask[rows])),
                once=takes_each_photo_once(self.model),
            ).float()
            margins = logits[:, 1] - logits[:, 0]
            if not torch.isfinite(margins).all():  # else every pixel of it would count as background
                raise SscError("the network gave logits that are NaN or infinite")
            return list(margins.cpu().numpy())

        margins = np.stack(self._passes(range(len(owner)), run))
        return np.split(margins, np.cumsum(counts)[:-1])
