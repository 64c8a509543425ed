from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from ssc_core.failures import explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "compute.threads"),
        (torch.OutOfMemoryError("CUDA out of memory"), "GPU's memory"),
        (BrokenProcessPool("a child process terminated abruptly"), "killed"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "killed"),
        (OSError(errno.ENOSPC, "x", "results/a.h5"), "free some space"),
        (OSError(errno.EROFS, "x", "results/a.h5"), "results/a.h5"),
        (OSError(errno.ESTALE, "x", "results/a.h5"), "drive of results/a.h5"),
    ],
)
def test_says_what_to_do(error: BaseException, words: str) -> None:
    message = explain(error)
    assert message is not None
    assert words in message


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), FileNotFoundError(2, "x", "y")])
def test_bugs_keep_their_traceback(error: BaseException) -> None:
    assert explain(error) is None
