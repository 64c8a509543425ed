from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssc_core.backends import ConceptInstances, Detections, InstanceMasks
from ssc_core.config.labelling import CandidateSettings, EvaluateSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.grounded import ground_sentences, read_grounded
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.segment.models import CandidateModels
from tests.unit.evaluate.conftest import SIZE, Truths

LEFT, RIGHT, BOTH = (0, 0, 4, 4), (6, 0, 10, 4), (0, 0, 10, 8)


class WholeSentences:
    """Finds nothing for "dog", and for other sentences the left or right box with a worse one before it."""

    prompts: list[Sequence[str]]

    def __init__(self) -> None:
        WholeSentences.prompts = []

    def detect(self, images: Sequence[np.ndarray], prompts: Sequence[Sequence[str]]) -> list[Detections]:
        WholeSentences.prompts += prompts
        return [self._detect(*prompt) for prompt in prompts]

    def _detect(self, sentence: str) -> Detections:
        if "dog" in sentence:
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        best = RIGHT if "right" in sentence else LEFT
        # the detector found the best box for a part of the sentence only: label -1
        boxes = np.array([BOTH, best], np.float32)
        return Detections(boxes, np.array([0.3, 0.9], np.float32), np.array([0, -1]))


class BothAtOnce(WholeSentences):
    """The same as a concept segmenter."""

    def segment_concepts(
        self, images: Sequence[np.ndarray], phrases: Sequence[Sequence[str]]
    ) -> list[ConceptInstances]:
        found = self.detect(images, phrases)
        boxes = [replace(one, labels=np.zeros(len(one.labels), np.int64)) for one in found]
        masks = Boxes().segment(images, [one.boxes_xyxy for one in boxes])
        presence = np.ones(1, np.float32)
        return [ConceptInstances(one, of.masks, presence) for one, of in zip(boxes, masks, strict=True)]


class Boxes:
    """The mask of a box is the box."""

    def segment(self, images: Sequence[np.ndarray], boxes_xyxy: Sequence[np.ndarray]) -> list[InstanceMasks]:
        return [self._segment(image, boxes) for image, boxes in zip(images, boxes_xyxy, strict=True)]

    def _segment(self, image: np.ndarray, boxes: np.ndarray) -> InstanceMasks:
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        return InstanceMasks(masks, np.ones(len(boxes), np.float32))


@pytest.fixture(params=[("WholeSentences", "Boxes"), (None, "BothAtOnce")], ids=["detector", "concepts"])
def grounded(refs: pd.DataFrame, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    out = tmp_path / "grounded.parquet"
    names = [name and f"{__name__}:{name}" for name in request.param]
    detect, segment = ({"backend": name and {"name": name}} for name in names)
    models = CandidateModels(CandidateSettings.model_validate({"detect": detect, "segment": segment}), device="cpu")
    val = refs[refs["split"] == "val"]
    ground_sentences(
        refs=val,
        images=lambda _: np.zeros((*SIZE, 3), np.uint8),
        ground=models.best,
        out=out,
        provenance={"code": "c0de", "models": {"detect.model": "0" * 64}},
    )
    assert WholeSentences.prompts == [[sentence] for sentence in val["sentence"]]
    return out


def test_the_best_box_of_each_sentence(grounded: Path) -> None:
    mask_of, made = read_grounded(grounded)
    assert made == {"code": "c0de", "models": {"detect.model": "0" * 64}}
    assert mask_of(10)[:4, :4].all()
    assert mask_of(10).sum() == 16
    assert mask_of(20)[:4, 6:].all()
    assert mask_of(30).shape == SIZE
    assert not mask_of(30).any(), "no box, no mask"
    scores = pd.read_parquet(grounded, columns=["sent_id", "box_score"]).set_index("sent_id")["box_score"]
    assert scores.to_dict() == pytest.approx({10: 0.9, 11: 0.9, 20: 0.9, 30: np.nan, 40: np.nan}, nan_ok=True)


def test_sentences_of_a_photo_are_asked_for_together(
    refs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssc_core.evaluate.grounded.SENTENCES_A_CALL", 2)
    monkeypatch.setattr("ssc_core.evaluate.grounded.OF_A_PHOTO", 3)
    rows = pd.concat([refs[refs["split"] == "val"].head(1)] * 10, ignore_index=True)
    rows["sent_id"], rows["file_name"] = range(10), list("aaabcddddd")
    calls: list[tuple[str, ...]] = []
    read: list[str] = []

    def ground(photos: Sequence[np.ndarray], sentences: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        calls.append(tuple(str(photo) for photo in photos))
        assert len({id(photo) for photo in photos}) == len(set(calls[-1]))
        return [(1.0, np.zeros(SIZE, bool))] * len(photos)

    out = tmp_path / "grounded.parquet"
    ground_sentences(
        refs=rows, images=lambda name: read.append(name) or np.array([name]), ground=ground, out=out, provenance={}
    )
    assert calls == [("['a']",) * 3, ("['b']", "['c']"), ("['d']",) * 3, ("['d']",) * 2]
    assert read == list("abcdd")
    assert pd.read_parquet(out)["sent_id"].tolist() == list(range(10))


def test_evaluation_of_stored_masks(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], grounded: Path, tmp_path: Path
) -> None:
    mask_of, _ = read_grounded(grounded)
    found = evaluate_stored(
        refs=refs, split="val", truth=truth, mask_of=mask_of, out=tmp_path / "eval.json",
        settings=EvaluateSettings(bootstrap_samples=0), meta=meta,
    )  # fmt: skip
    # both sentences of ref 1 and that of ref 2 are exact; ref 3 (80 pixels) gets nothing
    assert found.by_resolution["native"].oIoU == pytest.approx(100 * 48 / (48 + 80))
    assert found.mIoU == pytest.approx(75)
    assert (found.n_sentences, found.empty_predictions, found.refs_without_truth) == (4, 1, 1)


def test_masks_of_other_annotations(grounded: Path) -> None:
    with pytest.raises(SscError, match="has no sentence 999"):
        read_grounded(grounded)[0](999)


def test_damaged_file(grounded: Path) -> None:
    grounded.write_bytes(b"PAR1 no more")
    with pytest.raises(SscError, match=r"grounded\.parquet has no digest"):
        read_grounded(grounded)
