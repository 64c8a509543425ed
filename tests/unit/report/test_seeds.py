from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from ssc_core.cli.demo import show
from ssc_core.evaluate.eval_table import folder_table, over_seeds
from ssc_core.layout import DatasetFolder


@pytest.fixture
def seeded(results: Path, tmp_path: Path) -> Path:
    """The dataset's folder with a second seed whose oIoU is 10 points lower."""
    folder = Path(shutil.copytree(results / "refcoco", tmp_path / "refcoco"))
    content = json.loads((folder / "eval_val.json").read_text())
    (folder / "seed1").mkdir()
    (folder / "eval_val.json").write_text(json.dumps(content | {"seed": 0}))
    (folder / "seed1" / "eval_val.json").write_text(json.dumps(content | {"seed": 1, "oIoU": content["oIoU"] - 10}))
    return folder


def test_every_evaluation_is_a_row(seeded: Path) -> None:
    table = folder_table(DatasetFolder(seeded).all_eval_files())
    assert table["method"].tolist() == ["random", "first", "selected", "best", "corrected", "pretrained", "corrected"]
    assert table.loc[table["method"] == "corrected", "seed"].tolist() == [0, 1]
    assert table.loc[table["method"] == "selected", "seed"].isna().all()


@pytest.mark.parametrize("resolution", ["480", "native"])
def test_choices_are_told_by_where_networks_are_measured(seeded: Path, resolution: str) -> None:
    path = seeded / "eval_masks_val.json"
    content = json.loads(path.read_text())
    content["settings"]["evaluate"]["resolution"] = resolution
    content["choices"]["selected"]["per_sentence"]["480"]["oIoU"] = 12.5
    content["choices"]["selected"]["per_sentence"]["native"]["oIoU"] = 87.5
    path.write_text(json.dumps(content))
    table = folder_table([path]).set_index("method")
    assert table.loc["selected", "oIoU"] == {"480": 12.5, "native": 87.5}[resolution]


def test_mean_and_spread(seeded: Path) -> None:
    own = json.loads((seeded / "eval_val.json").read_text())
    summary = over_seeds(folder_table(DatasetFolder(seeded).all_eval_files())).set_index("method")
    corrected = summary.loc["corrected"]
    assert corrected["seeds"] == 2
    assert corrected["each_seed"] == pytest.approx([own["oIoU"], own["oIoU"] - 10])
    assert corrected["oIoU"] == pytest.approx(own["oIoU"] - 5)
    assert corrected["oIoU_sd"] == pytest.approx(math.sqrt(50))
    assert corrected["oIoU_low"] == pytest.approx(own["ci95"]["oIoU"][0])
    assert summary.loc["selected", "seeds"] == 0
    assert math.isnan(summary.loc["selected", "oIoU_sd"])


def test_empty_folder(tmp_path: Path) -> None:
    assert folder_table(DatasetFolder(tmp_path).all_eval_files()).empty


def test_the_demo_prints_the_figures_of_the_config_itself(seeded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = json.loads((seeded / "eval_val.json").read_text())["oIoU"]
    show(seeded, "val")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Corrected (" in line)
    assert line.split(")")[1].split()[0] == f"{own:.1f}"
