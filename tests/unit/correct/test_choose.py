"""A choice among candidates by a network that is told what to predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.correct import choose
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.index import build_index
from ssc_core.refer.refs_digest import TableRefs

SIZE = (12, 16)
LEFT, RIGHT, ALL = (slice(0, 8),), (slice(8, 16),), (slice(0, 16),)
INFO = StoreInfo(class_names=("box",), settings={}, code="c0de", models={})
REFS = [
    # photo, sentences, candidates (indices into LEFT, RIGHT, ALL)
    ("a.png", ["right one", "left one"], [1, 0]),
    ("a.png", ["left one"], [2, 1]),
    ("b.png", ["left one", "right one"], []),
]


class Told:
    """Sees at 6 x 6 what the sentence says; settings as a checkpoint has them."""

    def __init__(self, checkpoint: Path, *, network: str, device: str, threads: int) -> None:
        self.settings = {"train": {"seed": 3}}

    def __call__(self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        assert all(image.shape == (*SIZE, 3) for image in images)
        return [np.stack([self._see(text) for text in of]) for of in sentences]

    def _see(self, sentence: str) -> np.ndarray:
        seen = np.full((6, 6), 0.1, np.float32)
        seen[:, slice(0, 3) if "left" in sentence else slice(3, 6)] = 0.9
        return np.log(seen / (1 - seen))


class KnowsLeft(Told):
    """Takes the left for likelier, 0.2 to 0.1, whenever a sentence does not say "left"."""

    def _see(self, sentence: str) -> np.ndarray:
        if "left" in sentence:
            return super()._see(sentence)
        seen = np.full((6, 6), 0.1, np.float32)
        seen[:, :3] = 0.2
        return np.log(seen / (1 - seen))


def mask(columns: tuple[slice, ...]) -> np.ndarray:
    found = np.zeros(SIZE, bool)
    found[:, columns[0]] = True
    return found


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(choose, "Predictor", Told)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", SIZE[::-1]).save(photos / name)
    table = tmp_path / "refs.jsonl"
    rows = [{"image": photo, "sentences": texts, "split": "val"} for photo, texts, _ in REFS]
    table.write_text("\n".join(json.dumps(row) for row in rows))
    refs, masks, checkpoint = (tmp_path / name for name in ("refs.parquet", "masks.h5", "network.pt"))
    source = DatasetSource(layout="table", file=table, images=photos)
    build_index(dataset="x", source=source, out_refs=refs, out_truth=tmp_path / "truth.h5", check_counts=False)
    with MaskStoreWriter(masks, INFO, with_masks=True) as writer:
        for image, boxes in ((1, [LEFT, RIGHT, ALL]), (2, [])):
            writer.append_image(
                image,
                SIZE,
                boxes_xyxy=np.zeros((len(boxes), 4)),
                box_scores=np.ones(len(boxes)),
                labels=np.zeros(len(boxes), int),
                rles=rle.encode(np.stack([mask(box) for box in boxes])) if boxes else [],
                mask_scores=np.ones(len(boxes)),
                candidates={i: own for i, (photo, _, own) in enumerate(REFS, 1) if photo == f"{' ab'[image]}.png"},
            )
    checkpoint.write_bytes(b"weights")
    return {"refs": refs, "images": photos, "masks": masks, "checkpoint": checkpoint}


def test_every_sentence_gets_the_candidate_that_fits_its_prediction(files: dict[str, Path], tmp_path: Path) -> None:
    choose.choose_candidates(**files, split="val", out=tmp_path / "chosen.h5", device="cpu")
    with SelectionStore(tmp_path / "chosen.h5") as store:
        assert store.choice_per == "sentence"
        assert store.ref_ids.tolist() == [1, 2, 3]
        assert [store.chosen(1, sentence) for sentence in (0, 1)] == [1, 0]
        assert store.chosen(2) == 2, "the left half, which it sees, is part of ALL; RIGHT has nothing of it"
        assert [store.chosen(3, sentence) for sentence in (0, 1)] == [-1, -1]
        np.testing.assert_array_equal(store.mask(1, 0), mask(RIGHT))
        np.testing.assert_array_equal(store.mask(2), mask(ALL))
        assert not store.mask(3, 1).any()
        # soft IoU of 0.9 on one half and 0.1 on the other with a half: 16.2 / (18 + 18 - 16.2)
        np.testing.assert_allclose(store.scores(1), [[16.2 / 19.8, 1.8 / 34.2], [1.8 / 34.2, 16.2 / 19.8]], rtol=1e-5)
        assert store.info.settings == {"train": {"seed": 3}, "evaluate": {"both_ways": False}}
        assert store.info.refs == TableRefs(files["refs"], "val").digest(store.ref_ids)
        assert len(store.info.models["checkpoint"]) == 64


def test_a_second_look_decides_too(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "Predictor", KnowsLeft)
    found = {}
    for both_ways in (False, True):
        out = tmp_path / f"{both_ways}.h5"
        choose.choose_candidates(**files, split="val", both_ways=both_ways, out=out, device="cpu")
        with SelectionStore(out) as store:
            assert store.info.settings["evaluate"] == {"both_ways": both_ways}
            found[both_ways] = [store.chosen(1, sentence) for sentence in (0, 1)]
            scores = store.scores(1)
    assert found == {False: [0, 0], True: [1, 0]}, "the right one is the left one in the mirrored photo"
    # the right half's margins are those of 0.9 and 0.1, whose mean is that of 1/2; the left half's of 0.1 and 0.2: 1/7
    np.testing.assert_allclose(scores[0], [9 / (18 + 18 / 7), (18 / 7) / (18 + 9)], rtol=1e-5)


def test_masks_of_other_annotations(files: dict[str, Path], tmp_path: Path) -> None:
    with MaskStoreWriter(files["masks"], INFO, with_masks=True):
        pass
    with pytest.raises(SscError, match=r"masks\.h5 has no image 1; was it made from other annotations"):
        choose.choose_candidates(**files, split="val", out=tmp_path / "chosen.h5", device="cpu")
    with MaskStoreWriter(files["masks"], replace(INFO, refs="f" * 16), with_masks=True):
        pass
    with pytest.raises(SscError, match=r"masks\.h5 is of other rows than .*refs\.parquet"):
        choose.choose_candidates(**files, split="val", out=tmp_path / "chosen.h5", device="cpu")
    assert not (tmp_path / "chosen.h5").exists()


def test_refs_of_photos_that_are_skipped_get_no_choice(files: dict[str, Path], tmp_path: Path) -> None:
    (files["images"] / "a.png").write_bytes(b"")
    with pytest.raises(SscError, match=r"a\.png is empty"):
        choose.choose_candidates(**files, split="val", out=tmp_path / "chosen.h5", device="cpu")
    source = DatasetSource(layout="table", file=tmp_path / "refs.jsonl", images=files["images"])
    Image.new("RGB", SIZE[::-1]).save(files["images"] / "a.png")
    refs = {"out_refs": files["refs"], "out_truth": tmp_path / "truth.h5"}
    build_index(dataset="x", source=source, check_counts=False, skip_bad_photos=True, **refs)
    (files["images"] / "a.png").write_bytes(b"")
    choose.choose_candidates(**files, split="val", out=tmp_path / "chosen.h5", device="cpu")
    with SelectionStore(tmp_path / "chosen.h5") as store:
        assert [store.chosen(ref, 0) for ref in store.ref_ids.tolist()] == [-1, -1, -1]
