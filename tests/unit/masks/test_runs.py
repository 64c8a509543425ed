from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.masks.resize import resize_nearest, taken_before
from ssc_core.masks.rle import encode
from ssc_core.masks.runs import foreground, shared

PAIRS = np.array([0, 1, 1, 3, 2, 0]), np.array([0, 0, 2, 1, 1, 2])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0, 0.02, 0.5, 0.98, 1]))
def test_areas_and_overlaps_are_those_of_the_pixels(seed: int, height: int, width: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    masks, others = rng.random((4, height, width)) < share, rng.random((3, height, width)) < rng.random((3, 1, 1))
    size, small = (height, width), (13, 11)
    measure = taken_before(size, small)
    mine, theirs = foreground(encode(masks), size), foreground(encode(others), size)
    assert mine.areas().tolist() == masks.sum((1, 2)).tolist()
    assert mine.areas(measure).tolist() == resize_nearest(masks, small).sum((1, 2)).tolist()
    both = masks[PAIRS[0]] & others[PAIRS[1]]
    assert shared(mine, theirs, PAIRS).tolist() == both.sum((1, 2)).tolist()
    assert shared(mine, theirs, PAIRS, measure).tolist() == resize_nearest(both, small).sum((1, 2)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=2, max_size=4))
def test_codes_of_other_encoders_with_empty_runs_are_read(lengths: list[list[int]]) -> None:
    pixels = max(map(sum, lengths)) + 1
    codes, masks = [], []
    for runs in lengths:
        runs = [*runs, pixels - sum(runs)]
        codes.append(coco.frPyObjects({"size": [pixels, 1], "counts": runs}, pixels, 1)["counts"])
        masks.append(np.repeat(np.arange(len(runs)) % 2 == 1, runs))
    found = foreground(codes, (pixels, 1))
    assert found.areas().tolist() == [int(mask.sum()) for mask in masks]
    pairs = np.array([0, 1, 1]), np.array([1, 0, 1])
    assert shared(found, found, pairs).tolist() == [
        int((masks[a] & masks[b]).sum()) for a, b in zip(*pairs, strict=True)
    ]


def test_nothing_shares_nothing() -> None:
    some, none = foreground(encode(np.ones((1, 4, 5), bool)), (4, 5)), foreground([], (4, 5))
    no_pairs = np.zeros(0, int), np.zeros(0, int)
    assert len(none) == len(none.areas()) == len(shared(none, some, no_pairs)) == len(shared(some, none, no_pairs)) == 0
    empty = foreground(encode(np.zeros((1, 4, 5), bool)), (4, 5))
    assert shared(empty, some, (np.array([0]), np.array([0]))).tolist() == [0]


@pytest.mark.parametrize("bad", [b"", b"P", b"d\xff0", b"o" * 8 + b"0", b"c"])
def test_the_first_bad_code_is_named(bad: bytes) -> None:
    good = encode(np.ones((1, 4, 5), bool))
    with pytest.raises(SscError, match=r"^image 7: RLE 2 (is malformed|does not fit)"):
        foreground([*good, *good, bad, *good, bad], (4, 5), where="image 7")
