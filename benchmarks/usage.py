"""What a run does with its device: peak memory, how busy a GPU is, and where the time goes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

ROWS = 12
"""Of the profiler's table."""


def usage_of(run: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Run twice more, once to measure and once under the profiler, whose cost is in no other figure.

    ``peak_mib``: memory that PyTorch took on the GPU; ``utilisation``: mean percent by nvidia-smi; both None on a CPU.
    ``operators``: those with the most time of their own: name, calls, milliseconds, share of all their time (on a GPU:
    of all kernels', those that no operator started included).
    """
    peak = utilisation = None
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(device)
        with _utilisation() as seen:
            run()
        peak = torch.cuda.max_memory_allocated(device) / 2**20
        utilisation = sum(seen) / len(seen) if seen else None
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as profiler:
        run()
    time = "self_device_time_total" if gpu else "self_cpu_time_total"
    found = profiler.key_averages()
    # a kernel is a row of its own, too, and its time is also that of the operator that started it
    kernels = [row for row in found if row.device_type != DeviceType.CPU]
    own = "::"  # in names of operators, and not in those of the profiler's own rows
    operators = [row for row in found if row.device_type == DeviceType.CPU and own in row.key]
    rows = sorted(operators, key=lambda row: -getattr(row, time))
    total = sum(getattr(row, time) for row in (kernels if gpu else rows)) or 1
    return {
        "peak_mib": peak,
        "utilisation": utilisation,
        "operators": [
            {"name": row.key, "calls": row.count, "ms": getattr(row, time) / 1000, "share": getattr(row, time) / total}
            for row in rows[:ROWS]
        ],
    }


@contextmanager
def _utilisation() -> Iterator[list[float]]:
    """Percent of the time that kernels run, from nvidia-smi, two values a second, once the context has ended."""
    seen: list[float] = []
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0", "-lms", "500"]
    try:
        watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        yield seen
        return
    try:
        yield seen
    finally:
        watcher.terminate()
        seen += [float(line) for line in watcher.communicate()[0].splitlines() if line.strip().isdecimal()]
