"""Backends for photos of flat squares: a class is a colour, and CLIP is the mean colour of what is not blurred."""

from __future__ import annotations

import numpy as np

from ssc_core.backends import Detections, InstanceMasks

COLOURS = {"apple": (220, 30, 30), "cup": (30, 60, 220)}
SHADES = {"dark": 0.5, "light": 1.0}


class Squares:
    """A box around every square of a class's hue, where its score is high enough. calls: the prompts it was asked."""

    calls: list[tuple[str, ...]]

    def __init__(self) -> None:
        Squares.calls = []
        self.threshold = 0.1

    def detect(self, images, prompts):
        return [self._one(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _one(self, image, prompt):
        Squares.calls.append(tuple(prompt))
        boxes, labels = [], []
        for label, name in enumerate(prompt):
            for shade in SHADES.values():
                wanted = (np.array(COLOURS.get(name, (1, 2, 3))) * shade).astype(np.uint8)
                ys, xs = np.nonzero((image == wanted).all(axis=2))
                if len(xs):
                    boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                    labels.append(label)
        scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
        found = Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, np.array(labels, int))
        return found.taken(scores > self.threshold)


class Boxes:
    """The mask of a box is the box."""

    def segment(self, images, boxes_xyxy):
        return [self._one(*pair) for pair in zip(images, boxes_xyxy, strict=True)]

    def _one(self, image, boxes):
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        return InstanceMasks(masks, np.ones(len(boxes), np.float32))


class Brightness:
    """Images: how bright the crop is; texts: whether they say dark or light."""

    def encode_images(self, images):
        bright = np.array([image.max(axis=2).mean() / 255 for image in images], np.float32)
        return _unit(np.stack([bright, 1 - bright], axis=1))

    def encode_texts(self, texts):
        return _unit(np.array([[0.86, 0.14] if "light" in text else [0.43, 0.57] for text in texts], np.float32))


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
