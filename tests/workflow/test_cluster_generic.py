"""profiles/cluster-generic: its scripts, and a run through a scheduler that stands in for PBS and runs jobs here."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "cluster-generic"
QSUB = """#!/usr/bin/env bash
# what is asked for goes to a log; the job script, which is the last argument, runs in the background
cd "$(dirname "$0")"
echo "$@" >>asked
id=$(wc -l <asked).pbs
( bash "${@: -1}" >"$id.out" 2>&1 & echo $! >"$id.pid"; wait $!; echo $? >"$id.rc" ) &
echo "$id"
"""
QSTAT = """#!/usr/bin/env bash
cd "$(dirname "$0")"
id=${@: -1}
if [ ! -f "$id.rc" ]; then echo "    job_state = R"; exit; fi
echo "    job_state = F"
echo "    Exit_status = $(cat "$id.rc")"
echo "    Resource_List.mem = $(sed -nE "${id%.pbs}s/.*:mem=([0-9a-z]+).*/\\1/p" asked)"
"""
FAILING = """
import os, sys
from pathlib import Path
stamp = Path(next(argument.removeprefix("--stamp=") for argument in sys.argv if argument.startswith("--stamp=")))
stamp.parent.mkdir(parents=True, exist_ok=True)
stamp.write_text("{{}}")
def job_script():
    return int(Path("{pbs}", "1.pbs.pid").read_text())
{end}
"""


@pytest.fixture
def pbs(tmp_path: Path) -> Path:
    """A folder with qsub and qstat, to be put on the PATH."""
    folder = tmp_path / "pbs"
    folder.mkdir()
    for name, content in {"qsub": QSUB, "qstat": QSTAT, "qdel": "#!/usr/bin/env bash\n"}.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return folder


def _environment(pbs: Path, python: Path = Path(sys.executable)) -> dict[str, str]:
    folders = (pbs, python.parent, Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]])}


@pytest.mark.parametrize(("gpus", "select"), [("0", "select=1:ncpus=4:mem=8000mb"), ("2", ":ngpus=2")])
def test_a_job_asks_for_what_its_rule_needs(pbs: Path, tmp_path: Path, gpus: str, select: str) -> None:
    script = tmp_path / "job.sh"
    script.write_text("exit 0\n")
    command = ["bash", str(PROFILE / "submit.sh"), "correct", "4", "8000", "90", gpus, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=_environment(pbs), capture_output=True, text=True, check=True)
    assert done.stdout == "1.pbs\n"
    asked = (pbs / "asked").read_text()
    assert select in asked
    assert ("ngpus" in asked) == (gpus != "0")
    assert "-N ssc_correct" in asked
    assert "walltime=5400" in asked


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("echo '    job_state = R'", "running"),
        ("echo '    job_state = Q'", "running"),
        ("printf '    job_state = F\\n    Exit_status = 0\\n'", "success"),
        ("printf '    job_state = F\\n    Exit_status = 271\\n'", "failed"),
        ("exit 1", "running"),
    ],
)
def test_status(pbs: Path, answer: str, status: str) -> None:
    (pbs / "qstat").write_text(f"#!/usr/bin/env bash\n{answer}\n")
    command = ["bash", str(PROFILE / "status.sh"), "7.pbs"]
    assert subprocess.run(command, env=_environment(pbs), capture_output=True, text=True, check=True).stdout == (
        f"{status}\n"
    )


def test_a_split_is_labelled_through_the_scheduler(pbs: Path, warm: Path, tmp_path: Path, clone) -> None:
    repository = clone(tmp_path / "c$(touch X) (1)")
    (repository / "tiny.yaml").write_text("micro: {images: {train: 3, val: 3, testA: 2, testB: 2, test: 2}}\n")
    done = _snakemake(repository, pbs, warm, "results/refcoco/val/selected.h5")
    assert done.returncode == 0, done.stdout[-4000:]
    assert (repository / "results/refcoco/val/selected.h5").is_file()
    asked = (pbs / "asked").read_text().splitlines()
    assert any("ngpus=1" in line for line in asked)
    assert any("ngpus" not in line for line in asked)
    assert len(asked) < 8, "short jobs are grouped"
    assert not list(tmp_path.rglob("X")), "a shell read the name of the folder"


@pytest.mark.parametrize("change", ["sed -i s/3,/7,/g", "rm -f"])
def test_a_job_has_the_config_that_was_planned_also_where_its_files_were_changed_since(
    pbs: Path, warm: Path, tmp_path: Path, clone, change: str
) -> None:
    repository = clone(tmp_path / "repository")
    mine, config = repository / "tiny.yaml", repository / "config.yaml"
    mine.write_text(before := "micro: {images: {train: 3, val: 3, testA: 2, testB: 2, test: 2}}\n")
    edits = f"{change} {shlex.quote(str(mine))}\necho 'results: elsewhere' >>{shlex.quote(str(config))}\n"
    (pbs / "qsub").write_text(QSUB.replace("id=", f"{edits}id=", 1))
    done = _snakemake(repository, pbs, warm, "results/refcoco/refs.parquet")
    assert done.returncode == 0, done.stdout[-4000:]
    assert not mine.exists() or mine.read_text() != before, "it was changed before the job began"
    assert len(list(repository.glob("results/refcoco/world/images/**/*.jpg"))) == 10


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("print('all is written'); sys.exit(7)", ["all is written"]),
        ("os.kill(os.getpid(), 9)", ["killed by signal 9 (SIGKILL)", "It had asked for 2000 MB of memory"]),
        # the whole job is killed, and nobody is left to write into its log
        ("os.kill(job_script(), 9)", ["1.pbs was killed by signal 9 (KILL). It had asked for 2000mb of memory"]),
    ],
)
def test_a_job_that_fails_is_seen_and_its_log_is_shown(
    pbs: Path, warm: Path, tmp_path: Path, clone, end: str, words: list[str]
) -> None:
    repository = clone(tmp_path / "repository")
    (repository / "tiny.yaml").write_text("micro: {images: {train: 3, val: 3, testA: 2, testB: 2, test: 2}}\n")
    (repository / "workflow_scripts" / "make_world.py").write_text(FAILING.format(end=end, pbs=pbs))
    failed = _snakemake(repository, pbs, warm, "results/refcoco/world/world.json")
    assert failed.returncode
    assert "Error in" in failed.stdout
    assert "make_world" in failed.stdout
    for word in words:
        assert word in failed.stdout
    assert not (repository / "results/refcoco/world/world.json").exists()


def _snakemake(repository: Path, pbs: Path, python: Path, target: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None:
        pytest.skip("snakemake-executor-plugin-cluster-generic is not installed (extra `cluster`)")
    command = [
        *(python, "-m", "snakemake", "--workflow-profile", "profiles/cluster-generic", "--latency-wait", "5"),
        *("--seconds-between-status-checks", "1"),
        *("--configfile", "tiny.yaml", "--", target),
    ]
    return subprocess.run(
        ["timeout", "600", *command],
        cwd=repository, env=_environment(pbs, python), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
