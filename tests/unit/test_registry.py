"""Which of a backend's settings name weights, and their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ssc_core.registry import model_digests, possible_paths


def test_every_file_that_a_setting_names_has_its_sha256(tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"abc")
    settings = {"model": str(weights), "pretrained": "openai", "threshold": 0.2}
    assert model_digests(settings, "score") == {"score.model": hashlib.sha256(b"abc").hexdigest()}


def test_files_in_lists_and_sections_of_settings_have_theirs() -> None:
    settings = {"weights": ["a", "b"], "parts": {"question": "c", "sizes": [1, None]}, "answers": ["d"], "one": "e"}
    found = {"weights.0": "a", "weights.1": "b", "parts.question": "c", "one": "e"}
    assert possible_paths(settings) == found


def test_other_content_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    before = model_digests({"model": str(tmp_path)}, "score")
    (tmp_path / "a").write_bytes(b"abd")
    assert model_digests({"model": str(tmp_path)}, "score").keys() == before.keys()
    assert model_digests({"model": str(tmp_path)}, "score") != before


def test_folders_that_are_written_to_are_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("run/results/models", "run/weights", "drive/out"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run")
    written = ["", ".", "..", "/", str(tmp_path / "run"), "results", "weights/../results", "../drive/out", "../drive"]
    read = ["weights", "results/models", "results/none", "name"]
    settings = {str(key): text for key, text in enumerate(written + read)}
    assert list(possible_paths(settings, "results").values()) == ["../drive/out", "../drive", *read]
    assert list(possible_paths(settings, "../drive/out").values()) == ["results", "weights/../results", *read]


def test_a_text_that_is_too_long_for_a_path_is_none(tmp_path: Path) -> None:
    assert model_digests({"prompt": "x" * 300, "template": "y" * 300 + "/"}, "score") == {}
