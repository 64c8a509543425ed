"""Scores are data: what a change of the choice runs again, and what the comparison of choices asks for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import yaml

from ssc_core.config.datasets import dataset_identity
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.variants import Variants
from ssc_core.masks.attributes import write_text
from tests.snakemake_records import written_meanwhile

TARGET = "results/refcoco/val/selected.h5"
ON_A_GPU = {"detect_boxes", "segment_boxes", "score_candidates"}


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    return load_settings(yaml.safe_load((root / "config.yaml").read_text()))


@pytest.fixture(scope="module")
def plan_of_imported(snakemake, root: Path, settings: Settings, tmp_path_factory) -> Callable[..., list[str]]:
    """Rules that an evaluation of masks would run where these were imported: without shards and scores."""
    folder = tmp_path_factory.mktemp("imported")
    for name in ("config.yaml", "resources"):
        (folder / name).symlink_to(root / name)
    dataset = folder / "results/refcoco"
    for name in ("refs.parquet", "truth.h5", "data.json", "val/masks.h5"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).touch()
    (dataset / "data.json").write_text(json.dumps({"identity": dataset_identity(settings, "refcoco")}))
    with h5py.File(dataset / "val/selected.h5", "w") as file:
        write_text(file.attrs, "code", "ssc import")

    def rules(*options: str) -> list[str]:
        output = snakemake("-n", *options, "--", "results/refcoco/eval_masks_val.json", cwd=folder).stdout
        table = output.split("Job stats:")[1].split("\n\n")[0]
        return [name for name in re.findall(r"^(\w+) +\d+$", table, re.MULTILINE) if name != "total"]

    return rules


@pytest.fixture(scope="module")
def selected(snakemake, root: Path, settings: Settings, tmp_path_factory) -> Path:
    """A folder where the val split has been selected.

    ``--touch`` has Snakemake note how each file was made, though the files are empty.
    """
    folder = tmp_path_factory.mktemp("selected")
    for name in ("config.yaml", "resources"):
        (folder / name).symlink_to(root / name)
    summary = snakemake("--summary", "--", TARGET, cwd=folder).stdout
    for name in re.findall(r"^(results/\S+)\t", summary, re.MULTILINE):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    stamp = folder / "results" / "refcoco" / "data.json"
    stamp.write_text(json.dumps({"identity": dataset_identity(settings, "refcoco")}))
    snakemake("--touch", "--forceall", "--cores", "1", "--", TARGET, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def plan(snakemake, selected: Path) -> Callable[..., dict[str, int]]:
    """Rules and jobs that a call would run there."""

    def jobs(config: str, target: str = TARGET) -> dict[str, int]:
        (selected / "changed.yaml").write_text(config)
        output = snakemake("-n", "--configfile", "changed.yaml", "--", target, cwd=selected).stdout
        if "Nothing to be done" in output:
            return {}
        table = output.split("Job stats:")[1].split("\n\n")[0]
        found = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        return {name: count for name, count in found.items() if name != "total"}

    return jobs


@pytest.mark.parametrize("options", [(), ("--allowed-rules", "evaluate_masks")])
def test_imported_choices_are_measured_as_they_are(plan_of_imported, options: tuple[str, ...]) -> None:
    assert plan_of_imported(*options) == ["evaluate_masks"]


def test_what_has_not_changed_does_not_run(plan) -> None:
    assert plan("select: {choice: score}") == {}


@pytest.mark.parametrize(
    "select",
    ["min_area: 60", "choice: first", "per: sentence", "assignment: joint, spatial_weight: 3"],
)
def test_another_choice_runs_no_model(plan, select: str) -> None:
    assert plan(f"select: {{{select}}}") == {"select_masks": 1}


def test_decisions_choose_again_and_run_no_model(plan, tmp_path: Path) -> None:
    reviews = tmp_path / "reviews.csv"
    config = f"datasets: {{refcoco: {{reviews: {reviews}}}}}"
    assert plan(config) == {}  # no file, no decisions
    reviews.write_text("ref,photo,decision,mask,who,when\n")
    assert plan(config) == {"select_masks": 1}


def test_a_decision_that_was_made_while_others_were_taken_is_taken_next(snakemake, plan, selected: Path) -> None:
    reviews = selected / "reviews.csv"
    reviews.write_text("ref,photo,decision,mask,who,when\n")
    config = "datasets: {refcoco: {reviews: reviews.csv}}"
    assert plan(config) == {"select_masks": 1}
    again = ("--touch", "--cores", "1", "--configfile", "changed.yaml", "--", TARGET)
    snakemake(*again, cwd=selected)
    assert plan(config) == {}
    reviews.write_text(reviews.read_text() + "1,a.png,none,,me,\n")
    os.utime(reviews, (written_meanwhile(selected, TARGET),) * 2)
    assert plan(config) == {"select_masks": 1}
    snakemake(*again, cwd=selected)
    assert plan(config) == {}
    snakemake("--touch", "--cores", "1", "--", TARGET, cwd=selected)  # without decisions, as it was
    assert plan("{}") == {}


def test_other_scores_do(plan) -> None:
    assert plan("score: {prompt: crop}") == {"score_candidates": 1, "gather": 1, "select_masks": 1}


def test_the_comparison_scores_each_way_of_scoring_once(plan, settings: Settings) -> None:
    variants, found = Variants(settings), settings.studies["select"].variants.values()
    scorers = {variants.folder("scores", changes=changes) for changes in found} - {""}
    choices = {variants.folder("selected", changes=changes) for changes in found} - {""}
    assert 0 < len(scorers) < len(choices)
    assert plan("{}", "results/report/select.csv") == {
        "score_candidates": len(scorers),
        "gather": len(scorers),
        "select_masks": len(choices),
        "evaluate_selections": 1,
        "select_table": 1,
    }


def test_more_scorers_in_the_comparison_are_scored_once(plan, root: Path) -> None:
    preset = (root / "presets" / "scorers.yaml").read_text()
    rows = len(yaml.safe_load(preset)["studies"]["select"]["variants"])
    before, after = plan("{}", "results/report/select.csv"), plan(preset, "results/report/select.csv")
    grown = {rule: count - before.get(rule, 0) for rule, count in after.items() if count != before.get(rule)}
    assert grown == {"score_candidates_with": 1, "gather_scores_of": 1, "select_masks": rows}


def test_a_new_choice_in_the_comparison_runs_no_model(plan) -> None:
    before = plan("{}", "results/report/select.csv")
    mine = "{select.per: sentence, select.assignment: joint}"
    after = plan(f"studies: {{select: {{variants: {{mine: {mine}}}}}}}", "results/report/select.csv")
    grown = {rule for rule in after if after[rule] > before.get(rule, 0)}
    assert grown == {"select_masks"}
    assert not grown & ON_A_GPU
