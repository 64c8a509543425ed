"""``ssc doctor``: what this machine has, and what will work on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssc_core.cli.config_files import read_config

_SIGNS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def doctor(
    config: Annotated[
        list[Path] | None, typer.Option("--config", "-c", help="Config file over config.yaml. May be repeated.")
    ] = None,
) -> None:
    """Check versions, GPU, memory, disk, locks, data and weights, and say what will work. Exit code 1 for a problem."""
    from ssc_core.doctor import examine

    checks = examine(read_config(config or []), Path())
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{_SIGNS[check.state]}  {check.name:{width}}  {check.text}")
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)
