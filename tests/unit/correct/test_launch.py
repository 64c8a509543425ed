from __future__ import annotations

import sys

import pytest

from ssc_core.correct.launch import distributed_command, threads_of_each
from ssc_core.errors import SscError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]


@pytest.mark.parametrize(
    ("gpus", "nodes", "environment"), [(1, 1, {}), (4, 1, {"LOCAL_RANK": "0"}), (4, 2, {"LOCAL_RANK": "3"})]
)
def test_a_process_that_trains_itself(gpus: int, nodes: int, environment: dict[str, str]) -> None:
    assert distributed_command("m", ["--x", "1"], gpus=gpus, nodes=nodes, environment=environment) is None


@pytest.mark.parametrize(
    ("threads", "environment", "expected"),
    [
        (8, {}, 8),
        (8, {"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}, 2),
        (8, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"}, 2),
        (2, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}, 1),
        (8, {"LOCAL_WORLD_SIZE": "4"}, 8),
    ],
)
def test_processes_share_the_threads_of_their_job(threads: int, environment: dict[str, str], expected: int) -> None:
    assert threads_of_each(threads, environment) == expected


def test_several_gpus() -> None:
    found = distributed_command("m", ["--x", "1"], gpus=4, nodes=1, environment={})
    assert found == [*TORCHRUN, "4", "--standalone", "-m", "m", "--x", "1"]


@pytest.mark.parametrize(
    ("names", "first"), [("a[07-09,12],b3", "a07"), ("gpu1,gpu2", "gpu1"), ("solo", "solo"), ("a1,b[2-3]", "a1")]
)
def test_several_nodes(names: str, first: str) -> None:
    environment = {"SLURM_JOB_ID": "55", "SLURM_JOB_NODELIST": names}
    found = distributed_command("m", ["--x"], gpus=8, nodes=2, environment=environment)
    assert found == [
        "srun", "--nodes", "2", "--ntasks", "2", "--ntasks-per-node", "1", *TORCHRUN, "8", "--nnodes", "2",
        "--rdzv-backend", "c10d", "--rdzv-id", "55", "--rdzv-endpoint", f"{first}:29511", "-m", "m", "--x",
    ]  # fmt: skip


def test_several_nodes_need_slurm() -> None:
    with pytest.raises(SscError, match="needs a Slurm allocation"):
        distributed_command("m", [], gpus=1, nodes=2, environment={})
