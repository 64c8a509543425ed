from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, ReviewerSettings, ReviewingSettings, SelectSettings
from ssc_core.masks import rle
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.reviews import Decision, Review, read_lines, that_count
from ssc_core.masks.store import MaskStore
from ssc_core.refer.truth import TruthMask, write_truth
from tests.unit.review.conftest import Place, choose, queue_of
from workflow_scripts.simulate_reviews import main

RIGHT = {1: 1, 2: 0, 3: 0, 5: 0}
"""The candidate that is the truth of each ref; ref 4 has none."""


@pytest.fixture
def truth(place: Place) -> Path:
    path = place.folder / "truth.h5"
    with MaskStore.open(place.folder / "masks.h5", with_masks=True) as store:
        masks = {}
        for ref_id, index in RIGHT.items():
            candidates = read_candidates(store, ref_id, merged=False)
            masks[ref_id] = (candidates.size, candidates.rles[index])
    somewhere = rle.encode(np.ones((1, 40, 60), dtype=bool))[0]
    masks[4] = ((40, 60), somewhere)
    write_truth(path, [TruthMask(ref_id, *size, code) for ref_id, (size, code) in sorted(masks.items())])
    return path


def reviewed(place: Place, truth: Path, **settings: float | str) -> dict[int, Review]:
    main(
        refs=place.refs,
        nouns=place.folder / "nouns.parquet",
        masks=place.folder / "masks.h5",
        scores=[place.folder / "scores.h5"],
        truth=truth,
        split="val",
        settings=ReviewingSettings(select=SelectSettings(min_area=9), reviewer=ReviewerSettings(**settings)),
        compat=CompatSettings(),
        out=place.reviews,
    )
    return that_count(read_lines(place.reviews))


def test_it_chooses_the_true_candidate_and_none_where_there_is_not_one(place, truth):
    reviews = reviewed(place, truth, share=1)
    with ExitStack() as stack:
        store = stack.enter_context(MaskStore.open(place.folder / "masks.h5", with_masks=True))
        for ref_id, index in RIGHT.items():
            assert reviews[ref_id].decision is Decision.chosen
            assert reviews[ref_id].rle == read_candidates(store, ref_id, merged=False).rles[index]
    assert reviews[4].decision is Decision.none
    selected = choose(place)
    assert selected.reviewed == {1, 2, 3, 4, 5}
    assert selected.unfit == ()


def test_it_asks_first_what_the_page_asks_first(place, truth):
    with queue_of(place) as queue:
        asked = [one["ref"] for one in queue.list()]
    for count in range(6):
        assert list(reviewed(place, truth, share=count / 5)) == asked[:count]


def test_at_random_it_asks_others_with_another_seed_and_the_same_with_the_same(place, truth):
    orders = [tuple(reviewed(place, truth, share=1, order="random", seed=seed)) for seed in range(8)]
    assert len(set(orders)) > 1
    assert {order[-1] for order in orders} == {4}, "where nothing was found, there is nothing to ask"
    first = place.reviews.read_bytes()
    reviewed(place, truth, share=1, order="random", seed=7)
    assert place.reviews.read_bytes() == first


def test_below_the_least_iou_it_says_none(place, truth):
    half = rle.encode(np.pad(np.ones((1, 12, 5), dtype=bool), ((0, 0), (4, 24), (4, 51))))[0]  # 5 of 12 columns of red
    write_truth(truth, [TruthMask(1, 40, 60, half)])
    assert reviewed(place, truth, share=1)[1].decision is Decision.none
    assert reviewed(place, truth, share=1, least_iou=0.4)[1].decision is Decision.chosen
    assert list(reviewed(place, truth, share=1)) == [1], "refs without ground truth are not asked about"
