from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from ssc_core.segment.nms import box_ious, class_nms, merge_labels


def test_a_lower_box_of_the_same_class_goes_and_one_of_another_class_stays():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    scores, labels = np.array([0.8, 0.9, 0.7, 0.1], np.float32), np.array([0, 0, 1, 0])
    assert class_nms(boxes, scores, labels, iou=0.5).tolist() == [1, 2, 3]


def test_an_iou_at_the_threshold_stays():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    scores, labels = np.array([0.9, 0.8], np.float32), np.array([0, 0])
    assert class_nms(boxes, scores, labels, iou=0.5).tolist() == [0, 1]
    assert class_nms(boxes, scores, labels, iou=0.49).tolist() == [0]


def test_equal_scores_keep_the_earlier_row_and_nothing_gives_nothing():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.float32)
    assert class_nms(boxes, np.array([0.5, 0.5]), np.array([3, 3]), iou=0.5).tolist() == [0]
    assert class_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0), iou=0.5).shape == (0,)


@pytest.mark.parametrize("iou", [0.2, 0.5, 0.8])
def test_agrees_with_torchvision(iou):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (80, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (80, 2))], axis=1).astype(np.float32)
    scores, labels = rng.permutation(80).astype(np.float32), rng.integers(0, 3, 80)
    expected = batched_nms(torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels), iou)
    assert class_nms(boxes, scores, labels, iou).tolist() == expected.tolist()


def test_names_of_one_object_are_one_box_that_answers_to_all_of_them():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8], [20, 0, 30, 10]], float)  # IoU 0.9, 0.8 and 0
    answers, kept = merge_labels(boxes, np.eye(4, dtype=bool))
    assert kept.tolist() == [0, 2, 3]
    assert answers.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert merge_labels(boxes[:2], np.array([[True], [True]]))[1].tolist() == [0, 1], "of one name NMS has decided"


def test_boxes_without_area_have_iou_0():
    assert box_ious(np.zeros(4), np.array([[0, 0, 0, 0], [5, 5, 4, 4]], float)).tolist() == [0, 0]
