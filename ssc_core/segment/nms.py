"""Non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np


def class_nms(boxes_xyxy: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float) -> np.ndarray:
    """Rows to keep, int64, in descending order of score, ties to the earlier row.

    Greedy: a box goes when its IoU with a kept box of its own label is above ``iou``. boxes_xyxy: (N, 4);
    scores, labels: (N,).
    """
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        same = labels[rest] == labels[best]
        waiting = rest[~(same & (box_ious(boxes_xyxy[best], boxes_xyxy[rest]) > iou))]
    return np.array(kept, dtype=np.int64)


def box_ious(box_xyxy: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """IoU of one box (4,) with each of (N, 4); 0 where the union is empty."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = _area(box_xyxy[None]) + _area(boxes_xyxy) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _area(boxes_xyxy: np.ndarray) -> np.ndarray:
    return np.prod(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None), axis=1)
