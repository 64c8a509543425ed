"""A concept segmenter, pair scorers and an ensemble through the rules: the plan, shards, kill -9, resumption, bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.cpu_environment import KEEPS_MEMORY
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore

PLUGIN = '''
"""Parts that find squares by their colour, and kill their process once where a file says so."""

import json
import os
import signal
from pathlib import Path

import numpy as np

from ssc_core.backends import ConceptInstances, Detections

COLOURS = {"red": 0, "green": 1, "blue": 2}


def die_once(name):
    halt = Path(f"halt_{name}")
    if halt.exists():
        halt.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class Squares:
    """A concept segmenter: "red square" finds what is red; "square" finds all."""

    def __init__(self):
        self.photos = 0
        Path("environment.json").write_text(json.dumps(dict(os.environ)))

    def segment_concepts(self, images, phrases):
        self.photos += len(images)
        if self.photos > 1:
            die_once("segment")
        return [self._one(image, asked) for image, asked in zip(images, phrases, strict=True)]

    def _one(self, image, asked):
        boxes, labels, masks = [], [], []
        for label, phrase in enumerate(asked):
            for name, channel in COLOURS.items():
                mask = (image[..., channel] > 200) & (image.min(axis=2) < 50)
                if mask.any() and phrase in (f"{name} square", "square"):
                    ys, xs = np.nonzero(mask)
                    boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                    labels.append(label)
                    masks.append(mask)
        count = len(labels)
        found = Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.linspace(0.9, 0.5, count), np.array(labels, np.int64)
        )
        stack = np.array(masks, bool).reshape(count, *image.shape[:2])
        return ConceptInstances(found, stack, np.full(len(asked), 0.5, np.float32))


class Colour:
    """A pair scorer: how much of its colour a candidate has."""

    scale = "share of the colour"

    def score_pairs(self, image, masks, sentences):
        die_once("score")
        means = np.array([image[mask].mean(axis=0) for mask in masks]) / 255
        return np.array([means[:, next(c for n, c in COLOURS.items() if n in text)] for text in sentences])


class Dark(Colour):
    """The opposite."""

    scale = "lack of the colour"

    def score_pairs(self, image, masks, sentences):
        return -super().score_pairs(image, masks, sentences)
'''

CONFIG = """
results: {results}
datasets:
  refcoco: null
  refcoco+: null
  refcocog_umd: null
  refcocog_google: null
  squares: {{source: {{layout: table, file: refs.csv, images: photos}}, splits: [train]}}
studies: {{}}
nouns: {{project: false, ask: {ask}}}
detect: {{backend: null}}
segment: {{backend: {{name: "parts.py:Squares"}}}}
score: {{backend: {{name: "parts.py:Colour"}}}}
scorers: {{dark: {{backend: {{name: "parts.py:Dark"}}}}}}
select: {{min_area: 0}}
compute: {{shards: {shards}, threads: 1, device: cpu}}
"""
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "photos").mkdir()
    rows = ["image,sentences"]
    for number in range(6):
        photo = np.full((32, 40, 3), 128, np.uint8)
        for place, channel in enumerate((number % 3, (number + 1) % 3)):
            photo[8:20, 2 + 20 * place : 14 + 20 * place] = np.eye(3, dtype=np.uint8)[channel] * 255
            rows.append(f"{number}.png,{COLOURS[channel]} square")
        Image.fromarray(photo).save(folder / "photos" / f"{number}.png")
    (folder / "refs.csv").write_text("\n".join(rows) + "\n")
    (folder / "parts.py").write_text(PLUGIN)
    for name, ask, shards in (("killed", "classes", 3), ("whole", "classes", 1), ("phrases", "phrases", 2)):
        (folder / f"{name}.yaml").write_text(CONFIG.format(results=name, ask=ask, shards=shards))
    return folder


def files(folder: Path, variant: str = "") -> dict[str, bytes]:
    names = ("masks.h5", "scores.h5", "scores_dark.h5")
    found = {name: (folder / "squares/train" / name).read_bytes() for name in names}
    return {**found, "selected.h5": (folder / "squares" / variant / "train/selected.h5").read_bytes()}


def test_the_plan_has_no_boxes_and_a_job_of_each_scorer_with_a_weight(snakemake, folder: Path) -> None:
    target = "whole/squares/{}train/selected.h5"
    one, both = (
        snakemake("-n", "--configfile", "whole.yaml", "--", target.format(variant), cwd=folder).stdout
        for variant in ("", "select.weights.dark=2/")
    )
    count = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)
    alone, more = (dict(count.findall(text.split("Job stats:")[1])) for text in (one, both))
    assert "detect_boxes" not in alone and alone["segment_boxes"] == alone["score_candidates"] == "1"
    assert int(more.pop("total")) - int(alone.pop("total")) == 2
    assert more == alone | {"score_candidates_with": "1", "gather_scores_of": "1"}
    refused = snakemake(
        "-n", "--configfile", "whole.yaml", "--", "whole/squares/train/boxes.h5", cwd=folder, check=False
    )
    assert refused.returncode and "detect.backend is null" in refused.stdout


def test_killed_twice_and_resumed_in_shards_the_bytes_are_those_of_a_quiet_run(snakemake, folder: Path) -> None:
    variant = "select.weights.dark=2/"
    targets = [f"{{}}/squares/{name}train/selected.h5" for name in ("", variant)]

    def run(results: str, check: bool = True):
        wanted = [target.format(results) for target in targets]
        return snakemake("--configfile", f"{results}.yaml", "--cores", "1", "--", *wanted, cwd=folder, check=check)

    for name in ("segment", "score"):
        (folder / f"halt_{name}").touch()
        died = run("killed", check=False)
        assert died.returncode and not (folder / f"halt_{name}").exists(), died.stdout[-2000:]
        assert not (folder / "killed/squares/train/selected.h5").exists()
    run("killed")
    run("whole")
    for one in ("", variant):
        assert files(folder / "killed", one) == files(folder / "whole", one)

    home = folder / "whole/squares"
    with MaskStore.open(home / "train/masks.h5") as masks, ScoreStore(home / "train/scores_dark.h5") as dark:
        assert all(len(masks.candidates(ref)) == 2 for ref in masks.ref_ids.tolist())
        first = masks.candidates(1)
        assert first.box_scores.tolist() == pytest.approx((first.mask_scores * 0.5).tolist())
        assert (dark.info.settings["scorer"], dark.info.settings["scale"]) == ("dark", "lack of the colour")
    with (
        SelectionStore(home / "train/selected.h5") as own,
        SelectionStore(home / variant / "train/selected.h5") as other,
    ):
        assert all(own.chosen(ref) != other.chosen(ref) for ref in own.ref_ids.tolist())
    before = snakemake(
        "-n", "--configfile", "whole.yaml", "--", "whole/squares/select.weights.dark=3/train/selected.h5", cwd=folder
    ).stdout
    assert "select_masks" in before and "score_candidates" not in before, "weights cost no scores"


def test_refs_that_ask_by_phrases_get_their_instances_alone(snakemake, folder: Path) -> None:
    snakemake("--configfile", "phrases.yaml", "--cores", "1", "--", "phrases/squares/train/masks.h5", cwd=folder)
    with MaskStore.open(folder / "phrases/squares/train/masks.h5") as masks:
        assert masks.info.class_names == ("blue square", "green square", "red square")
        assert all(len(masks.candidates(ref)) == 1 for ref in masks.ref_ids.tolist())
    environment = json.loads((folder / "environment.json").read_text())
    assert KEEPS_MEMORY.items() <= environment.items(), "no shell line says something else"
