"""All benchmarks of Segment, Select and Correct, and one page of their figures: ``make bench``.

    python benchmarks/page.py                      # CPU time of one core, or a GPU where there is one
    python benchmarks/page.py --only nouns masks   # these again; the others' figures are kept

Each benchmark runs in a process of its own, so that its peak memory is its own, and leaves its figures in build/bench.
The page is made from these files alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ssc_core.files import atomic_path, read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
REAL = {"nouns": "refcoco_val_sentences.jsonl", "masks": "coco64"}
"""Real sentences, one per line, and a folder of COCO photos with instances.json, looked for in ``--sample``."""

CPU = {
    "nouns": "nouns.py --every 10",
    "segment": "segment.py --images 2 --boxes 5 --sam vit_b --threads 1 --clock cpu",
    "select": "select_stage.py --clock cpu --threads 1 --photos 3",
    "train_micro": "train.py --swin micro --side 96 --samples 30 --threads 1 --cpu-time",
    "train_tiny": "train.py --swin tiny --side 224 --samples 30 --steps 2 --published-samples 3 --threads 1 --cpu-time",
    "masks": "mask_store.py",
}
GPU = {
    "nouns": "nouns.py --every 10",
    "segment": "segment.py --images 64 --boxes 5 --sam vit_h --threads 16",
    "select": "select_stage.py --model ViT-L-14-336 --photos 200 --threads 16",
    "train_base": "train.py --swin base --side 480 --samples 60 --steps 10",
    "masks": "mask_store.py",
}
"""The published models' sizes."""

Row = tuple[str, float, float, float | None]
"""What, the published way and ours per second, and the share of our time in the models."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = GPU if torch.cuda.is_available() else CPU
    parser.add_argument("--only", nargs="+", choices=sorted(runs), default=list(runs))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--sample", type=Path, help="folder of real data; without it, benchmarks make theirs up")
    options = parser.parse_args()
    for name in options.only:
        run(name, runs[name], options.sample)
    found = {name: read_json(BUILD / f"{name}.json") for name in runs if (BUILD / f"{name}.json").is_file()}
    with atomic_path(options.page) as temporary:
        temporary.write_text(page(found), encoding="utf-8")
    print(options.page)


def run(name: str, command: str, sample: Path | None) -> None:
    """Run one benchmark and write its figures, with its command and peak memory."""
    BUILD.mkdir(parents=True, exist_ok=True)
    out = BUILD / f"{name}.json"
    print(f"{name}: {command}", flush=True)
    script, *options = command.split()
    real = [sample / REAL[name]] if sample is not None and name in REAL and (sample / REAL[name]).exists() else []
    process = subprocess.Popen(
        [sys.executable, ROOT / "benchmarks" / script, *options, *(path.resolve() for path in real), "--json", out],
        cwd=ROOT,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{script} failed")
    write_json(
        out,
        {
            "command": " ".join([script, *options, *(path.name for path in real)]),
            "peak_mib": usage.ru_maxrss / 1024,
            "figures": read_json(out),
        },
    )


def page(found: dict[str, dict[str, Any]]) -> str:
    """Markdown. found: by benchmark, ``command``, ``peak_mib`` and ``figures``."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"one core, CPU time ({platform.machine()})"
    table = [
        "| | published way, a second | ours, a second | times | share in the models | peak memory |",
        "|---|---|---|---|---|---|",
        *(
            f"| {what} | {_figure(published)} | {_figure(ours)} | **{ours / published:.2f}** | "
            f"{'' if share is None else f'{share:.0%}'} | {found[name]['peak_mib'] / 1024:.1f} GiB |"
            for name in found
            for what, published, ours, share in _rows(name, found[name]["figures"])
        ),
    ]
    parts = [
        "# Benchmarks",
        "Written by `make bench`; nothing here was typed. [Performance](performance.md) says what the figures mean.",
        f"Device: {device}. Date: {date.today()}. Each row is measured in one process with the published way "
        "of working beside ours, on the same data; ratios compare, absolute figures depend on the machine.",
        "\n".join(table),
    ]
    for name, run_of in found.items():
        if name.startswith("train"):
            parts.append(_training(run_of["figures"]))
    if "masks" in found:
        parts.append(_masks(found["masks"]["figures"]))
    commands = [f"    python benchmarks/{run_of['command']}" for run_of in found.values()]
    return "\n\n".join([*parts, "## Commands", "\n".join(commands)]) + "\n"


def _rows(name: str, figures: dict[str, Any]) -> Iterator[Row]:
    if name == "nouns":
        yield "`extract_nouns`, sentences", figures["published_per_second"], figures["ours_per_second"], None
    elif name == "segment":
        models = {"detect": "`detect_boxes`, photos (Swin-T)", "segment": f"`segment_boxes`, photos ({figures['sam']})"}
        for stage, what in models.items():
            row = figures[stage]
            yield what, row["baseline"], row["images_per_second"], row["in_model"]
    elif name == "select":
        published, ours = figures["published_pairs_per_second"], figures["batched_pairs_per_second"]
        yield f"`score_candidates`, pairs ({figures['model']})", published, ours, figures["batched_share_in_model"]
    elif name.startswith("train"):
        published, ours = figures["published_way_samples_per_s"], figures["trainer_samples_per_s"]
        yield f"training, samples ({figures['network']})", published, ours, 1 / max(1.0, figures["trainer_over_bare"])


def _training(figures: dict[str, Any]) -> str:
    return (
        f"{figures['network']}, {figures['precision']}: a step of the trainer takes {figures['trainer_over_bare']:.2f} "
        f"of the bare forward and backward pass on a ready batch, and {figures['mib_per_sample']:.1f} MiB per sample."
    )


def _masks(figures: dict[str, Any]) -> str:
    own = figures["layouts"]["masks.h5"]["bytes"]
    lines = [
        f"{figures['masks']} masks of {figures['images']} photos:",
        "| layout | files | bytes per mask | times masks.h5 |\n|---|---|---|---|",
    ]
    rows = [
        f"| {name} | {row['files']} | {row['bytes'] / figures['masks']:.0f} | {row['bytes'] / own:.2f} |"
        for name, row in figures["layouts"].items()
    ]
    return "\n\n".join([lines[0], "\n".join([lines[1], *rows])])


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
