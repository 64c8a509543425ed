"""Pair scorers through ``score_candidates``: what they are asked, what is stored, and that an encoder's way stays."""

from __future__ import annotations

import numpy as np
import pytest

from ssc_core.config.base import Backend
from ssc_core.errors import SscError
from ssc_core.masks.store import MaskStore
from tests.unit.select.test_scoring import score_world

PAIRS = '''
import numpy as np

LOG = []


class Redness:
    """How red a candidate is, for sentences that name red; its area for others."""

    scale = "share of red"

    def score_pairs(self, image, masks, sentences):
        LOG.append((id(image), len(masks), tuple(sentences)))
        red = np.array([image[mask].astype(float)[:, 0].mean() / 255 for mask in masks])
        area = masks.sum(axis=(1, 2)).astype(float)
        return np.array([red if "red" in text else area for text in sentences])


class Prepared(Redness):
    def prepare(self, image):
        return np.ascontiguousarray(image[..., ::-1])


class Nan(Redness):
    def score_pairs(self, image, masks, sentences):
        return np.full((len(sentences), len(masks)), np.nan)


class Neither:
    scale = "nothing"
'''


@pytest.fixture
def pairs(world):
    path = world.folder / "pairs.py"
    path.write_text(PAIRS)
    return lambda name: world.score_settings(backend=Backend(name=f"{path}:{name}"))


def test_scores_are_stored_as_given_with_name_and_scale(world, pairs):
    store = score_world(world, settings=pairs("Redness"))
    assert store.info.settings["scale"] == "share of red" and store.info.settings["scorer"] == "default"
    with MaskStore.open(world.masks) as masks:
        areas = masks.candidate_masks(2).sum(axis=(1, 2))
    assert store.scores(2).tolist() == [areas.tolist()]  # "the green square"
    assert store.scores(1).argmax(axis=1).tolist() == [0, 0] and store.scores(1).max() <= 1
    assert [store.scores(ref).shape for ref in (1, 2, 3, 4, 5)] == [(2, 3), (1, 3), (3, 1), (1, 0), (2, 2)]
    assert score_world(world, name="own.h5").info.settings["scale"] == "cosine x 100"


def test_a_scorer_is_asked_ref_by_ref_with_one_array_a_photo_and_not_about_nothing(world, pairs):
    import sys

    score_world(world, settings=pairs("Redness"), threads=3)
    log = sys.modules["ssc_plugin_pairs"].LOG
    assert [count for _, count, _ in log] == [3, 3, 1, 2], "ref 4 has no candidates"
    assert len({image for image, _, _ in log[:3]}) == 1, "the refs of photo a come with the same array"


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (64, 3)])
def test_batches_and_threads_change_nothing(world, pairs, batch, threads):
    reference = score_world(world, settings=pairs("Redness"), name="reference.h5")
    other = score_world(world, settings=pairs("Redness"), batch=batch, threads=threads)
    assert (world.folder / "reference.h5").read_bytes() == (world.folder / "scores.h5").read_bytes()
    assert np.array_equal(reference.scores(1), other.scores(1))


def test_prepare_runs_ahead_and_its_result_takes_the_place_of_the_photo(world, pairs):
    plain, swapped = (score_world(world, settings=pairs(name), name=f"{name}.h5") for name in ("Redness", "Prepared"))
    assert plain.scores(1).argmax(axis=1).tolist() == [0, 0]
    assert swapped.scores(1).argmax(axis=1).tolist() == [2, 2], "of blue, where red was"


def test_a_scorer_that_breaks_its_contract_is_named_and_leaves_no_file(world, pairs):
    with pytest.raises(
        SscError, match=r"pair scorer '.*pairs\.py:Nan': Nan\.score_pairs gave scores that are not finite"
    ):
        score_world(world, settings=pairs("Nan"))
    assert not (world.folder / "scores.h5").exists()
    with pytest.raises(
        SscError, match="Neither' is no PairScorer and no ImageTextEncoder: it needs scale and score_pairs"
    ):
        score_world(world, settings=pairs("Neither"))
