from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.examples import (
    ExampleFiles,
    beside_picks,
    load_example,
    spread,
    tagged_sentences,
    write_eval_picture,
)
from tests.unit.report.conftest import LEFT, PHOTOS, RIGHT


def rows(results: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(results / "refcoco" / f"{name}.parquet")


def test_spread_goes_from_best_to_worst_with_one_sentence_a_ref() -> None:
    table = pd.DataFrame(
        {"ref_id": [1, 1, 2, 3, 4, 5], "sent_id": range(6), "iou_native": [0.9, 0.1, 0.7, 0.5, 0.3, 0.0]}
    )
    assert spread(table, 3)["iou_native"].tolist() == [0.9, 0.5, 0.0]
    assert spread(table, 5)["ref_id"].tolist() == [1, 2, 3, 4, 5]
    assert len(spread(table, 99)) == 6


def test_tags_say_what_correct_did_to_the_choice_of_select(results: Path) -> None:
    """Select takes the left disc; the network finds either disc by its word, and nothing for plain "disc"."""
    found = list(tagged_sentences(rows(results, "eval_val"), rows(results, "eval_masks_val"), 40))
    repaired = [row for row, tags in found if "repaired" in tags]
    spoiled = [row for row, tags in found if "spoiled" in tags]
    assert repaired
    assert all(row["sentence"] == "right disc" and row["iou_native"] == 1 for row in repaired)
    assert spoiled
    assert all(row["sentence"] == "disc" for row in spoiled)
    assert all(("empty" in tags) == (row["area"] == 0) for row, tags in found)
    assert all("several" in tags for _, tags in found)
    assert len({row["sent_id"] for row, _ in found}) == len(found)


def test_tags_without_a_selection(results: Path) -> None:
    found = list(tagged_sentences(rows(results, "eval_val"), None, 10))
    assert found
    assert not any(tags & {"repaired", "spoiled"} for _, tags in found)


def test_extremes_are_of_different_photos(results: Path) -> None:
    found = list(tagged_sentences(rows(results, "eval_val"), None, 40))
    best = [row["image_id"] for row, tags in found if "best" in tags]
    assert len(best) == len(set(best)) == PHOTOS


def test_example_holds_what_is_known(results: Path, photos_folder: Path) -> None:
    folder = results / "refcoco"
    table = beside_picks(rows(results, "eval_val"), None)
    row = table[table["sentence"] == "right disc"].iloc[0]
    photos, truth = open_photos(folder / "refs.parquet", photos_folder), TruthStore(folder / "truth.h5")
    bare = load_example(row, ExampleFiles(photos, truth))
    assert (bare.candidates, bare.pick) == (None, None)
    np.testing.assert_array_equal(bare.prediction, RIGHT)
    with MaskStore(folder / "val" / "masks.h5") as masks, SelectionStore(folder / "val" / "selected.h5") as selected:
        full = load_example(row, ExampleFiles(photos, truth, masks, selected))
    assert full.pick == 0
    np.testing.assert_array_equal(full.candidates[0], LEFT)
    assert [note.replace("\u00a0", " ") for note in full.notes] == [
        "IoU 100.0 %",
        "Select's pick 0.0 %",
        "0.png",
    ]


def test_picture_of_an_evaluation(results: Path, photos_folder: Path, tmp_path: Path) -> None:
    folder = results / "refcoco"
    out = tmp_path / "eval_val.png"
    write_eval_picture(
        refs=folder / "refs.parquet",
        truth=folder / "truth.h5",
        evaluation=folder / "eval_val.json",
        images=photos_folder,
        picture=out,
        count=2,
    )
    assert Image.open(out).size[0] > 500
