"""What config.yaml has for drawings and a user's config leaves in force beside models that know photos."""

from __future__ import annotations

from typing import Any

import pytest

from ssc_core.checkout import HOME
from ssc_core.config.drawings import Kept, kept_for_photos
from ssc_core.config.layers import lay_over, read_layers
from ssc_core.toys import values_for_drawings, warnings_of_values

TOY, REAL = "resources/micro/detector", "weights/detector.pth"
DEFAULT = {
    "detect": {"backend": {"name": "a", "settings": {"model": TOY, "threshold": 0.17}}, "nms_iou": 0.4},
    "score": {"backend": {"name": "b", "settings": {"model": TOY}}, "prompt": "crop", "blur_sigma": 16},
    "select": {"min_area": 40},
    "network": {"bert": TOY, "swin": {"embed_dim": 24}},
    "pretrain": {"lr": 6e-4},
}
PUBLISHED = {
    "detect": {"backend": {"name": "a", "settings": {"model": REAL, "threshold": 0.35}}, "nms_iou": None},
    "score": {"backend": {"name": "b", "settings": {"model": REAL}}, "prompt": "crop", "blur_sigma": 50},
    "select": {"min_area": 500},
    "network": {"bert": REAL, "swin": "base"},
    "pretrain": {"lr": 5e-5},
}


def kept(given: dict[str, Any]) -> dict[str, Kept]:
    config: dict[str, Any] = {}
    lay_over(config, DEFAULT)
    lay_over(config, given)
    return {".".join(place): one for place, one in kept_for_photos(config, given, DEFAULT, PUBLISHED).items()}


def test_of_a_section_with_a_toy_nothing_is_kept_for_photos() -> None:
    assert kept({}) == kept({"select": {"min_area": 9}}) == {}


def test_a_model_that_knows_photos_leaves_what_went_with_the_toy() -> None:
    model = {"backend": {"settings": {"model": REAL}}}
    assert kept({"detect": model}) == {
        "detect.backend.settings.threshold": (0.17, 0.35),
        "detect.nms_iou": (0.4, None),
    }
    assert kept({"score": model}) == {"score.blur_sigma": (16, 50), "select.min_area": (40, 500)}
    assert kept({"network": {"bert": REAL}}) == {
        "network.swin": ({"embed_dim": 24}, "base"),
        "pretrain.lr": (6e-4, 5e-5),
    }


@pytest.mark.parametrize("value", [0.17, 0.2])
def test_what_the_user_gives_is_meant(value: float) -> None:
    given = {"detect": {"backend": {"settings": {"model": REAL, "threshold": value}}, "nms_iou": None}}
    assert kept(given) == {}


def test_what_another_value_took_the_place_of_is_gone() -> None:
    assert kept({"detect": {"backend": {"name": "c"}, "nms_iou": 1}}) == {}
    assert kept({"detect": {"backend": None}}) == {"detect.nms_iou": (0.4, None)}
    assert kept({"network": {"bert": REAL, "swin": "tiny"}, "pretrain": None}) == {}


def test_presets_for_photos_give_everything() -> None:
    for files in (["paper"], ["paper", "modern"], ["paper", "paper_compat"], ["small"]):
        assert values_for_drawings(read_layers(HOME / f"presets/{name}.yaml" for name in files)) == {}


def test_people_are_told_both_values() -> None:
    (said,) = warnings_of_values({"score": {"backend": {"settings": {"model": "ViT-L-14"}}}})
    assert "\n  score.blur_sigma: 16 (50)\n  select.min_area: 40 (500)\n" in said
    assert warnings_of_values({}) == []
