"""A small Swin, pre-trained as a classifier: which things of which colours a picture shows, not where they are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ssc_core.correct.lavt.network import LAVT
from ssc_core.files import atomic_path
from ssc_core.microworld.classes import CATEGORY_NAMES
from ssc_core.microworld.training.loop import fit
from ssc_core.microworld.training.pool import COLOUR_NAMES, Pool

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 112
LABELS = len(CATEGORY_NAMES) * len(COLOUR_NAMES)


class SwinClassifier(nn.Module):
    """The Swin inside a LAVT with a linear classifier on each of its last three stages, pooled over the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = LAVT("micro", drop_path=0.0, text_dim=8).backbone
        for stage in self.backbone.layers:  # nothing here reads words
            stage.fusion, stage.res_gate = nn.Identity(), nn.Identity()
        channels = [stage.blocks[0].norm1.normalized_shape[0] for stage in self.backbone.layers]
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in channels[1:])
        self.heads = nn.ModuleList(nn.Linear(c, LABELS) for c in channels[1:])
        for head in self.heads:
            nn.init.constant_(head.bias, -4.0)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one (B, LABELS) of logits a stage; each is the smooth maximum over the places."""
        x, logits = self.backbone.patch_embed(pixels), []
        for i, stage in enumerate(self.backbone.layers):
            for block in stage.blocks:
                x = block(x)
            if i:
                places = self.heads[i - 1](self.norms[i - 1](x)).flatten(1, 2)
                logits.append(torch.logsumexp(3 * places, 1) / 3 - np.log(places.shape[1]) / 3)
            if stage.downsample is not None:
                x = stage.downsample(x)
        return logits

    def swin_state(self) -> dict[str, Tensor]:
        """The Swin's tensors under LAVT's key names, ``backbone.`` in front."""
        return {f"backbone.{key}": v for key, v in self.backbone.state_dict().items() if not key.startswith("norm")}


def train_swin(pool: Pool, out: Path, *, steps: int, batch: int = 32, seed: int = 0) -> SwinClassifier:
    """Train and write swin.safetensors, LAVT's key names."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = SwinClassifier()
    order = pool.batches(batch, rng)

    def step_loss(step: int) -> Tensor:
        pixels, target = _batch(pool, next(order), rng)
        losses = [functional.binary_cross_entropy_with_logits(logits, target) for logits in model(pixels)]
        return 50 * torch.stack(losses).sum()

    fit(model, step_loss, steps=steps, lr=1.2e-3, warmup=150, weight_decay=5e-2, average=0.998)
    out.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.swin_state().items()}
    with atomic_path(out) as temporary:
        save_file({k: v.clone().contiguous() for k, v in state.items()}, temporary, metadata={"format": "pt"})
    return model


@torch.no_grad()
def average_precision(model: SwinClassifier, pool: Pool, scenes: int) -> float:
    """Mean over scenes of the average precision of the true labels among all, last stage."""
    rng = np.random.default_rng(0)
    found = []
    for scene in range(scenes):
        pixels, target = _batch(pool, np.array([scene]), rng, augment=False)
        order = model(pixels)[-1][0].argsort(descending=True)
        hits = target[0][order].bool()
        ranks = torch.arange(1, len(hits) + 1)
        found.append((hits.cumsum(0) / ranks)[hits].mean().item())
    return float(np.mean(found))


def _batch(pool: Pool, scenes: np.ndarray, rng: np.random.Generator, augment: bool = True) -> tuple[Tensor, Tensor]:
    """Pictures, squashed to a square as LAVT sees them, and which (class, colour) each shows."""
    images, target = [], torch.zeros(len(scenes), LABELS)
    for row, scene in enumerate(scenes):
        image = cv2.resize(pool.image(int(scene)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        images.append(image[:, ::-1] if augment and rng.random() < 0.5 else image)
        things = pool.scene_objects(int(scene))
        target[row, things["label"].astype(int) * len(COLOUR_NAMES) + things["colour"]] = 1
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1), target
