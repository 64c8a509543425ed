"""Each way to be faster, on against off, in turns on the same data: what to keep on a GPU.

    python benchmarks/settings.py                             # SAM ViT-B at 1024, LAVT with Swin base at 480
    python benchmarks/settings.py --only attention --images 1 --clock cpu --threads 1    # one of them

Random weights. ``off by`` is the difference of the first results, ||on - off|| / ||off||: roundings, if all is right.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ssc_core.gpu_check.findings import difference
from ssc_core.gpu_check.networks import PROMPT, make_lavt, save_detector, save_sam_folder, words
from ssc_core.gpu_check.networks import photos as some_photos
from ssc_core.segment.deformable_attention import FusedDeformableAttention
from ssc_core.torch_runtime import pick_bf16, pick_device

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True, slots=True)
class Case:
    """A way to be faster: what does the same without and with it, per ``count`` images or samples."""

    name: str
    off: Callable[[], Tensor]
    on: Callable[[], Tensor]
    count: int


def encoder_cases(options: argparse.Namespace, device: torch.device) -> Iterator[Case]:
    """SAM's image encoder, as ``segment_boxes`` calls it."""
    from ssc_core.segment.sam_attention import fuse_attention
    from ssc_core.segment.sam_build import load_sam

    with tempfile.TemporaryDirectory() as folder:
        save_sam_folder(Path(folder), "small" if options.size == "small" else "vit_b", noise=0)
        published, fused = (load_sam(folder).image_encoder.to(device).eval().requires_grad_(False) for _ in range(2))
    fuse_attention(fused)
    pixels = torch.randn(options.images, 3, fused.img_size, fused.img_size, device=device)
    chosen = pick_bf16("auto", device)

    def encode(encoder: Callable[[Tensor], Tensor], bf16: bool = chosen, pixels: Tensor = pixels) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return encoder(pixels).float()

    now, count = partial(encode, fused), options.images
    yield Case("attention: fused, SAM", partial(encode, published), now, count)
    yield Case("bf16, SAM", partial(encode, fused, False), partial(encode, fused, True), count)
    yield Case("batch, SAM", lambda: torch.cat([now(pixels=one) for one in pixels.split(1)]), now, count)
    last = copy.deepcopy(fused).to(memory_format=torch.channels_last)
    yield Case("channels last, SAM", now, partial(encode, last), count)
    yield Case("compile, SAM", now, partial(encode, torch.compile(fused, dynamic=False)), count)
    if device.type == "cuda":
        pageable = torch.zeros(options.images, fused.img_size, fused.img_size, 3, dtype=torch.uint8)
        pinned = pageable.pin_memory()
        yield Case("pinned memory", lambda: pageable.to(device), lambda: pinned.to(device, non_blocking=True), count)


def detector_cases(options: argparse.Namespace, device: torch.device) -> Iterator[Case]:
    """GroundingDINO, as ``detect_boxes`` calls it: on a GPU, where it has a kernel of ours."""
    from transformers.models.grounding_dino.modeling_grounding_dino import MultiScaleDeformableAttention

    from ssc_core.segment.grounding_dino import GroundingDino

    if device.type != "cuda":
        return
    photos, prompts = some_photos(options.images), [PROMPT] * options.images
    with tempfile.TemporaryDirectory() as folder:
        save_detector(Path(folder), small=options.size == "small", noise=0)
        fused = GroundingDino(folder, box_threshold=0.0, batch_size=options.images)
        published = copy.deepcopy(fused)
    for part in list(published.network.modules()):
        for name, child in part.named_children():
            if isinstance(child, FusedDeformableAttention):
                setattr(part, name, MultiScaleDeformableAttention())

    def scores(detector: GroundingDino) -> Tensor:
        return torch.cat([torch.from_numpy(found.scores).sort().values for found in detector.detect(photos, prompts)])

    yield Case("attention: fused, GroundingDINO", partial(scores, published), partial(scores, fused), options.images)


