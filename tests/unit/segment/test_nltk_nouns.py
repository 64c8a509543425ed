from __future__ import annotations

import nltk
import pytest
from nltk.tag import PerceptronTagger

from ssc_core.segment.nltk_nouns import NltkNouns, TaggerMissing, noun_phrases


def tagged(text: str) -> list[tuple[str, str]]:
    return [tuple(pair.split("/")) for pair in text.split()]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("big/JJ red/JJ ball/NN", ["big red ball"]),
        ("ball/NN on/IN wooden/JJ table/NN", ["ball on wooden table"]),
        ("dogs/NNS run/VBP past/IN cars/NNS", ["dogs", "cars"]),
        ("left/JJ", []),
        ("tennis/NN racket/NN", ["tennis racket"]),
        ("", []),
    ],
)
def test_chunks(text, phrases):
    assert noun_phrases(tagged(text)) == phrases


@pytest.fixture
def tagger_data(tmp_path, monkeypatch):
    """A real NLTK data folder with a tagger that was trained on three sentences."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    tagger = PerceptronTagger(load=False)
    corpus = [tagged("big/JJ dog/NN runs/VBZ"), tagged("red/JJ ball/NN on/IN table/NN"), tagged("run/VB now/RB")]
    tagger.train(corpus, nr_iter=20)
    folder = tmp_path / "taggers" / "averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True)
    tagger.save_to_json("eng", str(folder))


def test_sentences_to_phrases(tagger_data):
    found = NltkNouns()(["red ball on table", "run now", "big dog runs", "red ball on table", ""])
    assert found == [["red ball on table"], [], ["big dog"], ["red ball on table"], []]


def test_without_its_data_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(TaggerMissing, match=r"nltk\.downloader"):
        NltkNouns()
