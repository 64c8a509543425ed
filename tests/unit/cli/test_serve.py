"""``ssc serve`` up to where the page would run, without Gradio: which models get a visitor's photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.predict import web_page
from tests.unit.cli.test_main import run_main


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page would be built with."""
    built: dict[str, Any] = {}
    monkeypatch.setattr(
        web_page, "build_page", lambda explorer, toys, *, allowed: built.update(toys=toys, allowed=allowed)
    )
    monkeypatch.setattr(web_page, "run_page", lambda *_: None)
    return built


def test_small_models_are_refused_photos_unless_allowed(
    page: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve = ("serve", "--zero-shot", "--port", "0", "--threads", "1")
    assert run_main(monkeypatch, *serve) == 0
    assert "detect.backend.settings.model" in page["toys"]
    assert not page["allowed"]
    assert "asked about the example alone" in capsys.readouterr().out
    assert run_main(monkeypatch, *serve, "--allow-toy-models") == 0
    assert (bool(page["toys"]), page["allowed"]) == (True, True)
    assert "example alone" not in capsys.readouterr().out
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"allow_toy_models": True}))
    assert run_main(monkeypatch, *serve, "--config", str(tmp_path / "own.yaml")) == 0
    assert (bool(page["toys"]), page["allowed"]) == (True, True), "the page says who answers all the same"
