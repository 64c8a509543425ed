"""The training rules: what they read, and what runs again when a setting or the seed changes."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tests.workflow.test_plans import jobs

PHASES = ("pretrain", "correct", "correct_without_constraints", "continue_pretrain", "supervised")


def commands(plan: str) -> dict[str, str]:
    """The training commands of a dry run with ``-p``, by the name of their checkpoint."""
    lines = [line for line in plan.splitlines() if "workflow_scripts.train:main " in line]
    return {Path(re.search(r"--checkpoint (\S+)", line)[1]).stem: line for line in lines}


def test_every_phase_and_what_it_may_see(snakemake, tmp_path: Path) -> None:
    targets = [f"{tmp_path}/refcoco/checkpoints/{phase}.pt" for phase in PHASES]
    plan = snakemake("-n", "-p", "--config", f"results={tmp_path}", "--", *targets).stdout
    counts = jobs(plan)
    assert counts["train"] == 5
    seen = commands(plan)
    assert [phase for phase in PHASES if "truth.h5" in seen[phase]] == ["supervised"]
    assert [phase for phase in PHASES if "--init" in seen[phase]] == list(PHASES[1:4])
    assert [phase for phase in PHASES if "selected.h5" in seen[phase]] == ["pretrain", "continue_pretrain"]
    assert [phase for phase in PHASES if "masks.h5" in seen[phase]] == list(PHASES[:4])
    assert len({re.search(r"--state=(\S+)", command)[1] for command in seen.values()}) == 5


def test_select_has_a_say_where_the_config_gives_it_a_weight(snakemake, tmp_path: Path) -> None:
    targets = [f"{tmp_path}/refcoco/checkpoints/{phase}.pt" for phase in PHASES]

    def read(*config: str) -> dict[str, str]:
        """What selected.h5 is to each phase."""
        plan = snakemake("-n", "-p", "--config", f"results={tmp_path}", *config, "--", *targets).stdout
        given = re.compile(r"--(\S+)[= ]\S+/selected\.h5")
        return {phase: " and ".join(given.findall(line)) for phase, line in commands(plan).items()}

    picks = {"pretrain": "selected", "continue_pretrain": "selected", "supervised": ""}
    matched = ("correct", "correct_without_constraints")
    assert read("correct={prior_weight: 0}") == picks | dict.fromkeys(matched, "")
    assert read("correct={prior_weight: 0.5}") == picks | dict.fromkeys(matched, "picks")
    assert read("reviewer={share: 0.1}") == picks | dict.fromkeys(matched, "picks")


def test_a_say_for_select_on_masks_that_it_did_not_see_is_refused_before_anything_runs(
    snakemake, root: Path, tmp_path: Path
) -> None:
    preset = str(root / "presets" / "paper_compat.yaml")
    plan = partial(snakemake, "-n", "--configfile", preset, "--config", f"results={tmp_path}", "--")
    assert jobs(plan(f"{tmp_path}/refcoco/checkpoints/correct.pt").stdout)["train"] == 2
    refused = plan(f"{tmp_path}/refcoco/correct.prior_weight=0.5/checkpoints/correct.pt", check=False)
    assert refused.returncode
    assert "correct: `prior_weight` adds Select's scores to what a ref may be" in refused.stdout
    assert "or compat.merged_masks and compat.palette_targets to false" in refused.stdout
    for name in (
        "checkpoints/pretrain.pt",
        "checkpoints/correct.pt",
        "eval_val.json",
        "eval_val.parquet",
        "eval_val.png",
    ):
        path = tmp_path / "refcoco" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    given = ("--config", f"results={tmp_path}", "correct={prior_weight: 0.5}")
    refused = snakemake("-n", "--configfile", preset, *given, "--", f"{tmp_path}/refcoco/eval_val.png", check=False)
    assert refused.returncode
    assert "Nothing to be done" not in refused.stdout


def test_another_seed_shares_the_labels(snakemake, tmp_path: Path) -> None:
    folders = [f"{tmp_path}/refcoco/{run}checkpoints" for run in ("", "seed1/", "seed20/")]
    counts = jobs(
        snakemake("-n", "--config", f"results={tmp_path}", "--", *(f"{folder}/correct.pt" for folder in folders)).stdout
    )
    assert counts["train"] == 6
    assert counts["segment_boxes"] == counts["select_masks"] == 1


def test_init_from_takes_the_place_of_pretraining(snakemake, tmp_path: Path) -> None:
    config = tmp_path / "start.yaml"
    start = tmp_path / "published.pth"
    config.write_text(f"results: {tmp_path}/results\ncorrect:\n  init_from: {start}\n")
    target = f"{tmp_path}/results/refcoco/checkpoints/correct.pt"
    missing = snakemake("-n", "--configfile", str(config), "--", target, check=False)
    assert missing.returncode
    assert str(start) in missing.stdout
    start.write_bytes(b"weights")
    counts = jobs(snakemake("-n", "--configfile", str(config), "--", target).stdout)
    assert counts["train"] == 1
    assert "select_masks" not in counts


def test_the_picture_of_a_training(snakemake, tmp_path: Path) -> None:
    picture = f"{tmp_path}/refcoco/seed2/checkpoints/curves.png"
    counts = jobs(snakemake("-n", "--config", f"results={tmp_path}", "--", picture).stdout)
    assert counts["training_curves"] == counts["matching_accuracy"] == 1
