"""A simulated split of many refs through every step that runs no large model: time, peak memory and file sizes.

    python benchmarks/scale.py                       # 10,000 and 100,000 refs: minutes
    python benchmarks/scale.py --refs 2000 --json out.json

Photos are blank, masks are random ellipses of random size, scores are random; sentences are made of the micro world's
words. Index, nouns (spaCy and CLIP projection), gather of four shards, selection and evaluation of masks are the
pipeline's own. Every step is a process of its own, so that its peak memory is its own. What only stands in for the GPU
steps (writing the shards) is not reported.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStoreWriter

ROOT = Path(__file__).resolve().parents[1]
SIZE = (480, 640)
REFS_AN_IMAGE, SENTENCES_A_REF, SHARDS = 3, 3, 4
"""About what RefCOCO has: 142,210 sentences of 50,000 refs in 19,994 photos."""

COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "striped")
THINGS = ("dog", "woman", "car", "pizza", "horse", "umbrella", "chair", "boat", "sheep", "bus", "cup", "bench")
PLACES = ("on the left", "on the right", "in the middle", "at the top", "in front", "behind the fence", "near us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--without-nouns", action="store_true", help="leave out the step that takes longest")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        globals()[options.step](options.folder)
        return
    figures = []
    for refs in options.refs:
        with tempfile.TemporaryDirectory(prefix="ssc-scale-") as folder:
            figures.append({"refs": refs, **measure(Path(folder), refs, nouns=not options.without_nouns)})
        print_figures(figures[-1])
    if options.json:
        write_json(options.json, figures)


def measure(folder: Path, refs: int, *, nouns: bool) -> dict[str, Any]:
    """Seconds, peak memory (MB) and output sizes (bytes) of each step."""
    write_annotations(folder, refs)
    steps = {}
    for step in ("index", "nouns", "shards", "gather", "select", "evaluate"):
        if step == "nouns" and not nouns:
            continue
        command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
        answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout)
        if step != "shards":
            steps[step] = answer
    files = ("refs.parquet", "truth.h5", "nouns.parquet", "masks.h5", "scores.h5", "selected.h5")
    made = [folder / name for name in files if (folder / name).is_file()]
    return {"steps": steps, "bytes": {path.name: path.stat().st_size for path in made}}


def print_figures(figures: dict[str, Any]) -> None:
    print(f"\n{figures['refs']} refs, {figures['refs'] * SENTENCES_A_REF} sentences")
    for step, answer in figures["steps"].items():
        print(f"  {step:<10} {answer['cpu_seconds']:8.1f} s of CPU, peak {answer['peak_mb']:6.0f} MB")
    for name, size in figures["bytes"].items():
        print(f"  {name:<14} {size / 1e6:8.2f} MB")


def report(started: float) -> None:
    # not ru_maxrss, which starts with the memory of the process that started this one
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    print(json.dumps({"cpu_seconds": time.process_time() - started, "peak_mb": peak}))


def ellipses(count: int, seed: int) -> list[bytes]:
    """RLEs of random ellipses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    masks = []
    for _ in range(count):
        (cy, cx), (ry, rx) = rng.uniform((0, 0), SIZE), rng.uniform(15, 160, 2)
        masks.append((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)[None])
    return rle.encode(np.concatenate(masks))


def write_annotations(folder: Path, refs: int) -> None:
    """A table in JSONL with ground truth, and the one blank photo that all rows share under different names."""
    rng = random.Random(0)
    truth = [code.decode() for code in ellipses(300, 0)]
    photos = folder / "photos"
    photos.mkdir()
    Image.new("RGB", SIZE[::-1]).save(photos / "blank.jpg")
    with (folder / "refs.jsonl").open("w") as file:
        for ref in range(refs):
            photo = f"{ref // REFS_AN_IMAGE}.jpg"
            if ref % REFS_AN_IMAGE == 0:
                (photos / photo).hardlink_to(photos / "blank.jpg")
            thing = rng.choice(THINGS)
            sentences = [
                f"{rng.choice(COLOURS)} {thing} {rng.choice(PLACES)} number {rng.randrange(30)}"
                for _ in range(SENTENCES_A_REF)
            ]
            mask = {"size": SIZE, "counts": rng.choice(truth)}
            file.write(json.dumps({"image": photo, "sentences": sentences, "split": "val", "mask": mask}) + "\n")


