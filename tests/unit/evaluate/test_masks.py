from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.masks import candidates_path, evaluate_masks
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.ref_table import refs_of
from ssc_core.select.choice import choose
from tests.unit.evaluate.conftest import SIZE, Truths, box

INFO = StoreInfo(class_names=("cat", "dog"), settings={}, code="", models={})
SETTINGS = EvaluateSettings(bootstrap_samples=20, train_refs=1)

HALF_LEFT, RIGHT = box(0, 0, 4, 2), box(6, 0, 10, 4)
IMAGES = {
    1: ([HALF_LEFT, RIGHT], {1: [0, 1], 2: [0, 1]}),
    2: ([], {3: []}),
    3: ([RIGHT], {4: [0]}),
    4: ([RIGHT], {5: [0], 6: [0]}),
}


@pytest.fixture
def masks(tmp_path: Path) -> MaskStore:
    path = tmp_path / "masks.h5"
    with MaskStoreWriter(path, INFO, with_masks=True) as writer:
        for image_id, (found, candidates) in IMAGES.items():
            n = len(found)
            writer.append_image(
                image_id,
                SIZE,
                boxes_xyxy=np.zeros((n, 4)),
                box_scores=np.ones(n),
                labels=np.zeros(n),
                rles=rle.encode(np.array(found, bool).reshape(-1, *SIZE)),
                mask_scores=np.ones(n),
                candidates=candidates,
            )
    return MaskStore(path)


def select(path: Path, chosen: dict[int, list[int]], *, per: str = "ref") -> SelectionStore:
    """A selection by ref: one row of masks.h5, or one per sentence."""
    count = {1: 2, 2: 2, 3: 0, 4: 1, 5: 1, 6: 1}
    code = rle.encode(RIGHT[None])[0]
    with SelectionWriter(path, INFO, choice_per=per) as writer:
        for ref_id, rows in chosen.items():
            codes = [code if row >= 0 else None for row in rows]
            scores = np.zeros((len(rows), count[ref_id]))
            writer.append_ref(ref_id, image_id=1, size=SIZE, chosen=rows, scores=scores, rles=codes)
    return SelectionStore(path)


def run(refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], **changes: Any) -> dict[str, Any]:
    out = masks.path.with_name("eval_masks_val.json")
    arguments: dict[str, Any] = {"split": "val", "settings": SETTINGS, "compat": CompatSettings(), "selections": {}}
    arguments |= {"select": SelectSettings(min_area=0)}
    arguments |= changes
    own = refs_of(refs[refs["split"] == arguments["split"]])
    evaluate_masks(refs=own, masks=masks, truth=truth, out=out, meta=meta, **arguments)
    return json.loads(out.read_text())


def test_literal_figures(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    selected = select(tmp_path / "selected.h5", {1: [1], 2: [1], 3: [-1], 4: [2]})
    found = run(refs, masks, truth, meta, selections={"selected": selected})
    assert (found["n_refs"], found["n_pairs"], found["per"], found["refs_without_truth"]) == (3, 3, "ref", 1)
    choices = found["choices"]
    assert list(choices) == ["random", "first", "selected", "best"]
    # first: 8/16 for ref 1, 0/24 for ref 2, nothing for ref 3 (truth 80 pixels)
    assert choices["first"]["oIoU"] == pytest.approx(100 * 8 / (16 + 24 + 80))
    assert choices["first"]["mIoU"] == pytest.approx(100 * 0.5 / 3)
    # selected: the wrong cat for ref 1 (0/32), the right one for ref 2 (16/16)
    assert choices["selected"]["oIoU"] == pytest.approx(100 * 16 / (32 + 16 + 80))
    assert choices["best"]["mIoU"] == pytest.approx(100 * 1.5 / 3)
    assert [name for name, choice in choices.items() if choice["test_only"]] == ["best"]
    assert found["candidates"] == {
        "mean": pytest.approx(4 / 3),
        "max": 2,
        "share_empty": pytest.approx(1 / 3),
        "histogram": {"0": 1, "2": 2},
    }
    assert {name: group["n"] for name, group in choices["best"]["by_num_candidates"].items()} == {"0": 1, "2": 2}


def test_published_oiou_leaves_out_refs_without_candidates(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]
) -> None:
    mended = run(refs, masks, truth, meta)["choices"]["best"]
    published = run(refs, masks, truth, meta, compat=CompatSettings(oiou_skips_empty=True))["choices"]["best"]
    assert mended["oIoU"] == pytest.approx(100 * 24 / (16 + 16 + 80))
    assert published["oIoU"] == pytest.approx(100 * 24 / (16 + 16))
    assert published["mIoU"] == mended["mIoU"]


def test_an_empty_ground_truth_is_counted_and_has_iou_0(
    refs: pd.DataFrame, masks: MaskStore, meta: dict[str, Any], tmp_path: Path
) -> None:
    truth = Truths({1: np.zeros(SIZE, bool), 2: RIGHT, 3: np.zeros(SIZE, bool)})
    selected = select(tmp_path / "selected.h5", {1: [0, 1], 2: [1], 3: [-1]}, per="sentence")
    for selections in ({}, {"selected": selected}):  # a ref counts once, whatever its sentences
        found = run(refs, masks, truth, meta, selections=selections)
        assert found["empty_truths"] == 2
    assert found["choices"]["best"]["mIoU"] == pytest.approx(100 * (0 + 0 + 1 + 0) / 4)


