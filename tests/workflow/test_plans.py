"""What Snakemake would do, without doing it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def jobs(output: str) -> dict[str, int]:
    """The table of a dry run: rule -> number of jobs."""
    table = output.split("Job stats:")[1].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.parametrize(
    ("dataset", "split"),
    [("refcoco", "val"), ("refcoco+", "testB"), ("refcocog_umd", "test"), ("refcocog_google", "val")],
)
def test_every_dataset_plans(snakemake, tmp_path: Path, dataset: str, split: str) -> None:
    plan = snakemake("-n", "--config", f"results={tmp_path}", "--", f"{tmp_path}/{dataset}/eval_{split}.json").stdout
    counts = jobs(plan)
    assert counts["evaluate"] == counts["correct"] == counts["pretrain"] == 1
    # evaluating a split never waits for its masks: only the train split is labelled
    assert counts["detect_boxes"] == counts["segment_boxes"] == counts["score_candidates"] == 1


def test_shards_are_jobs_of_their_own(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "shards.yaml"
    config.write_text(f"results: {tmp_path}/results\ncompute:\n  shards: 5\n")
    target = f"{tmp_path}/results/refcoco/train/selected.h5"
    counts = jobs(snakemake("-n", "--configfile", str(config), "--", target).stdout)
    assert [counts[rule] for rule in ("detect_boxes", "segment_boxes", "score_candidates", "gather")] == [5, 5, 5, 2]


@pytest.mark.parametrize("wrong", ["tpu", "gpu:a100:2", "gpu; rm"])
def test_gres_is_checked(snakemake, wrong: str) -> None:
    result = snakemake("-n", "--config", f"compute={{'gres': '{wrong}'}}", check=False)
    assert result.returncode
    assert "gres" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_mistake_in_the_config_is_named(snakemake) -> None:
    result = snakemake("-n", "--config", "resutls=x", check=False)
    assert result.returncode
    assert "resutls" in result.stdout
    assert "Traceback" not in result.stdout


def test_an_unknown_split_does_not_plan(snakemake, tmp_path: Path) -> None:
    result = snakemake(
        "-n", "--config", f"results={tmp_path}", "--", f"{tmp_path}/refcoco/eval_testC.json", check=False
    )
    assert result.returncode
    assert "eval_testC" in result.stdout
