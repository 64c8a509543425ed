"""Head nouns of sentences, by a spaCy dependency parse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Token

from ssc_core.errors import FETCH, SscError

NOT_NEEDED = ("ner", "lemmatizer", "senter", "entity_linker", "textcat")
"""Components that neither the part of speech nor the dependency of a token depends on."""

BATCH = 256
SENTENCES_A_PROCESS = 20_000
"""A process takes seconds to start; fewer sentences than this are parsed sooner without it."""


class SpacyNouns:
    """Nouns by spaCy: every NOUN or PROPN that is ROOT or nsubj; where there is none, every NOUN."""

    def __init__(self, pipeline: str, *, threads: int = 1) -> None:
        """pipeline: name of an installed spaCy pipeline, or its folder. Raises SscError when it cannot be used."""
        self._nlp, self._pipeline = _load(pipeline), pipeline
        self._threads = threads

    def __call__(self, sentences: Sequence[str]) -> list[list[str]]:
        """Nouns of each sentence, in order. Each distinct sentence is parsed once, in batches."""
        return self._parsed(sentences, head_nouns)

    def phrases(self, sentences: Sequence[str]) -> list[list[str]]:
        """The noun phrases of the same nouns: "small brown dog" where the noun is "dog". Raises SscError for a
        language of which spaCy knows none."""
        if "noun_chunks" not in self._nlp.Defaults.syntax_iterators:
            raise SscError(
                f"spaCy tells no noun phrases of the language '{self._nlp.lang}' of '{self._pipeline}': set "
                "`nouns.ask: classes`, or another `nouns.spacy_model`"
            )
        return self._parsed(sentences, head_phrases)

    def _parsed(self, sentences: Sequence[str], read: Callable[[Doc], list[str]]) -> list[list[str]]:
        distinct = list(dict.fromkeys(sentences))
        processes = max(1, min(self._threads, len(distinct) // SENTENCES_A_PROCESS))
        docs = self._nlp.pipe(map(self._with_article, distinct), batch_size=BATCH, n_process=processes)
        nouns = dict(zip(distinct, map(read, docs), strict=True))
        return [nouns[sentence] for sentence in sentences]

    def _with_article(self, sentence: str) -> str:
        """The sentence, or "the " + sentence when its first token is not "the".

        The published method parses first and looks then; the tokens do not depend on the parse, so tokens will do.
        """
        tokens = self._nlp.make_doc(sentence)
        return sentence if len(tokens) and tokens[0].text == "the" else f"the {sentence}"


def head_nouns(doc: Doc) -> list[str]:
    """Texts of the NOUN and PROPN tokens that are ROOT or nsubj; if there are none, of all NOUN tokens."""
    return [token.text for token in _heads(doc)]


def head_phrases(doc: Doc) -> list[str]:
    """For each of ``head_nouns`` the noun phrase that it is in, without articles, pronouns and marks."""
    chunk_of = {token.i: chunk for chunk in doc.noun_chunks for token in chunk}
    found = []
    for head in _heads(doc):
        words = [t.text for t in chunk_of.get(head.i, [head]) if t.pos_ not in ("DET", "PRON", "PUNCT")]
        found.append(" ".join(words) or head.text)
    return found


def _heads(doc: Doc) -> list[Token]:
    heads = [t for t in doc if t.pos_ in ("NOUN", "PROPN") and t.dep_ in ("ROOT", "nsubj")]
    return heads or [t for t in doc if t.pos_ == "NOUN"]


def _load(pipeline: str) -> Language:
    try:
        nlp = spacy.load(pipeline, exclude=list(NOT_NEEDED))
    except (OSError, ValueError) as error:
        raise SscError(
            f"the spaCy pipeline '{pipeline}' cannot be loaded ({str(error).splitlines()[0]}). Install it, or set "
            f"`nouns.spacy_model` to one that is installed; `python -m spacy info` lists them. {FETCH}"
        ) from error
    if not {"tagger", "parser"} <= set(nlp.pipe_names):
        raise SscError(f"the spaCy pipeline '{pipeline}' has no tagger and parser, only {', '.join(nlp.pipe_names)}")
    return nlp
