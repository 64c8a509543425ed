"""What runs again after which change: every row of the table in docs/operations.md, on a finished results folder.

The folder is made by ``snakemake --touch`` in a copy of the repository: Snakemake then knows of every output how it
was made, though the files are tiny. Each row changes one thing, asks for a plan, and puts the thing back.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ssc_core.config.datasets import dataset_identity
from ssc_core.config.labelling import NLTK_TAGGER
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import load_settings
from tests.unit.test_extending import FILES

ROOT = Path(__file__).resolve().parents[2]
TARGETS = (
    "results/refcoco/eval_val.json",
    "results/refcoco/eval_val.png",
    "results/refcoco/eval_masks_val.json",
)
OWN_TARGETS = tuple(target.replace("refcoco", "own").replace("_val", "_train") for target in TARGETS)
PUBLISHED = ("results/refcoco/eval_published_val.json",)
TAGGER = f"{NLTK_TAGGER}/averaged_perceptron_tagger_eng.tagdict.json"
OWN = """
allow_toy_models: true
datasets:
  own: {source: {layout: "plugins/lines.py:read", file: my/refs.txt, images: my/photos}, splits: [train]}
score: {prompt: [reverse_blur, "plugins/grey.py:grey_outside"]}
network: {name: "plugins/tiny.py:Tiny", settings: {weights: {parts: [my/weights.txt]}}}
correct: {loss: "plugins/sure.py:sure"}
"""
"""On top of config.yaml: code of the user's own, with the files of docs/extending.md."""
PLANNED = re.compile(r"^(\w+) +\d+$", re.MULTILINE)
PHASE = re.compile(r"training LAVT, phase (\w+)")

EVALUATE = {"evaluate", "picture_of_evaluation"}
CORRECT = {"correct", *EVALUATE}
PRETRAIN = {"pretrain", *CORRECT}
SELECT = {"select_masks", "evaluate_masks", *PRETRAIN}
SCORE = {"score_candidates", "gather", *SELECT}
SEGMENT = {"segment_boxes", *SCORE}
DETECT = {"detect_boxes", *SEGMENT}
NOUNS = {"extract_nouns", *DETECT}
INDEX = {"index_refs", *NOUNS}
CHAIN = {
    "index_refs": INDEX,
    "extract_nouns": NOUNS,
    "detect_boxes": DETECT,
    "segment_boxes": SEGMENT,
    "score_candidates": SCORE,
    "select_masks": SELECT,
    "pretrain": PRETRAIN,
    "correct": CORRECT,
}
"""A rule and all after it."""


@dataclass(frozen=True)
class Row:
    """A change and the rules that run because of it, first the ones that the change itself concerns.

    config: YAML on top of config.yaml; edits: file -> (text, its replacement); touched: files or patterns; options: of
    the command line; because: what `snakemake -n` says, as a pattern.
    """

    name: str
    reruns: set[str] = field(default_factory=set)
    config: str = ""
    edits: dict[str, tuple[str, str]] = field(default_factory=dict)
    touched: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    targets: tuple[str, ...] = TARGETS
    because: str = ""


