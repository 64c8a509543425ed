"""Speed of scoring candidates, against the published way: one mask at a time, a blur and a forward pass for each.

    python benchmarks/select_stage.py                             # a small model, random weights
    python benchmarks/select_stage.py --model ViT-L-14-336 --photos 200 # on a GPU: the published model
    python benchmarks/select_stage.py --json out.json             # the same figures for programs
    python benchmarks/select_stage.py --clock cpu --threads 1     # processor time, where other work runs beside it

Photos are generated, 640 x 480, with six objects: four of one class, with two refs, and two of another, with one. So
ten (ref, candidate) pairs per photo, as the published code scores them, are six distinct instances. Both ways use the
same model, the same precision and all threads that their libraries take, and must agree on the scores. "Share in the
model" is the part of the wall time that passes in forward passes, transfers and normalisation included: what is left
is reading, blurring, marking and resizing that the workers could not hide. (The file is not called select.py, as that
would hide the standard library's module of this name from every script in this folder.)
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from usage import usage_of

from ssc_core.config.base import Backend
from ssc_core.config.labelling import CompatSettings, ScoreSettings
from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.images import PhotoReader, load_image
from ssc_core.refer.ref import Ref
from ssc_core.select.clip import OpenClip
from ssc_core.select.scorers import EncoderScorer
from ssc_core.select.scoring import Marker, Photo, score_photos

HEIGHT, WIDTH = 480, 640
CANDIDATES = ((0, 1, 2, 3), (0, 1, 2, 3), (4, 5))
"""Instances that are the candidates of each ref of a photo."""
Clock = Callable[[], float]
CLOCKS: dict[str, tuple[Clock, Clock]] = {
    "wall": (time.perf_counter, time.perf_counter),
    "cpu": (time.process_time, time.thread_time),  # workers' time passes beside the model's, and is not the model's
}
SENTENCES = ("the one on the left", "left dog", "brown dog with its head down")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-S-32", help="any open_clip name; its weights are random")
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64, help="prompted images that the encoder gets at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu goes with --threads 1 and no GPU")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    for name, value in figures.items():
        if name == "usage":
            continue
        print(f"{name:28} {value:.3g}" if isinstance(value, float) else f"{name:28} {value}")
    if arguments.json:
        write_json(arguments.json, figures)


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures. Times in seconds."""
    names = write_photos(folder, arguments.photos)
    warnings.filterwarnings("ignore", message=".*random weights")
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    clip = OpenClip(arguments.model, batch_size=arguments.batch, threads=arguments.threads)
    encoder = TimedEncoder(clip, *CLOCKS[arguments.clock])
    encoder.encode_prepared([encoder.prepare_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8))] * 2)
    with MaskStore.open(folder / "masks.h5") as store:
        published, published_time, published_model = timed(
            encoder, lambda: score_one_by_one(folder, names, store, encoder)
        )
        batched, batched_time, batched_model = timed(
            encoder, lambda: score_in_batches(folder, names, store, encoder, arguments)
        )
        usage = usage_of(lambda: score_in_batches(folder, names, store, encoder, arguments), clip.device)
    pairs = sum(map(len, CANDIDATES)) * len(names)
    worst = max(float(np.abs(a - b).max()) for a, b in zip(published, batched, strict=True))
    return {
        "device": torch.cuda.get_device_name() if encoder.clip.device.type == "cuda" else "cpu",
        "model": arguments.model,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "photos": len(names),
        "pairs": pairs,
        "published_seconds": published_time,
        "published_pairs_per_second": pairs / published_time,
        "published_share_in_model": published_model / published_time,
        "batched_seconds": batched_time,
        "batched_pairs_per_second": pairs / batched_time,
        "batched_share_in_model": batched_model / batched_time,
        "ratio": published_time / batched_time,
        "largest_score_difference": worst,
        "usage": usage,
    }


def score_one_by_one(folder: Path, names: list[str], store: MaskStore, encoder: TimedEncoder) -> list[np.ndarray]:
    """The published way: ref by ref, candidate by candidate, each with its own blur and its own forward pass."""
    scores = []
    for image_id, name in enumerate(names, start=1):
        for ref_id in store.all_refs_of(image_id):
            image = load_image(folder / name)
            text = encoder.encode_texts(SENTENCES)
            features = []
            for mask in store.candidate_masks(ref_id):
                blurred = cv2.GaussianBlur(image, (0, 0), 50)
                prompted = np.where(mask[..., None], image, blurred)
                features.append(encoder.encode_prepared([encoder.prepare_image(prompted)])[0])
            scores.append(100 * text @ np.stack(features).T)
    return scores


