"""What the small models reach on scenes that they have not seen, through the same backends as the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from microworld.classes import CATEGORY_NAMES
from microworld.training.pool import COLOUR_NAMES, Pool
from ssc_core.backends import Detections
from ssc_core.segment.grounding_dino import GroundingDino
from ssc_core.segment.nms import box_ious, class_nms
from ssc_core.segment.sam import SegmentAnything
from ssc_core.select.clip import OpenClip
from ssc_core.select.prompts import reverse_blur

BATCH = 16


def measure_detector(
    model: Path, pool: Pool, *, box_threshold: float, text_threshold: float, nms_iou: float | None, threads: int
) -> dict[str, float]:
    """Recall and precision at IoU 0.5 with the right class, asked for the classes that are there.

    Boxes are matched to objects of their class greedily by falling score, one box per object, as COCO does.
    """
    backend = GroundingDino(
        str(model), box_threshold=box_threshold, text_threshold=text_threshold, device="cpu", threads=threads
    )
    matched = found = there = 0
    for start in range(0, len(pool), BATCH):
        scenes = range(start, min(start + BATCH, len(pool)))
        prompts = [[CATEGORY_NAMES[i] for i in np.unique(pool.scene_objects(s)["label"])] for s in scenes]
        for scene, prompt, result in zip(
            scenes, prompts, backend.detect([pool.image(s) for s in scenes], prompts), strict=True
        ):
            things = pool.scene_objects(scene)
            if nms_iou is not None:
                kept = class_nms(result.boxes_xyxy, result.scores, result.labels, nms_iou)
                result = Detections(result.boxes_xyxy[kept], result.scores[kept], result.labels[kept])
            free = np.ones(len(things), bool)
            for i in np.argsort(-result.scores, kind="stable"):
                rightly = free & (things["label"] == CATEGORY_NAMES.index(prompt[result.labels[i]]))
                iou = np.where(rightly, box_ious(result.boxes_xyxy[i], things["box"]), 0)
                if iou.max(initial=0) >= 0.5:
                    free[iou.argmax()] = False
                    matched += 1
            found += len(result.scores)
            there += len(things)
    return {"recall at IoU 0.5": matched / there, "precision at IoU 0.5": matched / max(1, found)}


def measure_sam(model: Path, pool: Pool, *, threads: int) -> dict[str, float]:
    """Mean IoU of the masks for ground-truth boxes."""
    backend = SegmentAnything(str(model), device="cpu", threads=threads)
    ious: list[float] = []
    for start in range(0, len(pool), BATCH):
        scenes = range(start, min(start + BATCH, len(pool)))
        boxes = [np.asarray(pool.scene_objects(s)["box"]) for s in scenes]
        for scene, result in zip(scenes, backend.segment([pool.image(s) for s in scenes], boxes), strict=True):
            truth = pool.masks(scene)
            ious += list((result.masks & truth).sum((1, 2)) / (result.masks | truth).sum((1, 2)))
    above = float(np.mean(np.array(ious) > 0.8))
    return {"mean IoU, ground-truth box": float(np.mean(ious)), "share of masks above IoU 0.8": above}


def measure_clip(model: Path, pool: Pool, *, blur_sigma: float, threads: int) -> dict[str, float]:
    """Top-1 of class and of colour on reverse-blur pictures of every object, ground-truth masks."""
    backend = OpenClip(str(model), device="cpu", threads=threads)
    pictures, labels, colours = [], [], []
    for scene in range(len(pool)):
        image, things = pool.image(scene), pool.scene_objects(scene)
        pictures += [reverse_blur(image, mask, sigma=blur_sigma) for mask in pool.masks(scene)]
        labels += list(things["label"])
        colours += list(things["colour"])
    features = backend.encode_images(pictures)
    classes = backend.encode_texts([f"a photo of a {name}" for name in CATEGORY_NAMES])
    class_hits = (features @ classes.T).argmax(1) == np.array(labels)
    colour_hits = []
    for label, name in enumerate(CATEGORY_NAMES):
        phrase = "a photo of a person in {}" if name == "person" else f"a photo of a {{}} {name}"
        texts = backend.encode_texts([phrase.format(colour) for colour in COLOUR_NAMES])
        mine = np.flatnonzero(np.array(labels) == label)
        colour_hits += list((features[mine] @ texts.T).argmax(1) == np.array(colours)[mine])
    return {
        "class top-1, reverse blur": float(class_hits.mean()),
        "colour top-1, reverse blur": float(np.mean(colour_hits)),
    }
