"""scores.h5 and selected.h5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter

SIZE = (3, 4)
MASK = np.eye(3, 4, dtype=bool)
(CODE,) = rle.encode(MASK[None])


@pytest.fixture
def scores_h5(photos, tmp_path: Path) -> Path:
    path = tmp_path / "scores.h5"
    with ScoreStoreWriter(path, photos.info) as writer:
        writer.append_ref(8, [[1, 2], [3, 4], [5, 6]], [500, 2**40])
        writer.append_ref(2, np.zeros((2, 0)), [])
        writer.append_ref(5, [[7]], [0])
    return path


def write_selected(path: Path, info: Any, **kwargs: Any) -> Path:
    with SelectionWriter(path, info, **kwargs) as writer:
        writer.append_ref(8, image_id=2**40, size=SIZE, chosen=[17], scores=[[0.25, 0.75]], rles=[CODE])
        writer.append_ref(2, image_id=6, size=(5, 6), chosen=[-1], scores=[[]], rles=[None])
    return path


def test_scores_come_back(scores_h5: Path, photos) -> None:
    with ScoreStore(scores_h5) as store:
        assert store.info == photos.info
        assert store.ref_ids.tolist() == [8, 2, 5]
        assert len(store) == 3
        assert store.scores(8).tolist() == [[1, 2], [3, 4], [5, 6]]
        assert store.areas(8).tolist() == [500, 2**40]
        assert store.scores(2).shape == (2, 0)
        assert store.areas(2).shape == (0,)
        assert (store.scores(5).tolist(), store.areas(5).tolist()) == ([[7]], [0]), "a mask may be empty"
        assert store.scores(5).dtype == np.float32
        with pytest.raises(SscError, match="no ref 1"):
            store.scores(1)


@pytest.mark.parametrize(("scores", "areas"), [([1, 2], [1, 2]), ([[1, 2]], [1]), ([[1, 2]], [[1, 2]])])
def test_scores_of_wrong_shape_are_refused(scores: list, areas: list, photos, tmp_path: Path) -> None:
    with ScoreStoreWriter(tmp_path / "s.h5", photos.info) as writer, pytest.raises(ValueError, match=r"\(S, K\)"):
        writer.append_ref(1, scores, areas)


def test_a_ref_is_scored_once(photos, tmp_path: Path) -> None:
    with ScoreStoreWriter(tmp_path / "s.h5", photos.info) as writer:
        writer.append_ref(1, [[1]], [1])
        with pytest.raises(SscError, match="ref 1 was added"):
            writer.append_ref(1, [[1]], [1])


def test_selection_comes_back(photos, tmp_path: Path) -> None:
    with SelectionStore(write_selected(tmp_path / "selected.h5", photos.info)) as store:
        assert store.choice_per == "ref"
        assert store.ref_ids.tolist() == [8, 2]
        assert (store.chosen(8), store.image_of(8), store.size(8), store.choices(8)) == (17, 2**40, SIZE, 1)
        assert store.scores(8).tolist() == [[0.25, 0.75]]
        assert store.rle(8) == CODE
        np.testing.assert_array_equal(store.mask(8), MASK)
        assert store.chosen(8, sentence=2) == 17


def test_no_choice_is_an_empty_mask(photos, tmp_path: Path) -> None:
    with SelectionStore(write_selected(tmp_path / "selected.h5", photos.info)) as store:
        assert (store.chosen(2), store.rle(2), store.scores(2).shape) == (-1, None, (1, 0))
        np.testing.assert_array_equal(store.mask(2), np.zeros((5, 6), dtype=bool))


def test_a_choice_per_sentence(photos, tmp_path: Path) -> None:
    path = tmp_path / "selected.h5"
    with SelectionWriter(path, photos.info, choice_per="sentence") as writer:
        writer.append_ref(
            8,
            image_id=1,
            size=SIZE,
            chosen=[4, -1, 5],
            scores=np.arange(6).reshape(3, 2),
            rles=[CODE, None, rle.empty(SIZE)],
        )
    with SelectionStore(path) as store:
        assert store.choice_per == "sentence"
        assert store.choices(8) == 3
        assert [store.chosen(8, sentence) for sentence in range(3)] == [4, -1, 5]
        assert [int(store.mask(8, sentence).sum()) for sentence in range(3)] == [3, 0, 0]
        assert [store.rle(8, sentence) is None for sentence in range(3)] == [False, True, False]
        assert store.scores(8).tolist() == [[0, 1], [2, 3], [4, 5]]
        with pytest.raises(IndexError, match="3 choices"):
            store.chosen(8, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"chosen": [1, 2], "scores": [[1], [1]], "rles": [CODE, CODE]},
        {"chosen": [-1]},
        {"rles": [None]},
        {"rles": []},
        {"scores": [1]},
        {"scores": [[1], [1]]},
    ],
)
def test_values_that_do_not_match_are_refused(changes: dict[str, Any], photos, tmp_path: Path) -> None:
    values = {"image_id": 1, "size": SIZE, "chosen": [3], "scores": [[1]], "rles": [CODE]} | changes
    with SelectionWriter(tmp_path / "s.h5", photos.info) as writer, pytest.raises(ValueError, match="ref 8"):
        writer.append_ref(8, **values)


def test_a_mask_of_another_size_is_refused(photos, tmp_path: Path) -> None:
    with SelectionWriter(tmp_path / "s.h5", photos.info) as writer, pytest.raises(SscError, match="ref 8: RLE 0"):
        writer.append_ref(8, image_id=1, size=(9, 9), chosen=[3], scores=[[1]], rles=[CODE])


@pytest.mark.parametrize("name", ["ref/score", "ref/chosen", "ref/image_id", "rle"])
def test_columns_that_contradict_each_other(name: str, photos, tmp_path: Path) -> None:
    path = write_selected(tmp_path / "selected.h5", photos.info)
    with h5py.File(path, "r+") as file:
        file[name].resize(1, axis=0)
    with pytest.raises(SscError, match="damaged"):
        SelectionStore(path)


def test_areas_that_are_missing(scores_h5: Path) -> None:
    with h5py.File(scores_h5, "r+") as file:
        file["candidate/area"].resize(2, axis=0)
    with pytest.raises(SscError, match="damaged"):
        ScoreStore(scores_h5)


def test_one_is_not_taken_for_the_other(scores_h5: Path, photos, tmp_path: Path) -> None:
    with pytest.raises(SscError, match="ssc-scores; this step needs ssc-selected"):
        SelectionStore(scores_h5)
    with pytest.raises(SscError, match="ssc-selected; this step needs ssc-scores"):
        ScoreStore(write_selected(tmp_path / "selected.h5", photos.info))
