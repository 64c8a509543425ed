"""The last part of LAVT's pre-training: which pixels a noun means, read by the whole network.

Swin and BERT have never met. Here they do, on nouns alone ("a photo of a dog": every dog of the scene), so that the
fusion and the decoder start from something. Neither colours nor places nor sizes are ever said: what tells objects of
one class apart is left to Correct. BERT stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from microworld.classes import CATEGORY_NAMES, CLASSES, DOUBTFUL_NOUNS, PERSON_NOUNS
from microworld.training.loop import fit, save_weights
from microworld.training.pool import BACKGROUND, KINDS, Pool
from microworld.training.swin import as_pixels
from microworld.training.swin_scenes import SIDE, view_of
from ssc_core.config.training import NetworkSettings
from ssc_core.correct.losses import PixelLoss, pixel_loss
from ssc_core.correct.start import build_segmenter
from ssc_core.correct.text import ReferringSegmenter, load_tokenizer, tokenize

_FRAMES = ("{n}", "{n}", "the {n}", "a photo of a {n}", "there is a {n}", "this is the {n}")
_LEAST_PIXELS = 12  # of a noun's objects, in the network's pixels: below, a crop has cut them off


def train_on_nouns(
    pool: Pool, network: NetworkSettings, *, steps: int, batch: int = 32, seed: int = 2
) -> ReferringSegmenter:
    """Train the whole LAVT of ``network``, which names Swin's and BERT's weights, with BERT frozen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build_segmenter(network)
    model.bert.requires_grad_(False)
    tokenizer = load_tokenizer(network.tokenizer or network.bert)
    scenes = pool.batches(batch, rng)

    def step_loss(step: int) -> Tensor:
        pixels, phrases, targets, known = read_nouns(pool, next(scenes), rng)
        ids, attention = tokenize(tokenizer, phrases, network.max_tokens)
        longest = int(attention.sum(1).max())
        logits = model(pixels, ids[:, :longest], attention[:, :longest])
        logits = torch.where(known[:, None], logits, logits.detach())  # what is doubtful teaches nothing
        return pixel_loss(logits, targets, PixelLoss(dice=1.0)).mean()

    fit(model, step_loss, steps=steps, lr=1e-3, warmup=100, average=0.998)
    return model


def save_lavt(model: ReferringSegmenter, path: Path) -> None:
    """Write LAVT's tensors, without BERT, under its own key names and in half precision."""
    save_weights(model.lavt.state_dict(), path)


@torch.no_grad()
def measure_on_nouns(model: ReferringSegmenter, network: NetworkSettings, pool: Pool) -> dict[str, float]:
    """Mean IoU of a noun's pixels, one noun per scene of a pool; scenes are shown whole."""
    tokenizer = load_tokenizer(network.tokenizer or network.bert)
    ious = []
    for start in range(0, len(pool), 50):
        scenes = np.arange(start, min(start + 50, len(pool)))
        pixels, phrases, targets, known = read_nouns(pool, scenes, np.random.default_rng(start), whole=True)
        found = model(pixels, *tokenize(tokenizer, phrases, network.max_tokens)).argmax(1).bool() & known
        shared, either = (found & targets).sum((1, 2)), (found | targets).sum((1, 2))
        ious += (shared / either.clamp(min=1)).tolist()
    return {"LAVT, mean IoU of the pixels that a noun means": float(np.mean(ious))}


def read_nouns(
    pool: Pool, scenes: np.ndarray, rng: np.random.Generator, *, whole: bool = False
) -> tuple[Tensor, list[str], Tensor, Tensor]:
    """One noun per scene: pixels (B, 3, SIDE, SIDE), phrases, and bool (B, SIDE, SIDE), what the phrase means and where
    that is certain. Scenes are cropped, flipped, lighter or darker, unless they are to be ``whole``."""
    drawn = [_read_scene(pool, int(scene), rng, whole) for scene in scenes]
    pictures, phrases, targets, known = zip(*drawn, strict=True)
    light = np.ones(len(scenes)) if whole else rng.uniform(0.85, 1.15, len(scenes))
    meant, certain = (torch.from_numpy(np.stack(array)) for array in (targets, known))
    return as_pixels(np.stack(pictures), light), list(phrases), meant, certain


def _read_scene(
    pool: Pool, scene: int, rng: np.random.Generator, whole: bool
) -> tuple[np.ndarray, str, np.ndarray, np.ndarray]:
    picture, objects = pool.image(scene), pool.scene_objects(scene)
    height, width = picture.shape[:2]
    while True:  # a crop may have lost the noun's objects; the next one is another
        move = view_of(height, width, None if whole else rng)
        owner = cv2.warpAffine(
            np.asarray(pool.owner[scene, :height, :width]), move, (SIDE, SIDE), flags=cv2.INTER_NEAREST,
            borderValue=BACKGROUND,
        )  # fmt: skip
        noun = _noun(objects[rng.integers(len(objects))], rng)
        truth = [_is_called(thing, noun) for thing in objects]
        target = np.isin(owner, [i for i, called in enumerate(truth) if called])
        if target.sum() >= _LEAST_PIXELS:
            break
    known = ~np.isin(owner, [i for i, called in enumerate(truth) if called is None])
    seen = cv2.warpAffine(picture, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return seen, _FRAMES[rng.integers(len(_FRAMES))].format(n=noun), target, known


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
