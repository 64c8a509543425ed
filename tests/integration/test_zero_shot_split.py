"""`ssc predict --zero-shot` and the workflow's rules on the same refs, with the micro world's own models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microworld.refer_layout import write_world
from ssc_core.cli.config_files import read_config
from ssc_core.config.labelling import CandidateSettings
from ssc_core.config.settings import Settings
from ssc_core.config.sources import DatasetSource
from ssc_core.config.world import WorldSettings
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.predict.zero_shot import ZeroShot
from ssc_core.refer.images import load_image
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.segment.boxes import detect_boxes
from ssc_core.segment.masks import segment_boxes
from ssc_core.segment.nouns import class_names_for, extract_nouns
from ssc_core.select.score_stage import score_candidates
from ssc_core.select.stage import select_masks

SPLIT = "val"

Changes = dict[str, dict[str, Any]]

DEFAULT: Changes = {}
BEYOND: Changes = {"select": {"spatial_weight": 20, "assignment": "joint", "per": "sentence"}}
PUBLISHED: Changes = {
    "detect": {"nms_iou": None},
    "select": {"min_area": 80},
    "compat": {
        "detector_retry_plural": True,
        "candidates_any_noun": True,
        "query_order": True,
        "unclipped_boxes": True,
        "clip_bgr": True,
        "merged_masks": True,
    },
}
RANDOM: Changes = {"select": {"choice": "random", "seed": 5}, "compat": {"blind_to_size": True}}


@dataclass(frozen=True)
class World:
    """A dataset of a few scenes, indexed."""

    folder: Path
    refs: Path
    images: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    scenes = WorldSettings(images={"train": 1, "val": 6, "testA": 1, "testB": 1, "test": 1})
    write_world(folder / "world", "refcoco", scenes, workers=1)
    source = DatasetSource(layout="refer", root=folder / "world", name="refcoco", split_by="unc")
    refs, truth = folder / "refs.parquet", folder / "truth.h5"
    build_index(dataset="refcoco", source=source, out_refs=refs, out_truth=truth, check_counts=False)
    return World(folder, refs, source.images_folder)


def changed(changes: Changes) -> Settings:
    config = read_config(find_models=True).model_dump(mode="json")
    for section, values in changes.items():
        config[section] |= values
    return Settings.model_validate(config)


def run_rules(world: World, settings: Settings) -> dict[str, Path]:
    """What the rules write, by name."""
    out = {name: world.folder / f"{name}.h5" for name in ("boxes", "masks", "scores", "selected")}
    nouns, compat, on = world.folder / "nouns.parquet", settings.compat, {"device": "cpu", "threads": 1}
    photos = {"refs": world.refs, "images": world.images, "compat": compat, **on}
    extract_nouns(refs=world.refs, split=SPLIT, out=nouns, settings=settings.nouns, **on)
    detect_boxes(**photos, nouns=nouns, split=SPLIT, out=out["boxes"], settings=settings.detect)
    both = CandidateSettings(detect=settings.detect, segment=settings.segment)
    segment_boxes(**photos, nouns=nouns, boxes=out["boxes"], out=out["masks"], settings=both)
    score_candidates(**photos, split=SPLIT, masks=out["masks"], out=out["scores"], settings=settings.score)
    made = {"masks": out["masks"], "scores": [out["scores"]], "out": out["selected"]}
    select_masks(refs=world.refs, split=SPLIT, **made, settings=settings.select, compat=compat)
    return out


@pytest.mark.parametrize(
    "changes", [DEFAULT, BEYOND, PUBLISHED, RANDOM], ids=["default", "beyond", "published", "random"]
)
def test_predict_chooses_what_the_rules_choose(world: World, changes: Changes) -> None:
    settings = changed(changes)
    files = run_rules(world, settings)
    model = ZeroShot(settings, class_names=class_names_for(settings.nouns, world.refs), device="cpu", threads=1)
    several = chosen = 0
    with MaskStore(files["masks"]) as masks, ScoreStore(files["scores"]) as scores:
        selected = SelectionStore(files["selected"])
        for refs in refs_by_image(read_refs(world.refs, SPLIT)).values():
            photo = load_image(world.images / refs[0].file_name)
            answers = model(photo, [ref.sentences for ref in refs], [ref.ref_id for ref in refs])
            for ref, answer in zip(refs, answers, strict=True):
                candidates = read_candidates(masks, ref.ref_id, merged=settings.compat.merged_masks)
                np.testing.assert_array_equal(answer.masks, candidates.masks())
                np.testing.assert_allclose(answer.scores, scores.scores(ref.ref_id), atol=2e-3)
                for sentence in range(len(ref.sentences)):
                    np.testing.assert_array_equal(answer.mask(sentence), selected.mask(ref.ref_id, sentence))
                several += len(candidates) > 1
                chosen += bool(answer.mask(0).any())
    assert several >= 5 and chosen >= 10, "enough to choose from"
