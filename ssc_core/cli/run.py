"""``ssc run``: the workflow from any folder, with all of Snakemake's options."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from ssc_core.cli.workflow import run_workflow


class PassOn(TyperCommand):
    """Leaves its command line as it is, but for a lone ``--help``: it is another program's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args in (["--help"], ["-h"]):
            return super().parse_args(ctx, args)
        ctx.args = args
        return []


def run(context: typer.Context) -> None:
    """Run the workflow: Snakemake with this project's Snakefile. Results go into the current folder.

    All options are Snakemake's, such as -n (what would run), --cores 4, --configfile mine.yaml, --profile FOLDER.
    Without a word on cores it takes all. Files of the project are found from any folder: --configfile
    presets/paper.yaml.
    """
    raise typer.Exit(run_workflow(context.args))
