from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.errors import SscError
from ssc_core.evaluate import pairs
from ssc_core.evaluate.model import evaluate_model, sentences_path
from ssc_core.evaluate.schema import read_eval
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from tests.unit.evaluate.conftest import SIZE, Truths, box

SETTINGS = EvaluateSettings(bootstrap_samples=50, resolution="native")
ANSWERS = {"left cat": box(0, 0, 4, 4), "the white one": box(6, 0, 10, 4), "right cat": box(6, 0, 10, 2)}


def photo(name: str) -> np.ndarray:
    return np.full((*SIZE, 3), int(Path(name).stem), np.uint8)


def predict(images: list[np.ndarray], sentences: list[list[str]]) -> list[np.ndarray]:
    """Margins of native size: one right, one wrong cat, half a cat, and nothing for the dog."""
    assert all(image.dtype == np.uint8 and image.shape == (*SIZE, 3) for image in images)
    return [margins(np.stack([ANSWERS.get(text, np.zeros(SIZE, bool)) for text in texts])) for texts in sentences]


def margins(masks: np.ndarray) -> np.ndarray:
    return np.where(masks, np.float32(2), np.float32(-2))


def run(refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], out: Path, **changes: Any) -> Any:
    arguments = {"split": "val", "images": photo, "predict": predict, "settings": SETTINGS} | changes
    return evaluate_model(refs=refs, truth=truth, out=out, meta=meta, **arguments)


