"""Noun groups of sentences, by NLTK's part-of-speech tags and a chunk grammar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nltk
from nltk.tag import PerceptronTagger
from nltk.tokenize import NLTKWordTokenizer

from ssc_core.config.labelling import NLTK_TAGGER
from ssc_core.errors import SscError
from ssc_core.files import read_json

GRAMMAR = "NP: {<NN.*|JJ>*<NN.*>}"
"""Maximal runs of nouns and plain adjectives (no comparatives) that end in a noun.

The published grammar names group-preposition-group too, which never applies: this pattern has taken all groups by then.
"""

FETCH = "ssc fetch nltk_tagger"


class TaggerMissing(SscError):
    """NLTK's tagger data is not installed; it is a download of its own, not a part of the package."""


class NltkNouns:
    """Nouns by NLTK, as published: the noun groups of a sentence, see ``noun_phrases``."""

    def __init__(self) -> None:
        """Raises TaggerMissing when NLTK's tagger data is not on this machine, SscError when it is damaged."""
        self._tagger = _load_tagger()
        self._tokenizer = NLTKWordTokenizer()
        self._parser = nltk.RegexpParser(GRAMMAR)

    def __call__(self, sentences: Sequence[str]) -> list[list[str]]:
        """Noun groups of each sentence, in order. Each distinct sentence is tagged once."""
        groups = {sentence: self._groups(sentence) for sentence in dict.fromkeys(sentences)}
        return [groups[sentence] for sentence in sentences]

    def _groups(self, sentence: str) -> list[str]:
        ended = sentence if sentence.endswith(".") else f"{sentence}."
        words = self._tokenizer.tokenize(ended.replace("’", "'"))  # it knows "man's" with this one alone
        return noun_phrases(self._tagger.tag(words), self._parser)


def _load_tagger() -> PerceptronTagger:
    """NLTK's tagger with the data that `ssc fetch` brought, else with those that NLTK finds by itself.

    NLTK would find the former too, but not in a folder that a group may write to, as shared project folders are.
    """
    folder = Path(NLTK_TAGGER)
    if not folder.is_dir():
        try:
            return PerceptronTagger()
        except LookupError as error:
            raise TaggerMissing(
                f"noun extraction by NLTK needs its tagger data: `{FETCH}` gets it; or set `nouns.extractor: spacy`"
            ) from error
    tagger = PerceptronTagger(load=False)
    params = [read_json(folder / name) for name in tagger.param_files()]
    if [type(param) for param in params] != [dict, dict, list] or not all(type(w) is dict for w in params[0].values()):
        raise SscError(f"{folder} holds no data of NLTK's tagger, or damaged ones; delete it and run `{FETCH}`")
    tagger.decode_json_params(params)
    return tagger


def noun_phrases(tagged: Sequence[tuple[str, str]], parser: nltk.RegexpParser | None = None) -> list[str]:
    """Texts of the noun groups of (word, Penn tag) pairs, words joined by a space.

    As published, a group is reported at the next word that is in none, which the full stop is at the latest; and a
    group that was reported before is not reported again but put before the next one.
    """
    reported: list[str] = []
    pending: list[str] = []
    for node in (parser or nltk.RegexpParser(GRAMMAR)).parse(list(tagged)):
        if isinstance(node, nltk.Tree):
            pending.append(" ".join(word for word, _ in node.leaves()))
        elif pending and (group := " ".join(pending)) not in reported:
            reported.append(group)
            pending = []
    return reported
