"""Places are named in RefCOCO's forms, as often as RefCOCO has them."""

import difflib
from collections import Counter

import numpy as np
import pytest

from microworld import places
from microworld.sentences import _PLACES

COUNT = 4000


def said(place, seed=0):
    rng = np.random.default_rng(seed)
    return Counter(places.named(place, "dog", rng) for _ in range(COUNT))


def test_every_place_that_sentences_name_has_forms():
    assert {place.removeprefix("at ") for place in _PLACES} == set(places.FORMS)
    for place, forms in places.FORMS.items():
        assert all(form.count("{n}") == 1 and count > 0 for form, count in forms.items()), place


def test_left_and_right_top_and_bottom_are_named_alike():
    for place in ("leftmost", "left", "top left", "second from left"):
        other = place.replace("left", "right")
        assert [form.replace("left", "right") for form in places.FORMS[place] if "clock" not in form] == [
            form for form in places.FORMS[other] if "clock" not in form
        ]
    assert "lower {n}" in places.FORMS["bottom"]
    assert "upper {n}" in places.FORMS["topmost"]


def test_a_form_is_said_as_often_as_it_was_counted():
    drawn = said("nearest")
    forms = places.FORMS["nearest"]
    for form in ("front {n}", "{n} in front", "closest {n}"):
        share = forms[form] / sum(forms.values())
        assert drawn[form.format(n="dog")] / COUNT == pytest.approx(share, abs=0.02)
    assert set(said("left")) & {"far left dog", "leftmost dog"} == set(), "the left half is not the far left"


def test_few_words_are_misspelt_or_abbreviated():
    drawn = said("left")
    forms = {form.format(n="dog") for form in places.FORMS["left"]}
    hasty = {text: count for text, count in drawn.items() if text not in forms}
    short = sum(count for text, count in hasty.items() if "lft" in text.split())
    assert short / COUNT == pytest.approx(places.SHORTENED, abs=0.01)
    misspelt = sum(hasty.values()) - short
    assert 0.002 < misspelt / COUNT < 0.012
    for text in hasty:
        (close,) = difflib.get_close_matches(text, forms, n=1)
        assert difflib.SequenceMatcher(None, text, close).ratio() > 0.7


@pytest.mark.parametrize(
    ("corner", "clock"), [("top left", 10), ("top right", 2), ("bottom right", 4), ("bottom left", 8)]
)
def test_a_corner_may_be_an_hour_of_the_clock(corner, clock):
    assert places.FORMS[corner][f"{{n}} at {clock} o'clock"] == 2


def test_a_bare_place_has_words_for_itself():
    rng = np.random.default_rng(1)
    drawn = [places.bare(rng) for _ in range(2000)]
    assert {place for place, _ in drawn} > {"leftmost", "rightmost", "middle", "second from left", "bottom right"}
    assert {text for place, text in drawn if place == "middle"} >= {"middle", "middle one", "center"}
    assert sum(place in ("leftmost", "rightmost") for place, _ in drawn) / 2000 == pytest.approx(0.55, abs=0.04)
