"""The parts of the check, each of which fits a run of ten minutes, and what a part writes."""

from __future__ import annotations

import math
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ssc_core.errors import SscError
from ssc_core.files import write_json
from ssc_core.gpu_check import memory, processes, stages
from ssc_core.gpu_check.findings import Finding, Skip
from ssc_core.gpu_check.machine import Place, device_name, versions

Case = Callable[[Place], Iterator[Finding]]
Result = dict[str, Any]
PARTS: dict[str, tuple[Case, ...]] = {
    "segment": (stages.detector, stages.sam, stages.sam2),
    "select": (stages.clip,),
    "correct": (stages.lavt,),
    "memory": (memory.detector, memory.sam, memory.sam2, memory.clip),
    "resume": (processes.killed_and_resumed,),
    "lease": (processes.one_card_for_two,),
    "torchrun": (processes.two_processes,),
}
QUICK = ("segment", "select", "correct")
"""What ``ssc doctor --gpu`` runs, at small size."""


def run_part(name: str, *, small: bool, device: str, keep: Callable[[Result], None] | None = None) -> Result:
    """Run a part's cases. Returns ``part``, ``size``, ``device``, ``device_name``, ``date``, ``seconds``, ``versions``,
    ``command``, ``peak_mib`` of the device's memory (None for a CPU), ``findings``, ``skipped``, ``errors`` and
    ``finished``.

    A case that lacks a package, or whatever else it needs, is skipped by its name; one that breaks is an error, and the
    others run all the same. keep: gets what there is so far after every finding and every case, so that a part that is
    cut leaves it. Raises SscError for a part that there is not.
    """
    if name not in PARTS:
        raise SscError(f"there is no part '{name}' of the GPU check; there are {', '.join(PARTS)}")
    started = time.monotonic()
    result: Result = {
        "part": name,
        "size": "small" if small else "official",
        "device": device,
        "device_name": device_name(device),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(),
        "command": f"python -m ssc_core.gpu_check {name} --size {'small' if small else 'official'}",
        "findings": [],
        "skipped": {},
        "errors": {},
        "finished": False,
    }

    def note() -> None:
        result["seconds"] = time.monotonic() - started
        result["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
        if keep is not None:
            keep(result)

    note()
    for case in PARTS[name]:
        with tempfile.TemporaryDirectory() as folder:
            _run_case(case, Place(device, small, Path(folder)), result, note)
        note()
    result["finished"] = True
    note()
    return result


def _run_case(case: Case, place: Place, result: Result, note: Callable[[], None]) -> None:
    try:
        for finding in case(place):
            result["findings"].append(_row(finding))
            note()
    except Skip as reason:
        result["skipped"][case.__name__] = str(reason)
    except Exception as error:  # the other cases are worth running
        if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("ssc_core"):
            result["skipped"][case.__name__] = f"{error.name} is not installed"
            return
        traceback.print_exc()
        result["errors"][case.__name__] = f"{type(error).__name__}: {error}"[:500]


def _row(finding: Finding) -> dict[str, Any]:
    """JSON has no infinity."""
    worst = finding.worst if math.isfinite(finding.worst) else None
    return {**asdict(finding), "worst": worst, "ok": finding.ok}


def is_right(result: Result) -> bool:
    """Whether everything that ran was within its bounds."""
    return not result["errors"] and all(row["ok"] for row in result["findings"])


def told(result: Result) -> str:
    """A line per finding, for people."""
    lines = [
        f"{'ok   ' if row['ok'] else 'WRONG'}  {row['what']}: "
        f"{'not comparable' if row['worst'] is None else format(row['worst'], '.2g')} "
        f"(at most {row['bound']:.2g}, {row['unit']})"
        for row in result["findings"]
    ]
    lines += [f"skip   {case}: {why}" for case, why in result["skipped"].items()]
    lines += [f"ERROR  {case}: {why}" for case, why in result["errors"].items()]
    return "\n".join(lines)


def write(result: Result, folder: Path) -> None:
    """PART.json, always whole, whenever the part is cut."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{result['part']}.json", result)
