"""``ssc predict`` with toy models in place of real ones: what is kept when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssc_core.cli import predict as command
from ssc_core.errors import SscError
from tests.unit.cli.test_main import run_main


def test_values_for_drawings_are_told_of_before_a_model_is_loaded(tmp_path: Path, capsys) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("score: {backend: {settings: {model: no/such/model}}, blur_sigma: 9}\n")
    with pytest.raises(SscError):
        command.load_zero_shot([config], None, "cpu", 1)
    said = capsys.readouterr().err
    assert "\n  select.min_area: 40 (500)\n" in said
    assert "blur_sigma" not in said


class LeftHalf:
    """Answers every question with the left half. stop: what happens at the photo with this number, from 0."""

    settings = SimpleNamespace(allow_toy_models=True)

    def __init__(self, stop: int | None = None, how: BaseException | None = None) -> None:
        self.seen, self._stop, self._how = 0, stop, how

    def __call__(self, photo: np.ndarray, objects: list) -> list:
        from ssc_core.predict.zero_shot import Answer

        if self.seen == self._stop:
            if self._how is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise self._how
        self.seen += 1
        mask = np.zeros((1, *photo.shape[:2]), bool)
        mask[:, :, : photo.shape[1] // 2] = True
        return [Answer("kite", mask, np.ones(1), np.ones((1, 1)), np.zeros(1, int)) for _ in objects]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcd":
        Image.new("RGB", (40, 30), "white").save(folder / f"{name}.jpg")
    return folder


def answered(out: Path) -> list[str]:
    return [row["image"] for row in json.loads((out / "predictions.json").read_text())]


@pytest.mark.parametrize("save", [[], ["--save", "rle"], ["--save", "mask", "--save", "rle"]])
def test_a_bad_photo_is_named_at_the_end(photos: Path, tmp_path: Path, monkeypatch, capsys, save: list[str]) -> None:
    monkeypatch.setattr(command, "load_zero_shot", lambda *_: LeftHalf())
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:300])
    out = tmp_path / "out"
    assert run_main(monkeypatch, "predict", str(photos), "the kite", "--zero-shot", "--out", str(out), *save) == 1
    assert answered(out) == ["a.jpg", "c.jpg", "d.jpg"]
    said = capsys.readouterr()
    assert "3 of 4 masks" in said.out
    assert "error: 1 photo could not be read; all others are answered:" in said.err
    assert "b.jpg cannot be read" in said.err.splitlines()[-1]


@pytest.mark.parametrize("how", [KeyboardInterrupt(), MemoryError(), ZeroDivisionError("a bug")])
def test_what_was_answered_is_kept(photos: Path, tmp_path: Path, monkeypatch, capsys, how: BaseException) -> None:
    monkeypatch.setattr(command, "load_zero_shot", lambda *_: LeftHalf(stop=2, how=how))
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["ssc", "predict", str(photos), "kite", "--zero-shot", "--out", str(out)])
    from ssc_core.cli.main import main

    with pytest.raises((SystemExit, ZeroDivisionError)):
        main()
    assert answered(out) == ["a.jpg", "b.jpg"]
    assert "2 of 4 masks, 0 of them empty" in capsys.readouterr().out


def test_a_kill_loses_nothing_answered(photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from ssc_core.cli import main, predict; from tests.unit.cli.test_predict import LeftHalf\n"
        "predict.load_zero_shot = lambda *_: LeftHalf(stop=3)\n"
        f"sys.argv = ['ssc', 'predict', {str(photos)!r}, 'kite', '--zero-shot', '--out', {str(tmp_path / 'out')!r}]\n"
        "main.main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL
    assert answered(tmp_path / "out") == ["a.jpg", "b.jpg", "c.jpg"]


def test_small_models_are_refused_photos_unless_allowed(photos: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    predict = (
        "predict",
        str(photos / "a.jpg"),
        "kite",
        "--zero-shot",
        "--out",
        str(tmp_path / "out"),
        "--threads",
        "1",
    )
    assert run_main(monkeypatch, *predict) == 1
    said = capsys.readouterr().err
    for part in ("the photos would be given to small models", "detect.backend.settings.model", "presets/"):
        assert part in said
    assert not (tmp_path / "out/predictions.json").exists()
    assert run_main(monkeypatch, *predict, "--allow-toy-models") == 0
    assert answered(tmp_path / "out") == ["a.jpg"]
