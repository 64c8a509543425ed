"""A plan of everything: the four published datasets, all splits, in shards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 8
DATASETS = {
    "refcoco": ("refcoco", "unc", ["train", "val", "testA", "testB"]),
    "refcoco+": ("refcoco+", "unc", ["train", "val", "testA", "testB"]),
    "refcocog_umd": ("refcocog", "umd", ["train", "val", "test"]),
    "refcocog_google": ("refcocog", "google", ["train", "val"]),
}
HEAVY = {"torch", "transformers", "open_clip", "spacy", "h5py", "scipy", "cv2", "matplotlib"}
"""pandas is not among them: Snakemake's SLURM plug-in imports it, and with it NumPy and pyarrow."""

OPENED = """
import sys
def opened(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].endswith(".safetensors"):
        sys.stderr.write(f"opened: {args[0]}\\n")
sys.addaudithook(opened)
"""
"""A sitecustomize module: says which weights a process opens."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, set[str], Counter[str]]]:
    """Output of the dry run, the top-level modules that it imported, and how often it opened each file of weights."""
    folder = tmp_path_factory.mktemp("scale")
    (folder / "sitecustomize.py").write_text(OPENED)
    config: dict = {
        "results": str(folder / "results"),
        "allow_toy_models": True,
        "compute": {"shards": SHARDS},
        "datasets": {},
    }
    targets = []
    for dataset, (name, split_by, splits) in DATASETS.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"refs({split_by}).p").touch()
        (folder / name / "instances.json").touch()
        source = {"layout": "refer", "root": str(folder), "name": name, "split_by": split_by}
        config["datasets"][dataset] = {"source": source, "splits": splits}
        for split in splits:
            targets += [f"{folder}/results/{dataset}/eval_masks_{split}.json"]
            if split != "train":
                targets += [f"{folder}/results/{dataset}/eval_{split}.json"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [
        *(sys.executable, "-X", "importtime", "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run"),
        *("--quiet", "rules", "--configfile", str(folder / "config.yaml"), "--", *targets),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)},
    )
    imported = {
        line.rsplit("|", 1)[1].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    opened = Counter(line for line in done.stderr.splitlines() if line.startswith("opened: "))
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith(("import time:", "opened: ")))
    assert done.returncode == 0, done.stdout[-3000:] + said[-3000:]
    yield done.stdout + said, imported, opened


def test_every_shard_of_every_split_is_a_job(plan: tuple[str, set[str], Counter[str]]) -> None:
    table = dict(line.split() for line in plan[0].split("Job stats:")[1].splitlines()[3:] if len(line.split()) == 2)
    splits = sum(len(splits) for *_, splits in DATASETS.values())
    for rule in ("detect_boxes", "segment_boxes", "score_candidates"):
        assert int(table[rule]) == SHARDS * splits
    assert int(table["evaluate_masks"]) == int(table["select_masks"]) / 2 == int(table["extract_nouns"]) == splits
    assert int(table["train"]) / 2 == int(table["index_refs"]) == len(DATASETS)


def test_a_plan_imports_nothing_heavy(plan: tuple[str, set[str], Counter[str]]) -> None:
    assert "snakemake" in plan[1]
    assert plan[1] & HEAVY == set()


def test_weights_are_read_once_however_many_shards_need_them(plan: tuple[str, set[str], Counter[str]]) -> None:
    assert len(plan[2]) >= 4
    assert set(plan[2].values()) == {1}
