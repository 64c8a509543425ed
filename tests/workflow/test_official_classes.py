"""Every part of today labels a split of the micro world through the rules, as a network of the official class with
random weights, in two shards: killed in the middle of each stage and resumed, and in one go. The bytes are the same.

Both runs have as many shards: which photos share a batch may decide on the last bit of a convolution (MobileCLIP's).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ssc_core.config.variants import label
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.select.ensemble import weights_of
from tests import warm_python
from tests.unit.segment import tiny_networks as tiny
from tests.unit.select.tiny_chat_models import make_qwen3_vl
from tests.unit.select.tiny_open_clip import TAGS, has_own_tokenizer, save_weights, small

PHOTOS = 6
SHARDS = 2
RUNS = ("killed", "whole")

DETECTORS = {"mm_grounding_dino": {"box_threshold": 0.012}, "owlv2": {"threshold": 0.9}}
CONCEPTS = {"sam3": {"threshold": 0.25}, "sam3_lite_text": {"threshold": 0.25}}
SEGMENTERS = ("sam2", "sam_hq", "sam3_tracker", "edgetam")
NAMED = {name.split("-")[0].lower() + str(number): name for number, name in enumerate(TAGS)}
"""Encoders by names of open_clip; in the config each has a name of its own."""
SCORERS = (*NAMED, "open_clip_dense", "tipsv2", "clipseg", "chooser")

VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"detect.backend": {"name": name, "settings": {"model": name, **own}}} for name, own in DETECTORS.items()},
    **{name: {"segment.backend": {"name": name, "settings": {"model": name}}} for name in SEGMENTERS},
    **{
        name: {"detect.backend": None, "segment.backend": {"name": name, "settings": {"model": name, **own}}}
        for name, own in CONCEPTS.items()
    },
}
"""What finds candidates: changes of a config whose own parts are the micro world's."""