def test_literal_figures(refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "eval_val.json"
    run(refs, truth, meta, out)
    found = json.loads(out.read_text())
    assert (found["n_sentences"], found["n_refs"], found["n_images"], found["refs_without_truth"]) == (4, 3, 2, 1)
    # intersections 16, 0, 8, 0; unions 16, 32, 16, 80
    assert found["oIoU"] == pytest.approx(100 * 24 / 144)
    assert found["mIoU"] == pytest.approx(100 * (1 + 0 + 0.5 + 0) / 4)
    assert found["precision"] == {"0.5": 50, "0.6": 25, "0.7": 25, "0.8": 25, "0.9": 25}
    assert found["per_ref"]["mIoU"] == pytest.approx(100 * (0.5 + 0.5 + 0) / 3)
    assert (found["empty_predictions"], found["empty_unions"]) == (1, 0)
    assert {name: group["n"] for name, group in found["by_category"].items()} == {"cat": 3, "dog": 1}
    assert {name: group["n"] for name, group in found["by_num_candidates"].items()} == {"1": 1, "2": 3}
    assert {name: group["n"] for name, group in found["by_sentence_length"].items()} == {"1 word": 1, "2": 2, "3": 1}
    assert {name: group["n"] for name, group in found["by_object_size"].items()} == {"10 to 30 %": 3, "over 30 %": 1}
    assert found["settings"] == {"network": {"image_size": 8}, "evaluate": SETTINGS.model_dump(mode="json")}
    low, high = found["ci95"]["mIoU"]
    assert 0 == low < high == 50  # image 2 alone gives 0, image 1 alone 50
    assert read_eval(out).oIoU == found["oIoU"]


def test_headline_is_the_chosen_resolution(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    def bands(images: list[np.ndarray], sentences: list[list[str]]) -> list[np.ndarray]:
        return [margins(np.stack([box(0, 0, len(text) % 9, 8) for text in texts])) for texts in sentences]

    native = run(refs, truth, meta, tmp_path / "a.json", predict=bands)
    settings = EvaluateSettings(bootstrap_samples=0)
    square = run(refs, truth, meta, tmp_path / "b.json", predict=bands, settings=settings)
    assert (native.resolution, square.resolution) == ("native", "480")
    assert native.by_resolution["480"].oIoU == square.oIoU
    # 8 x 10 divides 480 x 480, so every pixel grows alike; corners of a prediction would be round, and bands have none
    assert square.oIoU == pytest.approx(native.oIoU)
    assert 0 < native.oIoU < 100
    assert square.ci95 is None


def test_mask_of_another_resolution_is_resized(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    def halves(images: list[np.ndarray], sentences: list[list[str]]) -> list[np.ndarray]:
        left = margins(np.array([[True, False], [True, False]]))
        return [np.repeat(left[None], len(texts), axis=0) for texts in sentences]

    result = run(refs, truth, meta, tmp_path / "eval_val.json", predict=halves)
    # left half of 8 x 10 against cat 1 (16 of 40 pixels), twice, cat 2 (none of 56) and the whole photo (40 of 80)
    assert result.mIoU == pytest.approx(100 * (16 / 40 + 16 / 40 + 0 + 40 / 80) / 4)


def test_rows_hold_the_predictions(refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path) -> None:
    run(refs, truth, meta, tmp_path / "eval_val.json")
    rows = pd.read_parquet(sentences_path(tmp_path / "eval_val.json"))
    assert rows["sent_id"].tolist() == [10, 11, 20, 30]
    assert rows["iou_native"].tolist() == [1, 0, 0.5, 0]
    assert rows["area"].tolist() == [16, 16, 8, 0]
    first = rows.iloc[0]
    mask = rle.decode([first.rle.encode()], (first.rle_height, first.rle_width))[0]
    np.testing.assert_array_equal(mask, ANSWERS["left cat"])


def test_many_images_arrive_in_order(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(refs, truth, meta, tmp_path / "a.json")
    monkeypatch.setattr(pairs, "IMAGES_A_CALL", 1)
    one_by_one = run(refs, truth, meta, tmp_path / "b.json")
    assert one_by_one.model_dump(exclude={"timing"}) == expected.model_dump(exclude={"timing"})


def test_an_empty_truth_is_counted_where_nothing_was_predicted_either(
    refs: pd.DataFrame, meta: dict[str, Any], tmp_path: Path
) -> None:
    """The dog, and of two sentences of the left cat none: a prediction makes a union."""
    truth = Truths({1: np.zeros(SIZE, bool), 2: ANSWERS["the white one"], 3: np.zeros(SIZE, bool)})
    found = run(refs, truth, meta, tmp_path / "eval_val.json")
    assert (found.n_sentences, found.empty_unions, found.empty_predictions) == (4, 1, 1)
    assert found.mIoU == pytest.approx(100 * (0 + 0 + 0.5 + 0) / 4)


def test_no_ground_truth(refs: pd.DataFrame, meta: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SscError, match="no ref of tiny val has a ground-truth mask"):
        run(refs, Truths({}), meta, tmp_path / "eval_val.json")
    assert list(tmp_path.iterdir()) == []


def test_bad_photo_stops(refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path) -> None:
    def broken(name: str) -> np.ndarray:
        raise SscError(f"{name} is damaged")

    with pytest.raises(SscError, match=r"1\.jpg is damaged"):
        run(refs, truth, meta, tmp_path / "eval_val.json", images=broken)


def test_a_photo_that_is_skipped_counts_as_empty_masks(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    def some(name: str) -> np.ndarray | None:
        return None if name == "1.jpg" else np.zeros((8, 10, 3), np.uint8)

    whole = run(refs, truth, meta, tmp_path / "a.json")
    found = run(refs, truth, meta, tmp_path / "b.json", images=some)
    assert (whole.unreadable_photos, found.unreadable_photos) == (0, 1)
    assert found.n_sentences == whole.n_sentences
    rows = pd.read_parquet(sentences_path(tmp_path / "b.json")).set_index("file_name")
    assert (rows.loc[["1.jpg"], ["area", "intersection_native", "iou_480"]] == 0).all(axis=None)
    assert (rows.loc[["1.jpg"], "union_480"] > 0).all()
    others = pd.read_parquet(sentences_path(tmp_path / "a.json")).set_index("file_name").drop("1.jpg")
    pd.testing.assert_frame_equal(rows.drop("1.jpg").sort_values("sent_id"), others.sort_values("sent_id"))


@pytest.mark.parametrize(
    "given", [np.zeros((1, 8, 10), np.float32), np.zeros((3, 8, 10), bool), np.zeros((3, 80), np.float32)]
)
def test_predictor_of_the_wrong_shape(
    given: np.ndarray, refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"need float32 \(S, h, w\)"):
        run(refs, truth, meta, tmp_path / "eval_val.json", predict=lambda images, sentences: [given] * len(images))


@pytest.mark.parametrize("per", ["ref", "sentence"])
def test_masks_of_a_selection_by_sentence(refs: pd.DataFrame, tmp_path: Path, per: Literal["ref", "sentence"]) -> None:
    left, right = ANSWERS["left cat"], ANSWERS["the white one"]
    info = StoreInfo(class_names=("cat",), settings={}, code="c0de", models={})
    with SelectionWriter(tmp_path / "chosen.h5", info, choice_per=per) as writer:
        codes: list[bytes | None] = [rle.encode(left[None])[0], rle.encode(right[None])[0]]
        choices = 2 if per == "sentence" else 1
        about: dict[str, Any] = {"image_id": 1, "size": SIZE}
        scores = np.ones((choices, 2))
        writer.append_ref(1, chosen=[0, 1][:choices], scores=scores, rles=codes[:choices], **about)
        writer.append_ref(2, chosen=[-1], scores=np.ones((1, 2)), rles=[None], **about)
    with SelectionStore(tmp_path / "chosen.h5") as selection:
        mask_of = pairs.selected_masks(refs, selection)
        np.testing.assert_array_equal(mask_of(10), left)
        np.testing.assert_array_equal(mask_of(11), right if per == "sentence" else left)
        assert not mask_of(20).any()
