"""Writes the world as REFER's data folder, so that the pipeline reads it as it reads the real data sets.

    {folder}/refcoco/refs(unc).p, {folder}/refcoco/instances.json, ...
    {folder}/images/mscoco/images/train2014/COCO_train2014_000000000123.jpg

RefCOCO and RefCOCO+ describe the same pictures, and so do the two splits of RefCOCOg. Jobs for several data sets may
write into one folder at once: shared files have the same bytes whoever writes them, and appear whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from microworld.classes import CLASSES
from microworld.scenes import Scene, generate_scene, scene_seed
from microworld.sentences import DescribedObject, describe, is_describable
from ssc_core.config.world import PLAIN_LOOKS, SPLITS, WorldSettings
from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.refer.refer_layout import write_refer

IMAGE_FOLDER = Path("images/mscoco/images/train2014")
_SUPERCATEGORIES = {
    "person": "person", "car": "vehicle", "bus": "vehicle", "boat": "vehicle", "bird": "animal", "cat": "animal",
    "dog": "animal", "horse": "animal", "umbrella": "accessory", "sports ball": "sports", "kite": "sports",
    "cup": "kitchen", "apple": "food", "chair": "furniture", "clock": "indoor", "vase": "indoor",
    "teddy bear": "indoor",
}  # fmt: skip
_SPLIT_NUMBER = {"train": 0, "val": 1, "testA": 2, "testB": 3, "test": 4}
_MOST_ATTEMPTS = 200
_MOST_OBJECTS = 10  # annotation id = image id * 10 + object


@dataclass(frozen=True, slots=True)
class _Family:
    """Pictures that several data sets share: their domain, splits, first image id and the styles that describe them."""

    domain: str
    splits: tuple[str, ...]
    first_image_id: int
    styles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Dataset:
    refer_name: str
    split_by: str
    style: str
    family: _Family


_UNC = _Family("refcoco", SPLITS["refcoco"], 1_000_000, ("refcoco", "refcoco+"))
_G = _Family("refcocog", SPLITS["refcocog"], 2_000_000, ("refcocog",))
_DATASETS: dict[str, _Dataset] = {
    "refcoco": _Dataset("refcoco", "unc", "refcoco", _UNC),
    "refcoco+": _Dataset("refcoco+", "unc", "refcoco+", _UNC),
    "refcocog_umd": _Dataset("refcocog", "umd", "refcocog", _G),
    "refcocog_google": _Dataset("refcocog", "google", "refcocog", _G),
}
DATASETS: tuple[str, ...] = tuple(_DATASETS)


@dataclass(frozen=True, slots=True)
class _Job:
    """One picture to draw: which scene of which split of its family."""

    image_id: int
    split: str
    index: int


def image_file_name(image_id: int) -> str:
    """COCO's file name of an image."""
    return f"COCO_train2014_{image_id:012d}.jpg"


def split_theme(split: str) -> tuple[str, str]:
    """Theme of a split's scenes and who its refs are: testA is about people, testB about everything else."""
    return {"testA": ("people", "people"), "testB": ("things", "things")}.get(split, ("any", "any"))


def split_scene(domain: str, split: str, index: int, styles: Iterable[str], settings: WorldSettings) -> Scene:
    """Scene `index` of a split. Scenes of which a style has nothing to say are passed over; RefCOCO+ is asked by looks
    alone, whatever its own mix is, so that RefCOCO's pictures do not depend on it."""
    theme, who = split_theme(split)
    asked = settings.model_copy(update={"refcoco_plus": PLAIN_LOOKS})
    for attempt in range(_MOST_ATTEMPTS):
        suffix = f"/again{attempt}" if attempt else ""
        scene = generate_scene(scene_seed(settings.seed, f"{domain}/{split}{suffix}", index), settings, theme)
        if all(is_describable(scene, style, asked, who) for style in styles):
            return scene
    raise SscError(
        f"{_MOST_ATTEMPTS} scenes of {domain}/{split} gave no ref with three sentences in every style; "
        "give more kinds of sentence a weight, or raise share_lone_refs"
    )


def mask_polygons(mask: np.ndarray) -> list[list[float]]:
    """COCO polygons along the pixels' edges of a mask, bool (H, W): one or more for each connected part.

    COCO polygons have no holes, so a part with a hole is cut in two through it, until none is left.
    """
    polygons: list[list[float]] = []
    _trace(mask.astype(np.uint8), 0, polygons)
    return polygons


