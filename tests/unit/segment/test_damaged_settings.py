"""Files beside weights that hold something else than they should: what is wrong and where, and no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssc_core.errors import SscError
from ssc_core.pretrained import image_settings, mean_and_std
from ssc_core.segment.grounding_dino_build import _input_sides, bert_config
from ssc_core.segment.sam_build import build_sam, load_sam

SAM: dict[str, Any] = {
    "image_size": 64,
    "prompt_embed_dim": 32,
    "encoder": {
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
        "patch_size": 16,
        "window_size": 2,
        "global_attn_indexes": [0],
    },
    "decoder": {"transformer_depth": 1, "num_heads": 2, "mlp_dim": 16, "iou_head_depth": 2, "iou_head_hidden_dim": 16},
}
DEFAULT = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, object], Path]:
    def write(name: str, content: object) -> Path:
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize("content", [[1], 5, {"image_processor": None}, {"image_processor": "x"}])
def test_an_image_processor_that_is_none(written: Callable[[str, object], Path], content: object) -> None:
    with pytest.raises(SscError, match=r"preprocessor_config\.json holds no settings of an image processor"):
        image_settings(written("preprocessor_config.json", content))


@pytest.mark.parametrize(
    "content",
    [{"image_mean": "x"}, {"image_mean": [0.5]}, {"image_mean": None}, {"image_std": [0, 1, 1]}, {"image_std": 1}],
)
def test_means_that_are_none(written: Callable[[str, object], Path], content: object) -> None:
    with pytest.raises(SscError, match="image_mean and image_std of its image processor are no three numbers"):
        mean_and_std(written("preprocessor_config.json", content), DEFAULT)


def test_means_of_a_folder(written: Callable[[str, object], Path], tmp_path: Path) -> None:
    assert mean_and_std(tmp_path, DEFAULT) == DEFAULT
    assert mean_and_std(written("preprocessor_config.json", {"image_std": [1, 2, 3]}), DEFAULT) == (
        DEFAULT[0],
        (1.0, 2.0, 3.0),
    )


@pytest.mark.parametrize(
    ("content", "sides"),
    [
        ({}, (800, 1333)),
        ({"size": {"shortest_edge": 320, "longest_edge": 480}}, (320, 480)),
        ({"size": {"shortest_edge": 320, "longest_edge": None, "height": None}}, (320, 1333)),
        ({"size": 320, "max_size": 480}, (320, 480)),
        ({"size": 320}, (320, 1333)),
    ],
)
def test_the_input_size_of_a_detector(
    written: Callable[[str, object], Path], content: object, sides: tuple[int, int]
) -> None:
    assert _input_sides(written("preprocessor_config.json", content)) == sides


@pytest.mark.parametrize(
    "size", [{"height": 640, "width": 640}, {"shortest_edge": "800"}, [800, 1333], {"shortest_edge": 0}, None]
)
def test_an_input_size_that_would_be_another_one_in_silence(
    written: Callable[[str, object], Path], size: object
) -> None:
    with pytest.raises(SscError, match="is no shortest_edge and longest_edge"):
        _input_sides(written("preprocessor_config.json", {"size": size}))


@pytest.mark.parametrize("content", [[1], {"vocab_size": "x"}, {"num_hidden_layers": None}, {"id2label": 5}])
def test_the_configuration_of_a_text_encoder_that_is_none(
    written: Callable[[str, object], Path], content: object
) -> None:
    with pytest.raises(SscError, match=r"config\.json holds no configuration of a BERT"):
        bert_config(written("config.json", content))


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": "x"},
        {"image_size": 0},
        {"encoder": 5},
        {"decoder": None},
        {"pixel_mean": 5},
        {"image_size": 10**9},
    ],
)
def test_a_sam_that_cannot_be(written: Callable[[str, object], Path], changed: dict[str, Any]) -> None:
    with pytest.raises(SscError, match="SAM config: there is no such network"):
        build_sam({**SAM, **changed})


def test_a_list_is_no_sam(written: Callable[[str, object], Path]) -> None:
    folder = written("config.json", [1])
    shutil.copy("resources/micro/sam/model.safetensors", folder)
    with pytest.raises(SscError, match="SAM config"):
        load_sam(str(folder))
