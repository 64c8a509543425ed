"""A simulated split of many refs through every step, large models left out: time per ref and peak memory of each.

    python benchmarks/scale.py                              # 100,000 and 1,000,000 refs: an hour of one core
    python benchmarks/scale.py --refs 10000 --page          # and write the page's table and picture
    python benchmarks/scale.py --refs 1000000 --steps tables nouns_made detect segment score --json out.json

``tables`` stands for ``annotations`` and ``index``, which take longest. Models are replaced by some that cost nothing
(``scale_data.py``), stores are real. Of the GPU steps, one shard's job of about 5,000 refs is run, whatever the split:
what it takes may not depend on the others. Every step is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

import scale_data
import yaml

from ssc_core.files import atomic_path, write_json

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "benchmarks" / "scale_data.py"
PAGE, PICTURE = ROOT / "docs" / "scale.md", ROOT / "docs" / "images" / "scale.png"
BEGIN, END = "<!-- made by benchmarks/scale.py -->\n", "<!-- end -->\n"
REFS_A_SHARD = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--steps", nargs="+", choices=STEPS, default=[step for step in STEPS if step not in ("tables", "nouns")]
    )
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "scale.json", help="figures, added to by step")
    parser.add_argument("--folder", type=Path, help="where data are kept, to go on with other steps")
    parser.add_argument("--page", action="store_true", help="write table and picture of the figures into docs/scale.md")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        one(options.step, options.folder, options.refs[0])
        return
    figures = json.loads(options.json.read_text()) if options.json.is_file() else {}
    for refs in options.refs:
        with tempfile.TemporaryDirectory(prefix="ssc-scale-") as made:
            folder = (options.folder or Path(made)) / str(refs)
            folder.mkdir(parents=True, exist_ok=True)
            for step in options.steps:
                command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--refs", str(refs)]
                answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout)
                print(f"{refs} refs, {step:<12} {answer['cpu_seconds']:8.1f} s of CPU, {answer['peak_mb']:6.0f} MB")
                if step not in SIMULATED:
                    figures.setdefault(str(refs), {})[step] = answer
                    write_json(options.json, figures)
    if options.page:
        write_page(figures)


def one(step: str, folder: Path, refs: int) -> None:
    """Run a step; print what it took."""
    started = time.process_time()
    count = STEPS[step](folder, refs)
    seconds = time.process_time() - started
    # not ru_maxrss, which starts with the memory of the process that started this one
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"cpu_seconds": seconds, "peak_mb": int(status["VmHWM"].split()[0]) / 1024, "refs": count}))


def settings_of(section: str) -> Any:
    from ssc_core.config.settings import load_settings

    return getattr(load_settings(yaml.safe_load((ROOT / "config.yaml").read_text())), section)


def index(folder: Path, refs: int) -> int:
    from ssc_core.config.sources import DatasetSource
    from ssc_core.refer.index import build_index

    source = DatasetSource(layout="table", file=folder / "refs.jsonl", images=folder / "photos")
    return build_index(
        dataset="scale", source=source, check_counts=False,
        out_refs=folder / "refs.parquet", out_truth=folder / "truth.h5",
    ).n_refs  # fmt: skip


def nouns(folder: Path, refs: int) -> int:
    from ssc_core.segment.nouns import extract_nouns

    out, settings = folder / "nouns.parquet", settings_of("nouns")
    extract_nouns(refs=folder / "refs.parquet", split="val", out=out, settings=settings, device="cpu")
    return refs


def _shard(refs: int) -> tuple[int, int]:
    """One in the middle."""
    count = max(1, refs // REFS_A_SHARD)
    return count // 2, count


def detect(folder: Path, refs: int) -> int:
    from ssc_core.config.base import Backend
    from ssc_core.config.labelling import CompatSettings
    from ssc_core.segment.boxes import detect_boxes

    shard, shards = _shard(refs)
    detect_boxes(
        **_inputs(folder), split="val", out=folder / "boxes.one.h5", compat=CompatSettings(),
        shard=shard, shards=shards,
        settings=settings_of("detect").model_copy(update={"backend": Backend(name=f"{MODELS}:Boxes")}),
    )  # fmt: skip
    return refs // shards


def segment(folder: Path, refs: int) -> int:
    from ssc_core.config.base import Backend
    from ssc_core.config.labelling import CandidateSettings, CompatSettings
    from ssc_core.segment.masks import segment_boxes

    own = settings_of("segment").model_copy(update={"backend": Backend(name=f"{MODELS}:Masks")})
    segment_boxes(
        **_inputs(folder), split="val", boxes=folder / "boxes.one.h5", out=folder / "masks.one.h5",
        settings=CandidateSettings(detect=settings_of("detect"), segment=own), compat=CompatSettings(),
    )  # fmt: skip
    return refs // _shard(refs)[1]


def score(folder: Path, refs: int) -> int:
    from ssc_core.config.base import Backend
    from ssc_core.config.labelling import CompatSettings
    from ssc_core.select.score_stage import score_candidates

    score_candidates(
        refs=folder / "refs.parquet", images=folder / "photos", split="val", masks=folder / "masks.one.h5",
        out=folder / "scores.one.h5", compat=CompatSettings(),
        settings=settings_of("score").model_copy(update={"backend": Backend(name=f"{MODELS}:Scores")}),
    )  # fmt: skip
    return refs // _shard(refs)[1]


class _Inputs(TypedDict):
    refs: Path
    nouns: Path
    images: Path


def _inputs(folder: Path) -> _Inputs:
    return {"refs": folder / "refs.parquet", "nouns": folder / "nouns.parquet", "images": folder / "photos"}


def gather(folder: Path, refs: int) -> int:
    from ssc_core.masks.gather import gather, gather_scores

    gather([folder / f"masks.{shard}.h5" for shard in range(scale_data.SHARDS)], folder / "masks.h5")
    gather_scores([folder / f"scores.{shard}.h5" for shard in range(scale_data.SHARDS)], folder / "scores.h5")
    return refs


def select(folder: Path, refs: int) -> int:
    from ssc_core.config.labelling import CompatSettings, SelectSettings
    from ssc_core.select.stage import select_masks

    select_masks(
        refs=folder / "refs.parquet", split="val", masks=folder / "masks.h5", scores=[folder / "scores.h5"],
        out=folder / "selected.h5", settings=SelectSettings(), compat=CompatSettings(),
    )  # fmt: skip
    return refs


def evaluate(folder: Path, refs: int) -> int:
    from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
    from ssc_core.evaluate.masks import evaluate_masks
    from ssc_core.masks.selection import SelectionStore
    from ssc_core.masks.store import MaskStore
    from ssc_core.refer.ref_table import refs_in_order
    from ssc_core.refer.truth import TruthStore

    meta: dict[str, Any] = {key: {} for key in ("model", "settings", "data", "versions")}
    meta |= {"dataset": "scale", "world": "files", "method": "zero_shot", "code": "scale"}
    with MaskStore.open(folder / "masks.h5") as masks, SelectionStore(folder / "selected.h5") as selected:
        evaluate_masks(
            refs=refs_in_order(folder / "refs.parquet", "val"), split="val", masks=masks,
            truth=TruthStore(folder / "truth.h5"), selections={"selected": selected}, select=SelectSettings(),
            out=folder / "eval_masks.json", settings=EvaluateSettings(), compat=CompatSettings(), meta=meta,
        )  # fmt: skip
    return refs


def export(folder: Path, refs: int) -> int:
    from ssc_core.exchange.annotations import Export, LeftOut, annotated_images
    from ssc_core.exchange.formats import FORMATS
    from ssc_core.masks.selection import SelectionStore
    from ssc_core.refer.ref_table import refs_by_photo

    left_out = LeftOut()
    with SelectionStore(folder / "selected.h5") as store:
        photos = refs_by_photo(folder / "refs.parquet", store.image_ids)
        images = annotated_images(store, photos, left_out=left_out)
        labels = Export(images=images, store=store, categories={}, split="val", photos=Path(), left_out=left_out)
        FORMATS["coco"].write(labels, folder / "labels.json")
    return refs


SIMULATED: dict[str, Callable[[Path], Any]] = {
    "tables": lambda folder: scale_data.write_tables(folder, int(folder.name)),
    "annotations": lambda folder: scale_data.write_annotations(folder, int(folder.name)),
    "nouns_made": scale_data.write_nouns,
    "shards": scale_data.write_shards,
}
"""Steps that make data, and are not reported."""


def _simulated(step: str) -> Callable[[Path, int], int]:
    def run(folder: Path, refs: int) -> int:
        SIMULATED[step](folder)
        return refs

    return run


STEPS: dict[str, Callable[[Path, int], int]] = {
    "tables": _simulated("tables"),
    "annotations": _simulated("annotations"),
    "index": index,
    "nouns": nouns,
    "nouns_made": _simulated("nouns_made"),
    "detect": detect,
    "segment": segment,
    "score": score,
    "shards": _simulated("shards"),
    "gather": gather,
    "select": select,
    "evaluate": evaluate,
    "export": export,
}
"""In the order of the workflow."""

NAMES = {
    "index": "`index_refs`",
    "nouns": "`extract_nouns`",
    "detect": "`detect_boxes`, one shard",
    "segment": "`segment_boxes`, one shard",
    "score": "`score_candidates`, one shard",
    "gather": "`gather`, masks and scores",
    "select": "`select_masks`",
    "evaluate": "`evaluate_masks`",
    "export": "`ssc export --to coco`",
}


def write_page(figures: dict[str, Any]) -> None:
    """Put table and picture between the marks of the page."""
    sizes = sorted(figures, key=int)
    head = [f"{int(refs):,} refs: ms per ref | peak MB" for refs in sizes]
    lines = [f"| step | {' | '.join(head)} |", "|---" * (1 + 2 * len(sizes)) + "|"]
    for step, name in NAMES.items():
        cells = [_cells(figures[refs].get(step)) for refs in sizes]
        if any(step in figures[refs] for refs in sizes):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    draw(figures, sizes)
    table = "\n".join(lines)
    made = f"Measured on {date.today():%d %B %Y}.\n\n{table}\n\n![Peak memory of each step](images/{PICTURE.name})\n\n"
    before, rest = PAGE.read_text().split(BEGIN)
    with atomic_path(PAGE) as temporary:
        temporary.write_text(before + BEGIN + "\n" + made + END + rest.split(END)[1])


def _cells(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return "| "
    return f"{1000 * answer['cpu_seconds'] / answer['refs']:.2f} | {answer['peak_mb']:.0f}"


def draw(figures: dict[str, Any], sizes: list[str]) -> None:
    """Bars of time per ref and of peak memory, step by step."""
    from ssc_core.report.figures import colour, panels

    steps = [step for step in NAMES if any(step in figures[refs] for refs in sizes)]
    figure, (left, right) = panels(9, 0.4 * len(steps) + 1.5, 1, 2, sharey=True)
    height = 0.8 / len(sizes)
    for number, refs in enumerate(sizes):
        own = [(place, figures[refs][step]) for place, step in enumerate(steps) if step in figures[refs]]
        rows = [place + number * height for place, _ in own]
        label = f"{int(refs):,} refs"
        left.barh(
            rows, [1000 * a["cpu_seconds"] / a["refs"] for _, a in own], height, color=colour(number), label=label
        )
        right.barh(rows, [answer["peak_mb"] for _, answer in own], height, color=colour(number))
    left.set_yticks(
        [place + 0.4 - height / 2 for place in range(len(steps))], [NAMES[s].replace("`", "") for s in steps]
    )
    left.invert_yaxis()
    left.set_title("CPU time per ref, ms")
    right.set_title("Peak memory of the process, MB")
    figure.legend(loc="outside lower center", ncols=len(sizes))
    for axes in (left, right):
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
