"""Threads that sleep soon where other work has their cores: what jobs and commands are given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ssc_core.cli import main
from ssc_core.spinning import sleep_soon
from tests.patience import SECONDS
from tests.unit.test_job import around

WAYS = [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")]
"""What somebody has set, and the spins that a job is given."""
ways = pytest.mark.parametrize(("given", "spins"), WAYS)


@pytest.fixture
def others() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}


def test_what_somebody_has_said_stays() -> None:
    assert sleep_soon({"HOME": "/"}) == {"GOMP_SPINCOUNT": "10000"}
    assert sleep_soon({"GOMP_SPINCOUNT": "0"}) == sleep_soon({"OMP_WAIT_POLICY": "PASSIVE"}) == {}


@ways
def test_a_job(tmp_path: Path, others: dict[str, str], given: Mapping[str, str], spins: str) -> None:
    code = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    job = around(tmp_path / "log", code, env={**others, **given})
    assert job.communicate(timeout=SECONDS)[0] == f"{spins}\n"


@ways
def test_a_command(monkeypatch, others: dict[str, str], given: Mapping[str, str], spins: str) -> None:
    environment, seen = {**others, **given}, []
    monkeypatch.setattr(main.os, "environ", environment)
    monkeypatch.setattr(main, "app", lambda: seen.append(environment.get("GOMP_SPINCOUNT", "None")))
    main.main()
    assert seen == [spins]
