from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.cli.inspect import inspect, open_ref
from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter, SelectionWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.index import build_index
from ssc_core.report.ref_view import _footer, render_ref

SIZE = (20, 30)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two refs of one photo, in two splits; the first has candidates and scores, and its truth is known."""
    photos, folder = tmp_path / "photos", tmp_path / "results" / "mine"
    photos.mkdir()
    (folder / "val").mkdir(parents=True)
    Image.new("RGB", SIZE[::-1], (90, 120, 150)).save(photos / "a.png")
    mask = np.zeros(SIZE, dtype=bool)
    mask[5:15, 5:15] = True
    Image.fromarray(mask).save(photos / "truth.png")
    table = photos / "refs.jsonl"
    rows = [{"image": "a.png", "sentences": ["left", "the left one"], "split": "val", "mask": "truth.png"},
            {"image": "a.png", "sentences": ["right"], "split": "test"}]  # fmt: skip
    table.write_text("\n".join(map(json.dumps, rows)))
    source = DatasetSource(layout="table", file=table, images=photos)
    build_index(
        dataset="mine", source=source, out_refs=folder / "refs.parquet", out_truth=folder / "truth.h5",
        check_counts=False,
    )  # fmt: skip
    identity = {"world": "files", "source": source.model_dump(mode="json")}
    (folder / "data.json").write_text(json.dumps({"identity": json.dumps(identity)}))
    info = StoreInfo(class_names=("thing",), settings={}, code="", models={})
    with MaskStoreWriter(folder / "val" / "masks.h5", info, with_masks=True) as masks:
        masks.append_image(
            1, SIZE, boxes_xyxy=np.zeros((1, 4)), box_scores=np.ones(1), labels=np.zeros(1),
            rles=rle.encode(mask[None]), mask_scores=np.ones(1), candidates={1: [0]},
        )  # fmt: skip
    with ScoreStoreWriter(folder / "val" / "scores.h5", info) as scores:
        scores.append_ref(1, np.array([[20.0], [22.0]]), np.array([100]))
    return folder


def test_a_picture_of_what_there_is(results: Path, tmp_path: Path) -> None:
    inspect(results, "val", 1, out=tmp_path / "ref.png")
    picture = np.asarray(Image.open(tmp_path / "ref.png"))
    assert picture.shape[0] > 300
    view = open_ref(results, "val", 1)
    assert view.sentences == ("left", "the left one")
    assert view.scores.tolist() == [[20], [22]]
    assert view.chosen is None
    assert view.truth.sum() == 100


def test_scores_of_several_scorers(results: Path, tmp_path: Path) -> None:
    folder = results / "val"
    settings = {"scorer": "dense", "scale": "logit", "weights": {"default": 0, "dense": 1}}
    info = StoreInfo(class_names=("thing",), settings=settings, code="", models={})
    with ScoreStoreWriter(folder / "scores_dense.h5", info) as scores:
        scores.append_ref(1, np.array([[-3.0], [-1.0]]), np.array([100]))
    undecided = open_ref(results, "val", 1)
    assert undecided.scores.tolist() == [[20], [22]], "the first counts where no choice was made yet"
    with SelectionWriter(folder / "selected.h5", info) as selected:
        mask = np.zeros((1, *SIZE), dtype=bool)
        selected.append_ref(1, image_id=1, size=SIZE, chosen=[0], scores=np.array([[-2.0]]), rles=rle.encode(mask))
    view = open_ref(results, "val", 1)
    assert view.scores.tolist() == [[-3], [-1]], "those that the choice was made from"
    assert {name: values.tolist() for name, values in view.by_scorer.items()} == {
        "default": [[20], [22]],
        "dense": [[-3], [-1]],
    }
    assert view.scale == "logit"
    assert len(render_ref(view)) > len(render_ref(replace(view, by_scorer={}))), "a row of each scorer and sentence"


def test_scores_of_other_candidates_are_left_out(results: Path) -> None:
    """As of a scorer that the config has no more, when rows of the table have moved since."""
    info = StoreInfo(class_names=(), settings={"scorer": "old"}, code="", models={})
    for ref, scores, areas in ((1, [[1], [2]], [99]), (1, [[1, 3]], [100, 4]), (2, [[1], [2]], [100])):
        with ScoreStoreWriter(results / "val" / "scores_old.h5", info) as writer:
            writer.append_ref(ref, np.array(scores), np.array(areas))
        view = open_ref(results, "val", 1)
        assert (view.by_scorer, view.stale) == ({}, ("scores_old.h5",))
        assert "scores_old.h5" in _footer(view, hidden=0)


@pytest.mark.parametrize("name", ["selected", "scores", "masks"])
def test_files_of_other_rows_are_refused(results: Path, name: str) -> None:
    path, info = results / "val" / f"{name}.h5", StoreInfo(("thing",), {}, "", {}, "f" * 16)
    kinds = {"selected": SelectionWriter, "scores": ScoreStoreWriter}
    with kinds[name](path, info) if name in kinds else MaskStoreWriter(path, info, with_masks=True) as writer:
        if name == "scores":
            writer.append_ref(1, np.zeros((2, 1)), np.array([100]))
    with pytest.raises(SscError, match=rf"{name}\.h5 is of other rows than .*refs\.parquet"):
        open_ref(results, "val", 1)


def test_photos_may_lie_elsewhere(results: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(SscError, match=r"which is not there.*--images FOLDER"):
        open_ref(results, "val", 1)
    assert open_ref(results, "val", 1, images=tmp_path / "moved").photo.shape == (*SIZE, 3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda results: open_ref(results.parent, "val", 1), "holds no dataset .*name the dataset's folder"),
        (lambda results: open_ref(results, "vall", 1), "no split 'vall'; it has val, test"),
        (lambda results: open_ref(results, "val", 7), "no ref 7; split 'val' has 1 ref, such as 1"),
        (lambda results: open_ref(results, "val", 2), "ref 2 is in split 'test', not in 'val'"),
        (
            lambda results: open_ref(results, "test", 2),
            r"no candidates yet; .* or `snakemake .*test/selected\.h5`",
        ),
        (lambda results: inspect(results, "val", 1, out=Path("ref.jpg")), r"ends in \.png"),
    ],
)
def test_what_is_missing_is_named(results: Path, ask: Callable[[Path], object], message: str) -> None:
    with pytest.raises(SscError, match=message):
        ask(results)
