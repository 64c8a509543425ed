"""``ssc demo``: the main job on the generated micro world, training included, and its figures."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ssc_core.cli.progress import OTHER_CORES, Progress, planned
from ssc_core.cli.workflow import INTERRUPTED, run_workflow
from ssc_core.wording import counted

FOLDER, SPLIT = Path("results/refcoco"), "val"
"""Whose figures are shown, of the config's default target."""

ON_ONE_CORE = ("extract_nouns", "detect_boxes", "segment_boxes", "score_candidates", "evaluate")
"""Rules whose small models gain little from a second core: on one each, jobs of two splits run side by side."""


def demo(context: typer.Context) -> None:
    """The main job on a generated world, training included, and its figures. It says at its start how long it takes.

    Runs the workflow's default target in the current folder; takes Snakemake's options, too (-n, --cores 4). A second
    call does nothing.
    """
    said: list[str] = []
    status = run_workflow(["--dry-run", *context.args], heard=said.append)
    if status == INTERRUPTED:
        raise typer.Exit(status)
    if status or {"-n", "--dry-run", "--dryrun"} & set(context.args):
        print("\n".join(said))
        raise typer.Exit(status)
    jobs = planned(said)
    if not jobs:
        print("Nothing to be done: all results are here")
    status = _run(context.args, jobs) if jobs else 0
    if status == 0 and (FOLDER / f"eval_masks_{SPLIT}.json").exists():
        show(FOLDER, SPLIT)
    raise typer.Exit(status)


def _run(arguments: list[str], jobs: dict[str, str]) -> int:
    """Run the jobs with one bar for all of them. What they print goes to a log, whose end is shown where they fail."""
    from tqdm import tqdm

    progress, log = Progress(jobs), FOLDER / "logs/demo.log"
    print(f"{counted(len(jobs), 'job')}{_time(arguments, progress.total)}; log: {log}", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        tqdm(total=progress.total, bar_format="{percentage:3.0f} % {bar:30} {elapsed} {desc}", mininterval=1) as bar,
    ):

        def heard(line: str) -> None:
            file.write(f"{line}\n")
            progress.read(line)
            bar.set_description_str(progress.doing, refresh=False)
            bar.update(progress.done - bar.n)

        status = run_workflow([*side_by_side(), *arguments], heard=heard)
    if status == INTERRUPTED:
        print("interrupted: finished work is kept, and the same command goes on", file=sys.stderr)
    elif status:
        print("\n".join(log.read_text(encoding="utf-8").splitlines()[-40:]), file=sys.stderr)
    return status


def side_by_side() -> list[str]:
    """Options for Snakemake. Where jobs use GPUs, each still waits for one of its own."""
    # the last one takes no value, so that none of the user's arguments is taken for one
    return ["--resources", "gpu=2", "--set-threads", *(f"{rule}=1" for rule in ON_ONE_CORE), "--nocolor"]


def _time(arguments: Sequence[str], seconds: float) -> str:
    """How long jobs take, where that is known: of other configs nobody measured it."""
    if any(one.startswith(("--config", "-C")) for one in arguments):
        return ""
    fast, slow = (max(1, round(times * seconds / 60)) for times in OTHER_CORES)
    return f", {fast} to {slow} minutes on two quiet cores"


def show(folder: Path, split: str) -> None:
    """Print the figures of a dataset's split, and where its pictures are."""
    from ssc_core.config.methods import method_order
    from ssc_core.evaluate.eval_table import folder_table, over_seeds
    from ssc_core.evaluate.schema import read_eval
    from ssc_core.layout import DatasetFolder
    from ssc_core.report.repaired import compare, repaired_line

    table = folder_table(DatasetFolder(folder).eval_files())
    rows = over_seeds(table[table["split"] == split]).to_dict("records")
    network, candidates = folder / f"eval_{split}.json", folder / f"eval_masks_{split}.json"
    size = "at the photo's size" if read_eval(network).resolution == "native" else "at 480 x 480"
    print(f"\n{folder.name} {split}, world: {rows[0]['world']}; every sentence counts, {size}")
    print(f"\n{'':<44}{'oIoU':>6}   {'95 % interval':<15}{'mIoU':>6}{'P@0.5':>8}")
    for row in sorted(rows, key=lambda row: method_order(str(row["method"]))):
        print(_line(row))
    print(f"\n{repaired_line(compare(network, candidates))}")
    print(f"\nfigures: {network}, {candidates}")
    print(
        f"pictures: {network.with_suffix('.png')}; sentences that Correct repaired: {folder / split / 'repaired.png'}"
    )
    print(f"`ssc run {folder.parent}/report/index.html` makes one page of all")


def _line(row: Mapping[Any, Any]) -> str:
    """A method's figures; without an interval where none was computed (``evaluate.bootstrap_samples: 0``)."""
    from ssc_core.config.methods import method_name

    name, low, high = method_name(str(row["method"])), row["oIoU_low"], row["oIoU_high"]
    interval = "" if math.isnan(low) else f"{low:.1f} to {high:.1f}"
    return f"  {name:<42}{row['oIoU']:6.1f}   {interval:<15}{row['mIoU']:6.1f}{row['P@0.5']:8.1f}"