def _trace(mask: np.ndarray, shift: int, polygons: list[list[float]]) -> None:
    """Append the polygons of `mask`, whose first column is column `shift` of the picture."""
    double = cv2.copyMakeBorder(cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), 1, 1, 1, 1, 0)
    contours, hierarchy = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [i for i in range(len(contours)) if hierarchy[0][i][3] >= 0]
    if holes:
        x, _, width, _ = cv2.boundingRect(contours[holes[0]])
        cut = min(max((x + width // 2) // 2, 1), mask.shape[1] - 1)
        _trace(np.ascontiguousarray(mask[:, :cut]), shift, polygons)
        _trace(np.ascontiguousarray(mask[:, cut:]), shift + cut, polygons)
        return
    for contour in contours:
        # fine pixel i lies at i + 1 behind the border and has its centre at (i + 0.5) / 2 in the picture's pixels
        points = (contour[:, 0, :].astype(np.float64) - 0.5) / 2 + (shift, 0)
        polygons.append([float(value) for value in points.ravel()])


def _annotations(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    records = []
    for obj in scene.objects:
        x0, y0, x1, y1 = obj.box
        records.append(
            {
                "id": image_id * _MOST_OBJECTS + obj.index,
                "image_id": image_id,
                "category_id": obj.category_id,
                "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                "area": float(obj.area),
                "iscrowd": 0,
                "segmentation": mask_polygons(obj.mask),
            }
        )
    return records


def _refs(refs: tuple[DescribedObject, ...], scene: Scene, job: _Job) -> list[dict[str, Any]]:
    """REFER's records, still without the ids that count through the data set."""
    records = []
    for ref in refs:
        obj = scene.objects[ref.object_index]
        sentences = [{"sent": s.sent, "raw": s.raw, "tokens": s.sent.split()} for s in ref.sentences]
        records.append(
            {
                "ann_id": job.image_id * _MOST_OBJECTS + obj.index,
                "category_id": obj.category_id,
                "image_id": job.image_id,
                "file_name": f"COCO_train2014_{job.image_id:012d}_{obj.index}.jpg",
                "split": job.split,
                "sentences": sentences,
            }
        )
    return records


def _draw(
    job: _Job, dataset: _Dataset, settings: WorldSettings, image_folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw one picture, write it, and return its image record, annotations and refs."""
    cv2.setNumThreads(1)
    scene = split_scene(dataset.family.domain, job.split, job.index, dataset.family.styles, settings)
    refs = describe(scene, dataset.style, settings, split_theme(job.split)[1])
    name = image_file_name(job.image_id)
    _write(image_folder / name, encode_jpeg(scene.image, settings.jpeg_quality))
    record = {"id": job.image_id, "file_name": name, "height": scene.height, "width": scene.width}
    return record, _annotations(scene, job.image_id), _refs(refs, scene, job)


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of an RGB uint8 (H, W, 3) image."""
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SscError("OpenCV could not encode a JPEG image")
    return encoded.tobytes()


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _jobs(family: _Family, settings: WorldSettings) -> Iterator[_Job]:
    for split in family.splits:
        first = family.first_image_id + 100_000 * _SPLIT_NUMBER[split]
        for index in range(getattr(settings.images, split)):
            yield _Job(first + index, split, index)


def _google_split(refs: list[dict[str, Any]], settings: WorldSettings) -> list[dict[str, Any]]:
    """RefCOCOg's other split over umd's train and val pictures: the first ones become val, the rest train."""
    image_ids = sorted({ref["image_id"] for ref in refs if ref["split"] != "test"})
    val = set(image_ids[: settings.images.val])
    kept = [ref for ref in refs if ref["split"] != "test"]
    return [ref | {"split": "val" if ref["image_id"] in val else "train"} for ref in kept]


def _numbered(refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give refs and sentences the ids that count through the data set, in REFER's order of keys."""
    numbered, sent_id = [], 0
    for ref_id, ref in enumerate(refs):
        sent_ids = list(range(sent_id, sent_id + len(ref["sentences"])))
        sent_id += len(sent_ids)
        sentences = [{"sent_id": i, **sentence} for i, sentence in zip(sent_ids, ref["sentences"], strict=True)]
        numbered.append({"ref_id": ref_id, **ref, "sent_ids": sent_ids, "sentences": sentences})
    return numbered


def _categories() -> list[dict[str, Any]]:
    return [
        {"supercategory": _SUPERCATEGORIES[cls.name], "id": cls.category_id, "name": cls.name}
        for cls in CLASSES.values()
    ]


def write_world(folder: Path, dataset: str, settings: WorldSettings, workers: int = 1) -> Path:
    """Write one data set of the world under `folder` and return the path of its refs.

    Raises SscError for a data set that the world does not have.
    """
    if dataset not in _DATASETS:
        raise SscError(f"the generated world has no data set {dataset!r}; it has {', '.join(DATASETS)}")
    plan = _DATASETS[dataset]
    image_folder = folder / IMAGE_FOLDER
    image_folder.mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(plan.family, settings))
    draw = partial(_draw, dataset=plan, settings=settings, image_folder=image_folder)
    images, annotations, refs = [], [], []
    for image, image_annotations, image_refs in _each(draw, jobs, workers, dataset):
        images.append(image)
        annotations.extend(image_annotations)
        refs.extend(image_refs)
    if plan.split_by == "google":
        refs = _google_split(refs, settings)
    write_refer(
        folder,
        plan.refer_name,
        plan.split_by,
        refs=_numbered(refs),
        images=images,
        annotations=annotations,
        categories=_categories(),
    )
    return folder / plan.refer_name / f"refs({plan.split_by}).p"


def _each(draw: Any, jobs: list[_Job], workers: int, dataset: str) -> Iterator[Any]:
    """Results in the jobs' order, drawn here or by a pool of `workers` processes, with a progress bar on stderr."""
    bar = partial(tqdm, total=len(jobs), desc=f"drawing {dataset}", unit="image", mininterval=5.0)
    if workers <= 1:
        yield from bar(map(draw, jobs))
        return
    with ProcessPoolExecutor(max_workers=workers) as pool:
        yield from bar(pool.map(draw, jobs, chunksize=16))
