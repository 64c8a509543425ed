"""Published figures that a table shows beside its own. They are of real photos, at 480 x 480 or native as noted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """oIoU in percent. second_hand: read off another paper's or repository's table."""

    oIoU: float
    source: str
    second_hand: bool = False


_SSC = "S+S+C, arXiv 2310.13479"
_LAVT = "LAVT, arXiv 2112.02244, fully supervised"

_LAVT_SPLITS = {
    ("refcoco", "val"): 72.73,
    ("refcoco", "testA"): 75.82,
    ("refcoco", "testB"): 68.79,
    ("refcoco+", "val"): 62.14,
    ("refcoco+", "testA"): 68.38,
    ("refcoco+", "testB"): 55.10,
    ("refcocog_umd", "val"): 61.24,
    ("refcocog_umd", "test"): 62.09,
    ("refcocog_google", "val"): 60.50,
}

PUBLISHED: dict[tuple[str, str, str], Published] = {
    ("refcoco", "val", "corrected"): Published(57.22, _SSC, second_hand=True),
    ("refcoco", "val", "published"): Published(57.22, _SSC, second_hand=True),
    ("refcoco", "val", "pretrained"): Published(37.02, f"{_SSC}, selected masks only", second_hand=True),
    ("refcoco", "val", "selected"): Published(34.39, f"{_SSC}, S+S with reverse blur", second_hand=True),
    ("refcoco", "val", "grounded_sentence"): Published(27.59, "GroundingDINO + SAM on the sentence", second_hand=True),
    ("refcoco", "train", "best"): Published(73.27, f"{_SSC}, 1000 train refs", second_hand=True),
    ("refcoco", "train", "random"): Published(21.81, f"{_SSC}, 1000 train refs", second_hand=True),
    **{(*key, "supervised"): Published(value, _LAVT) for key, value in _LAVT_SPLITS.items()},
}
"""By dataset, split and method."""

RUN_TO_RUN = 0.5
"""Run-to-run spread of oIoU that LAVT's author states."""
