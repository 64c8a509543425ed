"""The page of a published dataset, as ``ssc publish`` writes and sends it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.report.dataset_card import dataset_card
from tests.hub_stand_in import HubStandIn, running

SHA256 = "5c" * 32
SEGMENT = {"backend": {"name": "/home/somebody/mine.py:Mine", "settings": {"checkpoint": "weights/mine.pth"}}}

TOY = "/home/somebody/python/ssc_core/_workflow/resources/micro/clip"


@pytest.fixture
def folder(results: Path, photos_folder: Path, tmp_path: Path) -> Path:
    """``ssc export --to hf`` of selections with scores, of which a person chose two."""
    val = tmp_path / "refcoco/val"
    shutil.copytree(results / "refcoco/val", val)
    shutil.copy(results / "refcoco/refs.parquet", val.parent)
    scores = StoreInfo(
        (), {"backend": {"name": "open_clip", "settings": {"model": TOY}}}, "c0de", {"score.model": SHA256}
    )
    with ScoreStoreWriter(val / "scores.h5", scores) as writer:
        writer.append_ref(1, np.zeros((2, 2)), np.zeros(2))
    selected = SelectionStore(results / "refcoco/val/selected.h5")
    info = StoreInfo(("disc",), {"weights": {}, "segment": SEGMENT}, "c0de", {})
    with SelectionWriter(val / "selected.h5", info, reviewed=[1, 4]) as chosen:
        for ref_id in selected.ref_ids.tolist():
            chosen.append_ref(
                ref_id,
                image_id=selected.image_of(ref_id),
                size=selected.size(ref_id),
                chosen=[selected.chosen(ref_id)],
                scores=np.zeros((1, 2)),
                rles=[selected.rle(ref_id)],
            )
    done = run("export", val / "selected.h5", "--to", "hf", "--images", photos_folder, "--out", tmp_path / "masks")
    assert done.exit_code == 0, (done.output, done.exception)
    return tmp_path / "masks"


def run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # a protocol of its own, in Rust
    with running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
        yield server


def test_counts_models_and_settings_go_along(hub: HubStandIn, folder: Path) -> None:
    done = run("publish", folder, "me/discs", "--yes", "--licence", "cc-by-4.0")
    assert done.exit_code == 0, (done.output, done.exception)
    assert hub.files.keys() == {"README.md", "data/val-00000-of-00001.parquet"}
    card = hub.files["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1])["license"] == "cc-by-4.0"
    assert "| val | 6 | 12 | 12 | 18 | 2 |" in card
    assert f"* score.model: SHA-256 `{SHA256}`" in card
    assert [line for line in card.splitlines() if line.startswith("### ")] == [
        "### masks.h5 (val)",
        "### scores.h5 (val)",
        "### selected.h5 (val)",
    ]
    settings = json.loads(card.rpartition("```json\n")[2].partition("```")[0])
    assert settings["segment"]["backend"] == {"name": "mine.py:Mine", "settings": {"checkpoint": "weights/mine.pth"}}
    assert "Made with small models of the micro world" in card
    assert b"/home/" not in b"".join(hub.files.values())


def test_several_splits_and_no_licence(folder: Path) -> None:
    shutil.copy(folder / "data/val-00000-of-00001.parquet", folder / "data/test-00000-of-00001.parquet")
    card = dataset_card(folder, "me/discs")
    assert "| test | 6 | 12 | 12 | 18 | 2 |" in card
    assert "### masks.h5 (test, val)" in card, "what made both is said once"
    assert "license" not in yaml.safe_load(card.split("---")[1])
    assert "Not stated." in card


def test_the_folders_own_page_stays(hub: HubStandIn, folder: Path) -> None:
    (folder / "README.md").write_text("mine\n")
    assert "without --licence" in str(run("publish", folder, "me/discs", "--yes", "--licence", "mit").exception)
    assert run("publish", folder, "me/discs", "--yes").exit_code == 0
    assert hub.files["README.md"] == b"mine\n"


def test_parquet_of_others_has_no_page(folder: Path) -> None:
    (folder / "data/other.parquet").write_bytes(b"PAR1" * 100)
    with pytest.raises(SscError, match="write a README"):
        dataset_card(folder, "me/discs")
