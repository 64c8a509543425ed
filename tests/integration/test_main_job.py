"""The main command on a few scenes of the embedded default, as a user runs it: kill, resume, rerun."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from ssc_core.evaluate.schema import read_eval
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import read_refs
from tests.killing import kill_when

PHOTOS = "{train: 8, val: 6, testA: 1, testB: 1, test: 1}"
"""Half of what the preset trains on."""


@pytest.fixture(scope="module")
def built(snakemake, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """Results of the tiny preset, and the arguments that made them. The first run is killed on the way;
    its jobs start as a user's do, and import all by themselves."""
    results = tmp_path_factory.mktemp("main") / "results"
    folder = f"{results}/refcoco"
    arguments = (
        *("--cores", "2", "--configfile", str(root / "presets" / "tiny.yaml")),
        *("--config", f"results={results}", f"micro={{images: {PHOTOS}}}", "--"),
        *(f"{folder}/{name}" for name in ("eval_val.json", "eval_val.png", "eval_masks_val.json")),
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), *arguments]
    kill_when(lambda: any(Path(folder).glob("*/nouns.parquet")), command, root, environment)
    snakemake(*arguments)
    return results / "refcoco", arguments


def test_evaluation_says_what_it_is(built) -> None:
    folder, _ = built
    evaluation = read_eval(folder / "eval_val.json")
    assert (evaluation.dataset, evaluation.split, evaluation.world) == ("refcoco", "val", "micro")
    refs = read_refs(folder / "refs.parquet", "val")
    assert evaluation.n_sentences == len(refs) == 3 * evaluation.n_refs
    assert 0 <= evaluation.oIoU <= 100
    assert len(evaluation.model["sha256"]) == 64
    assert (folder / "eval_val.png").stat().st_size > 10_000


def test_masks_are_evaluated_for_every_choice(built) -> None:
    folder, _ = built
    choices = read_eval(folder / "eval_masks_val.json").choices
    assert {"random", "first", "selected", "best"} <= set(choices)
    assert choices["best"].mIoU >= max(choices[name].mIoU for name in ("random", "first", "selected"))
    assert choices["best"].mIoU > 50  # real detector, real SAM


def test_every_ref_has_candidates_and_a_choice_among_them(built) -> None:
    folder, _ = built
    refs = read_refs(folder / "refs.parquet", "train")
    with (
        MaskStore.open(folder / "train" / "masks.h5") as masks,
        SelectionStore(folder / "train" / "selected.h5") as picks,
    ):
        assert set(picks.ref_ids.tolist()) == set(refs["ref_id"])
        for ref_id in picks.ref_ids.tolist():
            rows = masks.candidates(ref_id).rows
            assert picks.chosen(ref_id) in {*rows.tolist(), -1}


def test_a_second_call_does_nothing(built, snakemake) -> None:
    _, arguments = built
    assert "Nothing to be done" in snakemake(*arguments).stdout


def test_changing_the_choice_reruns_no_gpu_rule(built, snakemake, tmp_path: Path) -> None:
    folder, arguments = built
    changed = tmp_path / "changed.yaml"
    changed.write_text("select:\n  min_area: 60\n")
    where = arguments.index("--config")
    plan = snakemake(
        "-n", *arguments[:where], str(changed), *arguments[where:-3], f"{folder}/eval_masks_val.json"
    ).stdout
    assert "select_masks" in plan
    for rule in ("detect_boxes", "segment_boxes", "score_candidates", "extract_nouns"):
        assert f"\n{rule} " not in plan


def test_a_network_is_measured_both_ways_without_another_training(built, snakemake) -> None:
    folder, arguments = built
    said = snakemake(*arguments[:-3], f"{folder}/evaluate.both_ways=true/eval_val.json").stdout
    assert "1 of 1 steps" in said
    once, twice = (read_eval(path / "eval_val.json") for path in (folder, folder / "evaluate.both_ways=true"))
    assert twice.settings["evaluate"]["both_ways"]
    assert twice.model == once.model and twice.mIoU != once.mIoU


def test_other_data_never_replace_these_silently(built, snakemake) -> None:
    folder, arguments = built
    stamp = folder / "data.json"
    before = stamp.read_text()
    identity = json.loads(json.loads(before)["identity"])
    identity["micro"]["seed"] = 12345
    stamp.write_text(json.dumps({**json.loads(before), "identity": json.dumps(identity)}))
    try:
        stopped = snakemake("-n", *arguments, check=False)
        assert stopped.returncode
        assert "12345" in stopped.stdout
        assert "another_folder" in stopped.stdout
        assert "rm -r" in stopped.stdout
    finally:
        stamp.write_text(before)


def test_training_without_any_annotated_mask_or_box_gives_the_same_weights(built, snakemake, root, tmp_path) -> None:
    folder, _ = built
    bare = tmp_path / "bare"
    shutil.copytree(folder / "world", bare)
    instances = bare / "refcoco" / "instances.json"
    annotations = json.loads(instances.read_text())
    for annotation in annotations["annotations"]:
        annotation.update(segmentation=[], bbox=[0, 0, 0, 0], area=0)
    instances.write_text(json.dumps(annotations))
    config = tmp_path / "bare.yaml"
    config.write_text(
        "allow_toy_models: true\n"
        f"datasets: {{refcoco: {{source: {{layout: refer, root: {bare}, name: refcoco, split_by: unc}}}}}}\n"
    )
    results = tmp_path / "results"
    snakemake(
        *("--cores", "2", "--configfile", str(root / "presets" / "tiny.yaml"), str(config)),
        *("--config", f"results={results}", "--", f"{results}/refcoco/checkpoints/correct.pt"),
    )
    assert json.loads((results / "refcoco" / "data.json").read_text())["refs_with_truth"] == 0
    for phase in ("pretrain", "correct"):
        places = folder / "checkpoints", results / "refcoco" / "checkpoints"
        with_labels, without = (torch.load(place / f"{phase}.pt", weights_only=True) for place in places)
        for part in ("model", "bert_model"):
            assert with_labels[part].keys() == without[part].keys()
            assert all(torch.equal(value, without[part][name]) for name, value in with_labels[part].items())
