"""The main job through a real SLURM: one node, two pretend GPUs, profiles/slurm as it stands.

Needs slurmctld, slurmd, munge (tests/workflow/slurm/install.sh installs them) and root.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from ssc_core.evaluate.schema import read_eval

ROOT = Path(__file__).resolve().parents[2]
SLURM = Path(__file__).with_name("slurm")
AWKWARD = "c$(touch X) (1)"
"""A folder whose name a shell must not read."""

GPU_RULES = ("detect_boxes", "segment_boxes", "score_candidates", "train", "evaluate")
GPU_LOG = re.compile(
    r"(detect_boxes|segment_boxes|score_candidates)\.\d-of-\d\.log|(pretrain|correct|evaluate_val)\.log"
)
TINY = """
micro: {images: {train: 6, val: 3, testA: 2, testB: 2, test: 2}}
pretrain: {epochs: 1}
correct: {epochs: 1}
compute: {shards: 2, threads: 1}
"""
WRITES_THEN = """
import os, sys
from pathlib import Path
for option, _, value in (argument.partition("=") for argument in sys.argv):
    if option in ("--refs", "--truth", "--data"):
        Path(value).write_text("written")
{end}
"""
# what a cluster of one small node without accounting needs on top of the profile
HERE = (
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "5"),
    *("--default-resources", "slurm_partition=main", "slurm_account=root", "mem_mb=1000", "runtime=20"),
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not os.environ.get("SSC_TEST_SLURM"):
        pytest.skip("takes minutes and starts daemons: `make test-slurm` runs it")
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name, path=path)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see tests/workflow/slurm/install.sh")
    if os.geteuid() != 0:
        pytest.skip("a SLURM for tests needs root")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed (extra `slurm`)")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine has a SLURM already (/etc/slurm/slurm.conf)")
    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run(["bash", str(SLURM / "start.sh"), str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["bash", str(SLURM / "stop.sh"), str(folder)], check=False)


@pytest.fixture(scope="module")
def run(slurm: Path, tmp_path_factory: pytest.TempPathFactory, clone) -> Run:
    """Run Snakemake with profiles/slurm in a copy of the repository."""
    folder = clone(tmp_path_factory.mktemp("slurm") / AWKWARD)
    (folder / "tiny.yaml").write_text(TINY)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in [name for name in environment if name.startswith("SLURM_")]:
        del environment[name]

    def snakemake(*arguments: str, resources: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        memory = [f"{rule}:mem_mb=2000" for rule in GPU_RULES]
        command = [
            *(sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *HERE),
            *("--set-resources", *memory, *resources, "--configfile", "tiny.yaml", *arguments),
        ]
        # killed for certain: without a status, Snakemake would wait for ever
        return subprocess.run(
            ["timeout", "-s", "KILL", "1800", *command],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    snakemake.folder = folder
    return snakemake


def test_the_main_job_runs_two_gpu_jobs_at_a_time(run: Run) -> None:
    done = run("--", "results/refcoco/eval_val.json", "results/refcoco/eval_masks_val.json")
    assert done.returncode == 0, done.stdout[-6000:]
    results = run.folder / "results" / "refcoco"
    assert read_eval(results / "eval_val.json").world == "micro"

    logs = list(results.rglob("*.log"))
    cards = {log: gpus_of(log) for log in logs if GPU_LOG.fullmatch(log.name)}
    assert len(cards) == 2 * 2 * 3 + 3  # splits x shards x rules, two trainings and the evaluation
    assert set(cards.values()) == {"0", "1"}, cards
    for log in set(logs) - set(cards):
        assert gpus_of(log) in (None, "none"), f"{log} has a GPU that it did not ask for"
    assert most_at_once(gpu_jobs()) == 2


def test_a_failing_job_is_reported_with_its_log(run: Run) -> None:
    (run.folder / "broken.yaml").write_text("segment: {backend: {settings: {model: no/such/weights}}}\n")
    failed = run("broken.yaml", "--config", "results=broken", "--", "broken/refcoco/val/masks.h5")
    assert failed.returncode
    assert "segment_boxes" in failed.stdout
    assert "no/such/weights" in failed.stdout
    assert "run the same command again" in failed.stdout


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("print('all is written'); sys.exit(7)", ["all is written"]),
        ("os.kill(os.getpid(), 9)", ["killed by signal 9 (SIGKILL)", "It had asked for 1500 MB of memory"]),
    ],
)
def test_a_job_that_fails_after_it_has_written_its_outputs(run: Run, end: str, words: list[str]) -> None:
    script = run.folder / "workflow_scripts" / "index_refs.py"
    whole = script.read_text()
    script.write_text(WRITES_THEN.format(end=end))
    try:
        folder = f"failing_{len(words)}"
        failed = run(
            *("--config", f"results={folder}", "--", f"{folder}/refcoco/refs.parquet"),
            resources=("index_refs:mem_mb=1500",),
        )
    finally:
        script.write_text(whole)
    assert failed.returncode
    assert "index_refs" in failed.stdout
    for word in words:
        assert word in failed.stdout
    assert "completed successfully, but" not in failed.stdout
    assert not (run.folder / folder / "refcoco/refs.parquet").exists()


def test_a_job_that_slurm_cancels_says_by_which_signal(run: Run) -> None:
    script = run.folder / "workflow_scripts" / "index_refs.py"
    whole = script.read_text()
    cancel = "import subprocess, time; subprocess.run(['scancel', os.environ['SLURM_JOB_ID']]); time.sleep(60)"
    script.write_text(WRITES_THEN.format(end=cancel))
    try:
        run("--config", "results=cancelled", "--", "cancelled/refcoco/refs.parquet")
    finally:
        script.write_text(whole)
    told = (run.folder / "cancelled/refcoco/logs/index_refs.log").read_text()
    assert "killed by signal 15 (SIGTERM)" in told
    assert "MB of memory" in told


def test_no_shell_read_the_name_of_the_folder(run: Run) -> None:
    assert not list(run.folder.parent.rglob("X"))


def test_more_gpus_than_the_cluster_has_are_refused(run: Run) -> None:
    made = run("--config", "results=refused", "--", "refused/refcoco/testA/nouns.parquet")
    assert made.returncode == 0, made.stdout[-6000:]
    refused = run(
        *("--config", "results=refused", "--", "refused/refcoco/testA/boxes.h5"), resources=("detect_boxes:gpu=3",)
    )
    assert refused.returncode
    assert "Error in rule detect_boxes" in refused.stdout
    assert re.findall(r"log: \S+/slurm_logs/(\w+)/", refused.stdout) == []  # SLURM took none


def test_gpus_by_gres(run: Run) -> None:
    (run.folder / "gres.yaml").write_text('compute: {gres: "gpu:fake", shards: 1}\nresults: by_gres\n')
    done = run("gres.yaml", "--", "by_gres/refcoco/testA/shards/boxes.0-of-1.h5")
    assert done.returncode == 0, done.stdout[-6000:]
    assert gpus_of(run.folder / "by_gres/refcoco/testA/logs/detect_boxes.0-of-1.log") in ("0", "1")
    assert re.search("TresPerNode=gres[:/]gpu:fake:1", shown_jobs())  # SLURM 22 writes a colon, later ones a slash


def gpus_of(log: Path) -> str | None:
    """CUDA_VISIBLE_DEVICES as the job saw it; None where the job has no device."""
    found = re.search(r"^GPUs of this job: (\S+)$", log.read_text(), re.MULTILINE)
    return found.group(1) if found else None


def gpu_jobs() -> list[tuple[datetime, datetime]]:
    """Start and end of the finished jobs that had a GPU."""
    times = [
        re.findall(r"(?:StartTime|EndTime)=(\S+)", line)
        for line in shown_jobs().splitlines()
        if "TresPerJob=gres" in line
    ]
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in times]


def shown_jobs() -> str:
    """A line per job that SLURM still knows."""
    return subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True).stdout


def most_at_once(spans: list[tuple[datetime, datetime]]) -> int:
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
