"""extract_nouns: sentences to the object classes that the detector is asked for."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.config.labelling import NounSettings
from ssc_core.refer.ref_table import photos_of, read_categories, refs_by_photo
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.noun_table import NounWriter
from ssc_core.segment.projection import ClassProjection
from ssc_core.segment.tasks import NO_CLASS

log = logging.getLogger(__name__)

Extractor = Callable[[Sequence[str]], list[list[str]]]

REFS_AT_ONCE = 20_000
"""Refs whose sentences are parsed together: enough for several processes, and memory does not grow with the split."""

_OfRefs = list[list[list[str]]]
"""Words by ref and sentence."""


def extract_nouns(
    *,
    refs: Path,
    split: str,
    out: Path,
    settings: NounSettings,
    class_names: Sequence[str] | None = None,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write ``nouns.parquet``: one row per ref of ``split``, with nouns and classes per sentence and the ref's query.

    class_names: what nouns are projected to, when ``settings.project``; None takes what ``settings.classes`` says.
    Raises SscError when the pipeline, the encoder or the refs cannot be used.
    """
    of_photos = refs_by_photo(refs, photos_of(refs, split), split)
    members = chain.from_iterable(of_photo for _, of_photo in of_photos)
    find = NounFinder(settings, threads)
    classes_of = _projection(class_names or class_names_for(settings, refs), settings, device, threads)
    by_phrase = settings.ask != "classes"
    refs_at_once = max(REFS_AT_ONCE, REFS_AT_ONCE // 2 * threads)
    with NounWriter(out, with_phrases=by_phrase) as writer:
        while part := list(islice(members, refs_at_once)):
            sentences = [ref.sentences for ref in part]
            nouns = iter(find([text for of in sentences for text in of]))
            found = [[next(nouns) for _ in of] for of in sentences]
            classes = classes_of(found)
            rows: list[dict[str, Any]] = [
                {
                    "ref_id": ref.ref_id,
                    "image_id": ref.image_id,
                    "nouns": of_ref,
                    "classes": classes_of_ref,
                    "query": most_likely_class(classes_of_ref),
                }
                for ref, of_ref, classes_of_ref in zip(part, found, classes, strict=True)
            ]
            if by_phrase:
                nouns_of = [names for of_ref in found for names in of_ref]
                phrases = iter(find.phrases([text for of in sentences for text in of], nouns_of))
                for row, of in zip(rows, sentences, strict=True):
                    row["phrases"] = asked_phrases(settings, row["query"], [next(phrases) for _ in of])
            writer.write(rows)
    find.report()


class NounFinder:
    """Nouns of each sentence by the extractor of ``settings``, by the other one where it finds none.

    When spaCy comes first and NLTK's tagger data is not installed, sentences without a noun stay so, which is warned of
    once. Raises SscError when the first extractor cannot be used. Extractors are loaded once, when they are needed.
    """

    def __init__(self, settings: NounSettings, threads: int = 1) -> None:
        self._names = ("spacy", "nltk") if settings.extractor == "spacy" else ("nltk", "spacy")
        self._load: Callable[[str], Any] = cache(lambda name: _extractor(name, settings, threads))
        self._sentences = self._without = self._by_neither = 0
        self._missing = False

    def __call__(self, sentences: Sequence[str]) -> list[list[str]]:
        found = self._load(self._names[0])(sentences)
        empty = [i for i, nouns in enumerate(found) if not nouns]
        for i, nouns in zip(empty, self._second([sentences[i] for i in empty]), strict=True):
            found[i] = nouns
        self._sentences += len(sentences)
        self._without += len(empty)
        self._by_neither += sum(not found[i] for i in empty)
        return found

    def phrases(self, sentences: Sequence[str], nouns: Sequence[list[str]]) -> list[list[str]]:
        """The noun phrases of the nouns of each sentence. Where spaCy does not come first, or has none, the nouns."""
        if self._names[0] != "spacy":
            return list(nouns)
        return [of or bare for of, bare in zip(self._load("spacy").phrases(sentences), nouns, strict=True)]

    def report(self) -> None:
        """Log how many of all sentences so far have no noun."""
        if self._without:
            log.log(
                logging.WARNING if self._missing else logging.INFO,
                "%d of %d sentences have no noun by %s, %d by neither",
                self._without, self._sentences, self._names[0], self._by_neither
            )  # fmt: skip

    def _second(self, sentences: Sequence[str]) -> list[list[str]]:
        if not sentences:
            return []
        from ssc_core.segment.nltk_nouns import FETCH, TaggerMissing

        try:
            return self._load(self._names[1])(sentences)
        except TaggerMissing:
            if not self._missing:
                log.warning(
                    "sentences without a noun by spaCy stay without one: NLTK, the fallback, lacks its tagger data "
                    "(%s)", FETCH
                )  # fmt: skip
            self._missing = True
            return [[] for _ in sentences]


def most_likely_class(classes: Iterable[Sequence[str]]) -> str:
    """The most common class over a ref's sentences, ties to the first seen; ``object`` when there is none."""
    counts = Counter(name for sentence in classes for name in sentence)
    return counts.most_common(1)[0][0] if counts else NO_CLASS


def asked_phrases(settings: NounSettings, query: str, phrases: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """What a ref asks for in words of its own, of the phrases of each of its sentences; () where it asks for a class.

    A ref without a phrase asks for its query.
    """
    if settings.ask == "classes":
        return ()
    own = dict.fromkeys(phrase for of_sentence in phrases for phrase in of_sentence)
    return tuple(dict.fromkeys([*([query] if settings.ask == "both" or not own else []), *own]))


def class_names_for(settings: NounSettings, refs: Path) -> tuple[str, ...]:
    """Class names to project to: the dataset's categories by id, or COCO's where it has none or settings say so."""
    if settings.classes == "dataset" and (categories := read_categories(refs)):
        return tuple(name for _, name in sorted(categories.items()))
    return COCO_CLASSES


def _projection(
    class_names: Sequence[str], settings: NounSettings, device: str, threads: int
) -> Callable[[_OfRefs], _OfRefs]:
    """From the nouns of refs' sentences to their classes: the nouns themselves without ``settings.project``."""
    if not settings.project:
        return lambda nouns: nouns
    backend = settings.encoder
    encoder = load_backend(backend.name, backend.settings, ImageTextEncoder, device=device, threads=threads)
    project = ClassProjection(
        encoder,
        class_names,
        context=settings.context,
        top_k=settings.top_k,
        min_similarity=settings.min_similarity,
    )

    def classes_of(nouns: _OfRefs) -> _OfRefs:
        nearest = project(noun for of_ref in nouns for names in of_ref for noun in names)
        return [[[name for noun in names for name in nearest[noun]] for names in of_ref] for of_ref in nouns]

    return classes_of


def _extractor(name: str, settings: NounSettings, threads: int) -> Extractor:
    # NLTK and spaCy take a second each to import; a run needs one of them, rarely both.
    if name == "spacy":
        from ssc_core.segment.spacy_nouns import SpacyNouns

        return SpacyNouns(settings.spacy_model, threads=threads)
    from ssc_core.segment.nltk_nouns import NltkNouns

    return NltkNouns()
