"""Start a training on several GPUs and nodes: the command that starts it again under ``torchrun``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from ssc_core.errors import SscError

PORT = 29511
"""Where the nodes meet, on the first of them."""


def started_by_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether this process is one of several that train together. ``WORLD_SIZE`` and ``RANK`` say so in jobs of some
    clusters, too, whatever runs there."""
    return "LOCAL_RANK" in environment


def threads_of_each(threads: int, environment: Mapping[str, str]) -> int:
    """CPU threads for this process: the job's, shared among all that torchrun started with it on this node."""
    return max(1, threads // int(environment["LOCAL_WORLD_SIZE"])) if started_by_torchrun(environment) else threads


def distributed_command(
    module: str, arguments: Sequence[str], *, gpus: int, nodes: int, environment: Mapping[str, str]
) -> list[str] | None:
    """The command for ``gpus`` processes on each of ``nodes`` nodes; None when this process is to train itself.

    That is so for one GPU on one node, and where torchrun started this process already. Several nodes are reached by
    Slurm's ``srun`` from inside an allocation; raises SscError outside of one.
    """
    if (gpus == 1 and nodes == 1) or started_by_torchrun(environment):
        return None
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(gpus)]
    run = ["-m", module, *arguments]
    if nodes == 1:
        return [*torchrun, "--standalone", *run]
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        raise SscError(f"`compute.nodes: {nodes}` needs a Slurm allocation; use `nodes: 1`, or submit with Slurm")
    meet = ["--rdzv-backend", "c10d", "--rdzv-id", job, "--rdzv-endpoint", f"{_first_host(environment)}:{PORT}"]
    srun = ["srun", "--nodes", str(nodes), "--ntasks", str(nodes), "--ntasks-per-node", "1"]
    return [*srun, *torchrun, "--nnodes", str(nodes), *meet, *run]


def _first_host(environment: Mapping[str, str]) -> str:
    """First of Slurm's node list: ``a[07-09,12],b3`` -> ``a07``."""
    names = environment.get("SLURM_JOB_NODELIST", "")
    prefix, bracket, rest = names.partition("[")
    if not bracket or "," in prefix:
        return prefix.split(",")[0] or "localhost"
    return prefix + rest.split("]")[0].split(",")[0].split("-")[0]
