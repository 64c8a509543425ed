"""What a cluster does to a run: drives that fill up or refuse, workers that die, files cut short, a second Snakemake.

Each time: a message that says what to do, earlier results untouched, nothing half-written. `kill -9` at random moments
is tests/faults/kill_main_job.py; GPU and lock files are in tests/unit.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ssc_core.correct.run_state import RunState
from ssc_core.errors import SscError
from ssc_core.failures import explain
from ssc_core.files import atomic_path, write_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.truth import TruthMask, TruthStore, write_truth
from ssc_core.tensor_files import read_torch
from tests.patience import SECONDS

ROOT = Path(__file__).resolve().parents[2]
INFO = StoreInfo(class_names=("dog",), settings={}, code="code", models={})
SIZE = (40, 50)


def noise(seed: int) -> bytes:
    """RLE of a random mask, about 2 kB."""
    return rle.encode(np.random.default_rng(seed).random((1, *SIZE)) < 0.5)[0]


def save_masks(path: Path, images: int) -> None:
    with MaskStoreWriter(path, INFO, with_masks=True) as writer:
        for image in range(images):
            writer.append_image(
                image, SIZE, boxes_xyxy=np.zeros((1, 4)), box_scores=np.ones(1), labels=np.zeros(1, int),
                rles=[noise(image)], mask_scores=np.ones(1), candidates={image: [0]},
            )  # fmt: skip


def save_scores(path: Path, refs: int) -> None:
    with ScoreStoreWriter(path, INFO) as writer:
        for ref in range(refs):
            writer.append_ref(ref, np.random.default_rng(ref).random((3, 50)), np.arange(50))


def save_selection(path: Path, refs: int) -> None:
    with SelectionWriter(path, INFO) as writer:
        for ref in range(refs):
            writer.append_ref(ref, image_id=ref, size=SIZE, chosen=[0], scores=np.ones((1, 1)), rles=[noise(ref)])


def save_truth(path: Path, refs: int) -> None:
    write_truth(path, [TruthMask(ref, *SIZE, noise(ref)) for ref in range(refs)])


def save_table(path: Path, rows: int) -> None:
    with atomic_path(path) as temporary:
        pd.DataFrame({"score": np.random.default_rng(0).random(200 * rows)}).to_parquet(temporary)


def save_state(path: Path, kilobytes: int) -> None:
    RunState(path.parent, {}).save({"model": {"weight": torch.rand(256 * kilobytes)}})


def save_json(path: Path, count: int) -> None:
    write_json(path, {"values": ["x" * 1000] * count})


SAVERS: dict[str, Callable[[Path, int], None]] = {
    "masks.h5": save_masks,
    "scores.h5": save_scores,
    "selected.h5": save_selection,
    "truth.h5": save_truth,
    "nouns.parquet": save_table,
    "state.pt": save_state,
    "eval.json": save_json,
}
STORES: dict[str, Callable[[Path], object]] = {
    "masks.h5": MaskStore.open,
    "scores.h5": ScoreStore,
    "selected.h5": SelectionStore,
    "truth.h5": TruthStore,
}


@pytest.fixture(scope="module")
def small_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A drive of 256 kB; what lies on it is removed by each test."""
    folder = tmp_path_factory.mktemp("small")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a drive needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", SAVERS)
def test_a_full_drive(small_drive: Path, name: str) -> None:
    path = small_drive / name
    SAVERS[name](path, 1)
    before = path.read_bytes()
    with pytest.raises(SscError, match=f"cannot write .*{name}.*free some space"):
        SAVERS[name](path, 1500)
    assert path.read_bytes() == before
    assert [p.name for p in small_drive.iterdir()] == [name]
    path.unlink()


@pytest.mark.parametrize("name", SAVERS)
def test_a_read_only_drive(small_drive: Path, name: str) -> None:
    remount = ["mount", "-o", "remount", str(small_drive)]
    subprocess.run([*remount[:2], "remount,ro", remount[-1]], check=True)
    try:
        with pytest.raises(SscError, match=r"read-only; choose another folder with `results:`"):
            SAVERS[name](small_drive / "new" / name, 1)
    finally:
        subprocess.run([*remount[:2], "remount,rw", remount[-1]], check=True)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", STORES)
def test_a_store_that_was_cut_short(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    SAVERS[name](path, 30)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SscError, match=rf"{name}.*(damaged|not an HDF5 file)"):
        STORES[name](path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short(tmp_path: Path, share: float) -> None:
    path = tmp_path / "correct.pt"
    torch.save({"model": {"weight": torch.rand(10_000)}}, path)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SscError, match=r"correct.pt is damaged, cut off.*again"):
        read_torch(path)


