"""Two photos with masks that polygons have trouble with, as an export; and a store's fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.exchange.annotations import AnnotatedImage, Annotation, Export, LeftOut
from ssc_core.exchange.foreign import Photo
from ssc_core.masks import rle
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from tests.unit.masks.conftest import masks_h5, photos

__all__ = ["masks_h5", "photos"]

NAMES = {1: ("beach day.jpg", (37, 50)), 2: ("sub/möwe.png", (64, 41))}
"""File name and size (height, width) by image id."""
SENTENCES = {10: ("lady | with a bar", 'the "second", <one>'), 11: ("dog & cat",), 20: ("gull",), 21: ("boat: left",)}
CATEGORIES = {3: "cat", 7: "potted plant"}


def shapes(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """By what is difficult about it, bool (H, W)."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    holes = distance < 16
    holes[height // 2 - 6 : height // 2 - 2, width // 2 - 6 : width // 2 + 3] = False
    holes[height // 2 + 3 : height // 2 + 6, width // 2 + 1 : width // 2 + 7] = False
    parts = np.zeros(size, bool)
    parts[2:9, 3:10] = parts[height - 9 : height - 3, width - 12 : width - 2] = True
    island = (distance < 15) & ~(distance < 9) | (distance < 4)
    single, border = np.zeros(size, bool), np.zeros(size, bool)
    single[5, 7] = border[:, -1] = border[-1] = True
    ragged = np.random.default_rng(0).random(size) < 0.6
    return {
        "holes": holes,
        "parts": parts,
        "island in a hole": island,
        "a pixel": single,
        "border": border,
        "ragged": ragged,
        "all": np.ones(size, bool),
    }


def masks_of(image_id: int) -> list[np.ndarray]:
    found = list(shapes(NAMES[image_id][1]).values())
    return found[::2] if image_id == 1 else found[1::2]


def refs_of_masks(image_id: int) -> list[tuple[int, ...]]:
    """The refs of each mask: one, the other, both in turn."""
    first = 10 * image_id
    return [[(first,), (first + 1,), (first, first + 1)][number % 3] for number in range(len(masks_of(image_id)))]


def images(kind: str = "candidates") -> list[AnnotatedImage]:
    """kind: ``candidates``, all masks with the refs that they are of; ``choices``, one mask of each ref."""
    found = []
    for image_id, (name, size) in NAMES.items():
        codes = rle.encode(np.array(masks_of(image_id)))
        annotations = []
        for number, (code, refs) in enumerate(zip(codes, refs_of_masks(image_id), strict=True)):
            category = list(CATEGORIES.values())[number % 2]
            about = {"score": 0.5, "ref_ids": list(refs)}
            if kind == "choices":
                if number > 1:
                    break
                about = {"ref_id": refs[0], "sentences": list(SENTENCES[refs[0]])}
            annotations.append(Annotation(f"mask {number} of {name}", category, code, about))
        found.append(AnnotatedImage(image_id, name, size, annotations))
    return found


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    for name, (height, width) in NAMES.values():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), "gray").save(path)
    return tmp_path / "photos"


@pytest.fixture
def export(photo_folder: Path, masks_h5: Path) -> Callable[..., Export]:
    """A new export of ``images``."""

    def made(kind: str = "candidates") -> Export:
        store = MaskStore.open(masks_h5)
        return Export(iter(images(kind)), store, CATEGORIES, "train", photo_folder, LeftOut())

    return made


@pytest.fixture
def split() -> list[Photo]:
    """The same photos, as a RefTable has them."""

    def ref(ref_id: int, image_id: int) -> Ref:
        name, (height, width) = NAMES[image_id]
        return Ref(ref_id, ref_id, image_id, name, height, width, "train", 3, "cat", (ref_id,), SENTENCES[ref_id])

    return [
        Photo(image_id, name, size, (ref(10 * image_id, image_id), ref(10 * image_id + 1, image_id)))
        for image_id, (name, size) in NAMES.items()
    ]
