"""The counts of microworld/places.py are those of real sentences."""

import json
from pathlib import Path

from benchmarks.place_forms import counted, form
from microworld import places


def test_a_form_keeps_the_words_of_place_alone():
    assert form("guy on far left") == "_ on far S"
    assert form("upper right corner") == "U S corner"
    assert counted(["guy on left", "man in red on left", "girl on right", "umbrella"]) == [("_ on S", 2)]


def test_every_form_is_as_frequent_as_in_refcoco_val(real_sample: Path):
    lines = (real_sample / "refcoco_val_sentences.jsonl").read_text(encoding="utf-8").splitlines()
    frequent = dict(counted(json.loads(line)["sent"] for line in lines))
    tables = (
        places._BESIDE, places._FAR, places._EDGE, places._CORNER, places._SECOND, places._MIDDLE, places._FRONT,
        places._BACK,
    )  # fmt: skip
    assert len(lines) == 10834
    for text, count in ((text, count) for table in tables for text, count in table.items() if "{clock}" not in text):
        assert frequent[text.format(n="_", s="S", e="E", u="U")] == count, text
