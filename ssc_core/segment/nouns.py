"""extract_nouns: sentences to the object classes that the detector is asked for."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.refer.index import read_categories, read_refs, refs_by_image
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.noun_table import NO_CLASS, write_nouns
from ssc_core.segment.projection import ClassProjection
from ssc_core.settings import NounSettings

log = logging.getLogger(__name__)

Extractor = Callable[[Sequence[str]], list[list[str]]]


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
    """Write ``nouns.parquet``: one row a ref of ``split``, with nouns and classes a sentence and the ref's query.

    class_names: what nouns are projected to, when ``settings.project``; None takes what ``settings.classes`` says.
    Raises SscError when the pipeline, the encoder or the refs cannot be used.
    """
    by_image = refs_by_image(read_refs(refs, split))
    members = [ref for group in by_image.values() for ref in group]
    sentences = [sentence for ref in members for sentence in ref.sentences]
    nouns = find_nouns(sentences, settings, threads=threads)
    classes = _classes_of(nouns, class_names or class_names_for(settings, refs), settings, device, threads)

    rows, start = [], 0
    for ref in members:
        stop = start + len(ref.sentences)
        row = {"ref_id": ref.ref_id, "image_id": ref.image_id, "nouns": nouns[start:stop]}
        rows.append({**row, "classes": classes[start:stop], "query": most_likely_class(classes[start:stop])})
        start = stop
    write_nouns(out, rows)


def find_nouns(sentences: Sequence[str], settings: NounSettings, *, threads: int = 1) -> list[list[str]]:
    """Nouns of each sentence by the extractor of ``settings``, by the other one where it finds none.

    When spaCy comes first and NLTK's tagger data is not installed, sentences without a noun stay so, with a warning.
    Raises SscError when the first extractor cannot be used.
    """
    order = ("spacy", "nltk") if settings.extractor == "spacy" else ("nltk", "spacy")
    found = _extractor(order[0], settings, threads)(sentences)
    empty = [i for i, nouns in enumerate(found) if not nouns]
    if not empty:
        return found
    from ssc_core.segment.nltk_nouns import FETCH, TaggerMissing

    try:
        second = _extractor(order[1], settings, threads)([sentences[i] for i in empty])
    except TaggerMissing:
        log.warning(
            "%d of %d sentences have no noun by spaCy, and stay without one: the fallback, NLTK, needs its tagger data "
            "(%s)", len(empty), len(sentences), FETCH
        )  # fmt: skip
        return found
    for i, nouns in zip(empty, second, strict=True):
        found[i] = nouns
    still_empty = sum(not nouns for nouns in second)
    log.info("%d of %d sentences have no noun by %s, %d by neither", len(empty), len(sentences), order[0], still_empty)
    return found


def most_likely_class(classes: Iterable[Sequence[str]]) -> str:
    """The most common class over a ref's sentences, ties to the first seen; ``object`` when there is none."""
    counts = Counter(name for sentence in classes for name in sentence)
    return counts.most_common(1)[0][0] if counts else NO_CLASS


def class_names_for(settings: NounSettings, refs: Path) -> tuple[str, ...]:
    """Class names to project to: the dataset's categories by id, or COCO's where it has none or settings say so."""
    if settings.classes == "dataset" and (categories := read_categories(refs)):
        return tuple(name for _, name in sorted(categories.items()))
    return COCO_CLASSES


def _classes_of(
    nouns: Sequence[Sequence[str]], class_names: Sequence[str], settings: NounSettings, device: str, threads: int
) -> list[list[str]]:
    """Classes of each sentence: its nouns, projected when ``settings.project``."""
    if not settings.project:
        return [list(names) for names in nouns]
    backend = settings.encoder
    encoder = load_backend(backend.name, backend.settings, ImageTextEncoder, device=device, threads=threads)
    project = ClassProjection(encoder, class_names, context=settings.context, top_k=settings.top_k)
    nearest = project(noun for names in nouns for noun in names)
    return [[name for noun in names for name in nearest[noun]] for names in nouns]


def _extractor(name: str, settings: NounSettings, threads: int) -> Extractor:
    # NLTK and spaCy take a second each to import; a run needs one of them, rarely both.
    if name == "spacy":
        from ssc_core.segment.spacy_nouns import SpacyNouns

        return SpacyNouns(settings.spacy_model, threads=threads)
    from ssc_core.segment.nltk_nouns import NltkNouns

    return NltkNouns()
