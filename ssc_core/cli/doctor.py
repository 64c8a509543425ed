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
    gpu: Annotated[
        bool,
        typer.Option("--gpu", help="Compare the stages on the GPU with the CPU as well (small networks, minutes)."),
    ] = False,
) -> None:
    """Check versions, GPU, memory, disk, locks, data and weights, and say what will work. Exit code 1 for a problem."""
    from ssc_core.doctor import examine

    checks = examine(read_config(config or []), Path())
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{_SIGNS[check.state]}  {check.name:{width}}  {check.text}")
    right = _gpu_is_right() if gpu else True
    if not right or any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


def _gpu_is_right() -> bool:
    """Run the quick parts of the GPU check, and tell what they find."""
    import torch

    from ssc_core.gpu_check.parts import QUICK, is_right, run_part, told

    if not torch.cuda.is_available():
        typer.echo(f"{_SIGNS['problem']}  gpu: torch sees none, so nothing of it could be checked")
        return False
    right = True
    for part in QUICK:
        result = run_part(part, small=True, device="cuda")
        typer.echo(told(result))
        right &= is_right(result)
    return right
