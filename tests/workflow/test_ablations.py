"""`snakemake ablations` recomputes what a changed value reaches, and nothing else. Dry runs, from an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def planned(snakemake, root: Path, tmp_path: Path):
    """Number of jobs by rule for a grid; the default grid's other settings are emptied."""

    def plan(grid: dict[str, list[Any]], **changes: Any) -> dict[str, int]:
        default = yaml.safe_load((root / "config.yaml").read_text())["ablations"]["grid"]
        config = {"results": f"{tmp_path}/results", "ablations": {"grid": {s: [] for s in default} | grid, **changes}}
        path = tmp_path / "ablations.yaml"
        path.write_text(yaml.safe_dump(config))
        output = snakemake("-n", "--configfile", str(path), "--", "ablations").stdout
        table = output.split("Job stats:")[1].split("\n\n")[0]
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}

    return plan


MAIN = {
    "make_world": 1, "index_refs": 1, "extract_nouns": 1, "detect_boxes": 1, "segment_boxes": 1, "score_candidates": 1,
    "gather": 2, "select_masks": 1, "ablations_table": 1, "ablations": 1,
}  # fmt: skip
"""What the unchanged config needs once, for val alone, and the tables."""


def test_only_what_differs_is_recomputed(planned) -> None:
    assert planned({"select.choice": ["random", "first"], "score.prompt": ["crop"]}) == {
        **MAIN,
        "ablation_score_candidates": 1,  # the prompt
        "ablation_gather": 1,
        "ablation_select_masks": 3,
        "ablation_evaluate_masks": 4,
        "total": sum(MAIN.values()) + 9,
    }


def test_a_loss_trains_one_network_on_the_same_start(planned) -> None:
    counts = planned({"correct.loss": ["greedy_no_constraints"]})
    assert counts["pretrain"] == counts["correct"] == counts["ablation_correct"] == 1
    assert counts["ablation_evaluate"] == 2
    assert "ablation_pretrain" not in counts
    assert "ablation_select_masks" not in counts


def test_a_seed_trains_again_and_labels_once(planned) -> None:
    counts = planned({"correct.loss": ["greedy_no_constraints"]}, seeds=[0, 3])
    assert counts["pretrain"] == counts["correct"] == counts["ablation_correct"] == 2
    assert counts["detect_boxes"] == 2, "train and val, once each"


def test_training_on_other_masks(planned) -> None:
    counts = planned({"nouns.project": [False]}, train=True)
    # train and val are labelled anew from the nouns on
    for rule in ("extract_nouns", "detect_boxes", "segment_boxes", "score_candidates", "select_masks"):
        assert counts[f"ablation_{rule}"] == 2
    assert counts["ablation_pretrain"] == counts["ablation_correct"] == 1


def test_the_default_grid_plans(snakemake, tmp_path: Path) -> None:
    output = snakemake("-n", "--config", f"results={tmp_path}", "--", "ablations").stdout
    assert re.search(r"^ablation_evaluate_masks +\d\d$", output, re.MULTILINE)


def test_a_mistake_is_named(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "ablations.yaml"
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "ablations": {"grid": {"select.choise": ["first"]}}}))
    result = snakemake("-n", "--configfile", str(config), "--", "ablations", check=False)
    assert result.returncode
    assert "select.choise cannot be" in result.stdout
