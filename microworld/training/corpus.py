"""Text of the micro world without pictures: what the vocabulary is made from and BERT is pre-trained on."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from microworld.captions import object_captions
from microworld.scenes import generate_scene, scene_seed, seeded_rng
from microworld.sentences import describe
from ssc_core.config.world import PLAIN_LOOKS, SentenceMix, WorldSettings
from ssc_core.files import atomic_path
from ssc_core.segment.coco import COCO_CLASSES

STYLES = ("refcoco", "refcoco+", "refcocog")
# What RefCOCO+ and RefCOCOg said when the shipped models learned to read. Other sentences of a split, without other
# words, are no reason for other models.
_MIXES = {
    "refcoco_plus": PLAIN_LOOKS,
    "refcocog": SentenceMix(
        location=0.18, colour=0.17, size=0.08, attribute=0.12, mixed=0.10, noun=0, bare=0, relation=0.35
    ),
}


def make_corpus(out: Path, *, domain: str, scenes: int, settings: WorldSettings, workers: int) -> None:
    """Write one text per line: sentences in all styles and captions, of scenes that no split contains."""
    texts = partial(_texts, domain=domain, settings=settings)
    with ProcessPoolExecutor(workers) as executor, atomic_path(out) as temporary, temporary.open("w") as file:
        for lines in tqdm(executor.map(texts, range(scenes), chunksize=32), total=scenes, desc=domain, mininterval=5):
            file.writelines(f"{line}\n" for line in lines)
        # every class name has a token, so that prompts for classes that the world lacks stay apart
        file.writelines(f"a photo of a {name}\n" for name in COCO_CLASSES)


def read_corpus(path: Path) -> list[str]:
    """The lines of a corpus."""
    return path.read_text(encoding="utf-8").splitlines()


def _texts(index: int, *, domain: str, settings: WorldSettings) -> list[str]:
    seed = scene_seed(settings.seed, domain, index)
    scene = generate_scene(seed, settings)
    rng = seeded_rng(seed, "captions")
    read = settings.model_copy(update=_MIXES)
    lines = [text for thing in scene.objects for text in object_captions(thing, rng, 1)]
    for style in STYLES:
        lines += [sentence.sent for ref in describe(scene, style, read) for sentence in ref.sentences]
    return lines
