"""Models of the micro world on photos: found wherever the config names them, and refused with a way out."""

from __future__ import annotations

import pytest

from ssc_core.checkout import HOME
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.toys import label_stages, toys_behind, toys_in, toys_of
from ssc_core.errors import SscError
from ssc_core.toys import check_stages

PHOTO_MODELS = {"backend": {"name": "sam2", "settings": {"model": "weights/sam2"}}}


def config(**changes: object) -> Settings:
    return load_settings(read_layers([HOME / "config.yaml"], changes))


def test_they_are_found_however_deep_and_by_any_path() -> None:
    value = {"a": [{"model": "/somewhere/resources/micro/clip"}], "b": "resources/micro", "c": "my/micro/clip", "d": 1}
    assert toys_in(value) == {"a.0.model": "/somewhere/resources/micro/clip", "b": "resources/micro"}


def test_an_encoder_that_nothing_reads_is_none_of_them() -> None:
    sections = {"nouns": {"project": True, "encoder": {"settings": {"model": "resources/micro/clip"}}}}
    assert toys_behind(sections) == {"nouns.encoder.settings.model": "resources/micro/clip"}
    assert toys_behind({"nouns": {**sections["nouns"], "project": False}}) == {}


def test_a_stage_has_those_that_it_reads() -> None:
    assert list(toys_of(config(), label_stages(config()))) == [
        "nouns.encoder.settings.model",
        "detect.backend.settings.model",
        "segment.backend.settings.model",
        "score.backend.settings.model",
    ]
    assert list(toys_of(config(), ["correct"])) == ["network.bert", "network.swin_weights"]
    mixed = config(segment=PHOTO_MODELS, nouns={"project": False})
    assert list(toys_of(mixed, label_stages(mixed))) == [
        "detect.backend.settings.model",
        "score.backend.settings.model",
    ]


def test_the_error_names_settings_and_presets_that_would_do() -> None:
    with pytest.raises(SscError) as error:
        check_stages(config(segment=PHOTO_MODELS), label_stages(config()), "the photos of 'mine'")
    text = str(error.value)
    assert "detect.backend.settings.model: resources/micro/detector" in text
    assert "segment.backend" not in text
    assert "presets/paper.yaml" in text
    assert "tiny" not in text
    check_stages(config(allow_toy_models=True), label_stages(config()), "the photos")
    paper = load_settings(read_layers([HOME / "config.yaml", HOME / "presets/paper.yaml"]))
    check_stages(paper, [*label_stages(config()), "correct", "pretrain"], "the photos")
