"""Non-maximum suppression of boxes, and boxes of one object under several names."""

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


SAME_OBJECT = 0.8
"""IoU of boxes above which different phrases have found one object ("man", "man in red")."""


def merge_labels(boxes_xyxy: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of different names that lie on one object become one, which answers to all of these names.

    boxes_xyxy: (N, 4), best first; answers: bool (N, C). Returns what the M that are kept answer to, bool (M, C), and
    which these are, int64 (M,), ascending.
    """
    answers, waiting, kept = answers.copy(), np.arange(len(boxes_xyxy)), []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        same = box_ious(boxes_xyxy[best], boxes_xyxy[rest]) > SAME_OBJECT
        same &= ~(answers[rest] & answers[best]).any(axis=1)  # of one name, NMS has decided
        answers[best] |= answers[rest[same]].any(axis=0)
        kept.append(best)
        waiting = rest[~same]
    return answers[kept], np.array(kept, dtype=np.int64)


def box_ious(box_xyxy: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """IoU of one box (4,) with each of (N, 4); 0 where the union is empty."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = _area(box_xyxy[None]) + _area(boxes_xyxy) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _area(boxes_xyxy: np.ndarray) -> np.ndarray:
    return np.prod(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None), axis=1)
