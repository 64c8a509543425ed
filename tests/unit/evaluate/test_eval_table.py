from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate.eval_table import study_summary, study_table
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.evaluate.schema import MasksEval, read_eval, write_eval
from tests.unit.evaluate.conftest import SIZE, Truths

MEASURED = {"oIoU": 50.0, "mIoU": 40.0, "precision": {"0.5": 30.0}, "ci95": None}
CHOICE = {
    **MEASURED,
    "test_only": False,
    "per_sentence": {"480": {**MEASURED, "oIoU": 51.0}, "native": MEASURED},
    "empty": 0,
    "by_category": {},
    "by_num_candidates": {},
    "by_object_size": {},
}


@pytest.fixture
def masks_eval(meta: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "eval_masks_val.json"
    content = {
        **meta, "kind": "masks", "split": "val", "per": "ref", "n_refs": 3, "n_pairs": 3, "n_images": 2,
        "refs_without_truth": 0, "resolution": "native", "oiou_skips_empty": False, "empty_truths": 0,
        "candidates": {"mean": 2.5, "max": 4, "share_empty": 0.1, "histogram": {}},
        "choices": {"first": CHOICE, "selected": CHOICE, "best": CHOICE},
    }  # fmt: skip
    write_eval(path, MasksEval.model_validate(content))
    return path


def model_eval(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path, *, seed: int, full: bool
) -> Path:
    path = tmp_path / f"eval_{seed}.json"
    evaluate_stored(
        refs=refs, split="val", truth=truth, mask_of=lambda _: np.full(SIZE, full), out=path,
        settings=EvaluateSettings(bootstrap_samples=9), meta=meta,
    )  # fmt: skip
    return path


def test_a_masks_row_is_given_in_both_measures(masks_eval: Path) -> None:
    table = study_table([masks_eval], [("crop", 0)])
    assert table[["variant", "seed", "method", "per", "resolution", "oIoU"]].to_numpy().tolist() == [
        ["crop", 0, "selected", "ref", "native", 50.0],
        ["crop", 0, "selected", "sentence", "480", 51.0],
        ["crop", 0, "best", "ref", "native", 50.0],
        ["crop", 0, "best", "sentence", "480", 51.0],
    ]
    assert table["candidates"].tolist() == [2.5] * 4


def test_a_study_without_seeds_has_those_of_its_trainings(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], masks_eval: Path, tmp_path: Path
) -> None:
    network = model_eval(refs, truth, {**meta, "seed": 3}, tmp_path, seed=3, full=True)
    table = study_table([masks_eval, network], [("config", None), ("config", None)])
    assert table.loc[table["method"] == "corrected", "seed"].tolist() == [3]
    assert study_summary(table).set_index("method").loc["corrected", "seeds"] == 1


@pytest.mark.parametrize(("per", "resolution", "told"), [
    ("ref", "native", [("ref", "native", 50.0), ("sentence", "native", 52.0)]),
    ("sentence", "native", [("sentence", "native", 52.0)]),
    ("sentence", "480", [("sentence", "native", 50.0), ("sentence", "480", 51.0)]),
])  # fmt: skip
def test_no_measure_of_a_choice_is_told_twice(masks_eval: Path, per: str, resolution: str, told: list[Any]) -> None:
    content = json.loads(masks_eval.read_text())
    content |= {"per": per, "settings": {"evaluate": {"resolution": resolution}}}
    content["choices"]["selected"]["per_sentence"]["native"]["oIoU"] = 52.0
    masks_eval.write_text(json.dumps(content))
    table = study_table([masks_eval], [("config", 0)])
    rows = table.loc[table["method"] == "selected", ["per", "resolution", "oIoU"]]
    assert list(rows.itertuples(index=False, name=None)) == told


def test_seeds_have_a_mean_and_a_spread(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], masks_eval: Path, tmp_path: Path
) -> None:
    evals = [model_eval(refs, truth, meta, tmp_path, seed=seed, full=bool(seed)) for seed in (0, 1)]
    full = read_eval(evals[1]).oIoU
    rows = [("crop", 0), ("random", 0), ("random", 1)]
    summary = study_summary(study_table([masks_eval, *evals], rows)).set_index(["method", "resolution"])
    network = summary.loc[("corrected", "480")]
    assert network[["seeds", "oIoU"]].tolist() == [2, pytest.approx(full / 2)]
    assert network["oIoU_sd"] == pytest.approx(full / 2**0.5)
    assert summary.loc[("best", "480"), "seeds"] == 1
