"""What Snakemake would do, without doing it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ssc_core.cli.demo import ON_ONE_CORE, side_by_side
from ssc_core.cli.progress import SECONDS, planned


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
    assert counts["evaluate"] == 1
    assert counts["train"] == 2
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


def test_a_question_may_have_the_sentence_in_it(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        'score: {backend: {settings: {question: "Which of {count} is {sentence}?"}}}\n'
        'studies: {select: {variants: {asked: {score.backend.settings.question: "{sentence}"}}}}\n'
    )
    targets = [f"{tmp_path}/report/{name}" for name in ("index.html", "select.csv")]
    snakemake("-n", "--configfile", str(config), "--config", f"results={tmp_path}", "--", *targets)


def test_null_by_the_command_line_drops_what_it_drops_in_a_file(snakemake, tmp_path: Path) -> None:
    given = ("--config", f"results={tmp_path}", "datasets={refcoco+: null}", "studies={select: null}")
    target = f"{tmp_path}/refcoco+/refs.parquet"
    assert "the config has no dataset 'refcoco+'" in snakemake("-n", *given, "--", target, check=False).stdout
    said = snakemake("-n", "--config", "results=null", check=False).stdout
    assert "results: Input should be a valid string (got None)" in said


def test_an_unknown_split_does_not_plan(snakemake, tmp_path: Path) -> None:
    result = snakemake(
        "-n", "--config", f"results={tmp_path}", "--", f"{tmp_path}/refcoco/eval_testC.json", check=False
    )
    assert result.returncode
    assert "eval_testC" in result.stdout


@pytest.mark.parametrize(
    ("config", "target", "message"),
    [
        ("", "refcoco/eval_testC.json", "has no split 'testC'; did you mean 'testB'? It has train, val, testA, testB"),
        ("", "refcocog_google/eval_test.json", "'refcocog_google' has no split 'test'. It has train, val"),
        ("", "refcoco/test/selected.h5", "'refcoco' has no split 'test'; did you mean 'testB'?"),
        ("", "recoco/eval_val.json", "no dataset 'recoco'; did you mean 'refcoco'?"),
        ("studies: {report: {datasets: {refcocog_google: [test]}}}", "report/index.html", "has no split 'test'"),
        ("datasets: {refcoco: null}", "refcoco/eval_val.json", "no dataset 'refcoco'"),
        ("datasets: {refcoco: null}", "report/select.csv", "no dataset 'refcoco'"),
        ("studies: {ablations: {datasets: {refcoco: [tset]}}}", "ablations/table.csv", "has no split 'tset'"),
        ("detect: {backend: {name: grounding_dion}}", "refcoco/val/masks.h5", "did you mean 'grounding_dino'?"),
        ("segment: {backend: {name: mine.py:Mine}}", "refcoco/val/masks.h5", "mine.py does not exist"),
        ("datasets: {refcoco: {source: {layout: refer, root: gone, name: refcoco, split_by: unc}}}",
         "refcoco/refs.parquet", r"gone/refcoco/refs\(unc\)\.p and .* not found. `ssc fetch --config \S*mine.yaml`"),
        ("select: {seed: 1}\nselect: {seed: 2}", "refcoco/refs.parquet", "'select' is there twice, in lines 2 and 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_before_anything_runs(
    snakemake, tmp_path: Path, config: str, target: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\n{config}\n")
    made = f"{tmp_path}/results/{target}"
    result = snakemake("-n", "--configfile", str(tmp_path / "mine.yaml"), "--", made, check=False)
    assert result.returncode
    assert re.search(message.replace("? ", "[?] ").removesuffix("?"), result.stdout), result.stdout


def test_datasets_that_are_not_here_do_not_block_others(snakemake, tmp_path: Path) -> None:
    gone = "{source: {layout: refer, root: gone, name: refcoco, split_by: unc}}"
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\ndatasets: {{refcoco: {gone}, refcoco+: null}}\n")
    target = f"{tmp_path}/results/refcocog_umd/eval_val.json"
    plan = snakemake("-n", "--configfile", str(tmp_path / "mine.yaml"), "--", target).stdout
    assert jobs(plan)["evaluate"] == 1


def test_a_limit_is_of_one_dataset(snakemake, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\ndatasets: {{refcoco: {{limit: 3}}}}\n")
    targets = [f"{tmp_path}/results/{name}/refs.parquet" for name in ("refcoco", "refcoco+")]
    plan = snakemake("-n", "-p", "--configfile", str(tmp_path / "mine.yaml"), "--", *targets).stdout
    lines = [line for line in plan.splitlines() if " workflow_scripts.index_refs:main " in line]
    assert len(lines) == 2
    assert all(("--limit=3 " in line) == ("results/refcoco/refs" in line) for line in lines)


def test_another_backend_has_settings_of_its_own(snakemake, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("class Mine:\n    pass\n")
    backend = f"{{name: {tmp_path}/plugin.py:Mine, settings: {{box_threshold: 0.17}}}}"
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\ndetect: {{backend: {backend}}}\n")
    target = f"{tmp_path}/results/refcoco/val/boxes.h5"
    plan = snakemake("-n", "-p", "--configfile", str(tmp_path / "mine.yaml"), "--", target).stdout
    assert '"settings": {"box_threshold": 0.17}' in plan
    assert "text_threshold" not in plan


def test_the_modern_preset_plans_without_boxes_and_asks_no_server(snakemake, root: Path, tmp_path: Path) -> None:
    (tmp_path / "micro.yaml").write_text(
        f"results: {tmp_path}/results\n"
        "datasets:\n"
        "  refcoco: {source: {layout: micro, name: refcoco, split_by: unc}, check_counts: false, checkpoint: null}\n"
        "network: {bert: resources/micro/lavt/bert, swin_weights: null}\n"
    )
    presets = [str(root / "presets" / name) for name in ("paper.yaml", "modern.yaml")]
    files = ["--configfile", *presets, str(tmp_path / "micro.yaml"), "--"]
    target = f"{tmp_path}/results/refcoco/train/selected.h5"
    counts = jobs(snakemake("-n", *files, target).stdout)
    assert "detect_boxes" not in counts
    assert counts["segment_boxes"] == counts["score_candidates"] == counts["select_masks"] == 1
    assert counts["score_candidates_with"] == 1, "of dense; the chooser has no weight"
    asked = f"{tmp_path}/results/refcoco/select.weights.chooser=1/train/selected.h5"
    counts = jobs(snakemake("-n", *files, asked).stdout)
    assert (counts["score_candidates"], counts["score_candidates_with"]) == (1, 2)


def test_the_laptops_preset_plans_for_ones_own_photos(snakemake, root: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,sentences\na.jpg,left one\n")
    (tmp_path / "mine.yaml").write_text(
        f"results: {tmp_path}/results\n"
        f"datasets: {{mine: {{source: {{file: {tmp_path}/refs.csv, images: {tmp_path}}}}}}}\n"
    )
    files = ["--configfile", str(root / "presets" / "small.yaml"), str(tmp_path / "mine.yaml"), "--"]
    counts = jobs(snakemake("-n", *files, f"{tmp_path}/results/mine/train/selected.h5").stdout)
    assert counts["detect_boxes"] == counts["segment_boxes"] == counts["score_candidates"] == 1


def test_values_for_drawings_are_told_of_where_photos_would_get_them(snakemake, tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,sentences\na.jpg,left one\n")
    mine = {"score": {"backend": {"settings": {"model": "ViT-B-32"}}, "blur_sigma": 16}, "allow_toy_models": True}
    (tmp_path / "mine.yaml").write_text(json.dumps({"results": f"{tmp_path}/results", **mine}))
    source = f"{{layout: table, file: {tmp_path}/refs.csv, images: {tmp_path}}}"
    table = f"datasets={{mine: {{source: {source}, splits: [train]}}}}"
    plan = ["-n", "--configfile", str(tmp_path / "mine.yaml")]
    target = ["--", f"{tmp_path}/results/mine/train/nouns.parquet"]
    said = snakemake(*plan, "--config", table, *target).stdout
    assert "\n  select.min_area: 40 (500)\n" in said
    assert "blur_sigma" not in said, "the user gave it"
    said = snakemake(*plan, "--config", table, "select={min_area: 90}", *target).stdout
    assert "select.min_area" not in said
    assert "select.min_area" not in snakemake(*plan, "--", f"{tmp_path}/results/refcoco/train/nouns.parquet").stdout


def test_every_time_of_the_demos_bar_is_that_of_one_of_its_jobs(snakemake, tmp_path: Path) -> None:
    said = snakemake("-n", *side_by_side(), "--config", f"results={tmp_path / 'results'}").stdout
    messages = planned(said.splitlines()).values()
    assert {next(part for part in SECONDS if part in message) for message in messages} == set(SECONDS)
    assert set(ON_ONE_CORE) <= {line.split()[0] for line in said.splitlines() if line}, "rules, as the plan counts them"
