"""What jobs and commands find in their environment, so that PyTorch computes well on CPUs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ssc_core.cli import main
from ssc_core.cpu_environment import for_torch
from tests.patience import SECONDS
from tests.unit.test_job import around

SPINS = {"GOMP_SPINCOUNT": "10000"}
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "134217728"}
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
NAMES = [*SPINS, *MEMORY, "OMP_WAIT_POLICY", "GLIBC_TUNABLES"]


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
    environment, seen = {**others, **given}, []
    monkeypatch.setattr(main.os, "environ", environment)
    monkeypatch.setattr(main, "app", lambda: seen.append(dict(environment)))
    main.main()
    assert seen == [{**others, **given, **added}]
