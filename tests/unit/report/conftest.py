"""A results folder as the workflow leaves it, from six small pictures with two discs each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.sources import DatasetSource
from ssc_core.evaluate.masks import evaluate_masks
from ssc_core.evaluate.model import evaluate_model
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.provenance import file_sha256
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import open_photos, read_refs, refs_of
from ssc_core.refer.truth import TruthStore

SIZE = (40, 60)
PHOTOS = 6
SAMPLES = 20
NASTY = 'left <script>alert("x")</script> & disc'
INFO = StoreInfo(class_names=("disc",), settings={}, code="", models={})
BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\n{seconds}\t0:00:01\t{rss}\t-\n"


def disc(x: int, y: int, radius: int) -> np.ndarray:
    """bool SIZE."""
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


LEFT, RIGHT = disc(15, 20, 10), disc(45, 20, 10)


def meta(method: str, refs: Path) -> dict[str, Any]:
    return {
        "dataset": "refcoco",
        "world": "micro",
        "method": method,
        "model": {"checkpoint": "correct.pt", "sha256": "5" * 64},
        "settings": {},
        "training": {"palette_corrupted_refs": 7},
        "code": "c0de",
        "data": {"refs": file_sha256(refs)},
        "versions": {"python": "3.11"},
    }


@pytest.fixture(scope="session")
def photos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(PHOTOS):
        picture = np.full((*SIZE, 3), 30 * i, np.uint8)
        picture[LEFT], picture[RIGHT] = (200, 60, 40), (60, 90, 200)
        Image.fromarray(picture).save(folder / f"{i}.png")
    Image.fromarray(LEFT).save(folder / "left.png")
    Image.fromarray(RIGHT).save(folder / "right.png")
    return folder


@pytest.fixture(scope="session")
def config(root: Path) -> Settings:
    """The config that ``results`` are of."""
    return load_settings(read_layers([root / "config.yaml"], {"evaluate": {"bootstrap_samples": SAMPLES}}))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, photos_folder: Path) -> Path:
    """Evaluations of a corrected and a pre-trained network and of candidates, training logs, benchmarks."""
    root = tmp_path_factory.mktemp("results")
    folder = root / "refcoco"
    (folder / "val").mkdir(parents=True)
    _index(folder, photos_folder)
    _masks(folder / "val")
    _evaluate(folder, photos_folder)
    (folder / "checkpoints").mkdir()
    log = "step,epoch,loss,val_oIoU\n" + "".join(f"{i},0,{1 / i},{i if i % 10 == 0 else ''}\n" for i in range(1, 31))
    (folder / "checkpoints" / "pretrain.csv").write_text(log)
    accuracy = "epoch,pairs,accuracy,with_choice,accuracy_with_choice\n0,12,0.4,9,0.3\n1,12,0.9,9,0.8\n"
    (folder / "checkpoints" / "correct.matching.csv").write_text(accuracy)
    Image.new("RGB", (400, 300), (9, 90, 90)).save(folder / "val" / "contact_sheet.jpg")
    for place, seconds, rss in (("benchmarks/pretrain", 75, 900), ("val/benchmarks/detect_boxes.0-of-2", 3.5, "-")):
        path = folder / f"{place}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(BENCHMARK.format(seconds=seconds, rss=rss))
    return root


def _index(folder: Path, photos: Path) -> None:
    rows = []
    for i in range(PHOTOS):
        left = NASTY if i == 0 else "left disc"
        rows.append({"image": f"{i}.png", "sentences": [left, "disc"], "split": "val", "mask": "left.png"})
        rows.append({"image": f"{i}.png", "sentences": ["right disc"], "split": "val", "mask": "right.png"})
    table = photos / "table.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = DatasetSource(layout="table", file=table, images=photos)
    build_index(
        dataset="refcoco",
        source=source,
        out_refs=folder / "refs.parquet",
        out_truth=folder / "truth.h5",
        check_counts=False,
    )


def _masks(folder: Path) -> None:
    """Both discs are candidates of every ref; Select always takes the left one."""
    codes = rle.encode(np.stack([LEFT, RIGHT]))
    with (
        MaskStoreWriter(folder / "masks.h5", INFO, with_masks=True) as masks,
        SelectionWriter(folder / "selected.h5", INFO) as selected,
    ):
        for i in range(PHOTOS):
            ref_ids = (2 * i + 1, 2 * i + 2)
            masks.append_image(
                i + 1,
                SIZE,
                boxes_xyxy=np.zeros((2, 4)),
                box_scores=np.ones(2),
                labels=np.zeros(2),
                rles=codes,
                mask_scores=np.ones(2),
                candidates={ref_id: [0, 1] for ref_id in ref_ids},
            )
            for ref_id in ref_ids:
                selected.append_ref(
                    ref_id, image_id=i + 1, size=SIZE, chosen=[2 * i], scores=np.zeros((1, 2)), rles=[codes[0]]
                )


def _margins(masks: np.ndarray) -> np.ndarray:
    return np.where(masks, np.float32(1), np.float32(-1))


def _evaluate(folder: Path, photos_folder: Path) -> None:
    settings = EvaluateSettings(bootstrap_samples=SAMPLES)
    refs, truth = read_refs(folder / "refs.parquet"), TruthStore(folder / "truth.h5")
    photos = open_photos(folder / "refs.parquet", photos_folder)

    def by_words(images: Sequence[np.ndarray], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The right disc for "right", the left one for "left", nothing for other sentences."""
        answers = {"left": LEFT, "right": RIGHT}
        masks = [[answers.get(text.split()[0], np.zeros(SIZE, bool)) for text in texts] for texts in sentences]
        return [_margins(np.stack(of)) for of in masks]

    def always_left(images: Sequence[np.ndarray], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [_margins(np.repeat(LEFT[None], len(texts), axis=0)) for texts in sentences]

    for method, predict, name in (
        ("corrected", by_words, "eval_val.json"),
        ("pretrained", always_left, "eval_val_pretrained.json"),
    ):
        evaluate_model(
            refs=refs, split="val", images=photos, truth=truth, predict=predict,
            out=folder / name, settings=settings, meta=meta(method, folder / "refs.parquet"),
        )  # fmt: skip
    with (
        MaskStore(folder / "val" / "masks.h5") as masks,
        SelectionStore(folder / "val" / "selected.h5") as selected,
    ):
        evaluate_masks(
            refs=refs_of(refs[refs["split"] == "val"]), split="val", masks=masks, truth=truth,
            selections={"selected": selected},
            select=SelectSettings(min_area=0), out=folder / "eval_masks_val.json", settings=settings,
            compat=CompatSettings(), meta=meta("zero_shot", folder / "refs.parquet"),
        )  # fmt: skip