def test_train_looks_at_the_first_refs(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]
) -> None:
    assert run(refs, masks, truth, meta, split="train")["n_refs"] == 1
    rows = pd.read_parquet(candidates_path(masks.path.with_name("eval_masks_val.json")))
    assert rows["ref_id"].tolist() == [5]
    assert run(refs, masks, truth, meta, split="train", settings=EvaluateSettings(train_refs=9))["n_refs"] == 2


def test_random_is_seeded_by_ref(refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]) -> None:
    def picks(seed: int, table: pd.DataFrame) -> dict[int, int]:
        settings = EvaluateSettings(bootstrap_samples=0)
        run(table, masks, truth, meta, settings=settings, select=SelectSettings(min_area=0, seed=seed))
        rows = pd.read_parquet(candidates_path(masks.path.with_name("eval_masks_val.json")))
        return dict(zip(rows["ref_id"], rows["index_random"], strict=True))

    assert picks(0, refs) == {**picks(0, refs[refs["ref_id"] != 1]), 1: picks(0, refs)[1]}
    assert len({tuple(picks(seed, refs).values()) for seed in range(8)}) > 1


def test_small_candidates_are_passed_over_where_there_are_several(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]
) -> None:
    # ref 1 and 2 have candidates of 8 and 16 pixels; ref 4 of the other photo has a lone one
    table = candidates_path(masks.path.with_name("eval_masks_val.json"))
    run(refs, masks, truth, meta, select=SelectSettings(min_area=9))
    assert pd.read_parquet(table)[["index_random", "index_first", "index_best"]].to_numpy().tolist() == [
        [1, 1, 0],
        [1, 1, 1],
        [-1, -1, -1],
    ]
    run(refs, masks, truth, meta, split="train", select=SelectSettings(min_area=99))
    assert pd.read_parquet(table)["index_random"].tolist() == [0]


def test_random_and_first_are_what_select_would_choose(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]
) -> None:
    for blind in (False, True):
        settings, compat = SelectSettings(min_area=9, seed=4), CompatSettings(blind_to_size=blind)
        run(refs, masks, truth, meta, select=settings, compat=compat)
        rows = pd.read_parquet(candidates_path(masks.path.with_name("eval_masks_val.json")))
        areas = {1: [8, 16], 2: [8, 16], 3: []}
        for choice in ("random", "first"):
            own = settings.model_copy(update={"choice": choice})
            expected = [
                choose(np.zeros((1, len(of_ref))), np.array(of_ref), own, compat, ref_id=ref_id)
                for ref_id, of_ref in areas.items()
            ]
            assert rows[f"index_{choice}"].tolist() == expected
        assert rows["index_first"].tolist() == ([0, 0, -1] if blind else [1, 1, -1])