ROWS = [
    # a section of the config
    Row("the world of other datasets", set(), "micro: {images: {test: 3}, refcocog: {colour: 0.5, noun: 0, bare: 0}}"),
    Row("nouns", NOUNS, "nouns: {top_k: 2}", because=r"before: .*top_k.* now: .*top_k"),
    Row("nouns.encoder", NOUNS, "nouns: {encoder: {settings: {model: resources/micro/detector}}}", because="micro/det"),
    Row("detect", DETECT, "detect: {nms_iou: 0.5}", because=r'"nms_iou": 0.4.* now: .*"nms_iou": 0.5'),
    Row("detect.backend", DETECT, "detect: {backend: {settings: {box_threshold: 0.2}}}", because="box_threshold"),
    Row("segment", SEGMENT, "segment: {backend: {settings: {model: resources/micro/detector}}}", because="micro/detec"),
    Row("score", SCORE, "score: {blur_sigma: 20}", because="blur_sigma"),
    Row("select", SELECT, "select: {min_area: 60}", because=r'"min_area": 40.* now: .*"min_area": 60'),
    Row("network", PRETRAIN, "network: {drop_path: 0.1}", because="drop_path"),
    Row("pretrain", PRETRAIN, "pretrain: {lr: 1.0e-4}", because='"lr": 0.0006.* now: .*"lr": 0.0001'),
    Row("correct", CORRECT, "correct: {lr: 1.0e-4}", because='"lr": 0.0006.* now: .*"lr": 0.0001'),
    Row("evaluate", {*EVALUATE, "evaluate_masks"}, "evaluate: {bootstrap_samples: 10}", because="bootstrap_samples"),
    Row("compat, of Segment", DETECT, "compat: {detector_retry_plural: true}", because="detector_retry_plural"),
    Row("compat, of Select", SCORE, "compat: {clip_bgr: true}", because="clip_bgr"),
    Row("compat, of Correct", PRETRAIN, "compat: {lr_by_loader_length: true}", because="lr_by_loader_length"),
    Row("compat, of metrics", {"evaluate_masks"}, "compat: {oiou_skips_empty: true}", because="oiou_skips_empty"),
    Row("compat, of the truth", INDEX, "compat: {gt_overlap_hole: true}", because="gt_overlap_hole"),
    Row(
        "two numbers swapped",
        DETECT,
        "detect: {backend: {settings: {box_threshold: 0.15, text_threshold: 0.17}}}",
        because='"box_threshold": 0.17.* now: .*"box_threshold": 0.15',
    ),
    Row("the same numbers, written otherwise", config="correct: {lr: 0.0006}\nselect: {choice: score, min_area: 40}"),
    Row(
        "the values in force, by `--config`",
        options=("--config", "detect={backend: {settings: {box_threshold: 0.17}}}", "correct={init_from: null}"),
    ),
    # where and how wide jobs run
    Row("device", config="compute: {device: cpu}"),
    Row("threads", config="compute: {threads: 3}"),
    Row("batches", config="compute: {batch: {detect: 2, segment: 1, score: 16}}"),
    Row("GPUs of a training", config="compute: {gpus: 2}"),
    Row("save_minutes", config="compute: {save_minutes: 1}"),
    Row(
        "cores, GPUs and memory",
        options=("--cores", "4", "--resources", "gpu=2", "--set-resources", "train:mem_mb=9"),
    ),
    Row("shards", {*SEGMENT, "detect_boxes"}, "compute: {shards: 2}", because="Set of input files has changed"),
    # more data
    Row("another split", config="datasets: {refcoco: {splits: [train, val, testA, testB, testC]}}"),
    Row(
        "another dataset",
        config="datasets: {mine: {source: {layout: table, file: mine.csv, images: photos}, splits: [train]}}",
    ),
    # files
    Row("a result is touched", touched=("results/refcoco/refs.parquet", "results/refcoco/train/masks.h5")),
    Row("git checkout", touched=("**/*.py", "**/*.smk", "Snakefile", "config.yaml")),
    Row(
        "a result has other content",
        {*EVALUATE, "evaluate_masks"},
        edits={"results/refcoco/truth.h5": ("truth.h5", "other truth")},
        because="Updated input files",
    ),
    # code
    Row("a comment", edits={"ssc_core/segment/boxes.py": ("def detect_boxes(", "# a comment\ndef detect_boxes(")}),
    Row("a docstring", edits={"ssc_core/masks/rle.py": ('"""', '"""Other words. ')}),
    Row(
        "a function of Segment",
        DETECT,
        edits={"ssc_core/segment/nms.py": ("def class_nms(", "EDITED = 1\n\n\ndef class_nms(")},
        because="code of detect_boxes",
    ),
    Row(
        "a function of Select",
        SELECT,
        edits={"ssc_core/select/choice.py": ("import numpy as np", "import numpy as np\n\nEDITED = 1")},
        because="code of select_masks",
    ),
    Row(
        "a function of Correct",
        PRETRAIN,
        edits={"ssc_core/correct/matching.py": ("import torch", "import torch\n\nEDITED = 1\n")},
        because="code of train",
    ),
    Row(
        "a function of pictures",
        {"picture_of_evaluation"},
        edits={"ssc_core/report/examples.py": ("import numpy as np", "import numpy as np\n\nEDITED = 1\n")},
        because="code of write_eval_picture",
    ),
    Row(
        "the script of a rule",
        {"evaluate_masks"},
        edits={"workflow_scripts/evaluate_masks.py": ("def main(", "EDITED = 1\n\n\ndef main(")},
        because="code of evaluate_masks",
    ),
    Row(
        "the command of a rule",
        SELECT,
        edits={"rules/select.smk": ('"input.refs input.masks *input.scores', '"input.masks input.refs *input.scores')},
        because="Code has changed",
    ),
    # code of your own
    Row(
        "a reader of your own",
        INDEX,
        edits={"plugins/lines.py": ('split="train"', 'split=str("train")')},
        targets=OWN_TARGETS,
        because="layout plugins/lines.py:read",
    ),
    Row(
        "a visual prompt of your own",
        SCORE,
        edits={"plugins/grey.py": ("axis=2", "axis=-1")},
        because="visual prompt plugins/grey.py:grey_outside",
    ),
    Row("a loss of your own", CORRECT, edits={"plugins/sure.py": ("0.1", "0.2")}, because="loss plugins/sure.py:sure"),
    Row(
        "a network of your own",
        PRETRAIN,
        edits={"plugins/tiny.py": ("nn.ReLU()", "nn.GELU()")},
        because="network plugins/tiny.py:Tiny",
    ),
    Row(
        "weights that it names",
        PRETRAIN,
        edits={"my/weights.txt": ("weights", "others")},
        because="weights my/weights.txt",
    ),
    Row(
        "data that no setting names",
        NOUNS,
        edits={TAGGER: ("{}", "[]")},
        because=f"weights {TAGGER.rpartition('/')[0]}",
    ),
    Row("settings.py", edits={"ssc_core/config/settings.py": ("class Settings(", "EDITED = 1\n\n\nclass Settings(")}),
]  # fmt: skip


