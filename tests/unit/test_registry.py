"""Digests of the weights that a backend's settings name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ssc_core.registry import model_digests


def test_every_file_that_a_setting_names_has_its_sha256(tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"abc")
    settings = {"model": str(weights), "pretrained": "openai", "threshold": 0.2}
    assert model_digests(settings, "score") == {"score.model": hashlib.sha256(b"abc").hexdigest()}


def test_other_content_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    before = model_digests({"model": str(tmp_path)}, "score")
    (tmp_path / "a").write_bytes(b"abd")
    assert model_digests({"model": str(tmp_path)}, "score").keys() == before.keys()
    assert model_digests({"model": str(tmp_path)}, "score") != before
