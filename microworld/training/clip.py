"""A small CLIP: objects and what they look like, never where they are nor which of several is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import open_clip
import torch
from torch import nn
from torch.nn import functional

from microworld.training.loop import fit, save_weights
from microworld.training.pool import Pool
from microworld.training.vocabulary import SIZE, make_tokenizer
from ssc_core.files import write_json

SIDE = 128
MODEL_CONFIG = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 2, 1], "width": 20, "head_width": 64},
    "text_cfg": {
        "context_length": 32,
        "vocab_size": SIZE,
        "hf_tokenizer_name": ".",
        "width": 96,
        "heads": 4,
        "layers": 2,
        "pool_type": "eos",
        "eos_id": 102,
        "pad_id": 0,
    },
}
PREPROCESS = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bilinear",
    "resize_mode": "squash",  # scenes are nearly square; a centre crop would lose objects at the sides
}
SHARE_CROPS = 0.4
"""Close-ups; the rest are whole scenes with the surroundings out of focus, as a portrait lens takes them."""


def train_clip(
    pool: Pool, vocabulary: dict[str, int], out: Path, *, cycles: Sequence[int], batch: int = 64, seed: int = 0
) -> None:
    """Train and write a folder that open_clip loads as ``local-dir:``.

    cycles: steps of each cosine cycle; every one starts from the averaged weights of the one before.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = make_tokenizer(vocabulary)
    model = open_clip.CLIP(
        embed_dim=MODEL_CONFIG["embed_dim"], vision_cfg=MODEL_CONFIG["vision_cfg"], text_cfg=_text_config()
    )
    model = model.to(memory_format=torch.channels_last)  # a third faster on CPUs

    def step_loss(step: int) -> torch.Tensor:
        chosen = rng.integers(len(pool.objects), size=batch)
        captions = [pool.captions[i][rng.integers(len(pool.captions[i]))] for i in chosen]
        images = np.stack([_view(pool, int(i), rng) for i in chosen])
        return _contrast(model, _pixels(images, rng), _tokens(tokenizer, captions), captions)

    for steps in cycles:
        fit(model, step_loss, steps=steps, lr=1.5e-3, warmup=150, weight_decay=5e-2, average=0.998)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "open_clip_config.json", {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS})
    save_weights(model.state_dict(), out / "open_clip_model.safetensors")
    tokenizer.save_pretrained(out)


def _text_config() -> open_clip.CLIPTextCfg:
    return open_clip.CLIPTextCfg(**MODEL_CONFIG["text_cfg"])  # type: ignore[arg-type]


def _tokens(tokenizer, captions: list[str]) -> torch.Tensor:
    length = MODEL_CONFIG["text_cfg"]["context_length"]  # type: ignore[index]
    return tokenizer(captions, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids


def _pixels(images: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """uint8 (B, SIDE, SIDE, 3) to normalised float32 (B, 3, SIDE, SIDE), with a little exposure jitter and flips."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    pixels = pixels * torch.from_numpy(rng.uniform(0.9, 1.1, (len(images), 1, 1, 1)).astype(np.float32))
    flipped = torch.from_numpy(rng.random(len(images)) < 0.5)
    pixels[flipped] = pixels[flipped].flip(-1)
    return ((pixels - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def _view(pool: Pool, row: int, rng: np.random.Generator) -> np.ndarray:
    """A photo of one object: a close-up, or its scene with all else out of focus. uint8 (SIDE, SIDE, 3)."""
    thing = pool.objects[row]
    scene = int(thing["scene"])
    image = pool.image(scene)
    if rng.random() < SHARE_CROPS:
        return cv2.resize(_crop(image, thing["box"], rng), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mask = pool.masks(scene)[row - pool.first[scene]].astype(np.float32)[..., None]
    focused = mask * image + (1 - mask) * _out_of_focus(image, rng)
    return cv2.resize(focused.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def _crop(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * rng.uniform(1.05, 1.6)
    x, y = (x0 + x1) / 2 + rng.normal(0, 2), (y0 + y1) / 2 + rng.normal(0, 2)
    left, top = int(max(0, x - side / 2)), int(max(0, y - side / 2))
    return image[top : int(min(height, y + side / 2)) + 1, left : int(min(width, x + side / 2)) + 1]


def _out_of_focus(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur of sigma 4 to 24, made on a quarter-size picture, which at these sigmas looks the same."""
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), rng.uniform(1, 6))
    return cv2.resize(blurred, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _contrast(model: nn.Module, pixels: torch.Tensor, tokens: torch.Tensor, captions: list[str]) -> torch.Tensor:
    """CLIP's symmetric cross entropy; equal captions are all right answers, or they would be pushed apart."""
    image, text, scale = model(pixels, tokens)[:3]
    logits = scale.clamp(max=100) * image @ text.T
    ids = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    label = torch.tensor([ids[caption] for caption in captions])
    target = (label[:, None] == label[None]).float()
    target = target / target.sum(1, keepdim=True)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
