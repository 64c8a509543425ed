"""A small GroundingDINO, trained with transformers' own loss to find the classes that a caption names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

from microworld.classes import CATEGORY_NAMES
from microworld.training.loop import fit, save_weights
from microworld.training.pool import Pool
from microworld.training.vocabulary import SIZE, make_tokenizer, save_vocabulary
from ssc_core.files import write_json

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUT_SIZE = {"shortest_edge": 160, "longest_edge": 176}
"""Scenes are trained on at their own scale, and shown at that or up to a tenth larger."""

MAX_CLASSES = 6
"""Classes in a training caption: those of the scene and, mostly, some that are not there."""


def detector_config() -> GroundingDinoConfig:
    """About 1.4 million parameters."""
    return GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 24,
            "depths": [1, 1, 2, 1],
            "num_heads": [1, 2, 4, 8],
            "window_size": 5,
            "image_size": 160,
            "drop_path_rate": 0.0,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": SIZE,
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "max_position_embeddings": 64,
        },
        num_queries=30,
        encoder_layers=2,
        decoder_layers=3,
        d_model=64,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_feature_levels=3,
        max_text_len=64,
        dropout=0.0,
        fusion_droppath=0.0,
        auxiliary_loss=True,
        disable_custom_kernels=True,
    )


def caption_of(classes: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """GroundingDINO's caption, ``a, b.``, and the span of characters of each class in it."""
    spans, start = [], 0
    for name in classes:
        spans.append((start, start + len(name)))
        start += len(name) + len(", ")
    return ", ".join(classes) + ".", spans


class DetectionBatches:
    """Turns scenes of a pool into model inputs and targets."""

    def __init__(self, pool: Pool, vocabulary: dict[str, int], max_text_len: int) -> None:
        self.pool, self.tokenizer, self.max_text_len = pool, make_tokenizer(vocabulary), max_text_len

    def make(self, scenes: np.ndarray, rng: np.random.Generator) -> tuple[dict, list[dict], torch.Tensor]:
        """Inputs of the network, its targets, and the token map (all classes of the batch, max_text_len) of them.

        ``class_labels`` count over the whole batch. transformers' loss finds a target's tokens at ``label +
        len(map of that image)``, which is right only when all images share one map; so they do.
        """
        captions, spans, targets, offset = [], [], [], 0
        for scene in scenes:
            things = self.pool.scene_objects(scene)
            asked = _asked_classes(things["label"], rng)
            caption, spans_of = caption_of([CATEGORY_NAMES[i] for i in asked])
            captions.append(caption)
            spans.append(spans_of)
            place = {label: offset + i for i, label in enumerate(asked)}
            known = np.isin(things["label"], asked)
            height, width = self.pool.pixels.shape[1:3]
            x0, y0, x1, y1 = (things["box"][known] / np.array([width, height, width, height], np.float32)).T
            boxes = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], 1)
            labels = [place[label] for label in things["label"][known]]
            targets.append({"class_labels": torch.tensor(labels), "boxes": torch.from_numpy(boxes.astype(np.float32))})
            offset += len(asked)
        tokens = self.tokenizer(captions, padding=True, return_offsets_mapping=True, return_tensors="pt")
        offsets = tokens.pop("offset_mapping")
        inputs = {**tokens, **self._pixels(scenes, rng)}
        return inputs, targets, _token_map(offsets, spans, self.max_text_len)

    def _pixels(self, scenes: np.ndarray, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        pixels = torch.from_numpy(self.pool.pixels[scenes]).permute(0, 3, 1, 2).float() / 255
        pixels = pixels * torch.from_numpy(rng.uniform(0.85, 1.15, (len(scenes), 1, 1, 1)).astype(np.float32))
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        mask = torch.zeros(len(scenes), *pixels.shape[2:], dtype=torch.long)
        for i, (height, width) in enumerate(self.pool.sizes[scenes]):
            mask[i, :height, :width] = 1
        return {"pixel_values": (pixels - mean) / std * mask[:, None], "pixel_mask": mask}


def train_detector(
    pool: Pool, vocabulary: dict[str, int], out: Path, *, cycles: Sequence[int], batch: int = 16, seed: int = 0
) -> None:
    """Train and write a transformers folder with tokenizer and preprocessor_config.json.

    cycles: steps of each cosine cycle; every one starts from the averaged weights of the one before.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = GroundingDinoForObjectDetection(detector_config())
    batches = DetectionBatches(pool, vocabulary, model.config.max_text_len)
    stock_loss, shared_map = model.loss_function, torch.empty(0)

    def loss_with_shared_map(logits, labels, device, boxes, config, label_maps, text_mask, **outputs):
        maps = (shared_map,) * len(labels)
        return stock_loss(logits, labels, device, boxes, config, maps, text_mask, **outputs)

    model.loss_function = loss_with_shared_map
    order = pool.batches(batch, rng)

    def step_loss(step: int) -> torch.Tensor:
        nonlocal shared_map
        inputs, targets, shared_map = batches.make(next(order), rng)
        return model(**inputs, labels=targets).loss

    for steps in cycles:
        fit(model, step_loss, steps=steps, lr=6e-4, warmup=200, clip_norm=0.5, average=0.998)
    out.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(out)
    save_weights(model.state_dict(), out / "model.safetensors")
    batches.tokenizer.save_pretrained(out)
    save_vocabulary(vocabulary, out / "vocab.txt")
    write_json(
        out / "preprocessor_config.json",
        {
            "image_processor_type": "GroundingDinoImageProcessor",
            "size": INPUT_SIZE,
            "image_mean": MEAN,
            "image_std": STD,
        },
    )


def _asked_classes(present: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Classes of the scene, sometimes not all, and some others, shuffled."""
    here = np.unique(present)
    if len(here) > 1 and rng.random() < 0.3:
        here = rng.permutation(here)[: rng.integers(1, len(here) + 1)]
    others = np.setdiff1d(np.arange(len(CATEGORY_NAMES)), present)
    absent = rng.permutation(others)[: rng.integers(0, max(1, MAX_CLASSES - len(here)) + 1)]
    return [int(i) for i in rng.permutation(np.concatenate([here, absent]))]


def _token_map(offsets: torch.Tensor, spans: list[list[tuple[int, int]]], length: int) -> torch.Tensor:
    """One row per class of the batch: 1 at the tokens of that class in its caption. int64 (classes, length)."""
    rows = []
    for tokens, spans_of in zip(offsets, spans, strict=True):
        for begin, end in spans_of:
            inside = (tokens[:, 0] >= begin) & (tokens[:, 1] <= end) & (tokens[:, 1] > tokens[:, 0])
            rows.append(torch.nn.functional.pad(inside.long(), (0, length - len(inside))))
    return torch.stack(rows)