def index(folder: Path) -> None:
    from ssc_core.config.sources import DatasetSource
    from ssc_core.refer.index import build_index

    started = time.process_time()
    build_index(
        dataset="scale",
        source=DatasetSource(layout="table", file=folder / "refs.jsonl", images=folder / "photos"),
        out_refs=folder / "refs.parquet",
        out_truth=folder / "truth.h5",
        check_counts=False,
    )
    report(started)


def nouns(folder: Path) -> None:
    from ssc_core.config.settings import load_settings
    from ssc_core.segment.nouns import extract_nouns

    settings = load_settings(yaml.safe_load((ROOT / "config.yaml").read_text())).nouns
    started = time.process_time()
    extract_nouns(
        refs=folder / "refs.parquet", split="val", out=folder / "nouns.parquet", settings=settings, device="cpu"
    )
    report(started)


def shards(folder: Path) -> None:
    """What the GPU steps would leave: 3 to 9 instances per photo, and as candidates those of a ref's class."""
    started = time.process_time()
    info = StoreInfo(class_names=THINGS, settings={}, code="simulated", models={})
    rng, masks = np.random.default_rng(1), ellipses(500, 1)
    photos = list(refs_of_photos(folder))
    for shard in range(SHARDS):
        with (
            MaskStoreWriter(folder / f"masks.{shard}.h5", info, with_masks=True) as store,
            ScoreStoreWriter(folder / f"scores.{shard}.h5", info) as scores,
        ):
            for image_id, refs in photos[shard::SHARDS]:
                count = int(rng.integers(3, 10))
                store.append_image(
                    image_id,
                    SIZE,
                    boxes_xyxy=np.zeros((count, 4)),
                    box_scores=rng.random(count),
                    labels=rng.integers(0, len(THINGS), count),
                    rles=[masks[i] for i in rng.integers(0, len(masks), count)],
                    mask_scores=rng.random(count),
                    candidates={ref: np.arange(count) for ref in refs},
                )
                for ref in refs:
                    scores.append_ref(ref, rng.random((SENTENCES_A_REF, count)), rng.integers(500, 9999, count))
    report(started)


def refs_of_photos(folder: Path) -> Iterator[tuple[int, list[int]]]:
    from ssc_core.refer.ref_table import read_refs

    frame = read_refs(folder / "refs.parquet", columns=("ref_id", "image_id")).drop_duplicates("ref_id")
    for image_id, refs in frame.groupby("image_id", sort=True)["ref_id"]:
        yield int(image_id), refs.tolist()


def gather(folder: Path) -> None:
    from ssc_core.masks.gather import gather, gather_scores

    started = time.process_time()
    gather([folder / f"masks.{shard}.h5" for shard in range(SHARDS)], folder / "masks.h5")
    gather_scores([folder / f"scores.{shard}.h5" for shard in range(SHARDS)], folder / "scores.h5")
    report(started)


def select(folder: Path) -> None:
    from ssc_core.config.labelling import CompatSettings, SelectSettings
    from ssc_core.select.stage import select_masks

    started = time.process_time()
    select_masks(
        refs=folder / "refs.parquet",
        split="val",
        masks=folder / "masks.h5",
        scores=[folder / "scores.h5"],
        out=folder / "selected.h5",
        settings=SelectSettings(),
        compat=CompatSettings(),
    )
    report(started)


def evaluate(folder: Path) -> None:
    from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
    from ssc_core.evaluate.masks import REF_COLUMNS, evaluate_masks
    from ssc_core.masks.selection import SelectionStore
    from ssc_core.masks.store import MaskStore
    from ssc_core.refer.ref_table import read_refs
    from ssc_core.refer.truth import TruthStore

    started = time.process_time()
    meta: dict[str, Any] = {key: {} for key in ("model", "settings", "data", "versions")}
    meta |= {"dataset": "scale", "world": "files", "method": "zero_shot", "code": "scale"}
    with MaskStore.open(folder / "masks.h5") as masks, SelectionStore(folder / "selected.h5") as selected:
        evaluate_masks(
            refs=read_refs(folder / "refs.parquet", columns=REF_COLUMNS),
            split="val",
            masks=masks,
            truth=TruthStore(folder / "truth.h5"),
            selections={"selected": selected},
            select=SelectSettings(),
            out=folder / "eval_masks.json",
            settings=EvaluateSettings(),
            compat=CompatSettings(),
            meta=meta,
        )
    report(started)


if __name__ == "__main__":
    main()