def test_merged_masks_are_what_is_evaluated(
    refs: pd.DataFrame, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    """Published: later candidates hide earlier ones, and one that covers the photo is saved empty."""
    left, covering, right_of_it = box(0, 0, 4, 4), box(0, 0, 10, 8), box(2, 0, 6, 4)
    instances = {1: [left, right_of_it, covering], 2: [covering]}
    candidates = {1: {1: [0, 1], 2: [0, 2]}, 2: {3: [0]}}
    with MaskStoreWriter(tmp_path / "masks.h5", INFO, with_masks=True) as writer:
        for image_id, found in instances.items():
            n = len(found)
            writer.append_image(
                image_id, SIZE, boxes_xyxy=np.zeros((n, 4)), box_scores=np.ones(n), labels=np.zeros(n),
                rles=rle.encode(np.stack(found)), mask_scores=np.ones(n), candidates=candidates[image_id],
            )  # fmt: skip
    masks = MaskStore(tmp_path / "masks.h5")
    plain = run(refs, masks, truth, meta)["candidates"]
    assert (plain["mean"], plain["share_empty"]) == (pytest.approx(5 / 3), 0)
    found = run(refs, masks, truth, meta, compat=CompatSettings(merged_masks=True))
    assert found["candidates"]["histogram"] == {"0": 2, "2": 1}
    rows = pd.read_parquet(candidates_path(tmp_path / "eval_masks_val.json")).set_index("ref_id")
    # ref 1: of the left 4 x 4 the right half is hidden; of ref 2, one covers the other and the photo
    assert (rows["intersection_first"][1], rows["union_first"][1]) == (8, 16)
    assert rows["index_best"].to_dict() == {1: 0, 2: -1, 3: -1}


def test_choice_per_sentence_makes_sentences_the_pairs(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    selected = select(tmp_path / "selected.h5", {1: [0, 1], 2: [1], 3: [-1]}, per="sentence")
    found = run(refs, masks, truth, meta, selections={"selected": selected})
    assert (found["per"], found["n_refs"], found["n_pairs"]) == ("sentence", 3, 4)
    assert found["choices"]["selected"]["mIoU"] == pytest.approx(100 * (0.5 + 0 + 1 + 0) / 4)
    assert found["choices"]["first"]["mIoU"] == pytest.approx(100 * (0.5 + 0.5 + 0 + 0) / 4)


def test_a_mask_that_a_person_drew_is_evaluated_as_it_is_and_is_no_candidate(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    drawn = {1: truth.mask(1), 3: box(0, 0, 2, 4)}
    with SelectionWriter(tmp_path / "selected.h5", INFO, reviewed=drawn) as writer:
        for ref_id, count in ((1, 2), (2, 2), (3, 0)):
            row, mask = (DRAWN, drawn[ref_id]) if ref_id in drawn else (1, RIGHT)
            rles = rle.encode(mask[None])
            writer.append_ref(ref_id, image_id=1, size=SIZE, chosen=[row], scores=np.zeros((1, count)), rles=rles)
    without = run(refs, masks, truth, meta)
    found = run(refs, masks, truth, meta, selections={"selected": SelectionStore(tmp_path / "selected.h5")})
    rows = pd.read_parquet(candidates_path(masks.path.with_name("eval_masks_val.json"))).set_index("ref_id")
    assert rows["index_selected"].to_dict() == {1: 2, 2: 1, 3: 0}
    assert rows["iou_selected"][1] == 1
    share = drawn[3] & truth.mask(3), drawn[3] | truth.mask(3)
    assert rows["iou_selected"][3] == share[0].sum() / share[1].sum()
    for blind in ("random", "first", "best"):
        assert found["choices"][blind] == without["choices"][blind], "what was drawn is no candidate for them"
    assert found["candidates"] == without["candidates"]
    assert found["choices"]["selected"]["empty"] == 0

    skips = run(
        refs, masks, truth, meta,
        selections={"selected": SelectionStore(tmp_path / "selected.h5")}, compat=CompatSettings(oiou_skips_empty=True),
    )  # fmt: skip
    # ref 3 has no candidate, but a mask; of the other choices it is left out
    assert skips["choices"]["selected"] == found["choices"]["selected"]
    assert skips["choices"]["selected"]["mIoU"] == pytest.approx(100 * (1 + 1 + 0.1) / 3)
    assert skips["choices"]["best"]["oIoU"] == pytest.approx(100 * 24 / (16 + 16))


def test_selection_of_other_masks(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    other = select(tmp_path / "other.h5", {1: [2], 2: [1], 3: [-1]})
    with pytest.raises(SscError, match=r"other\.h5 chooses mask 2 for ref 1, which is none of its candidates"):
        run(refs, masks, truth, meta, selections={"selected": other})


def test_masks_of_other_photos(refs: pd.DataFrame, masks: MaskStore, meta: dict[str, Any]) -> None:
    with pytest.raises(SscError, match=r"ref 1 has 10 x 8 pixels, its ground truth 5 x 4"):
        run(refs, masks, Truths({1: np.ones((4, 5), bool)}), meta)


def test_names_of_built_in_choices_are_taken(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    selected = select(tmp_path / "selected.h5", {1: [0]})
    with pytest.raises(ValueError, match="best"):
        run(refs, masks, truth, meta, selections={"best": selected})


def test_per_sentence_figures_compare_with_a_network(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any]
) -> None:
    found = run(refs, masks, truth, meta, compat=CompatSettings(oiou_skips_empty=True))["choices"]["best"]
    # ref 1 (8 of 16 pixels) has two sentences, ref 2 (16 of 16) and ref 3 (0 of 80) one each; no switch applies
    assert found["per_sentence"]["native"]["oIoU"] == pytest.approx(100 * (8 + 8 + 16) / (16 + 16 + 16 + 80))
    assert found["per_sentence"]["480"]["mIoU"] == pytest.approx(100 * (0.5 + 0.5 + 1 + 0) / 4)
    assert found["per_sentence"]["480"]["ci95"] is not None


def test_figures_at_480_are_those_of_a_network_with_these_masks(
    refs: pd.DataFrame, masks: MaskStore, truth: Truths, meta: dict[str, Any], tmp_path: Path
) -> None:
    chosen = {1: 0, 2: 1}
    empty = np.zeros(SIZE, bool)
    found = run(refs, masks, truth, meta, selections={"selected": select(tmp_path / "s.h5", {1: [0], 2: [1], 3: [-1]})})
    stored = evaluate_stored(
        refs=refs, split="val", truth=truth, out=tmp_path / "eval.json", settings=SETTINGS, meta=meta,
        mask_of=lambda sent_id: IMAGES[1][0][chosen[sent_id // 10]] if sent_id // 10 in chosen else empty,
    )  # fmt: skip
    per_sentence = found["choices"]["selected"]["per_sentence"]
    for resolution in ("480", "native"):
        assert per_sentence[resolution] == json.loads(stored.by_resolution[resolution].model_dump_json())
