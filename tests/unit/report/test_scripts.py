from __future__ import annotations

import json
from pathlib import Path

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.config.methods import METHODS
from ssc_core.evaluate.eval_table import StudyRows
from ssc_core.evaluate.schema import ModelEval, read_eval
from ssc_core.report.results_page import PageFiles, write_results_page
from tests.unit.report.conftest import PHOTOS
from workflow_scripts import evaluate_chosen
from workflow_scripts._evaluation import Evaluation


def test_the_page_says_the_studys_note_and_what_was_repaired(
    results: Path, photos_folder: Path, tmp_path: Path
) -> None:
    folder = results / "refcoco"
    drawn, photos = tmp_path / "drawn.json", tmp_path / "photos.json"
    drawn.write_text(json.dumps({"identity": json.dumps({"world": "micro", "edition": 7})}))
    photos.write_text(json.dumps({"identity": json.dumps({"world": "files"})}))
    write_results_page(
        PageFiles(
            evals=[folder / "eval_val.json", folder / "eval_masks_val.json"],
            matching=[folder / "checkpoints" / "correct.matching.csv"],
            curves=[folder / "checkpoints" / "pretrain.csv"], beyond=[],
            refs=folder / "refs.parquet", truth=folder / "truth.h5", masks=folder / "val" / "masks.h5",
            selected=folder / "val" / "selected.h5", network=folder / "eval_val.json",
            candidates=folder / "eval_masks_val.json", data=[drawn, photos],
        ),
        images=photos_folder, page=tmp_path / "docs" / "results.md",
        repaired=tmp_path / "docs" / "images" / "repaired.png",
        learning=tmp_path / "docs" / "images" / "learning.svg", rows=StudyRows([]), note="A note of the study.",
    )  # fmt: skip
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "nothing here was typed. A note of the study.\n" in text
    assert "[edition 7]" in text
    assert text.count(f"Select picks wrong (IoU under 0.5) for {PHOTOS} of {3 * PHOTOS} sentences") == 1
    assert "(images/repaired.png)" in text and "(images/learning.svg)" in text
    assert (tmp_path / "docs" / "images" / "learning.svg").is_file()


def test_a_networks_choice_is_a_method_of_its_own(results: Path, tmp_path: Path) -> None:
    folder = results / "refcoco"
    (tmp_path / "data.json").write_text(json.dumps({"dataset": "refcoco", "world": "micro"}))
    evaluate_chosen.main(
        Evaluation(
            refs=folder / "refs.parquet", truth=folder / "truth.h5", data=tmp_path / "data.json", split="val", code="",
            chain='{"correct": {"epochs": 3}, "compat.clip_bgr": true}',
            settings=EvaluateSettings(bootstrap_samples=0), report=tmp_path / "eval_corrected_choice_val.json",
        ),
        chosen=folder / "val" / "selected.h5", method="corrected",
    )  # fmt: skip
    found = read_eval(tmp_path / "eval_corrected_choice_val.json")
    assert isinstance(found, ModelEval)
    assert found.method == "corrected_choice"
    assert (found.settings["correct"], found.settings["compat.clip_bgr"]) == ({"epochs": 3}, True)
    assert found.method in METHODS
