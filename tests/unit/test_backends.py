from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from ssc_core.backends import Detector, load_backend
from ssc_core.checkers import CheckedDetector
from ssc_core.errors import SscError
from ssc_core.registry import backend_version, weights_version

PLUGIN = """
from pathlib import Path
from typing import Literal

import numpy as np
from ssc_core.backends import Detections

class Whole:
    def __init__(self, score=0.5, device="auto", threads=1):
        self.score, self.device, self.threads = score, device, threads

    def detect(self, images, prompts):
        return [
            Detections(
                np.array([[0, 0, i.shape[1], i.shape[0]]], np.float32),
                np.array([self.score], np.float32),
                np.zeros(1, np.int64),
            )
            for i in images
        ]

class Batched(Whole):
    def __init__(self, batch_size=8):
        super().__init__()
        self.batch_size = batch_size

class Needs(Whole):
    def __init__(self, model, *args, threads, **kwargs):
        super().__init__()

class Checked(Whole):
    def __init__(
        self, score: float = 0.5, model: Path = Path(), sides: tuple[int, int] = (1, 2), name: str = None,
        kind: Literal["a", "b"] = "a", mean: np.ndarray = None,
    ):
        super().__init__(score)

class Typed(Whole):
    def __init__(self, score: float = 0.5, odd: "NoSuch" = 1):
        super().__init__()

class NoDetector:
    pass
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def test_a_file_is_loaded_with_its_settings(plugin: Path) -> None:
    backend = load_backend(f"{plugin}:Whole", {"score": 0.25}, Detector, device="cpu", threads=3)
    (found,) = backend.detect([np.zeros((4, 6, 3), np.uint8)], [["dog"]])
    assert found.boxes_xyxy.tolist() == [[0, 0, 6, 4]]
    assert (found.scores[0], backend.device, backend.threads) == (0.25, "cpu", 3)


@pytest.mark.parametrize(
    ("settings", "asked", "expected"),
    [({}, None, 8), ({}, 2, 2), ({"batch_size": 3}, 2, 3), ({"batch_size": 3}, None, 3)],
)
def test_a_batch_size_goes_where_it_is_taken(plugin: Path, settings: dict, asked: int | None, expected: int) -> None:
    options = {"device": "cpu", "threads": 1, "batch_size": asked}
    assert load_backend(f"{plugin}:Batched", settings, Detector, **options).batch_size == expected
    load_backend(f"{plugin}:Whole", {}, Detector, **options)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nothing", {}, "unknown backend 'nothing'"),
        ("missing.py:X", {}, "does not exist"),
        ("no_such_package.x:Y", {}, "no_such_package"),
        ("{plugin}:Other", {}, "no class 'Other'"),
        ("grounding_dion", {}, "unknown backend 'grounding_dion'; did you mean 'grounding_dino'?"),
        ("sam:", {}, "unknown backend 'sam:'; did you mean 'sam'?"),
        ("..x:Y", {}, "there is no module"),
        ("{plugin}:Whoel", {}, "no class 'Whoel'; did you mean 'Whole'?"),
        ("{plugin}:Whole", {"scroe": "x"}, "has no setting scroe; did you mean 'score'? It takes score, device"),
        ("{plugin}:Needs", {}, "needs the setting model"),
        ("{plugin}:Checked", {"score": "0,35"}, "the setting score is '0,35'; it should be a valid number"),
        ("{plugin}:Checked", {"score": True}, "it should be a valid number"),
        ("{plugin}:Checked", {"sides": [1]}, "the setting sides is"),
        ("{plugin}:Checked", {"name": 5}, "it should be a valid string"),
        ("{plugin}:Checked", {"kind": "c"}, "it should be 'a' or 'b'"),
        ("grounding_dino", {"model": "x", "box_threshold": "3e-1"}, "the setting box_threshold is '3e-1'"),
        ("{broken}:X", {}, "cannot be imported: .*line 1"),
        ("{plugin}:NoDetector", {}, "is no Detector: it needs detect"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(plugin: Path, name: str, settings: dict, message: str) -> None:
    (plugin.parent / "broken.py").write_text("class X(:\n")
    with pytest.raises(SscError, match=message.replace("?", "[?]")):
        named = name.format(plugin=plugin, broken=plugin.parent / "broken.py")
        load_backend(named, settings, Detector, device="cpu", threads=1)


def test_settings_of_the_types_that_a_class_is_annotated_with(plugin: Path) -> None:
    def loaded(name: str, settings: dict) -> Detector:
        return load_backend(f"{plugin}:{name}", settings, Detector, device="cpu", threads=1)

    loaded("Checked", {"score": 1, "model": "a/b", "sides": [3, 4], "name": None, "kind": "b", "mean": [1, 2]})
    loaded("Typed", {"score": "of any kind, since one annotation is of no type that is there", "odd": {}})
    loaded("Whole", {"score": [1, 2]})


@pytest.mark.parametrize("name", ["grounding_dion", "", "sam:", "missing.py:X", "no_such_package.x:Y"])
def test_a_plan_knows_that_a_backend_is_not_there(name: str) -> None:
    with pytest.raises(SscError, match="backend"):
        backend_version(name)


def test_a_stage_gets_a_checker_and_never_the_class_itself(plugin: Path) -> None:
    plugin.write_text(PLUGIN + "\n    def detect(self, images, prompts):\n        return None\n")
    detector = load_backend(f"{plugin}:NoDetector", {}, Detector, device="cpu", threads=1)
    assert isinstance(detector, CheckedDetector)
    with pytest.raises(SscError, match=r"NoDetector\.detect gave None"):
        detector.detect([np.zeros((4, 6, 3), np.uint8)], [["dog"]])


def test_a_file_that_was_edited_within_a_second_is_run_as_it_is_now(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    boxes = []
    for score in ("0.5", "0.7"):
        plugin.write_text(PLUGIN.replace("score=0.5", f"score={score}"))
        os.utime(plugin, (1e9, 1e9))
        detector = load_backend(f"{plugin}:Whole", {}, Detector, device="cpu", threads=1)
        boxes += detector.detect([np.zeros((4, 4, 3), np.uint8)], [["a"]])
    assert [found.scores.tolist() for found in boxes] == [[0.5], [pytest.approx(0.7)]]


def test_a_file_imports_others_by_their_place_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs have that folder on their path, `ssc` has not."""
    monkeypatch.chdir(tmp_path)
    Path("own_parts").mkdir()
    Path("own_parts/scores.py").write_text("SCORE = 0.25")
    Path("own_parts/found.py").write_text(f"from own_parts.scores import SCORE\n{PLUGIN.replace('=0.5', '=SCORE')}")
    for name in ("own_parts/found.py:Whole", "own_parts.found:Whole"):
        detector = load_backend(name, {}, Detector, device="cpu", threads=1)
        (found,) = detector.detect([np.zeros((4, 4, 3), np.uint8)], [["a"]])
        assert found.scores.tolist() == [0.25]


@pytest.mark.parametrize("file", ["own_models.py", "own_models/deep/parts.py"])
def test_versions_follow_modules_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    versions = []
    for code in ("class Whole: pass", "class Whole: threshold = 0.5"):
        Path(file).write_text(code)
        versions.append(backend_version("own_models:Whole"))
    assert versions[0] != versions[1]
    assert all(version.startswith("own_models ") for version in versions)


def test_versions_follow_code_and_weights(plugin: Path, tmp_path: Path) -> None:
    before = backend_version(f"{plugin}:Whole")
    plugin.write_text(PLUGIN + "\n")
    assert backend_version(f"{plugin}:Whole") != before
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"1")
    first = weights_version(str(weights))
    (weights / "README.md").write_text("a card changes nothing")
    assert weights_version(str(weights)) == first
    (weights / "model.safetensors").write_bytes(b"2")
    assert weights_version(str(weights)) != first
    assert weights_version(str(tmp_path / "nowhere")) == ""