def training_cases(options: argparse.Namespace, device: torch.device) -> Iterator[Case]:
    """A training step of LAVT, as ``Trainer`` takes it."""
    small = options.size == "small"
    side, samples = (96, 2) if small else (480, options.samples)
    chosen = pick_bf16("auto", device, native=True)
    pixels = torch.randn(samples, 3, side, side).to(device, memory_format=torch.channels_last)
    truth = torch.rand(samples, side, side, device=device).gt(0.8).long()
    ids, attention = (one.to(device) for one in words(samples))

    def step(
        *,
        bf16: bool = chosen,
        layout: torch.memory_format = torch.channels_last,
        fused: bool = True,
        compiled: bool = False,
        again: bool = False,
    ) -> Callable[[], Tensor]:
        network = make_lavt(small=small, checkpoint_activations=again).to(device).to(memory_format=layout).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=fused)
        called = torch.compile(network) if compiled else network
        photos = pixels.contiguous(memory_format=layout)

        def once() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = called(photos, ids, attention).float()
            loss = functional.cross_entropy(logits, truth)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss.detach()

        return once

    yield Case("bf16, training", step(bf16=False), step(bf16=True), samples)
    yield Case("channels last, training", step(layout=torch.contiguous_format), step(), samples)
    yield Case("fused AdamW, training", step(fused=False), step(), samples)
    yield Case("checkpoint_activations, training", step(), step(again=True), samples)
    yield Case("compile, training", step(), step(compiled=True), samples)


def measure(case: Case, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds per image or sample of both, medians of ``repeats`` turns, and the GPU memory of each."""
    now = CLOCKS[options.clock]
    first = {name: run().cpu().numpy() for name, run in (("off", case.off), ("on", case.on))}  # warms up, and compiles
    spent: dict[str, list[float]] = {"off": [], "on": []}
    peak: dict[str, float | None] = {"off": None, "on": None}
    for _ in range(options.repeats):
        for name, run in (("off", case.off), ("on", case.on)):
            if device.type == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            started = now()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
                peak[name] = torch.cuda.max_memory_allocated() / 2**20
            spent[name].append(1000 * (now() - started) / case.count)
    off, on = (statistics.median(spent[name]) for name in ("off", "on"))
    row = {"off_ms": off, "on_ms": on, "times": off / on, "off_by": difference(first["on"], first["off"])}
    return {"name": case.name, **row, "off_mib": peak["off"], "on_mib": peak["on"]}


def main() -> None:
    options = _options()
    device = pick_device(options.device, options.threads)
    about = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "size": options.size}
    rows: list[dict[str, Any]] = []
    for cases in (encoder_cases, detector_cases, training_cases):
        try:
            for case in cases(options, device):
                wanted = not options.only or any(word in case.name for word in options.only)
                if not wanted or any(word in case.name for word in options.leave_out):
                    continue
                try:
                    row = measure(case, device, options)
                    print(
                        "{name}: {off_ms:.1f} to {on_ms:.1f} ms, {times:.2f} times, off by {off_by:.2g}".format(**row)
                    )
                except Exception as error:  # the others are worth measuring: a machine may have no compiler
                    row = {"name": case.name, "error": f"{type(error).__name__}: {error}"[:300]}
                    print(row)
                rows.append(row)
                if options.json:  # of a run that is cut, what it had measured
                    options.json.write_text(json.dumps({**about, "cases": rows}, indent=2) + "\n")
                gc.collect()
        except ModuleNotFoundError as error:
            rows.append({"name": cases.__name__, "error": f"{error.name} is not installed"})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "official"), default="official", help="of the networks")
    parser.add_argument("--images", type=int, default=8, help="that the encoder gets at once")
    parser.add_argument("--samples", type=int, default=16, help="of a training step at the official size")
    parser.add_argument("--repeats", type=int, default=5, help="turns of off and on")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases with one of these in their names")
    parser.add_argument("--leave-out", nargs="+", metavar="WORD", default=[], help="cases that are not measured")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="torch threads on the CPU")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="what seconds are counted")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
