"""A pool of scenes that no split contains, drawn once and shared by all trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from microworld.captions import object_captions
from microworld.classes import CATEGORY_NAMES, COLOURS, PERSON_KINDS
from microworld.scenes import generate_scene, scene_seed, seeded_rng
from ssc_core.config.world import WorldSettings
from ssc_core.files import atomic_path

COLOUR_NAMES = tuple(COLOURS)
KINDS = ("", *PERSON_KINDS)
CAPTIONS_AN_OBJECT = 3
BACKGROUND = 255

OBJECT_TYPE = np.dtype([("scene", "i4"), ("label", "i2"), ("colour", "i2"), ("kind", "i2"), ("box", "f4", 4)])


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes on disk, memory-mapped.

    pixels: uint8 (N, H, W, 3) and owner: uint8 (N, H, W), the visible object at a pixel by its place among the scene's
    objects, BACKGROUND where there is none; both padded at the right and bottom to one size. sizes: int (N, 2), height
    and width of the scene proper. objects: (M,) of OBJECT_TYPE, sorted by scene; label indexes CATEGORY_NAMES, colour
    COLOUR_NAMES, kind KINDS, box is xyxy. first: (N + 1,), where a scene's objects begin. captions: M lists of texts.
    """

    pixels: np.ndarray
    owner: np.ndarray
    sizes: np.ndarray
    objects: np.ndarray
    first: np.ndarray
    captions: list[list[str]]

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, scene: int) -> np.ndarray:
        """RGB uint8 (H, W, 3) without padding."""
        height, width = self.sizes[scene]
        return np.asarray(self.pixels[scene, :height, :width])

    def scene_objects(self, scene: int) -> np.ndarray:
        """The scene's rows of ``objects``."""
        return self.objects[self.first[scene] : self.first[scene + 1]]

    def masks(self, scene: int) -> np.ndarray:
        """bool (K, H, W) without padding, in the order of ``scene_objects``."""
        height, width = self.sizes[scene]
        count = self.first[scene + 1] - self.first[scene]
        return np.asarray(self.owner[scene, :height, :width]) == np.arange(count)[:, None, None]

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Scene indices, ``size`` at a time, without end; every pass over the pool is in another order."""
        while True:
            order = rng.permutation(len(self))
            for start in range(0, len(order) - size + 1, size):
                yield order[start : start + size]


def make_pool(out: Path, *, domain: str, count: int, settings: WorldSettings, workers: int) -> None:
    """Draw ``count`` scenes of a domain into the folder ``out`` (about 0.1 MB per scene)."""
    out.mkdir(parents=True, exist_ok=True)
    height = max(h for _, h in settings.image_sizes)
    width = max(w for w, _ in settings.image_sizes)
    pixels = np.zeros((count, height, width, 3), np.uint8)
    owner = np.full((count, height, width), BACKGROUND, np.uint8)
    sizes, first = np.zeros((count, 2), np.int64), np.zeros(count + 1, np.int64)
    rows: list[tuple] = []
    captions: list[list[str]] = []
    draw = partial(_draw, domain=domain, settings=settings)
    with ProcessPoolExecutor(workers) as executor:
        scenes = executor.map(draw, range(count), chunksize=32)
        for scene, (image, owners, objects) in enumerate(tqdm(scenes, total=count, desc=domain, mininterval=5)):
            h, w = owners.shape
            pixels[scene, :h, :w], owner[scene, :h, :w], sizes[scene] = image, owners, (h, w)
            for label, colour, kind, box, texts in objects:
                rows.append((scene, label, colour, kind, box))
                captions.append(texts)
            first[scene + 1] = len(rows)
    arrays = {"pixels": pixels, "owner": owner, "sizes": sizes, "first": first, "objects": np.array(rows, OBJECT_TYPE)}
    for name, array in arrays.items():
        with atomic_path(out / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, array)  # type: ignore[arg-type]
    with atomic_path(out / "captions.json") as temporary:  # last: its presence says that the pool is whole
        temporary.write_text(json.dumps(captions))


def open_pool(folder: Path) -> Pool:
    """Open a pool that ``make_pool`` wrote."""
    names = ("pixels", "owner", "sizes", "objects", "first")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return Pool(**arrays, captions=json.loads((folder / "captions.json").read_text()))


def _draw(index: int, *, domain: str, settings: WorldSettings) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    seed = scene_seed(settings.seed, domain, index)
    scene = generate_scene(seed, settings)
    owner = np.full(scene.image.shape[:2], BACKGROUND, np.uint8)
    rng = seeded_rng(seed, "captions")
    objects = []
    for place, thing in enumerate(scene.objects):
        owner[thing.mask] = place
        texts = list(object_captions(thing, rng, CAPTIONS_AN_OBJECT))
        names = (CATEGORY_NAMES.index(thing.category), COLOUR_NAMES.index(thing.colour), KINDS.index(thing.kind))
        objects.append((*names, thing.box, texts))
    return scene.image, owner, objects
