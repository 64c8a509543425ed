"""Left and right of mirrored photos, in the words that people have for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssc_core.refer.sides import mirrored
from ssc_core.select.place_words import Place, read_places


@pytest.mark.parametrize(
    ("sentence", "other"),
    [
        ("the left mug", "the right mug"),
        ("Right mug", "left mug"),
        ("second mug from the left", "second mug from the right"),
        ("leftmost mug", "rightmost mug"),
        ("mug on the lft", "mug on the right"),
        ("rt mug", "left mug"),
        ("bottomright mug", "bottomleft mug"),
        ("mug picleft", "mug picright"),
        ("left of the right mug", "right of the left mug"),
        ("man facing left, right hand up", "man facing right, left hand up"),
        ("mug at 10 o'clock", "mug at 2 o'clock"),
        ("12 oclock mug", "12 oclock mug"),
        ("mug at 3 o clock", "mug at 9 o clock"),
        # what is no side
        ("mug right behind the bowl", "mug right behind the bowl"),
        ("right mug right behind the bowl", "left mug right behind the bowl"),
        ("bright upright mug", "bright upright mug"),
        ("leftovers on a plate", "leftovers on a plate"),
        ("cleft mug, copyright, all but alright", "cleft mug, copyright, all but alright"),
        ("3 mugs below a clock", "3 mugs below a clock"),
        ("mug right behind, left of it a bowl", "mug right behind, right of it a bowl"),
        ("mug right behind.", "mug right behind."),
        ("", ""),
    ],
)
def test_a_sentence(sentence: str, other: str) -> None:
    assert mirrored(sentence) == other


@pytest.mark.parametrize(
    "hour",
    ["{} o'clock", "{} o’clock", "{} o‘clock", "{} o´clock", "{} o`clock", "{} o' clock", "{} o’ clock", "{}-o’clock",
     "{}o'clock", "{}o’clock", "{} oclock", "{} o clock", "{} o-clock", "{} clock"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["bowl at {}", "the {} bowl", "‘{}’ bowl, the man’s"])
def test_hours_however_they_are_written(hour: str, text: str) -> None:
    sentence = text.format(hour.format(10))
    assert mirrored(sentence) == text.format(hour.format(2))
    assert [read_places(one) for one in (sentence, mirrored(sentence))] == [(Place("clock", 10),), (Place("clock", 2),)]


def test_real_sentences_say_the_mirrored_place(real_sample: Path) -> None:
    lines = (real_sample / "refcoco_val_sentences.jsonl").read_text(encoding="utf-8").splitlines()
    sentences = [json.loads(line)["sent"] for line in lines]
    changed = [sentence for sentence in sentences if mirrored(sentence) != sentence.lower()]
    assert len(changed) > 5000
    misread = [s for s in sentences if set(read_places(mirrored(s))) != set(map(turned, read_places(s)))]
    assert len(misread) <= 6, misread  # "truck left behind guys"


def turned(place: Place) -> Place:
    if place.what == "clock" and place.number is not None:
        return Place("clock", 12 - place.number or 12)
    return Place({"left": "right", "right": "left"}.get(place.what, place.what), place.number)