class House:
    """A copy of the repository with finished results, and a Snakemake that is asked for plans."""

    def __init__(self, folder: Path, python: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._command, self._environment = (str(python), "-m", "snakemake"), environment

    def snakemake(self, *arguments: str, code: int = 0) -> str:
        """Output of a call in the copy."""
        answer = subprocess.run(
            [*self._command, *arguments], cwd=self.folder, env=self._environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert answer.returncode == code, answer.stdout[-6000:]
        return answer.stdout

    def add_code(self) -> None:
        """A dataset and plug-ins of the user's own."""
        own = {"my/weights.txt": "weights", "my/refs.txt": "a.png\tthe dog\n", TAGGER: "{}"}
        for name, text in {**FILES, **own}.items():
            if name.startswith(("plugins/", "my/", "weights/")):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_text(text)
        (self.folder / "my/photos").mkdir()
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(self.folder / "my/photos/a.png")
        config = self.folder / "config.yaml"
        (self.folder / "own.yaml").write_text(OWN)
        config.write_text(yaml.safe_dump(read_layers([config, self.folder / "own.yaml"], {}), sort_keys=False))

    def finish(self) -> None:
        """Make every output, as a file that holds its own name, and have Snakemake note how."""
        targets = (*TARGETS, *OWN_TARGETS)
        summary = self.snakemake("--summary", *targets)
        for name in re.findall(r"^(results/\S+)\t", summary, re.MULTILINE):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        settings = load_settings(yaml.safe_load((self.folder / "config.yaml").read_text()))
        for name in ("refcoco", "own"):
            identity = {"identity": dataset_identity(settings, name)}
            (self.folder / f"results/{name}/data.json").write_text(json.dumps(identity))
        self.snakemake("--touch", "--forceall", "--cores", "1", *targets)

    @contextmanager
    def changed(self, row: Row) -> Iterator[list[str]]:
        """The copy with the change of a row; yields options."""
        before = {}
        for name, (old, new) in row.edits.items():
            path = self.folder / name
            before[path] = path.read_text()
            assert old in before[path], f"{name} does not hold {old!r} any more: update the row '{row.name}'"
            path.write_text(before[path].replace(old, new, 1))
        for pattern in row.touched:
            for path in self.folder.glob(pattern):
                path.touch()
        options = list(row.options)
        if row.config:
            (self.folder / "changed.yaml").write_text(row.config)
            options += ["--configfile", "changed.yaml"]
        yield options
        for path, text in before.items():
            path.write_text(text)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, clone, warm: Path, warm_environment: dict[str, str]) -> House:
    house = House(clone(tmp_path_factory.mktemp("rerun")), warm, warm_environment)
    house.add_code()
    house.finish()
    return house


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_runs_again(house: House, row: Row) -> None:
    with house.changed(row) as options:
        output = house.snakemake("--dry-run", *options, "--", *row.targets)
    assert planned(output) == row.reruns
    assert re.search(row.because, output), f"{row.because!r} is not among the reasons:\n{reasons(output)}"


def test_a_clock_that_goes_backwards(house: House) -> None:
    """Inputs that are newer than what was made from them, by a clock that was wrong, have the content they had."""
    future = time.time() + 30 * 24 * 3600
    for name in ("refs.parquet", "truth.h5", "train/masks.h5", "checkpoints/pretrain.pt"):
        os.utime(house.folder / "results/refcoco" / name, (future, future))
    assert planned(house.snakemake("--dry-run", "--", *TARGETS)) == set()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("micro: {seed: 5}", "micro.seed"),
        ("datasets: {refcoco: {source: {name: refcoco+}}}", "source.name"),
    ],
)
def test_other_data_stop_with_two_ways_out(house: House, config: str, words: str) -> None:
    with house.changed(Row("other data", config=config)) as options:
        output = house.snakemake("--dry-run", *options, "--", *TARGETS, code=1)
    assert words in output
    assert "another_folder" in output
    assert "rm -r results/refcoco" in output