def score_in_batches(
    folder: Path, names: list[str], store: MaskStore, encoder: TimedEncoder, arguments: argparse.Namespace
) -> list[np.ndarray]:
    """What ``score_candidates`` does between opening its files and writing its result."""
    settings = ScoreSettings(backend=Backend(name="open_clip"))
    reader = PhotoReader(folder, dict.fromkeys(names, (HEIGHT, WIDTH)), upright=False)
    marker = Marker(reader, store, EncoderScorer(encoder, settings, CompatSettings(), arguments.batch), merged=False)
    return [
        scores for photo in score_photos(photos_of(names, store), marker, arguments.threads) for scores in photo.scores
    ]


def photos_of(names: list[str], store: MaskStore) -> list[Photo]:
    def ref(ref_id: int, image_id: int, name: str) -> Ref:
        return Ref(
            ref_id=ref_id, ann_id=ref_id, image_id=image_id, file_name=name, height=HEIGHT, width=WIDTH,
            split="", category_id=0, category="", sent_ids=(), sentences=tuple(SENTENCES),
        )  # fmt: skip

    return [
        Photo(name, tuple(ref(ref_id, image_id, name) for ref_id in store.all_refs_of(image_id)))
        for image_id, name in enumerate(names, start=1)
    ]


class TimedEncoder:
    """An encoder that adds up the time of its forward passes. clock: of all threads; own_clock: of the calling one."""

    def __init__(self, clip: OpenClip, clock: Clock, own_clock: Clock) -> None:
        self.clip = clip
        self.clock, self.own_clock = clock, own_clock
        self.seconds = 0.0

    def prepare_image(self, image: np.ndarray) -> np.ndarray:
        return self.clip.prepare_image(image)

    def encode_prepared(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return self._time(self.clip.encode_prepared, prepared)

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return self.encode_prepared([self.prepare_image(image) for image in images])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self._time(self.clip.encode_texts, texts)

    def _time(self, encode: Any, inputs: Sequence[Any]) -> np.ndarray:
        start = self.own_clock()
        try:
            return encode(inputs)  # ends with a copy to the CPU, so that a GPU has finished
        finally:
            self.seconds += self.own_clock() - start


def timed(encoder: TimedEncoder, work: Any) -> tuple[list[np.ndarray], float, float]:
    """(result, seconds, seconds in the model)."""
    encoder.seconds = 0.0
    start = encoder.clock()
    result = work()
    return result, encoder.clock() - start, encoder.seconds


def write_photos(folder: Path, count: int) -> list[str]:
    """JPEGs and masks.h5, with three refs per photo; returns the file names."""
    rng = np.random.default_rng(0)
    info = StoreInfo(class_names=("thing",), settings={}, code="benchmark", models={})
    names = []
    with MaskStoreWriter(folder / "masks.h5", info, with_masks=True) as writer:
        for image_id in range(1, count + 1):
            image, masks = photo(rng)
            names.append(f"{image_id}.jpg")
            Image.fromarray(image).save(folder / names[-1], quality=90)
            writer.append_image(
                image_id,
                (HEIGHT, WIDTH),
                boxes_xyxy=np.zeros((len(masks), 4)),
                box_scores=np.ones(len(masks)),
                labels=np.zeros(len(masks), dtype=int),
                rles=rle.encode(masks),
                mask_scores=np.ones(len(masks)),
                candidates={len(CANDIDATES) * image_id + i: rows for i, rows in enumerate(CANDIDATES)},
            )
    return names


def photo(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A textured photo uint8 (H, W, 3) with six ellipses, and their masks bool (6, H, W)."""
    coarse = rng.integers(0, 255, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).copy()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    masks = []
    for _ in range(1 + max(max(rows) for rows in CANDIDATES)):
        centre_x, centre_y = rng.uniform(80, WIDTH - 80), rng.uniform(80, HEIGHT - 80)
        mask = ((x - centre_x) / rng.uniform(30, 90)) ** 2 + ((y - centre_y) / rng.uniform(30, 90)) ** 2 < 1
        image[mask] = image[mask] // 2 + rng.integers(0, 128, 3, dtype=np.uint8)
        masks.append(mask)
    return image, np.stack(masks)


if __name__ == "__main__":
    main()
