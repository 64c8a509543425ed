"""Size and speed of masks.h5 against the PNG folders that it replaces.

    python benchmarks/mask_store.py                     # generated blobs
    python benchmarks/mask_store.py path/to/coco        # a folder with COCO's instances.json
    python benchmarks/mask_store.py --json out.json     # the same figures for programs

Every class of an image counts as one ref whose candidates are all its instances, which is what Segment finds for
"a dog". "PNG per ref" is what the published code keeps: a grey picture per ref, later candidates over earlier ones (it
loses overlaps). "PNG per mask" loses nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStore, MaskStoreWriter

COPIES = 50
"""How many times bigger the second store is that random reads are timed on."""


@dataclass(frozen=True, slots=True)
class Photo:
    """masks: bool (N, H, W); labels: int (N,)."""

    masks: np.ndarray
    labels: np.ndarray

    def refs(self) -> list[list[int]]:
        """Candidates (indices of masks) of each ref: one ref a class."""
        return [np.flatnonzero(self.labels == label).tolist() for label in np.unique(self.labels)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coco", type=Path, nargs="?", help="folder with instances.json")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    photos = list(_coco_photos(arguments.coco / "instances.json") if arguments.coco else _blob_photos())
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(photos, Path(folder))
    _print(figures)
    if arguments.json:
        write_json(arguments.json, figures)


def measure(photos: list[Photo], folder: Path) -> dict[str, Any]:
    """All figures; sizes in bytes, times in CPU seconds."""
    store, many = folder / "masks.h5", folder / "many.h5"
    refs = [(index, chosen) for index, photo in enumerate(photos) for chosen in photo.refs()]
    layouts = {
        "masks.h5": (lambda: _write_store(photos, store), lambda: _read_store(store), [store]),
        "PNG per ref": (lambda: _write_ref_pngs(photos, folder), lambda: _read_pngs(folder, "ref"), None),
        "PNG per mask": (lambda: _write_mask_pngs(photos, folder), lambda: _read_pngs(folder, "mask"), None),
    }
    rows = {}
    for name, (write, read, files) in layouts.items():
        write_time, read_time = _seconds(write), _seconds(read)
        files = files or sorted((folder / name.split()[-1]).iterdir())
        rows[name] = {
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
            "write": write_time,
            "read": read_time,
        }
    _write_store(photos * COPIES, many)
    return {
        "images": len(photos),
        "masks": sum(len(photo.masks) for photo in photos),
        "refs": len(refs),
        "layouts": rows,
        "rle_bytes": sum(len(code) for photo in photos for code in rle.encode(photo.masks)),
        "random_ref_read": {str(len(photos) * n): _random_read(path) for n, path in ((1, store), (COPIES, many))},
    }


def _print(figures: dict[str, Any]) -> None:
    images, masks, rows = figures["images"], figures["masks"], figures["layouts"]
    rle_size = figures["rle_bytes"] / masks
    print(f"{images} images, {masks} masks, {figures['refs']} refs; RLE alone {rle_size:.0f} B a mask\n")
    print(f"{'':12}{'files':>7}{'B/image':>10}{'B/mask':>9}{'size':>8}{'write':>10}{'read':>9}  CPU s")
    own = rows["masks.h5"]["bytes"]
    for name, row in rows.items():
        print(
            f"{name:12}{row['files']:7}{row['bytes'] / images:10.0f}{row['bytes'] / masks:9.0f}"
            f"{row['bytes'] / own:7.2f}x{row['write']:10.2f}{row['read']:9.2f}"
        )
    print("\none random ref, masks and boxes:", end="")
    for count, seconds in figures["random_ref_read"].items():
        print(f"  {1000 * seconds:.2f} ms of {count} images", end="")
    print()


def _write_store(photos: list[Photo], path: Path) -> None:
    classes = tuple(str(label) for label in range(100))
    ref_id = 0
    with MaskStoreWriter(path, StoreInfo(classes, {}, "benchmark", {}), with_masks=True) as writer:
        for image_id, photo in enumerate(photos):
            count, refs = len(photo.masks), photo.refs()
            writer.append_image(
                image_id,
                photo.masks.shape[1:],
                boxes_xyxy=np.random.default_rng(image_id).random((count, 4)) * 640,
                box_scores=np.random.default_rng(image_id).random(count),
                labels=photo.labels,
                rles=rle.encode(photo.masks),
                mask_scores=np.random.default_rng(image_id).random(count),
                candidates=dict(enumerate(refs, start=ref_id)),
            )
            ref_id += len(refs)


def _read_store(path: Path) -> None:
    with MaskStore.open(path, with_masks=True) as store:
        for ref_id in store.ref_ids:
            store.candidate_masks(ref_id)


def _random_read(path: Path, reads: int = 300) -> float:
    with MaskStore.open(path, with_masks=True) as store:
        chosen = np.random.default_rng(0).choice(store.ref_ids, reads)

        def read() -> None:
            for ref_id in chosen:
                store.candidates(ref_id)
                store.candidate_masks(ref_id)

        return _seconds(read) / reads


def _write_ref_pngs(photos: list[Photo], folder: Path) -> None:
    (folder / "ref").mkdir()
    for index, photo in enumerate(photos):
        for ref, chosen in enumerate(photo.refs()):
            levels = (photo.masks[chosen] * np.arange(1, len(chosen) + 1)[:, None, None]).max(axis=0)
            grey = (levels * 255 // len(chosen)).astype(np.uint8)
            Image.fromarray(grey).save(folder / "ref" / f"{index}_{ref}.png")


def _write_mask_pngs(photos: list[Photo], folder: Path) -> None:
    (folder / "mask").mkdir()
    for index, photo in enumerate(photos):
        for number, mask in enumerate(photo.masks):
            Image.fromarray(mask.view(np.uint8) * 255).save(folder / "mask" / f"{index}_{number}.png")


def _read_pngs(folder: Path, name: str) -> None:
    for path in sorted((folder / name).iterdir()):
        with Image.open(path, formats=("PNG",)) as image:
            picture = np.asarray(image)
        picture == np.unique(picture)[1:, None, None]  # noqa: B015 (one mask a level)


def _coco_photos(path: Path) -> Iterator[Photo]:
    data = json.loads(path.read_text(encoding="utf-8"))
    for image in data["images"]:
        found = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        if not found:
            continue
        codes = [_coco_code(a["segmentation"], image["height"], image["width"]) for a in found]
        masks = np.ascontiguousarray(coco.decode(codes).transpose(2, 0, 1)).view(np.bool_)
        yield Photo(masks, np.array([a["category_id"] for a in found]))


def _coco_code(segmentation: Any, height: int, width: int) -> Any:
    if isinstance(segmentation, list):
        return coco.merge(coco.frPyObjects(segmentation, height, width))
    return coco.frPyObjects(segmentation, height, width) if isinstance(segmentation["counts"], list) else segmentation


def _blob_photos(count: int = 64, instances: int = 8) -> Iterator[Photo]:
    """Photos of 480 x 640 with wobbly blobs of three classes."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for _ in range(count):
        masks = np.zeros((instances, 480, 640), dtype=bool)
        for mask in masks:
            radius = rng.uniform(15, 120) * (1 + 0.15 * np.sin(angles * rng.integers(2, 9)) + rng.normal(0, 0.03, 60))
            x, y = rng.uniform(0, 640) + radius * np.cos(angles), rng.uniform(0, 480) + radius * np.sin(angles)
            canvas = Image.new("1", (640, 480))
            ImageDraw.Draw(canvas).polygon(list(zip(x, y, strict=True)), fill=1)
            mask[:] = np.asarray(canvas)
        yield Photo(masks, rng.integers(0, 3, instances))


def _seconds(work: Callable[[], None]) -> float:
    """CPU time: the files are in the page cache, and other programs do not disturb it."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
