"""Small stores, written by the real writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStoreWriter

INFO = StoreInfo(class_names=("cat", "dog"), settings={"box_threshold": 0.35}, code="c0de", models={"sam": "ab12"})


class Photos:
    """Random photos of 8 x 12 pixels; photo i has i % 4 instances, and refs 10 i and 10 i + 1."""

    def __init__(self) -> None:
        self.info = INFO
        self.size = (8, 12)

    def masks(self, image_id: int) -> np.ndarray:
        count = image_id % 4
        return np.random.default_rng(image_id).random((count, *self.size)) < 0.4

    def candidates(self, image_id: int) -> dict[int, list[int]]:
        """The first ref has every instance, last one first; the second has none."""
        return {10 * image_id: list(range(image_id % 4))[::-1], 10 * image_id + 1: []}

    def append(self, writer: MaskStoreWriter, image_id: int, *, with_masks: bool = True, **changes: Any) -> None:
        count = image_id % 4
        values: dict[str, Any] = {
            "boxes_xyxy": np.arange(4 * count).reshape(count, 4) + image_id,
            "box_scores": np.linspace(0.5, 0.9, count),
            "labels": np.arange(count) % 2,
            "candidates": self.candidates(image_id),
        }
        if with_masks:
            values |= {"rles": rle.encode(self.masks(image_id)), "mask_scores": np.linspace(0.1, 0.3, count)}
        writer.append_image(image_id, self.size, **(values | changes))

    def write(
        self, path: Path, image_ids: list[int], *, with_masks: bool = True, info: StoreInfo | None = None
    ) -> Path:
        with MaskStoreWriter(path, info or self.info, with_masks=with_masks) as writer:
            for image_id in image_ids:
                self.append(writer, image_id, with_masks=with_masks)
        return path


def replace_column(path: Path, name: str, values: Any, **changes: Any) -> None:
    """Put other values in the place of a column, packed as the writer packs them but for ``changes``."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        old = file[name]
        rows = np.asarray(values, changes.pop("dtype", old.dtype))
        chunks = (old.chunks[0], *rows.shape[1:])
        shuffle = rows.dtype.itemsize > 1
        del file[name]
        options = {"chunks": chunks, "maxshape": (None, *rows.shape[1:]), "compression": "gzip", "shuffle": shuffle}
        file.create_dataset(name, data=rows, **(options | changes))


@pytest.fixture
def photos() -> Photos:
    return Photos()


@pytest.fixture
def masks_h5(photos: Photos, tmp_path: Path) -> Path:
    return photos.write(tmp_path / "masks.h5", [7, 3, 4])
