"""How alike what different people say of one object is: real sentences, and those of the micro world.

    python benchmarks/agreement.py sentences.jsonl    # lines {"ref_id": 1, "sent": "..."} of a real dataset

A sentence has the kinds whose words it has: place, depth, size, another thing, colour. ``pairs``: share of pairs of a
ref's first three sentences with the same kinds; ``chance``: of pairs of any refs; ``kappa``: (pairs - chance) /
(1 - chance), what is alike beyond chance (Cohen 1960); ``all alike``: share of refs whose sentences all have the same.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from microworld.refer_layout import split_scene
from microworld.sentences import SENTENCES_PER_REF, describe
from ssc_core.config.world import WorldSettings

KINDS = {
    "place": r"left|right|middle|center|centre|lft|rt|top|bottom|upper|lower|corner|[0-9]+(?:st|nd|rd|th)",
    "depth": r"front|back|closest|closer|nearest|near us|farthest|behind|background|foreground|rear",
    "size": r"big|bigger|biggest|large|larger|largest|small|smaller|smallest|tall|taller|tallest|tiny|huge|little",
    "another thing": r"next to|beside|by the|near|in front of|under|above|holding|with",
    "colour": r"red|blue|green|yellow|white|black|brown|purple|pink|orange|gr[ae]y|silver|gold|tan|striped?|dark|light"
    r"|beige|blonde?",
}
WORDS = {kind: re.compile(rf"\b(?:{words})\b") for kind, words in KINDS.items()}
FAMILIES = (("refcoco", ("refcoco", "refcoco+")), ("refcocog", ("refcocog",)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, nargs="?", help="of a real dataset, JSON lines")
    parser.add_argument("--scenes", type=int, default=350, help="of each style of the micro world")
    options = parser.parse_args()
    print(f"{'':24} {'refs':>6} {'pairs':>6} {'chance':>6} {'kappa':>6} {'all alike':>9}")
    if options.sentences:
        _tell("real", _real(options.sentences))
    for domain, styles in FAMILIES:
        for style, refs in _generated(domain, styles, options.scenes):
            _tell(f"micro world, {style}", refs)


def _real(file: Path) -> list[list[str]]:
    """The first sentences of each ref."""
    refs = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        refs[row["ref_id"]].append(row["sent"].lower())
    return [sentences[:SENTENCES_PER_REF] for sentences in refs.values()]


def _generated(domain: str, styles: Sequence[str], count: int) -> Iterator[tuple[str, list[list[str]]]]:
    settings = WorldSettings()
    scenes = [split_scene(domain, "train", index, styles, settings) for index in range(count)]
    for style in styles:
        refs = [ref for scene in scenes for ref in describe(scene, style, settings)]
        yield style, [[sentence.sent for sentence in ref.sentences] for ref in refs]


def _tell(name: str, refs: Iterable[Sequence[str]]) -> None:
    said = [[_kinds(sentence) for sentence in sentences] for sentences in refs if len(sentences) > 1]
    counts = Counter(itertools.chain.from_iterable(said))
    chance = sum((count / counts.total()) ** 2 for count in counts.values())
    pairs = [a == b for kinds in said for a, b in itertools.combinations(kinds, 2)]
    alike = sum(pairs) / len(pairs)
    whole = sum(len(set(kinds)) == 1 for kinds in said) / len(said)
    kappa = (alike - chance) / (1 - chance)
    print(f"{name:24} {len(said):6} {alike:6.2f} {chance:6.2f} {kappa:6.2f} {whole:9.2f}")


def _kinds(sentence: str) -> frozenset[str]:
    return frozenset(kind for kind, words in WORDS.items() if words.search(sentence))


if __name__ == "__main__":
    main()
