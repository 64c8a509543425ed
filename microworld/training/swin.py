"""The small Swin, and the first half of its pre-training: a classifier of single things, as on ImageNet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from microworld.classes import CATEGORY_NAMES
from microworld.training.loop import fit, save_weights
from microworld.training.pool import COLOUR_NAMES, Pool
from ssc_core.config.training import MICRO_SWIN
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 64
SCALE = 0.62
"""Things are shown at about the scale at which LAVT will see them: scenes of about 155 pixels at 96."""

SMOOTHING = 0.05


class SwinFeatures(nn.Module):
    """The Swin inside a LAVT, reading no words."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = LAVT(SwinArchitecture(**MICRO_SWIN.model_dump(), window=6), drop_path=0.0, text_dim=8).backbone
        for stage in self.backbone.layers:
            stage.fusion, stage.res_gate = nn.Identity(), nn.Identity()
        self.channels = [stage.blocks[0].norm1.normalized_shape[0] for stage in self.backbone.layers]  # type: ignore[index, union-attr]

    @classmethod
    def load(cls, path: Path) -> SwinFeatures:
        """A Swin that ``save`` wrote."""
        features = cls()
        features.load_state_dict(features.state_dict() | load_file(path))  # norms that LAVT alone has are not saved
        return features

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the four stages' (B, h, w, C), finest first."""
        x, stages = self.backbone.patch_embed(pixels), []
        for stage in self.backbone.layers:
            for block in stage.blocks:  # type: ignore[union-attr]
                x = block(x)
            stages.append(x)
            if stage.downsample is not None:
                x = stage.downsample(x)  # type: ignore[operator]
        return stages

    def save(self, path: Path) -> None:
        """Write the Swin's tensors under LAVT's key names, ``backbone.`` in front, in half precision."""
        state = {f"backbone.{key}": v for key, v in self.backbone.state_dict().items() if not key.startswith("norm")}
        save_weights(state, path)


class SwinClassifier(nn.Module):
    """Linear classifiers of class and colour on each of a Swin's last three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.features = SwinFeatures()
        channels = self.features.channels[1:]
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in channels)
        self.class_heads = nn.ModuleList(nn.Linear(c, len(CATEGORY_NAMES)) for c in channels)
        self.colour_heads = nn.ModuleList(nn.Linear(c, len(COLOUR_NAMES)) for c in channels)

    def forward(self, pixels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(B, 3, H, W) to logits of class (B, 17) and colour (B, 8), one pair a stage from the second on."""
        pooled = [norm(stage).mean((1, 2)) for norm, stage in zip(self.norms, self.features(pixels)[1:], strict=True)]
        heads = zip(self.class_heads, self.colour_heads, pooled, strict=True)
        return [(of_class(x), of_colour(x)) for of_class, of_colour, x in heads]


def train_on_close_ups(pool: Pool, *, steps: int, batch: int = 64, seed: int = 0) -> SwinClassifier:
    """Train a classifier of single things from random weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = SwinClassifier().to(memory_format=torch.channels_last)

    def step_loss(step: int) -> Tensor:
        objects = np.sort(rng.integers(0, len(pool.objects), batch))
        classes, colours = _labels(pool, objects)
        losses = [
            functional.cross_entropy(of_class, classes, label_smoothing=SMOOTHING)
            + functional.cross_entropy(of_colour, colours, label_smoothing=SMOOTHING)
            for of_class, of_colour in model(_close_ups(pool, objects, rng))
        ]
        return torch.stack(losses).sum()

    fit(model, step_loss, steps=steps, lr=1.2e-3, warmup=150, weight_decay=5e-2, average=0.998)
    return model


@torch.no_grad()
def measure_on_close_ups(model: SwinClassifier, pool: Pool) -> dict[str, float]:
    """Top-1 of class and colour of every object of a pool, last stage."""
    objects = np.arange(len(pool.objects))
    classes, colours = _labels(pool, objects)
    of_class, of_colour = model(_close_ups(pool, objects))[-1]
    return {
        "Swin, class top-1 of close-ups": (of_class.argmax(1) == classes).float().mean().item(),
        "Swin, colour top-1 of close-ups": (of_colour.argmax(1) == colours).float().mean().item(),
    }


def _labels(pool: Pool, objects: np.ndarray) -> tuple[Tensor, Tensor]:
    """int64 (B,) of class and of colour."""
    rows = pool.objects[objects]
    return torch.from_numpy(rows["label"].astype(np.int64)), torch.from_numpy(rows["colour"].astype(np.int64))


def _close_ups(pool: Pool, objects: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
    """Squares around objects, normalised (B, 3, SIDE, SIDE); with ``rng`` moved, scaled, flipped, lighter or darker."""
    pictures = np.empty((len(objects), SIDE, SIDE, 3), np.uint8)
    light = np.ones(len(objects), np.float32)
    for row, thing in enumerate(pool.objects[objects]):
        x0, y0, x1, y1 = thing["box"]
        centre, size, stretch = np.array([x0 + x1, y0 + y1]) / 2, max(x1 - x0, y1 - y0), 1.0
        zoom = min(SCALE, SIDE / size)
        if rng is not None:
            zoom = min(SCALE * np.exp(rng.uniform(-0.25, 0.25)), 1.1 * SIDE / size)
            centre += rng.uniform(-0.18, 0.18, 2) * size
            stretch = np.exp(rng.uniform(-0.12, 0.12))
            light[row] = rng.uniform(0.85, 1.15)
        across = zoom * stretch
        move = np.array([[across, 0, SIDE / 2 - across * centre[0]], [0, zoom, SIDE / 2 - zoom * centre[1]]])
        picture = cv2.warpAffine(pool.image(int(thing["scene"])), move, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        pictures[row] = picture[:, ::-1] if rng is not None and rng.random() < 0.5 else picture
    return as_pixels(pictures, light)


def as_pixels(pictures: np.ndarray, light: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) to normalised (B, 3, H, W). light: (B,), what each picture's values are multiplied by."""
    factors = torch.from_numpy(light).float().view(-1, 1, 1, 1)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 * factors
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
