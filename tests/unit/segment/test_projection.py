from __future__ import annotations

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.segment import projection
from ssc_core.segment.projection import ClassProjection
from tests.unit.segment.fake_backends import LetterEncoder

NAMES = ("dog", "cat", "umbrella")


def test_the_nearest_class():
    project = ClassProjection(LetterEncoder(), NAMES, context=False, top_k=1)
    assert project(["dogs", "catty", "brolly"]) == {"dogs": ("dog",), "catty": ("cat",), "brolly": ("umbrella",)}


def test_top_k_is_nearest_first():
    project = ClassProjection(LetterEncoder(), NAMES, context=False, top_k=3)
    assert project(["umbrellas"]) == {"umbrellas": ("umbrella", "cat", "dog")}


def test_every_distinct_noun_is_encoded_once_in_batches(monkeypatch):
    monkeypatch.setattr(projection, "BATCH", 2)
    project = ClassProjection(LetterEncoder(), NAMES, context=True, top_k=1)
    project(["dogs", "cats", "dogs", "dogs", "bird"])
    assert LetterEncoder.texts == [f"a photo of a {w}" for w in (*NAMES, "dogs", "cats", "bird")]


def test_nouns_that_are_known_are_not_encoded_again(monkeypatch):
    project = ClassProjection(LetterEncoder(), NAMES, context=False, top_k=1)
    before = project(["dogs", "cats"])
    asked = list(LetterEncoder.texts)
    assert project(["cats", "dogs", "cats"]) == before
    assert LetterEncoder.texts == asked


def test_a_noun_far_from_every_class_stays_as_it_is():
    options = {"context": False, "top_k": 2}
    near = ClassProjection(LetterEncoder(), NAMES, **options)
    far = ClassProjection(LetterEncoder(), NAMES, **options, min_similarity=0.5)
    assert near(["cats", "zzz"])["zzz"] != ("zzz",)
    assert far(["cats", "zzz"]) == {"cats": ("cat",), "zzz": ("zzz",)}


def test_ties_go_to_the_class_that_is_listed_first():
    class Same(LetterEncoder):
        def encode_texts(self, texts):
            return np.ones((len(texts), 1), np.float32)

    assert ClassProjection(Same(), NAMES, context=False, top_k=2)(["x"]) == {"x": ("dog", "cat")}


def test_no_nouns_cost_nothing():
    assert ClassProjection(LetterEncoder(), NAMES, context=False, top_k=1)([]) == {}


@pytest.mark.parametrize(("names", "top_k", "what"), [((), 1, "nouns.classes: coco"), (NAMES, 4, "nouns.top_k")])
def test_what_cannot_be_projected_is_an_error(names, top_k, what):
    with pytest.raises(SscError, match=what):
        ClassProjection(LetterEncoder(), names, context=False, top_k=top_k)
