"""Words of place: how many sentences have one that is read, and how often it points at the right object.

Run as ``python benchmarks/places.py --sentences sentences.jsonl --show 300`` (a line holds ``{"sent": "..."}``), which
counts, and prints as many sentences at random with what was read, to be judged by eye; or as
``python benchmarks/places.py --root data --name refcoco --split-by unc --split val`` on a dataset in the REFER layout:
of the sentences whose photo has several objects of the class, how often the true one fits the words best.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import read_json, write_json
from ssc_core.refer.refer_layout import read_refer
from ssc_core.select.place_words import Place, read_places
from ssc_core.select.spatial import spatial_scores


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence and the objects of its class in the photo: boxes (K, 4), areas (K,); truth: the row of its own."""

    sentence: str
    boxes: np.ndarray
    areas: np.ndarray
    size: tuple[int, int]
    truth: int


def main() -> None:
    options = _options()
    figures: dict[str, object] = {}
    if options.sentences:
        lines = options.sentences.read_text(encoding="utf-8").splitlines()
        sentences = [json.loads(line)["sent"] for line in lines]
        figures["sentences"] = counted(sentences)
        for sentence in random.Random(options.seed).sample(sentences, min(options.show, len(sentences))):
            print(f"{sentence} | {' '.join(map(_text, read_places(sentence))) or '-'}")
    if options.root:
        figures["dataset"] = measured(list(cases(options.root, options.name, options.split_by, options.split)))
    print(json.dumps(figures, indent=2))
    if options.json:
        write_json(options.json, figures)


def counted(sentences: list[str]) -> dict[str, object]:
    """Of how many sentences any place is read, and each place of how many."""
    read = [read_places(sentence) for sentence in sentences]
    words = Counter(what for places in read for what in {_kind(place) for place in places})
    return {"all": len(sentences), "read": sum(map(bool, read)), "by_place": dict(words.most_common())}


def cases(root: Path, name: str, split_by: str, split: str) -> Iterator[Case]:
    """Every sentence of a split whose photo has several objects of the class, crowds aside."""
    found = defaultdict(list)
    for one in read_json(root / name / "instances.json")["annotations"]:
        if not one.get("iscrowd") and one["area"] > 0:
            found[one["image_id"], one["category_id"]].append(one)
    for ref in read_refer(root, name, split_by).refs:
        objects = found[ref.image.image_id, ref.category_id]
        own = [row for row, one in enumerate(objects) if one["id"] == ref.ann_id]
        if ref.split == split and len(objects) > 1 and own:
            x, y, width, height = np.array([one["bbox"] for one in objects], dtype=float).T
            boxes = np.stack([x, y, x + width, y + height], axis=1)
            areas = np.array([one["area"] for one in objects], dtype=float)
            for sentence in ref.sentences:
                yield Case(sentence.text, boxes, areas, (ref.image.height, ref.image.width), own[0])


def measured(found: list[Case]) -> dict[str, object]:
    """Percentages of sentences whose true object fits best: of all with a choice, of those read, and by place."""
    if not found:
        raise SscError("no photo of this split has several objects of a ref's class that are annotated")
    right: dict[str, list[float]] = defaultdict(list)
    chance = []
    for case in found:
        chance.append(1 / len(case.boxes))
        fits = spatial_scores([case.sentence], case.boxes, case.areas, case.size)[0]
        if fits.any():
            best = fits == fits.max()
            hit = float(best[case.truth] / best.sum())
            for key in {"any", *map(_kind, read_places(case.sentence))}:
                right[key].append(hit)
    return {
        "with_a_choice": len(found),
        "by_chance": round(100 * float(np.mean(chance)), 1),
        "read": len(right["any"]),
        "right": {key: [len(hits), round(100 * float(np.mean(hits)), 1)] for key, hits in sorted(right.items())},
    }


def _kind(place: Place) -> str:
    return place.what if place.number is None or place.what == "clock" else "rank"


def _text(place: Place) -> str:
    return place.what if place.number is None else f"{place.what}:{place.number}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--name", default="refcoco")
    parser.add_argument("--split-by", default="unc")
    parser.add_argument("--split", default="val")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
