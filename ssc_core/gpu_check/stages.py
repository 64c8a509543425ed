"""Segment, Select and Correct on a device against the CPU in fp32, and batches against single inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssc_core.gpu_check import networks
from ssc_core.gpu_check.findings import BOUNDS, DEEP_GRADIENTS, Finding, Outputs, compare
from ssc_core.gpu_check.machine import Place, without_tf32
from ssc_core.gpu_check.replay import Choices

BATCH = 3
Build = Callable[[str, str], Any]
"""A backend, from its device and precision."""
Ask = Callable[[Any, Sequence[np.ndarray]], Outputs]
"""What a backend says of some photos."""


def detector(place: Place) -> Iterator[Finding]:
    """Logits, boxes and scores of GroundingDINO."""
    from ssc_core.segment.grounding_dino import GroundingDino

    networks.save_detector(place.folder / "detector", small=place.small)
    model = str(place.folder / "detector")

    def build(device: str, precision: Any) -> GroundingDino:
        return GroundingDino(
            model, box_threshold=0.0, batch_size=BATCH, precision=precision, device=device, threads=place.threads
        )

    yield from _against_the_cpu("GroundingDINO", place, build, _detect)


def _detect(backend: Any, photos: Sequence[np.ndarray]) -> Outputs:
    logits: list[Tensor] = []
    hook = backend.network.register_forward_hook(lambda _, __, out: logits.append(out.logits.float().cpu()))
    found = backend.detect(photos, [networks.PROMPT] * len(photos))
    hook.remove()
    raw = torch.cat(logits).numpy()  # minus infinity where a caption has no token
    boxes = np.stack([one.boxes_xyxy for one in found])
    return {"logits": raw[np.isfinite(raw)], "boxes": boxes, "scores": np.stack([one.scores for one in found])}


def sam(place: Place) -> Iterator[Finding]:
    """Features, mask logits, masks and predicted IoU of SAM: ViT-B and ViT-H, or a small one."""
    from ssc_core.segment.sam import SegmentAnything

    for size in ("small",) if place.small else ("vit_b", "vit_h"):
        networks.save_sam_folder(place.folder / size, size)
        model = str(place.folder / size)

        def build(device: str, precision: Any, model: str = model) -> SegmentAnything:
            return SegmentAnything(model, batch_size=BATCH, precision=precision, device=device, threads=place.threads)

        yield from _against_the_cpu(f"SAM {size}", place, build, _segment)


def sam2(place: Place) -> Iterator[Finding]:
    """The same of a small SAM 2 by transformers, which needs no other package."""
    from ssc_core.segment.sam_transformers import Sam2

    networks.save_sam2(place.folder / "sam2")
    model = str(place.folder / "sam2")

    def build(device: str, precision: Any) -> Sam2:
        return Sam2(model, batch_size=BATCH, precision=precision, device=device, threads=place.threads)

    yield from _against_the_cpu("SAM 2 (small)", place, build, _segment)


@torch.inference_mode()
def _segment(backend: Any, photos: Sequence[np.ndarray]) -> Outputs:
    """All masks of every box: which one of them is best is nearly a tie with random weights."""
    boxes = networks.boxes(3)
    features: list[Any] = []
    logits, ious = [], []
    decode = backend._decode

    def keep(encoded: Any, prompts: Tensor) -> tuple[Tensor, Tensor]:
        first, second = decode(encoded, prompts)
        features.append(encoded)
        logits.append(first.float().cpu().numpy())
        ious.append(second.float().cpu().numpy())
        return first, second

    backend._decode = keep
    try:
        backend.segment(photos, [boxes] * len(photos))
    finally:
        backend._decode = decode
    raw = np.stack(logits)
    found = {"mask logits": raw, "masks": raw > 0, "predicted IoU": np.stack(ious)}
    if all(isinstance(one, Tensor) for one in features):
        found["features"] = np.stack([one.float().cpu().numpy() for one in features])
    return found


def clip(place: Place) -> Iterator[Finding]:
    """Features of photos and sentences, and scores, of CLIP: ViT-L-14-336, or ViT-S-32."""
    from ssc_core.select.clip import OpenClip

    name = "ViT-S-32" if place.small else "ViT-L-14-336"
    torch.manual_seed(0)
    weights = OpenClip(name, device="cpu").model.state_dict()

    def build(device: str, precision: Any) -> OpenClip:
        backend = OpenClip(name, batch_size=BATCH, precision=precision, device=device, threads=place.threads)
        backend.model.load_state_dict(weights)
        return backend

    yield from _against_the_cpu(f"CLIP {name}", place, build, _score)


def _score(backend: Any, photos: Sequence[np.ndarray]) -> Outputs:
    images, texts = backend.encode_images(photos), backend.encode_texts(["the left dog", "an umbrella", "a person"])
    return {"photos": images, "sentences": texts, "scores": 100 * images @ texts.T}


def _against_the_cpu(name: str, place: Place, build: Build, ask: Ask) -> Iterator[Finding]:
    """The device in both precisions against the CPU in fp32, and there a batch against photos one by one."""
    photos = networks.photos(BATCH)
    cpu = build("cpu", "fp32")
    with Choices() as choices:
        expected = ask(cpu, photos[:1])
    del cpu
    for precision, bounds in BOUNDS.items():
        with without_tf32():
            backend = build(place.device, precision)
            with Choices(choices.taken):
                found = ask(backend, photos[:1])
            yield from compare(f"{name}, {precision}", found, expected, bounds)
            yield from compare(f"{name}, batch against singles, {precision}", *_both_ways(backend, photos, ask), bounds)


def _both_ways(backend: Any, photos: Sequence[np.ndarray], ask: Ask) -> tuple[Outputs, Outputs]:
    """A batch, and the same photos one by one, with the choices of these."""
    with Choices() as choices:
        singles = [ask(backend, [photo]) for photo in photos]
    taken = choices.taken
    with Choices([torch.cat(taken)] if taken else None):
        batch = ask(backend, photos)
    shared = "sentences"  # the same in every call
    joined = {k: v if k == shared else np.concatenate([one[k] for one in singles]) for k, v in singles[0].items()}
    return batch, joined


def lavt(place: Place) -> Iterator[Finding]:
    """Logits, loss, gradients and what was matched, of LAVT in a training step."""
    network = networks.make_lavt(small=place.small)
    side = 96 if place.small else 480
    expected = _train_step(copy.deepcopy(network), "cpu", side, bf16=False)
    for precision, bounds in BOUNDS.items():
        if not place.small:
            bounds = replace(bounds, gradients=max(bounds.gradients, DEEP_GRADIENTS))
        with without_tf32():
            found = _train_step(copy.deepcopy(network), place.device, side, bf16=precision == "bf16")
        yield from compare(f"LAVT, {precision}", found, expected, bounds)


def _train_step(network: Any, device: str, side: int, *, bf16: bool) -> Outputs:
    """What a step gives on four samples of two images with two candidates each."""
    from ssc_core.correct.losses import Samples, StepSize, greedy_ce
    from ssc_core.correct.matching import Candidates

    network.to(device, memory_format=torch.channels_last).train()
    counts = (2, 2)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(len(counts), 3, side, side, generator=generator)
    image_ids = np.repeat(np.arange(len(counts)), 2)
    ids, attention = networks.words(len(image_ids))
    masks = torch.from_numpy(networks.candidate_masks(side, counts))
    rows = tuple(2 * image + np.arange(2) for image in image_ids)
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        logits = network(
            pixels.to(device, memory_format=torch.channels_last),
            *(part.to(device) for part in (ids, attention, torch.from_numpy(image_ids))),
        ).float()
    size = StepSize.of(image_ids)
    samples = Samples(image_ids, np.arange(len(image_ids)), logits, Candidates(masks.to(device), rows), size)
    matched = greedy_ce(samples)
    matched.value.backward()
    with_one = {name: p.grad.float().cpu().numpy() for name, p in network.named_parameters() if p.grad is not None}
    return {
        "logits": logits.detach().cpu().numpy(),
        "soft IoU": samples.soft_iou,
        "loss": matched.value.detach().cpu().numpy()[None],
        "matched masks": np.eye(len(masks), dtype=bool)[matched.assignment.rows],
        "gradients of BERT": _joined(with_one, "bert."),
        "gradients of the backbone": _joined(with_one, "lavt.backbone."),
        "gradients of the decoder": _joined(with_one, "lavt.classifier."),
    }


def _joined(values: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    return np.concatenate([value.ravel() for name, value in values.items() if name.startswith(prefix)])
