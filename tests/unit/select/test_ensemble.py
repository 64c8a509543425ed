from __future__ import annotations

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter
from ssc_core.select.ensemble import WeightedScores, combined
from tests.unit.select.test_stage import AREAS, SCORES, select

FIRST = np.array([[26, 24, 10], [30, 31, 0]], np.float32)
SECOND = np.array([[1, 3, 1], [0.5, 0.25, 0]], np.float32)


def test_a_single_scorer_keeps_its_bits():
    assert combined([FIRST], [0.3]) is FIRST


def test_the_sum_of_weighted_log_probabilities():
    def log_probability(scores):
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.log(exp / exp.sum(axis=1, keepdims=True))

    expected = log_probability(FIRST) + 0.5 * log_probability(SECOND)
    found = combined([FIRST, SECOND], [1, 0.5])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_where_a_scale_begins_does_not_matter_and_a_scorer_in_doubt_says_nothing():
    apart = combined([FIRST, SECOND + 1000], [1, 2])
    np.testing.assert_allclose(apart, combined([FIRST, SECOND], [1, 2]), atol=2e-4)
    doubt = combined([FIRST, np.full_like(SECOND, 7)], [1, 5])
    np.testing.assert_allclose(np.diff(doubt), np.diff(FIRST), atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (1, 1)])
def test_nothing_to_choose_from(shape):
    assert combined([np.zeros(shape, np.float32)] * 2, [1, 1]).shape == shape


def write(path, scores, **settings):
    info = StoreInfo(class_names=(), settings=settings, code="test", models={str(settings.get("scorer")): path.stem})
    with ScoreStoreWriter(path, info) as writer:
        for ref, values in scores.items():
            writer.append_ref(ref, np.array(values, np.float32).reshape(len(values), len(AREAS[ref])), AREAS[ref])
    return path


def test_weights_change_the_choice(world):
    opposite = {ref: [[-value for value in row] for row in rows] for ref, rows in SCORES.items()}
    scores = [
        write(world.folder / "a.h5", SCORES, scorer="default"),
        write(world.folder / "b.h5", opposite, scorer="dense"),
    ]
    alone = select(world, scores[0])
    assert alone.chosen(1) == 0
    for weight, chosen in ((0.5, 0), (2, 2)):
        both = select(world, scores[::-1], weights={"dense": weight})
        assert both.chosen(1) == chosen, "whatever the order of the files"
    assert both.info.models == {"default": "a", "dense": "b"}
    other = select(world, scores[1], weights={"default": 0, "dense": 0.3})
    assert other.scores(1).tolist() == [[-26, -24, -10]], "of a single scorer as they are"


def test_files_are_told_apart_by_their_scorer(world):
    first = write(world.folder / "a.h5", SCORES)  # as written before there were several
    with pytest.raises(SscError, match=r"scores of default, dense are needed, one file each, but there are .*a\.h5"):
        select(world, first, weights={"dense": 1})
    with pytest.raises(SscError, match=r"scores of dense are needed, .*a\.h5 \(default\)"):
        select(world, first, weights={"default": 0, "dense": 1})
    with pytest.raises(SscError, match="one file each"):
        select(world, [first, first])


def test_scores_of_other_candidates_are_refused(world):
    fewer = {ref: rows[:-1] if ref == 1 else rows for ref, rows in SCORES.items()}
    store = WeightedScores([ScoreStore(write(world.folder / "a.h5", fewer, scorer="default"))], {"default": 1})
    with pytest.raises(SscError, match=r"a\.h5, ref 1: .* sentences and 3 candidates were scored"):
        store.scores(1, (len(SCORES[1]), 3))
