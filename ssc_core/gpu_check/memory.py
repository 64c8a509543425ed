"""Batches that shrink when memory runs out: the same results as one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from ssc_core.gpu_check import networks
from ssc_core.gpu_check.findings import BOUNDS, Finding, Outputs, Skip, compare
from ssc_core.gpu_check.machine import Place, without_tf32

BATCH = 8
LEAST = 64 << 20
"""Bytes that a batch must take more than one image, for a limit between them: PyTorch takes memory in large pieces."""


def detector(place: Place) -> Iterator[Finding]:
    """GroundingDINO, its images."""
    from ssc_core.segment.grounding_dino import GroundingDino

    model = str(place.folder / "detector")
    networks.save_detector(place.folder / "detector", small=place.small)
    backend = GroundingDino(
        model, box_threshold=0.0, batch_size=BATCH, precision="fp32", device=place.device, threads=place.threads
    )

    def ask(photos: Sequence[np.ndarray]) -> Outputs:
        found = backend.detect(photos, [["dog"]] * len(photos))
        return {"scores": np.stack([np.sort(one.scores) for one in found])}  # whichever query has them

    yield from _with_little(place, "GroundingDINO", backend.network, backend._batches, ask)


def sam(place: Place) -> Iterator[Finding]:
    """SAM ViT-B of its authors' package, or a small one, its images."""
    from ssc_core.segment.sam import SegmentAnything

    size = "small" if place.small else "vit_b"
    model = str(place.folder / size)
    networks.save_sam_folder(place.folder / size, size)
    backend = SegmentAnything(model, batch_size=BATCH, precision="fp32", device=place.device, threads=place.threads)
    yield from _with_little(place, f"SAM {size}", backend.network.image_encoder, backend._images, _segment(backend))


def sam2(place: Place) -> Iterator[Finding]:
    """A small SAM 2 by transformers, its images."""
    from ssc_core.segment.sam_transformers import Sam2

    networks.save_sam2(place.folder / "sam2")
    backend = Sam2(
        str(place.folder / "sam2"), batch_size=BATCH, precision="fp32", device=place.device, threads=place.threads
    )

    yield from _with_little(place, "SAM 2 (small)", backend.network.vision_encoder, backend._images, _segment(backend))


def _segment(backend: Any) -> Any:
    def ask(photos: Sequence[np.ndarray]) -> Outputs:
        found = backend.segment(photos, [networks.boxes(2)] * len(photos))
        return {"scores": np.concatenate([one.scores for one in found])}

    return ask


def clip(place: Place) -> Iterator[Finding]:
    """CLIP, its images."""
    from ssc_core.select.clip import OpenClip

    torch.manual_seed(0)
    name = "ViT-S-32" if place.small else "ViT-L-14-336"
    backend = OpenClip(name, batch_size=BATCH, precision="fp32", device=place.device, threads=place.threads)

    def ask(photos: Sequence[np.ndarray]) -> Outputs:
        return {"features": backend.encode_images(photos)}

    yield from _with_little(place, f"CLIP {name}", backend.model.visual, backend._images, ask)


def _with_little(place: Place, name: str, network: nn.Module, batches: Any, ask: Any) -> Iterator[Finding]:
    """``ask`` with less memory than its batch needs, against photos one by one; and that the batch did shrink."""
    photos = networks.photos(BATCH)
    with without_tf32():
        peaks = [_peak(place, lambda count=count: ask(photos[:count])) for count in (1, BATCH)]
        singles = [ask([photo]) for photo in photos]
        with _only(place, network, peaks):
            found = ask(photos)
    expected = {key: np.concatenate([one[key] for one in singles]) for key in singles[0]}
    yield from compare(f"{name}, out of memory", found, expected, BOUNDS["fp32"])
    yield Finding(f"{name}, out of memory: images a batch after", float(batches.size), BATCH / 2, "images")


def _peak(place: Place, run: Any) -> int:
    """Bytes of the device that ``run`` makes PyTorch hold; 0 on a CPU."""
    if not place.is_gpu:
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_reserved()


@contextmanager
def _only(place: Place, network: nn.Module, peaks: Sequence[int]) -> Iterator[None]:
    """Less memory than a batch takes, more than one image: a real limit on a GPU. A CPU's allocator has none, so that
    there the network says for more than two images what PyTorch says on a GPU."""
    if place.is_gpu:
        if peaks[1] - peaks[0] < LEAST:
            more = (peaks[1] - peaks[0]) >> 20
            raise Skip(f"{BATCH} images take only {more} MiB more than one: no limit lies between")
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction((peaks[0] + peaks[1]) / 2 / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    else:
        hook = network.register_forward_pre_hook(_refuse, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def _refuse(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    first = next(value for value in (*arguments, *named.values()) if isinstance(value, torch.Tensor))
    if len(first) > 2:
        raise torch.OutOfMemoryError("as a GPU would say")
