"""The workflow as a Snakemake module of another one, in another folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OUTER = """
module ssc:
    snakefile: {snakefile!r}

use rule * from ssc as ssc_*

rule mine:
    default_target: True
    input: "results/refcoco/val/nouns.parquet"
    output: "mine.txt"
    shell: "echo done > {{output}}"
"""


def test_as_a_module_of_another_workflow(tmp_path: Path, root: Path) -> None:
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=str(root / "Snakefile")))
    (tmp_path / "tiny.yaml").write_text("micro: {images: {train: 2, val: 2, testA: 2, testB: 2, test: 2}}\n")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", "1", "--configfile", "tiny.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert (tmp_path / "mine.txt").is_file()
    assert (tmp_path / "results/refcoco/val/nouns.parquet").is_file()
