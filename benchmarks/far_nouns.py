"""How far a noun is from its nearest class where that is the wrong one: what ``nouns.min_similarity`` could be.

    python benchmarks/far_nouns.py --config presets/small.yaml [--sentences sentences.jsonl]
    python benchmarks/far_nouns.py --vectors en_core_web_md

``nouns_labelled.csv`` has 160 nouns of referring expressions, labelled by hand: the class of COCO that it is, or none.
At every threshold it prints the nouns that still get a class, how many of these get the right one, and how many of the
nouns that have a class get theirs. With sentences, lines of ``{"sent": "..."}``, nouns count as often as they occur.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.cli.config_files import read_config
from ssc_core.files import write_json
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.spacy_nouns import SpacyNouns

LABELLED = Path(__file__).with_name("nouns_labelled.csv")


class Vectors:
    """Word vectors of a spaCy pipeline in the place of an image-text model's text features."""

    def __init__(self, pipeline: str) -> None:
        import spacy

        self._nlp = spacy.load(pipeline)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        found = np.stack([np.asarray(self._nlp.make_doc(text).vector) for text in texts])
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def main() -> None:
    options = _options()
    labels = {row["noun"]: row["class"] for row in csv.DictReader(LABELLED.open(encoding="utf-8"))}
    nouns = list(labels)
    settings = read_config(options.config, find_models=True).nouns
    if options.vectors:
        template, encoder = "{}", Vectors(options.vectors)
    else:
        template = "a photo of a {}" if settings.context else "{}"
        encoder = load_backend(
            settings.encoder.name, settings.encoder.settings, ImageTextEncoder, device="cpu", threads=1
        )
    features = [encoder.encode_texts([template.format(word) for word in words]) for words in (nouns, COCO_CLASSES)]
    cosines = features[0] @ features[1].T
    nearest, similarity = cosines.argmax(axis=1), cosines.max(axis=1)
    right = np.array([COCO_CLASSES[i] == labels[noun] for i, noun in zip(nearest, nouns, strict=True)])
    has_class = np.array([bool(labels[noun]) for noun in nouns])
    weights = _counts(options.sentences, nouns, options.pipeline or settings.spacy_model)
    rows = threshold_table(similarity, right, has_class, weights)
    print("| at least | nouns with a class | of these right | of those that have one, right |\n|---|---|---|---|")
    for row in rows:
        print("| {at_least:.2f} | {kept:.0%} | {precision:.0%} | {recall:.0%} |".format(**row))
    for name, which in (("right", right), ("wrong", ~right)):
        shown = np.percentile(similarity[which], [5, 25, 50, 75, 95]) if which.any() else []
        print(f"similarity where the nearest class is {name} ({which.sum()}): {np.round(shown, 2)} (5 to 95 %)")
    if options.json:
        write_json(options.json, {"rows": rows, "nouns": len(nouns)})


def threshold_table(
    similarity: np.ndarray, right: np.ndarray, has_class: np.ndarray, weights: np.ndarray
) -> list[dict[str, float]]:
    """A row a threshold: each vigintile of the similarities. kept: share of nouns with a class; precision: of these,
    with the right one; recall: of nouns that have a class, with theirs."""
    rows = []
    for least in np.unique(np.quantile(similarity, np.linspace(0, 0.95, 20)).round(2)):
        kept = similarity >= least
        of_kept, hits = weights[kept].sum(), weights[kept & right].sum()
        rows.append(
            {
                "at_least": float(least),
                "kept": float(of_kept / weights.sum()),
                "precision": float(hits / of_kept) if of_kept else 1.0,
                "recall": float(hits / weights[has_class].sum()),
            }
        )
    return rows


def _counts(sentences: Path | None, nouns: Sequence[str], pipeline: str) -> np.ndarray:
    if sentences is None:
        return np.ones(len(nouns))
    texts = [json.loads(line)["sent"] for line in sentences.read_text(encoding="utf-8").splitlines()]
    counts = Counter(noun for of in SpacyNouns(pipeline)(texts) for noun in of)
    return np.array([counts[noun] for noun in nouns], dtype=float)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--config", type=Path, action="append", default=[], help="config file whose nouns.encoder is measured"
    )
    parser.add_argument("--vectors", help="word vectors of this spaCy pipeline in its place")
    parser.add_argument("--sentences", type=Path, help="JSONL: nouns count as often as these have them")
    parser.add_argument("--pipeline", help="spaCy pipeline for the sentences' nouns; by default that of the config")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
