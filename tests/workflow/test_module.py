"""The workflow as a Snakemake module of another one, in another folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

OUTER = """
module ssc:
    snakefile: {snakefile!r}

use rule * from ssc as ssc_*

rule mine:
    default_target: True
    input: "results/refcoco/val/nouns.parquet"
    output: "mine.txt"
    run:  # a process of its own, to which Snakemake gives the config
        assert set(config) == {{"micro"}}
        shell("echo done > {{output}}")
"""

DEPLOYED = """
configfile: "config/config.yaml"

module ssc:
    snakefile: gitfile({repository!r}, path="workflow/Snakefile", ref="main")
    config: config

use rule * from ssc
"""
"""What `snakedeploy deploy-workflow` writes, but for the forge."""


@pytest.fixture
def outer_snakemake(warm: Path, warm_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [warm, "-P", "-m", "snakemake", "--cores", "1", *arguments]
        return subprocess.run(command, cwd=folder, env=warm_environment, capture_output=True, text=True, check=False)

    return run


def test_as_a_module_of_another_workflow(outer_snakemake, tmp_path: Path, root: Path) -> None:
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=str(root / "Snakefile")))
    (tmp_path / "tiny.yaml").write_text("micro: {images: {train: 2, val: 2, testA: 2, testB: 2, test: 2}}\n")
    done = outer_snakemake(tmp_path, "--configfile", "tiny.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert (tmp_path / "mine.txt").is_file()
    assert (tmp_path / "results/refcoco/val/nouns.parquet").is_file()


def test_deployed_from_a_repository(outer_snakemake, tmp_path: Path, root: Path) -> None:
    """Snakemake fetches rules alone; the package is the installed one, and the config is the outer workflow's."""
    repository, outer = tmp_path / "repository", tmp_path / "outer"
    repository.mkdir()
    for folder in ("rules", "workflow", "envs"):
        shutil.copytree(root / folder, repository / folder)
    shutil.copytree(root / "docs/captions", repository / "docs/captions")
    git = ("git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-C", str(repository))
    for command in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "all")):
        subprocess.run([*git, *command], check=True)
    shutil.copytree(root / "config", outer / "config")
    (outer / "workflow").mkdir()
    (outer / "workflow/Snakefile").write_text(DEPLOYED.format(repository=str(repository)))
    with (outer / "config/config.yaml").open("a") as file:
        file.write("results: elsewhere\n")
    done = outer_snakemake(outer, "-n", "-p")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "elsewhere/refcoco/eval_val.json" in said
    assert '"epochs": 2' in said, "the small config"
