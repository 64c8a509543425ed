"""Every stage on real photos with real models behind the plug-in contract.

Training for seconds on four photos teaches nothing: what is checked is the path, and the stages whose models are real.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ssc_core.config.labelling import CandidateSettings, CompatSettings, DetectSettings, SegmentSettings
from ssc_core.evaluate.schema import read_eval
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.refer.truth import TruthStore
from tests.files import write_nouns

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def plugins(real_sample: Path) -> dict[str, dict]:
    file = real_sample / "onnx_backends.py"
    return {
        "detect": {"name": f"{file}:YoloxNanoDetector", "settings": {}},
        "segment": {"name": f"{file}:MobileSamSegmenter", "settings": {}},
    }


@pytest.fixture(scope="module")
def results(snakemake, real_sample: Path, plugins: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main job on eight real photos: 15 refs, four photos to train on and four to evaluate."""
    folder = tmp_path_factory.mktemp("real")
    phase = {"epochs": 2, "warmup_steps": 1}
    config = {
        "results": str(folder / "results"),
        "allow_toy_models": True,  # no encoder that knows photos lies in the sample
        "datasets": {
            "refcoco": {"source": {"layout": "refer", "root": str(real_sample), "name": "refcoco", "split_by": "unc"}}
        },
        "detect": {"backend": plugins["detect"]},
        "segment": {"backend": plugins["segment"]},
        "select": {"min_area": 500},
        "score": {"blur_sigma": 50},
        "pretrain": phase,
        "correct": {**phase, "prior_weight": 0.5},
    }
    (folder / "real.yaml").write_text(yaml.safe_dump(config))
    out = folder / "results" / "refcoco"
    targets = [str(out / "eval_val.json"), str(out / "eval_masks_val.json"), str(out / "eval_masks_train.json")]
    snakemake("--cores", "2", "--configfile", str(folder / "real.yaml"), "--", *targets)
    return out


def test_the_whole_path(results: Path) -> None:
    refs = read_refs(results / "refs.parquet")
    assert (refs["ref_id"].nunique(), len(refs), refs["image_id"].nunique()) == (15, 40, 8)
    evaluation = read_eval(results / "eval_val.json")
    assert evaluation.world == "toys", "an encoder of the micro world had a part in it"
    (kept,) = evaluation.training["kept_matches"]  # of the second epoch
    assert 0 <= kept <= 1
    annotated = set(TruthStore(results / "truth.h5").ref_ids)
    in_val = refs[(refs["split"] == "val") & refs["ref_id"].isin(annotated)]
    assert (evaluation.n_refs, evaluation.n_sentences) == (in_val["ref_id"].nunique(), len(in_val))


def test_candidates_of_real_models_hold_the_objects(results: Path) -> None:
    evaluations = [read_eval(results / f"eval_masks_{split}.json") for split in ("train", "val")]
    assert sum(e.n_refs for e in evaluations) == 8
    assert all(e.choices["best"].mIoU >= e.choices["selected"].mIoU for e in evaluations)
    assert evaluations[1].choices["best"].mIoU > 20


def test_best_candidates_are_as_good_as_the_samples_readme_says(
    results: Path, real_sample: Path, plugins: dict, tmp_path: Path
) -> None:
    from ssc_core.segment.boxes import detect_boxes
    from ssc_core.segment.masks import segment_boxes

    text = (real_sample / "README.md").read_text()
    stated = re.search(r"annotated refs is ((?:[\d.]+\s+)+[\d.]+)", text)
    assert stated
    expected = [float(value) for value in stated.group(1).rstrip(".").split()]

    table, truth = read_refs(results / "refs.parquet"), TruthStore(results / "truth.h5")
    found: dict[int, float] = {}
    images = real_sample / "images" / "mscoco" / "images" / "train2014"
    for split in ("train", "val"):
        nouns = tmp_path / f"nouns_{split}.parquet"
        _write_true_classes(nouns, table[table["split"] == split])
        shared = {"refs": results / "refs.parquet", "nouns": nouns, "images": images, "threads": 2}
        boxes, masks = tmp_path / f"boxes_{split}.h5", tmp_path / f"masks_{split}.h5"
        detect = DetectSettings(backend=plugins["detect"])
        segment = CandidateSettings(detect=detect, segment=SegmentSettings(backend=plugins["segment"]))
        compat = CompatSettings()
        detect_boxes(**shared, split=split, out=boxes, settings=detect, compat=compat, device="cpu")
        segment_boxes(**shared, boxes=boxes, out=masks, settings=segment, compat=compat, device="cpu")
        with MaskStore.open(masks) as store:
            for ref_id in store.ref_ids.tolist():
                if truth.has(ref_id):
                    candidates, mask = store.masks(store.candidates(ref_id).rows), truth.mask(ref_id)
                    ious = (candidates & mask).sum((1, 2)) / (candidates | mask).sum((1, 2))
                    found[ref_id] = float(ious.max(initial=0))
    measured = [found[ref_id] for ref_id in dict.fromkeys(table["ref_id"]) if ref_id in found]
    assert measured == pytest.approx(expected, abs=0.02)


def _write_true_classes(path: Path, table: pd.DataFrame) -> None:
    """A nouns.parquet that asks for the annotated classes."""
    rows = [
        {
            "ref_id": ref.ref_id,
            "image_id": image_id,
            "nouns": [[ref.category]] * len(ref.sentences),
            "classes": [[ref.category]] * len(ref.sentences),
            "query": ref.category,
        }
        for image_id, refs in refs_by_image(table).items()
        for ref in refs
    ]
    write_nouns(path, rows)