def save_parts(folder: Path, words: Path, patch: pytest.MonkeyPatch) -> None:
    """A folder or file of each part."""

    def new(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    tiny.save_mm_grounding_dino(new("mm_grounding_dino"), tiny.save_bert(new("bert")))
    tiny.save_owlv2(new("owlv2"))
    tiny.save_sam3(new("sam3"))
    tiny.save_sam3(new("sam3_lite_text"), lite=True)
    tiny.save_sam2(new("sam2"))
    tiny.save_sam_hq(new("sam_hq"))
    tiny.save_sam3_tracker(new("sam3_tracker"))
    tiny.save_edgetam(new("edgetam"))
    tiny.save_tipsv2(new("tipsv2"))
    tiny.save_clipseg(new("clipseg"))
    make_qwen3_vl(new("chooser"))
    for name, published in NAMED.items():
        for mapping, key, value in small(published, words):
            patch.setitem(mapping, key, value)
        save_weights(published, folder / f"{name}.safetensors")


def config(results: str, words: Path) -> dict[str, Any]:
    backends = {name: {"name": name, "settings": {"model": name}} for name in ("tipsv2", "clipseg", "chooser")}
    for name, published in NAMED.items():
        tokenizer = {"tokenizer": str(words)} if has_own_tokenizer(published) else {}
        settings = {"model": published, "pretrained": f"{name}.safetensors", **tokenizer}
        backends[name] = {"name": "open_clip", "settings": settings}
    siglip = backends[next(iter(NAMED))]
    backends["open_clip_dense"] = {"name": "open_clip_dense", "settings": siglip["settings"]}
    return {
        "results": results,
        "micro": {"images": {"train": PHOTOS, "val": 1, "testA": 1, "testB": 1}},
        "datasets": dict.fromkeys(("refcoco+", "refcocog_umd", "refcocog_google")),
        "studies": dict.fromkeys(("report", "select", "ablations", "results"))
        | {f"results_{name}": None for name in ("refcoco+", "refcocog_umd")},
        "scorers": {name: {"backend": backends[name], "prompt": "reverse_blur"} for name in SCORERS},
        "select": {"min_area": 0, "weights": dict.fromkeys(SCORERS, 1.0)},
        "compute": {"shards": SHARDS, "threads": 1, "device": "cpu"},
    }


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PATH whose python is warm, has small networks, and dies in the middle of each stage."""
    command = [sys.executable, "-m", "tests.workflow.dying_python", str(root / "resources/micro/clip")]
    with warm_python.running(tmp_path_factory.mktemp("dying") / "server", command) as client:
        yield f"{client.parent}{os.pathsep}{Path(sys.executable).parent}"


@pytest.fixture(scope="module")
def folder(root: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both runs were made; ``killed jobs`` holds a file for each job that killed itself."""
    if not os.environ.get("SSC_TEST_PARTS"):
        pytest.skip("some hundred jobs, which take minutes: `make test-parts` runs it")
    folder = tmp_path_factory.mktemp("official")
    python = request.getfixturevalue("python")  # not started where the test is skipped
    words = root / "resources/micro/clip"
    with pytest.MonkeyPatch.context() as patch:
        save_parts(folder, words, patch)
    for results in RUNS:
        (folder / f"{results}.yaml").write_text(yaml.safe_dump(config(results, words)))

    def run(results: str) -> subprocess.CompletedProcess[str]:
        targets = [f"{results}/refcoco/train/selected.h5"]
        targets += [f"{results}/refcoco/{label(changes)}train/masks.h5" for changes in VARIANTS.values()]
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--cores", "2"]
        command += ["--keep-going", "--configfile", f"{results}.yaml", "--", *targets]
        environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    (folder / "died").mkdir()
    for stage in ("boxes", "masks", "scores", None):  # each died where the one before it was gone on with
        ended = run("killed")
        assert ("killed by signal 9" in ended.stdout) == (stage is not None) == bool(ended.returncode), ended.stdout
    (folder / "died").rename(folder / "killed jobs")  # so that no job dies any more
    ended = run("whole")
    assert ended.returncode == 0, ended.stdout[-6000:]
    return folder


def test_each_job_with_a_model_died_once(folder: Path) -> None:
    died = [path.name for path in (folder / "killed jobs").iterdir()]
    shards = re.compile(r"killed_refcoco_(.*)train_shards_(.*)\.0-of-2\.h5")
    found = {match.groups() for match in map(shards.fullmatch, died) if match}
    assert len(found) == len(died)
    kinds = [kind for _, kind in found]
    assert kinds.count("boxes") == 1 + len(DETECTORS)
    assert kinds.count("masks") == 1 + len(VARIANTS)
    assert {kind for kind in kinds if kind.startswith("scores")} == {"scores", *(f"scores_{name}" for name in SCORERS)}


@pytest.mark.parametrize("part", VARIANTS)
def test_boxes_masks_and_candidates_are_the_same_bytes(folder: Path, part: str) -> None:
    killed, whole = (folder / results / "refcoco" / label(VARIANTS[part]) / "train/masks.h5" for results in RUNS)
    assert killed.read_bytes() == whole.read_bytes()
    with MaskStore.open(whole) as store:
        found = sum(len(store.instances(image)) for image in store.image_ids.tolist())
        assert len(store.image_ids) == PHOTOS and found >= PHOTOS
        stage = "detect" if part in DETECTORS else "segment"
        assert store.info.settings[stage]["backend"]["name"] == part


@pytest.mark.parametrize("part", SCORERS)
def test_scores_are_the_same_bytes(folder: Path, part: str) -> None:
    killed, whole = (folder / results / f"refcoco/train/scores_{part}.h5" for results in RUNS)
    assert killed.read_bytes() == whole.read_bytes()
    with ScoreStore(whole) as store:
        scores = [store.scores(ref) for ref in store.ref_ids.tolist()]
        assert store.info.settings["scorer"] == part
        assert any(len(np.unique(one)) > 1 for one in scores) and all(np.isfinite(one).all() for one in scores)


def test_choices_of_all_scorers_together_are_the_same_bytes(folder: Path) -> None:
    killed, whole = (folder / results / "refcoco/train/selected.h5" for results in RUNS)
    assert killed.read_bytes() == whole.read_bytes()
    with SelectionStore(whole) as store:
        assert weights_of(store) == dict.fromkeys(("default", *SCORERS), 1.0)
