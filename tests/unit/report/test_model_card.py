"""The page of a published checkpoint, as ``ssc publish`` writes and sends it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ssc_core import load_config
from ssc_core.cli.main import app
from ssc_core.config.methods import method_name
from ssc_core.correct.checkpoints import load_published, save_checkpoint
from ssc_core.correct.start import build_segmenter
from ssc_core.errors import SscError
from ssc_core.evaluate.schema import ModelEval, read_eval
from ssc_core.provenance import file_sha256
from ssc_core.report.model_card import eval_files_of, model_card
from tests.hub_stand_in import running


@pytest.fixture
def checkpoint(results: Path, tmp_path: Path) -> Path:
    """The micro network at random, with the figures of another dataset's folder under its name."""
    network = load_config().network
    path = tmp_path / "refcoco/checkpoints/correct.pt"
    path.parent.mkdir(parents=True)
    save_checkpoint(path, build_segmenter(network, pretrained=False), {"network": network.model_dump(mode="json")}, {})
    for name in ("eval_val.json", "eval_masks_val.json"):
        shutil.copy(results / "refcoco" / name, path.parent.parent / name)
    evaluation = path.parent.parent / "eval_val.json"
    content = json.loads(evaluation.read_text())
    content["model"] = {"path": "/home/somebody/correct.pt", "sha256": file_sha256(path)}
    evaluation.write_text(json.dumps(content))
    return path


def test_figures_have_their_world_interval_and_file(checkpoint: Path) -> None:
    evals = eval_files_of(checkpoint, None)
    assert [path.name for path in evals] == ["eval_val.json"]
    card, content = model_card(checkpoint, "me/it", evals, "apache-2.0"), read_eval(evals[0])
    assert isinstance(content, ModelEval)
    assert content.ci95 is not None
    low, high = content.ci95.oIoU
    assert f"| {content.oIoU:.1f} ({low:.1f} to {high:.1f}) |" in card
    assert content.world == "micro"
    assert "**World: micro world.** Generated micro world" in card
    assert "knows nothing about photos" in card
    assert "--allow-toy-models" in card
    assert f"| {method_name(content.method)} |" in card
    assert f"`{file_sha256(checkpoint)}`" in card
    assert card.startswith("---\nlibrary_name: ssc\n")
    assert 'license: "apache-2.0"\n---\n' in card
    assert str(checkpoint.parent) not in card
    assert "/home/" not in card


def test_figures_of_another_checkpoint_are_refused(checkpoint: Path, results: Path) -> None:
    with pytest.raises(SscError, match="made with another model"):
        eval_files_of(checkpoint, [results / "refcoco/eval_val.json"])
    (checkpoint.parent.parent / "eval_val.json").unlink()
    assert eval_files_of(checkpoint, None) == []
    assert "No figures were measured with this file" in model_card(checkpoint, "me/it", [])


def test_a_checkpoint_goes_to_the_hub_and_comes_back(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # a protocol of its own, in Rust
    monkeypatch.chdir(tmp_path)
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
        done = CliRunner().invoke(app, ["publish", str(checkpoint), "me/it"], input="y\n")
        assert done.exit_code == 0, (done.output, done.exception)
        assert hub.files.keys() == {"README.md", "correct.pt", "eval_val.json"}
        used = re.findall(r"^    ssc (pull .*)$", hub.files["README.md"].decode(), re.MULTILINE)
        assert used == ["pull me/it --out correct"]
        done = CliRunner().invoke(app, used[0].split())
        assert done.exit_code == 0, (done.output, done.exception)
    assert load_published(tmp_path / "correct/correct.pt").network["image_size"] == 96
    assert eval_files_of(tmp_path / "correct/correct.pt", [tmp_path / "correct/eval_val.json"])
