"""Places and sizes as people write them, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssc_core.select.place_words import read_places
from ssc_core.select.spatial import MEASURES
from tests.patience import grows_linearly


def read(sentence: str) -> str:
    return " ".join(p.what if p.number is None else f"{p.what}:{p.number}" for p in read_places(sentence))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # one word, however it is written
        ("mug on the rt", "right"),
        ("lft mug", "left"),
        ("rigth mug", "right"),
        ("mug in the btm corner", "bottom"),
        ("the left most mug", "left"),
        ("bottomright mug", "right bottom"),
        ("topmost mug", "top"),
        ("mug in centre", "middle"),
        ("MUG ON MY LEFT", "left"),
        # near and far
        ("front mug", "front"),
        ("mug in front", "front"),
        ("closest mug", "front"),
        ("mug nearest us", "front"),
        ("mug close to the camera", "front"),
        ("mug in the foreground", "front"),
        ("mug in front of the others", "front"),
        ("mug in back", "back"),
        ("background mug", "back"),
        ("mug behind all", "back"),
        ("mug behind the other one", "back"),
        ("farthest mug", "back"),
        ("mug farthest from the camera", "back"),
        ("rear mug facing left", "back"),
        ("mug far left", "left"),
        ("mug furthest to the right", "right"),
        ("front left mug", "left front"),
        ("mug back right", "right back"),
        # above and under all others
        ("the mug above the others", "top"),
        ("mug below the rest", "bottom"),
        # sizes
        ("biggest mug", "large"),
        ("tiny mug", "small"),
        ("tallest man", "tall"),
        ("shorter man", "short"),
        ("short man", "short"),
        # ranks
        ("2nd from rt", "right:2"),
        ("third mug from the far left", "left:3"),
        ("second mug on the right", "right:2"),
        ("second in from left", "left:2"),
        ("from right second mug", "right:2"),
        ("left second mug", "left:2"),
        ("mug second left", "left:2"),
        ("second mug right", "right:2"),
        ("three from the right", "right:3"),
        ("4 from top", "top:4"),
        ("second mug left to right", "left:2"),
        ("second one down", "top:2"),
        ("second mug from front", "front:2"),
        ("front row second from the left", "left:2 front"),
        ("second from right in front row", "right:2 front"),
        # hours
        ("slice at 10 o'clock", "clock:10"),
        ("slice at 4 o clock", "clock:4"),
        ("12oclock slice", "clock:12"),
        # places of the whole photo
        ("left of the picture", "left"),
        ("mug at the front of the photo", "front"),
        ("mug in the middle of the table", "middle"),
        ("mug at the top of the shelf", "top"),
        ("mug near the bottom", "bottom"),
        ("mug closest to the left", "left"),
        # beside what is said of another object
        ("mug next to left bowl", ""),
        ("mug next to the bowl on the right", "right"),
        ("mug on right next to bowl", "right"),
        ("mug behind the front bowl", ""),
        ("left mug behind small bowl", "left"),
        ("mug in front of us in the middle", "middle"),
        ("mug at the bottom to the right of the bowl in the middle", "bottom"),
        # beside a part
        ("far left chair back", "left"),
        ("chair back left", "left back"),
        # in quotes
        ("the 'left' mug", "left"),
        ("mugs' bottom 'right' corner", "right bottom"),
    ],
)
def test_read(sentence: str, expected: str) -> None:
    assert read(sentence) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "red mug",
        "🙂",
        "mug in front of the bowl",
        "mug behind bowl",
        "mug above the sink",
        "mug to the left of the bowl",
        "mug just right of the bowl",
        "mug by the left bowl",
        "mug closest to the bowl",
        "mug farthest from the bowl",
        "mug on top of the box",
        "to the top right of the bowl",
        "man right behind her",
        "man with his left hand up",
        "right arm",
        "woman facing right",
        "man looking to the left",
        "man turned to his right",
        "man with back to us",
        "man with back turned",
        "back wheel",
        "woman in white top",
        "man in blue tank top",
        "girl with tattoo on her left",
        "cake with cherries on top",
        "table top",
        "second mug",
        "second row",
        "second to last",
        "short hair",
        "man in big hat",
        "bright mug",
        "laptop",
        "mug, not the left one",
        "four leftovers",
        "mug to the left of the bowl in the middle",
        "second mug from the middle",
        "shirt above chair back",
        "motorcycle with a yellow spot on the front",
    ],
)
def test_what_is_no_place_of_the_object_or_in_doubt_is_not_read(sentence: str) -> None:
    assert read(sentence) == ""


def test_a_colour_before_top_is_a_garment_unless_more_of_the_place_follows() -> None:
    assert read("orange top right") == "right top"
    assert read("girl on right in orange top") == "right"


WORDS = ("left", "second", "from", "the", "in", "1", "o'clock", "of", "not", "far", "behind", "x")


@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_read(sentence: str) -> None:
    for place in read_places(sentence):
        assert place.what in MEASURES or place.what == "clock"
        assert place.number is None or 1 <= place.number <= 12


@pytest.mark.parametrize("words", ["second from the", "in the white", "far to", "with x on", "behind the", "second x"])
def test_reading_takes_time_linear_in_the_length(words: str) -> None:
    assert grows_linearly(lambda times: read_places(f"{words} " * times), 3000)
