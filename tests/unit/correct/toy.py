"""A tiny world for the tests of training: coloured squares, three sentences per ref, a network that learns it fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ssc_core.correct.items import Items, ReadPrior, build_items
from ssc_core.refer.images import load_image
from ssc_core.refer.ref import Ref

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 230)}
WORDS = ["<pad>", "the", "left", "right", *COLOURS]
SIZE = 48


class Squares:
    """Targets of the toy: all squares of the image, or the true one alone."""

    def __init__(self, masks: dict[int, np.ndarray], true: dict[int, int], *, only_true: bool) -> None:
        self._masks, self._true, self._only_true = masks, true, only_true
        self.corrupted = 0

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        masks = self._masks[ref.image_id]
        return (masks[[self._true[ref.ref_id]]] if self._only_true else masks,)


def tokenize(sentences):
    ids = np.zeros((len(sentences), 6), dtype=np.int64)
    for row, sentence in zip(ids, sentences, strict=True):
        tokens = [WORDS.index(word) for word in sentence.split()]
        row[: len(tokens)] = tokens
    return ids, (ids > 0).astype(np.int64)


def make_items(
    folder: Path,
    *,
    images: int = 4,
    seed: int = 0,
    only_true: bool = False,
    mirror: bool = False,
    turned: bool = False,
    prior: ReadPrior | None = None,
) -> Items:
    """Images with two squares of different colours, one left, one right; a ref for each. turned: the same, mirrored."""
    rng = np.random.default_rng(seed)
    refs: dict[int, tuple[Ref, ...]] = {}
    masks: dict[int, np.ndarray] = {}
    true: dict[int, int] = {}
    for image_id in range(1, images + 1):
        photo = rng.integers(90, 130, (SIZE, SIZE, 3)).astype(np.uint8)
        masks[image_id] = np.zeros((2, SIZE, SIZE), dtype=bool)
        members = []
        for side, colour in enumerate(rng.permutation(list(COLOURS))[:2]):
            top, left = rng.integers(2, SIZE - 20), rng.integers(1, 5) + side * SIZE // 2
            masks[image_id][side, top : top + 16, left : left + 16] = True
            photo[masks[image_id][side]] = COLOURS[colour]
            ref_id = 10 * image_id + side
            true[ref_id] = side
            where = "left" if (side == 0) != turned else "right"
            sentences = (f"the {colour}", f"{where} {colour}", f"the {where}")
            members.append(
                Ref(ref_id, ref_id, image_id, f"{image_id}.png", SIZE, SIZE, "train", 1, "box", (1, 2, 3), sentences)
            )
        if turned:
            photo, masks[image_id] = np.ascontiguousarray(photo[:, ::-1]), masks[image_id][:, :, ::-1]
        Image.fromarray(photo).save(folder / f"{image_id}.png")
        refs[image_id] = tuple(members)
    return build_items(
        refs.items(),
        Squares(masks, true, only_true=only_true),
        tokenize,
        lambda name: load_image(folder / name),
        side=SIZE,
        mirror=mirror,
        prior=prior,
    )


class TinySegmenter(nn.Module):
    """Convolutions modulated by the mean word, with dropout and a batch norm: all that makes training stateful."""

    def __init__(self, channels: int = 16, dropout: float = 0.05) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), channels)
        self.stem = nn.Conv2d(5, channels, 5, padding=2)
        self.bn = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, 2, 1)

    def forward(self, pixels: Tensor, ids: Tensor, attention: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, pixels.shape[-1]).expand(len(pixels), 1, *pixels.shape[-2:])
        x = torch.relu(self.bn(self.stem(torch.cat([pixels, ramp, ramp.transpose(2, 3)], 1))))
        weight = attention.unsqueeze(-1).float()
        word = (self.words(ids) * weight).sum(1) / weight.sum(1)
        x = torch.relu(self.mix(x * word[:, :, None, None]))
        return self.head(self.dropout(x))
