"""The last part of LAVT's pre-training: which pixels a noun means, read by the whole network.

Swin and BERT have never met. Here they do, on nouns alone ("a photo of a dog": every dog of the scene), so that the
fusion and the decoder start from something. Neither colours nor places nor sizes are ever said: what tells objects of
one class apart is left to Correct. BERT stays as it is.

Nouns alone would make the Swin forget what no noun asks for: after them, a linear reader of its features is wrong about
an object's centre by 12 % of the side, and before by 3 %. So it goes on reading every cell, as in ``swin_scenes``,
without words.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from microworld.classes import CATEGORY_NAMES, CLASSES, DOUBTFUL_NOUNS, PERSON_NOUNS
from microworld.training.loop import fit, save_weights
from microworld.training.peers import WEIGHT as PEERS_WEIGHT
from microworld.training.pool import KINDS, Pool
from microworld.training.swin import as_pixels
from microworld.training.swin_scenes import (
    SIDE,
    CellReader,
    cell_figures,
    cell_labels,
    cell_loss,
    cell_sums,
    owner_in_view,
    view_of,
)
from ssc_core.config.training import NetworkSettings
from ssc_core.correct.losses import PixelLoss, pixel_loss
from ssc_core.correct.start import build_segmenter
from ssc_core.correct.text import ReferringSegmenter, load_tokenizer, tokenize

_FRAMES = ("{n}", "{n}", "the {n}", "a photo of a {n}", "there is a {n}", "this is the {n}")
_LEAST_PIXELS = 12  # of a noun's objects, in the network's pixels: below, a crop has cut them off
_CELLS = 0.5  # weight of reading cells


@dataclass(frozen=True, slots=True)
class NounBatch:
    """One noun per scene. pixels: (B, 3, SIDE, SIDE); targets, known: bool (B, SIDE, SIDE), what the phrase means and
    where that is certain; cells: of ``cell_labels``."""

    pixels: Tensor
    phrases: list[str]
    targets: Tensor
    known: Tensor
    cells: tuple[Tensor, ...]


class ReadingSegmenter(nn.Module):
    """A segmenter that reads cells, too, from what its Swin sees before the words of the same stage come in."""

    def __init__(self, segmenter: ReferringSegmenter) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.reader = CellReader(segmenter.lavt.settings.channels)

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The segmenter's logits and what ``CellReader`` gives."""
        stages: list[Tensor] = []
        with ExitStack() as hooks:
            for stage in self.segmenter.lavt.backbone.layers:
                fusion = stage.get_submodule("fusion")
                hooks.enter_context(fusion.register_forward_pre_hook(lambda _, inputs: stages.append(inputs[0])))
            logits = self.segmenter(pixels, ids, mask)
        return logits, self.reader(stages)


def train_on_nouns(
    pool: Pool, network: NetworkSettings, *, steps: int, batch: int = 32, seed: int = 2
) -> ReadingSegmenter:
    """Train the whole LAVT of ``network``, which names Swin's and BERT's weights, with BERT frozen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = ReadingSegmenter(build_segmenter(network))
    model.segmenter.bert.requires_grad_(False)
    tokenizer = load_tokenizer(network.tokenizer or network.bert)
    scenes = pool.batches(batch, rng)

    def step_loss(step: int) -> Tensor:
        drawn = read_nouns(pool, next(scenes), rng)
        ids, attention = tokenize(tokenizer, drawn.phrases, network.max_tokens)
        longest = int(attention.sum(1).max())
        logits, cells = model(drawn.pixels, ids[:, :longest], attention[:, :longest])
        logits = torch.where(drawn.known[:, None], logits, logits.detach())  # what is doubtful teaches nothing
        nouns = pixel_loss(logits, drawn.targets, PixelLoss(dice=1.0)).mean()
        return nouns + _CELLS * cell_loss(cells, drawn.cells, peers=PEERS_WEIGHT)

    fit(model, step_loss, steps=steps, lr=1e-3, warmup=100, average=0.998)
    return model


def save_lavt(model: ReferringSegmenter, path: Path) -> None:
    """Write LAVT's tensors, without BERT, under its own key names and in half precision."""
    save_weights(model.lavt.state_dict(), path)


