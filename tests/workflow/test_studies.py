"""Variants recompute what their changes reach, and nothing else. Dry runs, from an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.test_plans import jobs


@pytest.fixture
def planned(snakemake, tmp_path: Path):
    """Number of jobs by rule for a grid of the study `ablations`."""

    def plan(grid: dict[str, list[Any]], **study: Any) -> dict[str, int]:
        path = tmp_path / "studies.yaml"
        taken_back = {key: [] for key in ABLATED}
        studies = {"ablations": {"grid": taken_back | grid, **study}}
        path.write_text(yaml.safe_dump({"results": f"{tmp_path}/results", "studies": studies}))
        return jobs(snakemake("-n", "--configfile", str(path), "--", "ablations").stdout)

    return plan


ABLATED = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())["studies"]["ablations"]["grid"]
MAIN = {
    "make_world": 1, "index_refs": 1, "extract_nouns": 1, "detect_boxes": 1, "segment_boxes": 1, "score_candidates": 1,
    "gather": 2, "select_masks": 2, "evaluate_masks": 1, "study_table": 1, "ablations": 1,
}  # fmt: skip
"""What the unchanged config needs once, for val alone, and the table."""


def test_only_what_differs_is_recomputed(planned) -> None:
    more = {
        "score_candidates": 1,  # the prompt
        "gather": 1,
        "select_masks": 6,  # three choices, and each jointly
        "evaluate_masks": 3,
    }
    counts = {rule: MAIN[rule] + more.get(rule, 0) for rule in MAIN}
    found = planned({"select.choice": ["random", "first"], "score.prompt": ["crop"]})
    assert found == {**counts, "total": sum(counts.values())}


def test_a_loss_trains_one_network_on_the_same_start(planned) -> None:
    counts = planned({"correct.loss": ["greedy_no_constraints"]})
    assert counts["train"] == 3, "one start, and two trainings from it"
    assert counts["evaluate"] == 2
    assert counts["evaluate_masks"] == 1, "the candidates are the same"


def test_a_seed_trains_again_and_labels_once(planned) -> None:
    counts = planned({"correct.loss": ["greedy_no_constraints"]}, seeds=[0, 3])
    assert counts["train"] == 6
    assert counts["detect_boxes"] == 2, "train and val, once each"


def test_training_on_other_masks(planned) -> None:
    counts = planned({"nouns.project": [False]}, train=True)
    # train and val are labelled anew from the nouns on
    for rule in ("extract_nouns", "detect_boxes", "segment_boxes", "score_candidates"):
        assert counts[rule] == 4
    assert counts["train"] == 4


def test_other_truth_is_measured_and_labels_nothing(planned) -> None:
    counts = planned({"compat.gt_overlap_hole": [True]})
    assert counts["index_refs"] == 2
    assert counts["extract_nouns"] == counts["detect_boxes"] == 1
    assert counts["evaluate_masks"] == 2


def test_any_value_can_be_varied_by_its_path(snakemake, tmp_path: Path) -> None:
    target = f"{tmp_path}/refcoco/correct.loss=random_ce+seed4/eval_testA.json"
    counts = jobs(snakemake("-n", "--config", f"results={tmp_path}", "--", target).stdout)
    assert counts["train"] == 2, "pretrain with the seed, and correct with both"
    assert counts["evaluate"] == 1


@pytest.mark.parametrize(
    ("variant", "said"), [("select.choise=first", "select.choise"), ("select.choice=worst", "select.choice=worst")]
)
def test_a_path_that_cannot_be_varied_is_an_error(snakemake, tmp_path: Path, variant: str, said: str) -> None:
    target = f"{tmp_path}/refcoco/{variant}/eval_masks_val.json"
    result = snakemake("-n", "--config", f"results={tmp_path}", "--", target, check=False)
    assert result.returncode
    assert f"cannot be varied by {variant}" in result.stdout
    assert said in result.stdout


def test_every_study_of_the_config_plans(snakemake, tmp_path: Path) -> None:
    tables = [f"{tmp_path}/{study}/table.csv" for study in ("report", "select", "ablations", "results")]
    counts = jobs(snakemake("-n", "--config", f"results={tmp_path}", "--", *tables).stdout)
    assert counts["study_table"] == 4


def test_a_mistake_is_named(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "studies.yaml"
    study = {"datasets": {"refcoco": ["val"]}, "grid": {"select.choise": ["first"]}}
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "studies": {"mine": study}}))
    result = snakemake("-n", "--configfile", str(config), check=False)
    assert result.returncode
    assert "studies.mine: the config cannot be varied by select.choise=first" in result.stdout
    assert "Traceback" not in result.stdout
