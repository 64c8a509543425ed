"""What of a dataset's folder is of the config as it is now. ``results`` are of ``config``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ssc_core.config.settings import Settings
from ssc_core.config.variants import Variants, change
from ssc_core.evaluate.eval_table import over_seeds, records
from ssc_core.layout import DatasetFolder
from ssc_core.report.collect import collect
from ssc_core.report.of_config import of_config


@pytest.fixture(scope="module")
def config(config: Settings) -> Settings:
    return change(config, {"pretrain.epochs": 2, "correct.epochs": 3, "correct.lr": 0.5})


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "results")) / "refcoco"


def put(folder: Path, place: str, **about: Any) -> None:
    """An evaluation of the corrected network somewhere else, with other values. settings: besides those that it has."""
    content = json.loads((folder / "eval_val.json").read_text())
    settings = content["settings"] | about.pop("settings", {})
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content | {"settings": settings} | about))
    if path.with_suffix(".parquet") != folder / "eval_val.parquet":
        shutil.copy(folder / "eval_val.parquet", path.with_suffix(".parquet"))


def others(folder: Path, config: Settings) -> dict[str, str]:
    _, found = of_config(DatasetFolder(folder), Variants(config))
    return {path.relative_to(folder).as_posix(): why for path, why in found.items()}


def test_what_the_config_makes_is_shown(folder: Path, config: Settings) -> None:
    put(folder, "eval_val.json", settings=Variants(config).led_to("eval.corrected"))
    put(folder, "seed1/eval_val.json", settings=Variants(config).led_to("eval.corrected", "seed1/"))
    put(folder, "correct.lr=0.1/eval_val.json", settings=Variants(config).led_to("eval.corrected", "correct.lr=0.1/"))
    assert others(folder, config) == {}
    shown, _ = of_config(DatasetFolder(folder), Variants(config))
    assert shown == DatasetFolder(folder).shown()


@pytest.mark.parametrize(("settings", "why"), [
    ({"train": {"epochs": 1}}, "correct.epochs: 1, now 3"),
    ({"correct": {"epochs": 3, "lr": 0.25}}, "correct.lr: 0.25, now 0.5"),
    ({"pretrain": {"epochs": 9}}, "pretrain.epochs: 9, now 2"),
    ({"select": {"choice": "first"}}, "select.choice: first, now score"),
    ({"compat.clip_bgr": True}, "compat.clip_bgr: true, now false"),
    ({"correct": {"seed": 4}}, "correct.seed: 4, now 1"),
    ({"reviewer": {"share": 0.1, "order": "doubt"}}, "reviewer.share: 0.1, now 0.0"),
    ({"supervised": {"epochs": 9}}, ""),
    ({"correct": {"a key of another version": 1}}, ""),
])  # fmt: skip
def test_a_seed_of_another_config_is_none_of_this_one(
    folder: Path, config: Settings, settings: dict[str, Any], why: str
) -> None:
    put(folder, "seed1/eval_val.json", settings=settings, seed=1)
    assert others(folder, config) == ({"seed1/eval_val.json": why} if why else {})


def test_means_are_of_the_present_config_alone(folder: Path, config: Settings) -> None:
    put(folder, "eval_val.json", seed=0, oIoU=58.0)
    put(folder, "seed1/eval_val.json", seed=1, oIoU=10.0, settings={"train": {"epochs": 1}})
    put(folder, "seed2/eval_val.json", seed=2, oIoU=60.0, settings={"train": {"epochs": 3}})
    put(folder, "eval_testA.json", split="testA", settings={"train": {"epochs": 1}})
    (dataset,) = collect(folder.parent, config)
    (row,) = (row for row in records(over_seeds(dataset.figures)) if row["method"] == "corrected")
    assert (row["split"], row["seeds"], row["oIoU"]) == ("val", 2, 59.0)
    assert {line.split for line in dataset.lines()} == {"val"}
    assert dataset.others == {
        "eval_testA.json": "correct.epochs: 1, now 3",
        "seed1/eval_val.json": "correct.epochs: 1, now 3",
    }


def test_an_evaluation_of_other_refs_is_left_out(folder: Path, config: Settings) -> None:
    put(folder, "seed1/eval_val.json", data={"refs": "0" * 64})
    assert others(folder, config) == {"seed1/eval_val.json": "of other refs than are there now"}


def test_a_variant_that_the_config_cannot_have_is_left_out(folder: Path, config: Settings) -> None:
    put(folder, "select.weights.nobody=2/eval_val.json")
    assert others(folder, config) == {"select.weights.nobody=2/eval_val.json": "the config cannot be varied so"}


def test_a_method_of_ones_own_is_always_shown(folder: Path, config: Settings) -> None:
    put(folder, "eval_mine_val.json", method="mine", settings={"evaluate": {"train_refs": 7}})
    assert others(folder, config) == {}


def test_an_evaluation_of_another_checkpoint_from_elsewhere_is_left_out(folder: Path, config: Settings) -> None:
    put(folder, "eval_published_val.json", method="published", model={"path": "weights/lavt.pth"})
    why = "datasets.refcoco.checkpoint: weights/lavt.pth, now null"
    assert others(folder, config) == {"eval_published_val.json": why}


def test_logs_go_with_the_networks_that_they_are_of(folder: Path, config: Settings) -> None:
    logs = {"checkpoints/pretrain.csv", "checkpoints/correct.matching.csv"}
    put(folder, "eval_val.json", settings={"train": {"epochs": 1}})
    assert others(folder, config).keys() == {"eval_val.json", "checkpoints/correct.matching.csv"}
    (folder / "eval_val_pretrained.json").unlink()
    assert others(folder, config).keys() == {"eval_val.json", *logs}


def test_a_sheet_of_earlier_masks_is_left_out(folder: Path, config: Settings) -> None:
    sheet, masks = folder / "val" / "contact_sheet.jpg", folder / "val" / "masks.h5"
    os.utime(masks, (2e9, 2e9))
    assert others(folder, config) == {"val/contact_sheet.jpg": "older than the masks"}
    os.utime(sheet, (2e9, 2e9))
    assert others(folder, config) == {}
