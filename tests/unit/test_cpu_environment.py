"""What jobs and commands find in their environment, so that PyTorch computes well on CPUs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ssc_core import cpu_environment
from ssc_core.cli import main
from ssc_core.cpu_environment import for_torch
from tests.patience import SECONDS
from tests.unit.test_job import around

SPINS = {"GOMP_SPINCOUNT": "10000"}
MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}  # fmt: skip
ways = pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, SPINS | MEMORY),
        ({"GOMP_SPINCOUNT": "7"}, MEMORY),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, MEMORY),
        ({"MALLOC_TRIM_THRESHOLD_": "1"}, SPINS),
        ({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"}, SPINS),
        ({"LD_PRELOAD": "", "GOMP_SPINCOUNT": "0"}, {}),
    ],
)
"""What somebody has said, and what is added."""
NAMES = [*SPINS, *MEMORY, "OMP_WAIT_POLICY"]


@pytest.fixture
def others() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NAMES}


@ways
def test_what_somebody_has_said_stays(given: Mapping[str, str], added: Mapping[str, str]) -> None:
    assert for_torch({"HOME": "/", **given}) == added


@ways
def test_a_job(tmp_path: Path, others: dict[str, str], given: Mapping[str, str], added: Mapping[str, str]) -> None:
    code = f"import json, os; print(json.dumps({{k: os.environ[k] for k in {NAMES} if k in os.environ}}))"
    job = around(tmp_path / "log", code, env={**others, **given})
    found = json.loads(job.communicate(timeout=SECONDS)[0])
    assert found == {name: value for name, value in {**given, **added}.items() if name in NAMES}


@ways
def test_a_command(monkeypatch, others: dict[str, str], given: Mapping[str, str], added: Mapping[str, str]) -> None:
    environment, seen, kept = {**others, **given}, [], []
    monkeypatch.setattr(main.os, "environ", environment)
    monkeypatch.setattr(main, "app", lambda: seen.append(dict(environment)))
    monkeypatch.setattr(cpu_environment, "keep_memory", lambda: kept.append(True))
    main.main()
    assert seen == [{**others, **given, **added}]
    assert bool(kept) == (MEMORY.items() <= added.items())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such setting")
@pytest.mark.parametrize(
    ("variables", "call", "keeps"),
    [({}, "", False), (MEMORY, "", True), ({}, "cpu_environment.keep_memory()", True)],
    ids=["neither", "as a job", "as a command"],
)
def test_freed_memory_stays(others: dict[str, str], variables: Mapping[str, str], call: str, keeps: bool) -> None:
    code = f"""
import resource
from ssc_core import cpu_environment

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

{call}
before = resident()
block = bytearray(256 << 20)
del block
print(resident() - before > 200 << 20)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], env={**others, **variables}, check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == str(keeps)
