"""Images a second of stage 1, against the published way: one image, one box, fp32, nothing ahead of the model.

Official sizes with random weights: speed does not depend on what weights say, once the number of boxes is fixed. Run as
``python benchmarks/segment.py --images 16 --boxes 5 --sam vit_h``; ``--json`` writes the figures. On a machine with
other work to do, ``--clock cpu --threads 1`` counts the CPU time of this process instead of wall time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from segment_anything import SamPredictor
from tqdm import tqdm
from usage import usage_of

from ssc_core.gpu_check.networks import PROMPT, boxes, save_detector, save_sam_folder
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.refer.images import load_image
from ssc_core.segment.grounding_dino import GroundingDino
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader
from ssc_core.segment.sam import SegmentAnything
from ssc_core.segment.sam_build import CONFIGS, load_sam
from ssc_core.segment.tasks import LARGEST_BATCH, ImageTask, TaskBatch

SIZES = ((480, 640), (640, 480), (427, 640), (480, 640))
"""(height, width) of the photos, in turn; the most common ones of COCO."""


CLOCKS = {"wall": (time.perf_counter, time.perf_counter), "cpu": (time.process_time, time.thread_time)}
"""Of a whole run, and of the model in it. With one torch thread, the thread that calls the model does its work."""


class ModelTime:
    """Seconds spent inside modules, with the device's queue empty before and after."""

    def __init__(self, device: torch.device, clock: str) -> None:
        self._device = device
        self._now = CLOCKS[clock][1]
        self._started = 0.0
        self.seconds = 0.0

    def watch(self, *modules: torch.nn.Module) -> None:
        for module in modules:
            module.register_forward_pre_hook(self._start)
            module.register_forward_hook(self._stop)

    def _start(self, *_: object) -> None:
        self._wait()
        self._started = self._now()

    def _stop(self, *_: object) -> None:
        self._wait()
        self.seconds += self._now() - self._started

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tasks = _make_photos(work, options.images)
        figures: dict[str, Any] = {}
        for stage in options.stages:
            figures[stage] = STAGES[stage](work, tasks, options)
            _tell(options, figures)


def _tell(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """What there is so far: of a run that is cut, the stages before."""
    about = {"images": options.images, "boxes": options.boxes, "sam": options.sam, "threads": options.threads}
    about["clock"] = options.clock
    about["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() and options.device != "cpu" else "cpu"
    stage, row = list(figures.items())[-1]
    print(
        f"{stage}: {row['images_per_second']:.3f} images/s, the published way {row['baseline']:.3f}, "
        f"{row['times']:.2f} times; {row['in_model']:.1%} of the time in the model",
        flush=True,
    )
    if options.json:
        options.json.write_text(json.dumps({**about, **figures}, indent=2) + "\n")


def _detection(work: Path, tasks: Sequence[ImageTask], options: argparse.Namespace) -> dict[str, Any]:
    save_detector(work / "detector", small=options.sam == "small", noise=0)
    settings = {"device": options.device, "threads": options.threads}
    slow = GroundingDino(str(work / "detector"), batch_size=1, precision="fp32", **settings)
    baseline = _rate(
        lambda some: _one_by_one(some, work, lambda image: slow.detect([image], [PROMPT])), tasks, options.clock
    )
    fast = GroundingDino(str(work / "detector"), batch_size=options.batch, **settings)
    spent = ModelTime(fast.device, options.clock)
    spent.watch(fast.network)
    return _compare(
        tasks, work, fast, lambda images: fast.detect(images, [PROMPT] * len(images)), spent, baseline, options.clock
    )


def _segmentation(work: Path, tasks: Sequence[ImageTask], options: argparse.Namespace) -> dict[str, Any]:
    save_sam_folder(work / "sam", options.sam, noise=0)
    prompts = boxes(options.boxes)
    fast = SegmentAnything(str(work / "sam"), batch_size=options.batch, device=options.device, threads=options.threads)
    predictor = SamPredictor(load_sam(str(work / "sam")).to(fast.device))

    def published_way(image: np.ndarray) -> None:
        predictor.set_image(image)
        for box in prompts:
            masks, ious, _ = predictor.predict(box=box, multimask_output=True)
            masks[ious.argmax()]

    baseline = _rate(lambda some: _one_by_one(some, work, published_way), tasks, options.clock)
    spent = ModelTime(fast.device, options.clock)
    spent.watch(fast.network.image_encoder, fast.network.prompt_encoder, fast.network.mask_decoder)
    return _compare(
        tasks, work, fast, lambda images: fast.segment(images, [prompts] * len(images)), spent, baseline, options.clock
    )


def _compare(
    tasks: Sequence[ImageTask],
    work: Path,
    backend: GroundingDino | SegmentAnything,
    run: Callable[[Sequence], object],
    spent: ModelTime,
    baseline: float,
    clock: str,
) -> dict[str, Any]:
    def stage(some: Sequence[ImageTask]) -> None:
        alike = sorted(some, key=lambda task: task.size)
        batches = [TaskBatch(0, tuple(alike[i : i + LARGEST_BATCH])) for i in range(0, len(alike), LARGEST_BATCH)]
        load = PhotoLoader(work, "stop", backend)
        with worker_threads(backend._threads) as pool:
            for images in batches_ahead(load, [batch.tasks for batch in batches], pool, BATCHES_AHEAD):
                run(images)

    rate = _rate(stage, tasks, clock, before=lambda: setattr(spent, "seconds", 0.0))
    return {
        "images_per_second": rate,
        "baseline": baseline,
        "times": rate / baseline,
        "in_model": spent.seconds * rate / len(tasks),
        "usage": usage_of(lambda: stage(tasks), backend.device),
    }


def _one_by_one(tasks: Sequence[ImageTask], work: Path, run: Callable[[np.ndarray], object]) -> None:
    for task in tqdm(tasks, mininterval=10):
        run(load_image(work / task.file_name, task.size))


def _rate(
    run: Callable[[Sequence[ImageTask]], object],
    tasks: Sequence[ImageTask],
    clock: str,
    before: Callable[[], object] = lambda: None,
) -> float:
    """Images a second of ``run(tasks)``; on a GPU, of a second run, since the first one warms up."""
    if torch.cuda.is_available():
        run(tasks)
    before()
    now = CLOCKS[clock][0]
    started = now()
    run(tasks)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return len(tasks) / (now() - started)


STAGES = {"detect": _detection, "segment": _segmentation}


def _make_photos(folder: Path, count: int) -> list[ImageTask]:
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        blobs = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
        blobs.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=92)
        tasks.append(ImageTask(number, f"{number}.jpg", (height, width), ()))
    return tasks


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4, help="photos")
    parser.add_argument("--boxes", type=int, default=5, help="boxes per photo for SAM")
    parser.add_argument("--batch", type=int, default=8, help="images a forward pass")
    parser.add_argument(
        "--sam", choices=[*sorted(CONFIGS), "small"], default="vit_b", help="of SAM; small: detector, too"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="torch threads on the CPU, and loader threads")
    parser.add_argument("--stages", nargs="+", choices=sorted(STAGES), default=sorted(STAGES))
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="what seconds are counted")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
