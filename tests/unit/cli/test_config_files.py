from __future__ import annotations

from pathlib import Path

import pytest

from ssc_core.checkout import HOME, find_path
from ssc_core.cli.config_files import read_config
from ssc_core.errors import SscError


def test_the_default_config_works_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config().network.bert == "resources/micro/lavt/bert"
    settings = read_config(find_models=True)
    assert settings.detect.backend.settings["model"] == str(HOME / "resources/micro/detector")
    assert Path(settings.network.bert).is_dir()
    assert settings.results == "results"


def test_files_are_merged_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("select: {min_area: 7, seed: 3}\n")
    (tmp_path / "b.yaml").write_text("select: {min_area: 9}\nscore: {prompt: [crop, rectangle]}\n")
    settings = read_config([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (settings.select.min_area, settings.select.seed) == (9, 3)
    assert settings.score.prompts == ("crop", "rectangle")


def test_a_path_of_the_current_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_path("resources/micro/clip") == str(HOME / "resources/micro/clip")
    (tmp_path / "resources/micro/clip").mkdir(parents=True)
    assert find_path("resources/micro/clip") == "resources/micro/clip"
    assert find_path("bert-base-uncased") == "bert-base-uncased"
    assert find_path("b" * 300) == "b" * 300, "a text that is no path"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("a: [", "not valid YAML"),
        ("just words", "holds no sections"),
        ("select: {min_aera: 7}", "min_aera"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(SscError, match=message):
        read_config([tmp_path / "mine.yaml"])