def test_a_training_state_that_was_cut_short_starts_over(tmp_path: Path) -> None:
    state = RunState(tmp_path, {})
    state.save({"model": {"weight": torch.rand(1000)}})
    os.truncate(tmp_path / "state.pt", 2000)
    assert state.load() is None


@pytest.mark.parametrize("name", STORES)
def test_a_drive_without_locks(tmp_path: Path, name: str) -> None:
    """Who locks a file that another process has locked, or on a drive that knows no locks, fails: nobody may lock."""
    path = tmp_path / name
    temporary = path.with_name(f"{name}.{os.getpid()}.tmp")
    with temporary.open("wb") as unfinished:
        fcntl.flock(unfinished, fcntl.LOCK_EX)
        SAVERS[name](path, 2)
    with path.open("rb") as finished:
        fcntl.flock(finished, fcntl.LOCK_EX)
        STORES[name](path)


def _draw(seconds: float, job: int) -> int:
    time.sleep(seconds)
    return job


def test_a_worker_that_is_killed(tmp_path: Path) -> None:
    """By the kernel, say, when memory runs out: an error with words, not a job that waits for ever."""
    from microworld.refer_layout import _each

    results = _each(partial(_draw, 0.2), list(range(200)), 2, "test")
    next(results)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(Exception) as caught:
        list(results)
    assert "a worker process was killed" in (explain(caught.value) or "")


def test_a_loader_worker_that_is_killed() -> None:
    loader = torch.utils.data.DataLoader(range(1000), batch_size=None, num_workers=2, collate_fn=partial(_draw, 0.05))
    batches = iter(loader)
    next(batches)
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
    with pytest.raises(RuntimeError) as caught:
        list(batches)
    assert "a worker process was killed" in (explain(caught.value) or "")


def test_memory_that_runs_out(tmp_path: Path) -> None:
    """A job under a memory limit ends with words and without an output."""
    script = tmp_path / "hungry.py"
    script.write_text(
        "import resource\nfrom pathlib import Path\nimport numpy as np\nfrom ssc_core.files import atomic_path\n"
        "from workflow_scripts._script import run\n\n"
        "def main(out: Path) -> None:\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "    with atomic_path(out) as temporary:\n"
        "        temporary.write_text('half')\n"
        "        np.ones(1 << 30)\n\n"
        "run(main)\n"
    )
    out = tmp_path / "result"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, str(script), "--out", str(out)], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 1
    assert "memory ran out" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["hungry.py"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, clone) -> Path:
    """A copy, since a second Snakemake or a drive that refuses must not meet the tests beside this one."""
    return clone(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def run(warm: Path, warm_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def snakemake(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [warm, "-m", "snakemake", "--cores", "1", *arguments], cwd=repository, env=warm_environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    return snakemake


def test_a_second_snakemake_is_refused_whoever_ends_and_a_killed_one_is_forgotten(run, repository: Path) -> None:
    target = "results/refcoco/world/world.json"
    many = ("--config", "micro={images: {train: 3000}}", "--", target)
    few = "micro={images: {train: 4, val: 2, testA: 2, testB: 2, test: 2}}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *many]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    first = subprocess.Popen(
        command, cwd=repository, env={**os.environ, "PATH": path}, start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not list((repository / ".snakemake" / "locks").glob("*.lock")):
            assert first.poll() is None, first.stderr.read().decode()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        elsewhere = run(repository, "--config", "results=elsewhere", few, "--", "elsewhere/refcoco/world/world.json")
        assert elsewhere.returncode == 0, elsewhere.stdout[-3000:]
        second = run(repository, *many)
        assert second.returncode
        assert "cannot be locked" in second.stdout
        assert first.poll() is None
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    third = run(repository, "--config", few, "--", target)
    assert third.returncode == 0, third.stdout[-3000:]
    assert "its lock is removed" in third.stdout
    assert json.loads((repository / target).read_text())


def test_results_on_a_read_only_drive(run, repository: Path, small_drive: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_drive)], check=True)
    try:
        refused = run(
            repository,
            "--config",
            f"results={small_drive}/results",
            "--",
            f"{small_drive}/results/refcoco/refs.parquet",
        )
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_drive)], check=True)
    assert refused.returncode
    assert "read-only" in refused.stdout
    assert "choose another folder with `results:`" in refused.stdout
    assert "Traceback" not in refused.stdout
