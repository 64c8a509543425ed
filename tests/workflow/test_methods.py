"""Evaluations of every method, the report and docs/results.md: what they would run. Dry runs, from an empty folder."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from ast import literal_eval
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config.yaml"
OTHER_PAGES = dict.fromkeys(
    name for name in yaml.safe_load(CONFIG.read_text())["studies"] if name.startswith("results")
)
"""Studies that have a page in docs/, each switched off."""


def counts(output: str) -> dict[str, int]:
    table = output.split("Job stats:")[1].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_the_whole_sentence_needs_neither_masks_nor_training(snakemake, tmp_path: Path) -> None:
    target = f"{tmp_path}/refcoco+/eval_grounded_sentence_testA.json"
    assert counts(snakemake("-n", "--config", f"results={tmp_path}", "--", target).stdout) == {
        "make_world": 1, "index_refs": 1, "ground_sentences": 1, "evaluate_grounded": 1, "total": 4,
    }  # fmt: skip


def test_every_method_and_seed_is_evaluated_on_its_checkpoint(snakemake, tmp_path: Path) -> None:
    methods = {
        "pretrained": "pretrain",
        "continued": "continue_pretrain",
        "without_constraints": "correct_without_constraints",
        "supervised": "supervised",
    }
    folder = f"{tmp_path}/refcoco"
    targets = [f"{folder}/{run}eval_{method}_val.json" for run in ("", "seed1/") for method in methods]
    found = counts(snakemake("-n", "--config", f"results={tmp_path}", "--", *targets).stdout)
    assert found["evaluate"] == 8
    assert found["train"] == 8, "four phases, two seeds; not `correct`"
    assert found["detect_boxes"] == 1, "labels are shared by seeds"


def test_a_networks_choice_among_candidates_needs_its_checkpoint_and_the_splits_masks(
    snakemake, tmp_path: Path
) -> None:
    folder = f"{tmp_path}/refcoco"
    targets = [f"{folder}/seed1/eval_{method}_choice_testA.json" for method in ("corrected", "pretrained")]
    found = counts(snakemake("-n", "--config", f"results={tmp_path}", "--", *targets).stdout)
    assert found["choose_candidates"] == found["evaluate_chosen"] == 2
    assert found["train"] == 2
    assert found["segment_boxes"] == 2, "of train and of testA"


def test_the_report_asks_for_what_the_config_says(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "studies": {"report": {"methods": ["corrected"]}}}))
    found = counts(snakemake("-n", "--configfile", str(config), "--", f"{tmp_path}/r/report/index.html").stdout)
    assert found["evaluate"] == found["evaluate_masks"] == found["report"] == 1
    assert "ground_sentences" not in found


def test_the_results_page_needs_every_seed(snakemake, tmp_path: Path) -> None:
    told = {"datasets": {"refcoco": ["val"]}, "seeds": [0, 4], "methods": ["corrected", "grounded_sentence"]}
    told["beyond"] = ["correct.assignment", "select.assignment"]
    studies = {**OTHER_PAGES, "results": told}
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "studies": studies}))
    found = counts(
        snakemake("-n", "--forcerun", "write_results", "--configfile", str(config), "--", "results_page").stdout
    )
    assert found["train"] == 5, "two phases, two seeds, and the changed value"
    assert found["evaluate"] == 3
    assert found["ground_sentences"] == 1, "what is not trained has no seed"
    assert found["evaluate_masks"] == 2, "the config as it is, and the changed choice"
    assert found["matching_accuracy"] == 2, "correct, both seeds; what is not told is not trained"
    assert found["write_results"] == 1


def test_every_dataset_has_a_page_of_its_own(snakemake, tmp_path: Path) -> None:
    told = {"seeds": [0], "methods": ["corrected", "without_constraints"], "beyond": []}
    datasets = {"results_refcoco+": {"refcoco+": ["val"]}, "results_refcocog_umd": {"refcocog_umd": ["val"]}}
    studies = {**OTHER_PAGES, **{name: {**told, "datasets": of} for name, of in datasets.items()}}
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "studies": studies}))
    page = "docs/results_refcocog_umd.md"
    output = snakemake("-n", "--forcerun", "write_results", "--configfile", str(config), "--", page).stdout
    found = counts(output)
    assert found["write_results"] == 1
    assert found["train"] == 3
    assert found["matching_accuracy"] == 2
    assert "refcoco+" not in output


def test_the_report_is_made_anew_for_whatever_of_a_dataset_of_the_config_it_shows(
    warm: Path, warm_environment: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"results": f"{tmp_path}/r", "studies": {"report": {"methods": ["corrected"]}}}))
    shown = [
        "checkpoints/correct.matching.csv", "checkpoints/supervised.csv", "eval_supervised_val.json",
        "seed1/eval_val.json", "val/contact_sheet.jpg", "val/select/eval.json",
    ]  # fmt: skip
    others = ["benchmarks/train.tsv", "seed1/checkpoints/supervised.csv", "val/repaired.png"]
    asked = ["checkpoints/correct.csv", "checkpoints/pretrain.csv", "eval_masks_val.json", "eval_val.json"]
    for name in (*shown, *others, *asked):
        for dataset in ("refcoco", "dropped"):
            path = tmp_path / "r" / dataset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    command = [warm, "-m", "tests.workflow.planned_jobs", ROOT / "Snakefile", config, f"{tmp_path}/r/report/index.html"]
    environment = {**warm_environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    jobs = {job["rule"]: job for job in json.loads(done.stdout)}
    job = jobs["report"]
    assert literal_eval(job["params"]["others"]) == [
        f"{tmp_path}/r/refcoco/{name} {hashlib.sha256(name.encode()).hexdigest()[:8]}" for name in shown
    ]
    assert sorted(job["input"]) == [f"{tmp_path}/r/refcoco/{name}" for name in asked]
    # by which the report tells evaluations of another config
    assert json.loads(job["params"]["settings"]).keys() >= {"datasets", "nouns", "pretrain", "correct", "evaluate"}
    led_to = json.loads(jobs["evaluate"]["params"]["chain"])
    assert led_to.keys() >= {"nouns", "select", "network", "pretrain", "correct", "evaluate", "compat.clip_bgr"}
    assert "{params.chain:q}" in jobs["evaluate"]["shell"]
