from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ssc_core.report.repaired import compare, repaired_line, repairs, write_repaired_picture
from ssc_core.tables import read_frame, write_frame
from tests.unit.report.conftest import PHOTOS


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results / "refcoco", tmp_path / "refcoco"))


def compared(folder: Path) -> pd.DataFrame:
    return compare(folder / "eval_val.json", folder / "eval_masks_val.json")


def draw(folder: Path, photos: Path, out: Path) -> None:
    write_repaired_picture(
        refs=folder / "refs.parquet", truth=folder / "truth.h5", masks=folder / "val" / "masks.h5",
        selected=folder / "val" / "selected.h5", network=folder / "eval_val.json",
        candidates=folder / "eval_masks_val.json", images=photos, out=out, count=4,
    )  # fmt: skip


def test_repairs(folder: Path) -> None:
    # Select always takes the left disc; the network knows "left" and "right" and answers "disc" with nothing
    assert repairs(compared(folder)) == {"wrong": PHOTOS, "repaired": PHOTOS, "right": 2 * PHOTOS, "lost": PHOTOS}


def test_a_choice_per_sentence_is_compared_with_the_answer_to_that_sentence(folder: Path) -> None:
    """Two sentences of the left disc, of which Select gets the second wrong."""
    path = folder / "eval_masks_val.parquet"
    per_ref = read_frame(path, made_by="evaluate_masks")
    again = per_ref[per_ref["sentences"] == 2].assign(sentence=1, iou_selected=0.0)
    write_frame(path, pd.concat([per_ref, again]).assign(sentences=1))
    found = compared(folder).set_index(["ref_id", "sentence_number"])["select_iou"]
    assert found[1].tolist() == [1.0, 0.0]
    assert repairs(compared(folder))["lost"] == 0, "the network answers that sentence with nothing, too"


def test_a_network_that_is_worse_than_the_picks_is_no_success() -> None:
    answers = pd.DataFrame({"select_iou": [0.0, 0.6, 0.9], "iou_native": [0.9, 0.0, 0.6]})
    assert repaired_line(answers).endswith("gets 1 of those right, and 1 of the 2 others wrong.")
    told = repaired_line(answers.assign(iou_native=[0.9, 0.0, 0.0]))
    assert "right, and 2 of the 2 others wrong. Its mean IoU of 30.0 is below that of the picks, 50.0. Either" in told
    assert "another seed, seed1/eval_val.json" in told
    assert "learning from them alone, for as long (eval_continued_val.json)." in told


def test_coarse_outlines_are_no_failure() -> None:
    answers = pd.DataFrame({"select_iou": [0.0, 0.6, 0.6], "iou_native": [0.9, 0.45, 0.45]})
    assert repaired_line(answers).endswith("gets 1 of those right, and 2 of the 2 others wrong.")


def test_picture(folder: Path, photos_folder: Path, tmp_path: Path) -> None:
    draw(folder, photos_folder, tmp_path / "repaired.png")
    with Image.open(tmp_path / "repaired.png") as picture:
        assert picture.width > 700 and picture.height > 4 * 200


def test_where_nothing_was_repaired_the_picture_says_so(folder: Path, photos_folder: Path, tmp_path: Path) -> None:
    path = folder / "eval_val.parquet"
    write_frame(path, read_frame(path, made_by="evaluate").assign(iou_native=0.0))
    draw(folder, photos_folder, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert 20 < picture.height < 200, "a title, and no examples"
