"""The forms in which people name places, and how many sentences have each: the counts of microworld/places.py.

Run as ``python benchmarks/place_forms.py sentences.jsonl`` (a line holds ``{"sent": "..."}``). A form is a sentence
with all but its words of place left out: "_" for one or several other words, S for left and right, E for top and
bottom, U for upper and lower.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_CLASSES = {
    "left": "S", "right": "S", "leftmost": "Smost", "rightmost": "Smost", "top": "E", "bottom": "E", "upper": "U",
    "lower": "U",
}  # fmt: skip
_KEPT = {
    "middle", "center", "front", "back", "background", "foreground", "closest", "nearest", "far", "farthest",
    "furthest", "most", "behind", "away", "second", "third", "side", "corner", "edge", "half", "photo", "pic",
    "picture", "camera", "us", "one", "that", "is", "the", "and", "on", "in", "at", "to", "of", "from", "o", "clock",
    *map(str, range(1, 13)),
}  # fmt: skip


def form(sentence: str) -> str:
    """Of "guy on far left": "_ on far S"."""
    words: list[str] = []
    for word in sentence.split():
        if word in _CLASSES or word in _KEPT:
            words.append(_CLASSES.get(word, word))
        elif words[-1:] != ["_"]:
            words.append("_")
    return " ".join(words)


def counted(sentences: Iterable[str]) -> list[tuple[str, int]]:
    """Forms of one noun phrase, or of none, that name a place, the most frequent first."""
    forms = Counter(map(form, sentences))
    places = set(_CLASSES.values()) | {"middle", "center", "front", "back", "background", "foreground", "closest"}
    places |= {"nearest", "farthest", "furthest", "clock"}
    return [(text, n) for text, n in forms.most_common() if text.count("_") < 2 and places & set(text.split())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--least", type=int, default=2, help="sentences that a form must have")
    options = parser.parse_args()
    lines = options.sentences.read_text(encoding="utf-8").splitlines()
    for text, count in counted(json.loads(line)["sent"] for line in lines):
        if count >= options.least:
            print(f"{count:5} {text}")


if __name__ == "__main__":
    main()