@torch.no_grad()
def measure_on_nouns(model: ReadingSegmenter, network: NetworkSettings, pool: Pool) -> dict[str, float]:
    """Mean IoU of a noun's pixels, one noun per scene of a pool, and ``cell_figures``; scenes are shown whole."""
    tokenizer = load_tokenizer(network.tokenizer or network.bert)
    ious, sums = [], np.zeros(6)
    for start in range(0, len(pool), 50):
        scenes = np.arange(start, min(start + 50, len(pool)))
        drawn = read_nouns(pool, scenes, np.random.default_rng(start), whole=True)
        logits, cells = model(drawn.pixels, *tokenize(tokenizer, drawn.phrases, network.max_tokens))
        found = logits.argmax(1).bool() & drawn.known
        shared, either = (found & drawn.targets).sum((1, 2)), (found | drawn.targets).sum((1, 2))
        ious += (shared / either.clamp(min=1)).tolist()
        sums += cell_sums(cells, drawn.cells)
    return {"LAVT, mean IoU of the pixels that a noun means": float(np.mean(ious)), **cell_figures("LAVT", sums)}


def read_nouns(pool: Pool, scenes: np.ndarray, rng: np.random.Generator, *, whole: bool = False) -> NounBatch:
    """One noun per scene. Scenes are cropped, flipped, lighter or darker, unless they are to be ``whole``."""
    drawn = [_read_scene(pool, int(scene), rng, whole) for scene in scenes]
    pictures, phrases, *labels = zip(*drawn, strict=True)
    light = np.ones(len(scenes)) if whole else rng.uniform(0.85, 1.15, len(scenes))
    targets, known, *cells = (torch.from_numpy(np.stack(arrays)) for arrays in labels)
    return NounBatch(as_pixels(np.stack(pictures), light), list(phrases), targets, known, tuple(cells))


def _read_scene(pool: Pool, scene: int, rng: np.random.Generator, whole: bool) -> tuple:
    picture, objects = pool.image(scene), pool.scene_objects(scene)
    height, width = picture.shape[:2]
    while True:  # a crop may have lost the noun's objects; the next one is another
        move = view_of(height, width, None if whole else rng)
        owner = owner_in_view(pool, scene, move)
        noun = _noun(objects[rng.integers(len(objects))], rng)
        truth = [_is_called(thing, noun) for thing in objects]
        target = np.isin(owner, [i for i, called in enumerate(truth) if called])
        if target.sum() >= _LEAST_PIXELS:
            break
    known = ~np.isin(owner, [i for i, called in enumerate(truth) if called is None])
    seen = cv2.warpAffine(picture, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    phrase = _FRAMES[rng.integers(len(_FRAMES))].format(n=noun)
    return seen, phrase, target, known, *cell_labels(objects, owner, move)


def _noun(thing: np.void, rng: np.random.Generator) -> str:
    category, kind = CATEGORY_NAMES[thing["label"]], KINDS[thing["kind"]]
    nouns = PERSON_NOUNS[kind] if kind else CLASSES[category].nouns
    return nouns[rng.integers(len(nouns))]


def _is_called(thing: np.void, noun: str) -> bool | None:
    """As ``relations.has_noun``, of an object of a pool."""
    kind = KINDS[thing["kind"]]
    if not kind:
        return noun in CLASSES[CATEGORY_NAMES[thing["label"]]].nouns
    if noun == "person":
        return True if kind in ("man", "woman") else None
    return None if kind in DOUBTFUL_NOUNS.get(noun, ()) else noun in PERSON_NOUNS[kind]
