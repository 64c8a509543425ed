"""A small SAM, trained on box prompts: the mask decoder's three masks, the best of them taught, and their IoU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch.nn import functional

from microworld.training.loop import fit, save_weights
from microworld.training.pool import Pool
from ssc_core.files import write_json
from ssc_core.segment.sam_build import build_sam

CONFIG = {
    "image_size": 160,
    "prompt_embed_dim": 96,
    "encoder": {
        "embed_dim": 96,
        "depth": 4,
        "num_heads": 4,
        "patch_size": 8,
        "window_size": 5,
        "global_attn_indexes": [2],
        "mlp_ratio": 3.0,
    },
    "decoder": {"transformer_depth": 2, "num_heads": 4, "mlp_dim": 192, "iou_head_depth": 2, "iou_head_hidden_dim": 96},
}
JITTER = 0.06
"""Standard deviation of a box corner's error, in box sides: detectors are not exact."""


def train_sam(pool: Pool, out: Path, *, steps: int, batch: int = 8, seed: int = 0) -> None:
    """Train and write config.json and model.safetensors."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sam = build_sam(CONFIG)
    order = pool.batches(batch, rng)

    def step_loss(step: int) -> torch.Tensor:
        return _batch_loss(sam, pool, next(order), rng)

    fit(sam, step_loss, steps=steps, lr=8e-4, warmup=200, weight_decay=1e-2, average=0.998)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", CONFIG)
    save_weights(sam.state_dict(), out / "model.safetensors")


def _batch_loss(sam: Sam, pool: Pool, scenes: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    side = sam.image_encoder.img_size
    images, masks, boxes = [], [], []
    for scene in scenes:
        image, mask, box, scale = _fit_to(side, pool, int(scene))
        images.append(sam.preprocess(image * rng.uniform(0.85, 1.15)))  # normalises, then pads, as SAM does
        masks.append(mask)
        boxes.append(_jittered(box, rng) * scale)
    embeddings = sam.image_encoder(torch.stack(images))
    losses = []
    for embedding, box, mask in zip(embeddings, boxes, masks, strict=True):
        sparse, dense = sam.prompt_encoder(points=None, boxes=torch.from_numpy(box.astype(np.float32)), masks=None)
        logits, iou = sam.mask_decoder(
            image_embeddings=embedding[None],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        losses.append(_mask_loss(logits, iou, mask))
    return torch.cat(losses).mean()


def _fit_to(side: int, pool: Pool, scene: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, float]:
    """Image (3, h, w) scaled by the long side, masks (K, side, side) scaled and padded, boxes (K, 4), the scale."""
    height, width = pool.sizes[scene]
    scale = side / max(height, width)
    size = (round(height * scale), round(width * scale))
    image = torch.from_numpy(pool.image(scene).copy()).permute(2, 0, 1)[None].float()
    masks = torch.from_numpy(pool.masks(scene))[None].float()
    image = functional.interpolate(image, size, mode="bilinear", antialias=True)[0]
    masks = functional.interpolate(masks, size, mode="bilinear")[0]
    padding = (0, side - size[1], 0, side - size[0])
    return image, functional.pad(masks, padding), pool.scene_objects(scene)["box"], scale


def _jittered(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sides = np.concatenate([boxes[:, 2:] - boxes[:, :2]] * 2, axis=1)
    return boxes + (rng.normal(0, JITTER, boxes.shape) * sides).clip(-8, 8) * (rng.random() < 0.7)


def _mask_loss(logits: torch.Tensor, iou: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(K, 3, h, w), (K, 3), (K, H, W) to (K,): focal 20, Dice 1 and IoU 1 of the best mask, as in the SAM paper.

    At the decoder's resolution, as there; the target keeps soft edges, so that bilinear upscaling meets the outline.
    """
    target = functional.interpolate(target[:, None], logits.shape[-2:], mode="area").expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    focal = (((probability - target).abs() ** 2) * entropy).mean((-2, -1))
    shared = (probability * target).sum((-2, -1))
    dice = 1 - (2 * shared + 1) / (probability.sum((-2, -1)) + target.sum((-2, -1)) + 1)
    hard = logits > 0
    overlap = (hard & (target > 0.5)).sum((-2, -1)) / (hard | (target > 0.5)).sum((-2, -1)).clamp(min=1)
    best = (20 * focal + dice).min(dim=1)
    # every mask is taught a little, or two of the three would never learn and their predicted IoU would mean nothing
    return best.values + 0.1 * (20 * focal + dice).mean(1) + functional.mse_loss(iou, overlap, reduction="none").mean(1)
