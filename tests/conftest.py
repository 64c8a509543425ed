"""What all tests share: the repository, the real sample, and Snakemake as a user calls it."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssc_core.cpu_environment import for_torch
from tests import warm_python

COPIED = (
    *("Snakefile", "config.yaml", "rules", "profiles", "workflow_scripts"),
    *("ssc_core", "microworld", "presets", "envs", "docs"),
)
"""What a checkout needs to run."""
HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*", "*.tmp")
"""Compiled files that a process of another worker is writing."""

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("GOMP_SPINCOUNT", "0")  # workers share the cores with each other and with each other's jobs
os.environ.update(for_torch(os.environ))  # workers and what they start compute as jobs do
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background jobs, and children inherit
REAL_SAMPLE = ROOT.parent / "shared" / "real_sample"


gc.disable()  # until all is imported: see `pytest_collection_finish`

SLOW = ("integration", "workflow")
"""Folders whose files take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes start first: at the end, one worker would run such a file and the others wait for it."""
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in SLOW)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: to look through its millions of objects for garbage takes a second."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # libraries count what was not collected at the end as leaks, and say so


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test draws is the same whichever worker runs it, and after whichever tests."""
    random.seed(0)
    if torch := sys.modules.get("torch"):  # to import it takes seconds, which a test of the command line alone has not
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def search_path() -> Iterator[None]:
    """Plug-ins put the folder on it that they are named in, which is another one in every test."""
    before = sys.path[:]
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_sample() -> Path:
    if not REAL_SAMPLE.is_dir():
        pytest.skip("the real sample (../shared/real_sample) is not on this machine")
    return REAL_SAMPLE


@pytest.fixture(scope="session")
def clone() -> Callable[[Path], Path]:
    """Copy the checkout into a folder, which it returns: for tests that change it, or that care where it lies."""

    def copy(folder: Path) -> Path:
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=HALF_WRITTEN)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "resources").symlink_to(ROOT / "resources")
        return folder

    return copy


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A python that runs modules (``-m``) as this one does, and has imported the libraries of others before."""
    with warm_python.running(tmp_path_factory.mktemp("warm") / "server") as python:
        yield python


@pytest.fixture(scope="session")
def warm_environment(warm: Path) -> dict[str, str]:
    """An environment in which rules' jobs run by it."""
    places = (str(warm.parent), str(Path(sys.executable).parent), os.environ["PATH"])
    return {**os.environ, "PATH": os.pathsep.join(places)}


@pytest.fixture(scope="session")
def snakemake(warm: Path, warm_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Snakemake in the repository: ``snakemake("-n", "results/...", cwd=..., check=True)``; output is merged."""

    def run(*arguments: str, cwd: Path = ROOT, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(warm), "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments]
        result = subprocess.run(
            command, cwd=cwd, env=warm_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{result.stdout[-6000:]}")
        return result

    return run


@pytest.fixture(scope="session")
def ssc(warm: Path, warm_environment: dict[str, str]) -> Callable[..., str]:
    """Run ``ssc`` as a user does: ``ssc(folder, "predict", ..., fails=False)``; what it said, output merged."""

    def run(folder: Path, *arguments: object, fails: bool = False) -> str:
        done = subprocess.run(
            [warm, "-m", "ssc_core.cli.main", *map(str, arguments)], cwd=folder, env=warm_environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout[-4000:]
        return done.stdout

    return run