@pytest.mark.parametrize(
    ("config", "targets", "said"),
    [
        ("correct: {init_from: weights/typo.pt}\nscore: {prompt: crop}", TARGETS, "init_from is weights/typo.pt, w"),
        ("correct: {init_from: results/refcoco/checkpoints/typo.pt}", TARGETS, "checkpoints/typo.pt, which is"),
        ("datasets: {refcoco: {checkpoint: weights/typo.pt}}", PUBLISHED, "checkpoint is weights/typo.pt, which"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_hides_no_change(
    house: House, config: str, targets: tuple[str, ...], said: str
) -> None:
    with house.changed(Row("a file that is not there", config=config)) as options:
        output = house.snakemake("-n", *options, "--", *targets, code=1)
    assert said in output
    assert "Traceback" not in output


def test_a_training_may_start_from_what_a_rule_makes(house: House) -> None:
    started = "correct: {init_from: results/refcoco/checkpoints/pretrain.pt, lr: 1.0e-4}"
    with house.changed(Row("a start of its own", config=started)) as options:
        assert planned(house.snakemake("-n", *options, "--", *TARGETS)) == CORRECT


def test_annotations_may_be_gone_until_they_would_be_read_again(house: House) -> None:
    limited = Row("limit", config="datasets: {own: {limit: 1}}")
    annotations = house.folder / "my/refs.txt"
    kept = annotations.rename(annotations.with_suffix(".kept"))
    try:
        assert planned(house.snakemake("-n", "--", *OWN_TARGETS)) == set()
        with house.changed(limited) as options:
            output = house.snakemake("-n", *options, "--", *OWN_TARGETS, code=1)
            assert planned(house.snakemake("-n", *options, "--rerun-triggers", "mtime", "--", *OWN_TARGETS)) == set()
    finally:
        kept.rename(annotations)
    assert "results/own/refs.parquet would have to be made again, and cannot: my/refs.txt not found" in output
    assert re.search("before: 0\nnow: limit 1\n", output)
    with house.changed(limited) as options:
        assert planned(house.snakemake("-n", *options, "--", *OWN_TARGETS)) == INDEX


def test_a_new_split_runs_what_it_needs_and_nothing_else(house: House) -> None:
    output = house.snakemake("--dry-run", "--", *TARGETS, "results/refcoco/eval_testA.json")
    assert planned(output) == {"evaluate"}
    output = house.snakemake("--dry-run", "--", *TARGETS, "results/refcoco/eval_masks_testA.json")
    labelled = {"extract_nouns", "detect_boxes", "segment_boxes", "score_candidates", "gather", "select_masks"}
    assert planned(output) == {*labelled, "evaluate_masks"}


def test_the_page_has_every_row() -> None:
    """docs/operations.md: | change | such as | rules that run again |, in this order."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("## What runs again")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    assert [(name, rules_of(rules)) for name, _, rules in rows[1:]] == [(row.name, row.reruns) for row in ROWS]


def rules_of(cell: str) -> set[str]:
    """`a`, `b`: these rules; `a` and all after it: the chain from there."""
    names = re.findall(r"`(\w+)`", cell)
    return CHAIN[names[0]] if "all after it" in cell else set(names)


def planned(output: str) -> set[str]:
    """Rules of a dry run's table; trainings by their phase."""
    if "Nothing to be done" in output:
        return set()
    rules = PLANNED.findall(output.split("Job stats:")[1].split("\n\n")[0])
    return {*rules, *PHASE.findall(output)} - {"total", "all", "train"}


def reasons(output: str) -> str:
    return "\n".join(re.findall(r"^Reason: .*$", output, re.MULTILINE))
