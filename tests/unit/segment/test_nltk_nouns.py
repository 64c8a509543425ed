from __future__ import annotations

import json
import zipfile

import nltk
import pytest
from nltk.tag import PerceptronTagger

from ssc_core.config.labelling import NLTK_TAGGER
from ssc_core.errors import SscError
from ssc_core.segment.nltk_nouns import NltkNouns, TaggerMissing, noun_phrases
from ssc_core.weights.catalogue import published_files
from ssc_core.weights.fetch import Depot, fetch_file
from ssc_core.weights.lock import LockFile


def tagged(text: str) -> list[tuple[str, str]]:
    return [tuple(pair.split("/")) for pair in text.split()]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("big/JJ red/JJ ball/NN ./.", ["big red ball"]),
        ("ball/NN on/IN wooden/JJ table/NN ./.", ["ball", "wooden table"]),
        ("dogs/NNS run/VBP past/IN cars/NNS ./.", ["dogs", "cars"]),
        ("left/JJ ./.", []),
        ("tennis/NN racket/NN ./.", ["tennis racket"]),
        ("bigger/JJR dog/NN ./.", ["dog"]),
        ("dog/NN red/JJ ./.", ["dog"]),
        # what was reported already is put before the next group instead, and reported with it
        ("dog/NN near/IN dog/NN and/CC cat/NN ./.", ["dog", "dog cat"]),
        ("dog/NN near/IN dog/NN ./.", ["dog"]),
        # a group is reported at the next word outside of groups, so not where nothing follows
        ("a/DT dog/NN", []),
    ],
)
def test_chunks(text, phrases):
    assert noun_phrases(tagged(text)) == phrases


@pytest.fixture
def tagger():
    """A tagger that was trained on four sentences."""
    trained = PerceptronTagger(load=False)
    texts = ["big/JJ dog/NN runs/VBZ ./.", "red/JJ ball/NN on/IN table/NN ./.", "run/VB now/RB ./.",
             "dog/NN 's/POS ball/NN ./."]  # fmt: skip
    corpus = [tagged(text) for text in texts]
    trained.train(corpus, nr_iter=20)
    return trained


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A project folder without NLTK's data, on a machine without them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])
    return tmp_path


def write(tagger, folder):
    folder.mkdir(parents=True)
    for name, value in zip(tagger.param_files("eng"), tagger.encode_json_obj(), strict=True):
        (folder / name).write_text(json.dumps(value))


SENTENCES = ["red ball on table", "run now", "big dog runs", "red ball on table", ""]
PHRASES = [["red ball", "table"], [], ["big dog"], ["red ball", "table"], []]


@pytest.mark.parametrize("place", [NLTK_TAGGER, "nltk/taggers/averaged_perceptron_tagger_eng"])
def test_sentences_to_phrases(tagger, nowhere, place):
    write(tagger, nowhere / place)
    assert NltkNouns()(SENTENCES) == PHRASES


def test_an_apostrophe_of_phones_is_one(tagger, nowhere):
    write(tagger, nowhere / NLTK_TAGGER)
    assert NltkNouns()(["dog's ball", "dog’s ball"]) == [["dog", "ball"]] * 2


def test_what_ssc_fetch_unpacks_is_found_in_a_folder_that_a_group_shares(tagger, nowhere):
    file = published_files()["nltk_tagger"].model_copy(update={"urls": (), "sha256": None})
    write(tagger, nowhere / "averaged_perceptron_tagger_eng")
    (nowhere / file.path).parent.mkdir(parents=True)
    with zipfile.ZipFile(nowhere / file.path, "w") as archive:
        for name in file.unpack.holds:
            archive.write(nowhere / name, name)
    assert fetch_file("nltk_tagger", file, Depot(root=nowhere, lock=LockFile(nowhere / "lock.json"))) == "fetched"
    (nowhere / NLTK_TAGGER).chmod(0o777)
    assert NltkNouns()(SENTENCES) == PHRASES


@pytest.mark.parametrize("damage", ["[]", '{"bias": 1}', "{", "[" * 100_000])
def test_damaged_data_are_named(tagger, nowhere, damage):
    write(tagger, nowhere / NLTK_TAGGER)
    (nowhere / NLTK_TAGGER / tagger.param_files("eng")[0]).write_text(damage)
    with pytest.raises(SscError, match="averaged_perceptron_tagger_eng"):
        NltkNouns()


def test_without_its_data_the_message_says_how_to_get_it(nowhere):
    with pytest.raises(TaggerMissing, match="`ssc fetch nltk_tagger` gets it"):
        NltkNouns()
