"""``ssc demo``: the main job on the generated micro world, training included, and its figures."""

from __future__ import annotations

from pathlib import Path

import typer

from ssc_core.cli.workflow import run_workflow

FOLDER, SPLIT = Path("results/refcoco"), "val"
"""Whose figures are shown, of the config's default target."""


def demo(context: typer.Context) -> None:
    """The main job on a generated world, training included, and its figures. A quarter of an hour on two cores.

    Runs the workflow's default target in the current folder; takes Snakemake's options, too (-n, --cores 4). A second
    call does nothing.
    """
    status = run_workflow(context.args)
    if status == 0 and (FOLDER / f"eval_masks_{SPLIT}.json").exists():
        show(FOLDER, SPLIT)
    raise typer.Exit(status)


def show(folder: Path, split: str) -> None:
    """Print the figures of a dataset's split, and where its pictures are."""
    from ssc_core.config.methods import method_name, method_order
    from ssc_core.layout import DatasetFolder
    from ssc_core.report.seeds import over_seeds, read_figures

    table = read_figures(DatasetFolder(folder).all_eval_files())
    rows = over_seeds(table[(table["split"] == split) & (table["variant"] == "")]).to_dict("records")
    print(f"\n{folder.name} {split}, world: {rows[0]['world']}; every sentence counts, at 480 x 480")
    print(f"\n{'':<44}{'oIoU':>6}   {'95 % interval':<15}{'mIoU':>6}{'P@0.5':>8}")
    for row in sorted(rows, key=lambda row: method_order(str(row["method"]))):
        name, interval = method_name(str(row["method"])), f"{row['low']:.1f} to {row['high']:.1f}"
        print(f"  {name:<42}{row['oIoU']:6.1f}   {interval:<15}{row['mIoU']:6.1f}{row['P@0.5']:8.1f}")
    print(f"\nfigures: {folder}/eval_{split}.json, {folder}/eval_masks_{split}.json")
    print(f"pictures: {folder}/eval_{split}.png; `ssc run {folder.parent}/report/index.html` makes one page of all")
