"""Wherever the checkout lies, and from whichever folder: a job runs, and one that fails, fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("my code (1)", "user's code", "c$(touch X)", 'a"b;c&d:e')
WRITES_THEN = """
import os, sys
from pathlib import Path
for option, _, value in (argument.partition("=") for argument in sys.argv):
    if option in ("--refs", "--truth", "--data"):
        Path(value).write_text("written")
print("all outputs are written")
{end}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with one photo and one sentence; relative paths are relative to where it is used."""
    folder = tmp_path_factory.mktemp("table")
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(folder / "a.png")
    (folder / "refs.csv").write_text("image,sentences\na.png,the grey one\n")
    source = f"{{layout: table, file: {folder}/refs.csv, images: {folder}}}"
    (folder / "mine.yaml").write_text(f"datasets: {{mine: {{source: {source}, splits: [train]}}}}\n")
    return folder / "mine.yaml"


@pytest.fixture
def run(warm: Path, warm_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Snakemake as a user calls it. What lies in the current folder or is installed must not stand in for the checkout:
    PYTHONPATH is not set, and python does not look where it runs."""
    environment = {name: value for name, value in warm_environment.items() if name != "PYTHONPATH"}

    def snakemake(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [warm, "-P", "-m", "snakemake", "--cores", "1", *arguments],
            cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    return snakemake


@pytest.mark.parametrize("name", NAMES)
def test_a_clone_in_a_folder_of_any_name(run, tmp_path: Path, clone, table: Path, name: str) -> None:
    checkout = clone(tmp_path / name / "ssc")
    # proof of whose code runs: the installed package and other checkouts know nothing of it
    with (checkout / "workflow_scripts" / "index_refs.py").open("a") as script:
        script.write("\nfrom pathlib import Path as _P; _P('ran').write_text(__file__)\n")
    done = run("--configfile", str(table), "--", "results/mine/refs.parquet", cwd=checkout)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "not a valid identifier" not in done.stdout
    assert (checkout / "results/mine/refs.parquet").is_file()
    assert (checkout / "ran").read_text() == str(checkout / "workflow_scripts" / "index_refs.py")
    assert not list(tmp_path.rglob("X"))


def test_a_folder_that_snakemake_cannot_read(run, tmp_path: Path, clone) -> None:
    refused = run("-n", cwd=clone(tmp_path / "{braces}"))
    assert refused.returncode
    assert "for wildcards, also in the path of this checkout; move it" in refused.stdout
    assert "Traceback" not in refused.stdout


@pytest.mark.parametrize("how", ["snakefile", "directory"])
def test_from_another_folder(run, tmp_path: Path, root: Path, table: Path, how: str) -> None:
    """Results go where it runs, and models of the default config are found in the checkout."""
    (tmp_path / "tiny.yaml").write_text("micro: {images: {train: 2, val: 2, testA: 2, testB: 2, test: 2}}\n")
    where = {"snakefile": ("--snakefile", str(root / "Snakefile")), "directory": ("--directory", str(tmp_path))}[how]
    cwd = {"snakefile": tmp_path, "directory": root}[how]
    config = ("--configfile", str(tmp_path / "tiny.yaml"))
    target = "results/refcoco/val/nouns.parquet"
    done = run(*where, *config, "--", target, cwd=cwd)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / target).is_file()
    again = run(*where, *config, "-n", "--", target, cwd=cwd)
    assert "Nothing to be done" in again.stdout, again.stdout[-3000:]


def test_called_by_its_path_in_an_environment_that_is_not_active(tmp_path: Path, clone, table: Path) -> None:
    """As `.venv/bin/snakemake` is, or by cron: many systems have no command `python` then."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for tool in Path(folder).iterdir():
            if tool.name != "python" and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    checkout = clone(tmp_path / "ssc")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", table, "--", "results/mine/refs.parquet"],
        cwd=checkout, env={"PATH": str(tools), "HOME": str(Path.home())},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (checkout / "results/mine/refs.parquet").is_file()


@pytest.mark.parametrize(
    ("results", "target"), [("out/", "out"), ("./out", "./out"), (".//out", "out/"), ("~/out", "{home}/out")]
)
def test_the_results_folder_however_it_is_spelt(run, root: Path, table: Path, results: str, target: str) -> None:
    target = f"{target.format(home=Path.home())}/mine/refs.parquet"
    plan = run("-n", "--configfile", str(table), "--config", f"results='{results}'", "--", target, cwd=root)
    assert plan.returncode == 0, plan.stdout[-3000:]
    assert "index_refs" in plan.stdout
    assert "Relative file path" not in plan.stdout


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("sys.exit(7)", ["all outputs are written"]),
        (
            "sys.stdout.flush(); os.kill(os.getpid(), 9)",
            ["all outputs are written", "killed by signal 9 (SIGKILL)", "It had asked for 4321 MB of memory"],
        ),
    ],
)
def test_a_job_that_fails_after_it_has_written_its_outputs(
    run, tmp_path: Path, clone, table: Path, end: str, words: list[str]
) -> None:
    checkout = clone(tmp_path / "ssc")
    (checkout / "workflow_scripts" / "index_refs.py").write_text(WRITES_THEN.format(end=end))
    memory = ("--set-resources", "index_refs:mem_mb=4321")
    failed = run(*memory, "--configfile", str(table), "--", "results/mine/refs.parquet", cwd=checkout)
    assert failed.returncode
    assert "Error in rule index_refs" in failed.stdout
    shown = failed.stdout.split("Logfile ")[1]
    for word in words:
        assert word in shown
    assert "latency" not in failed.stdout
    assert not (checkout / "results/mine/refs.parquet").exists(), "a failed job's outputs are removed"
