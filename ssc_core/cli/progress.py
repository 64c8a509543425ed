"""How much of a run of the workflow is done, from what Snakemake prints."""

from __future__ import annotations

import re
from collections.abc import Iterable

SECONDS = {
    "drawing the micro world": 20,
    "extracting nouns": 6,
    "train: detecting boxes": 36,
    "train: segmenting": 41,
    "train: scoring candidates": 32,
    "detecting boxes": 2,
    "segmenting": 2,
    "scoring candidates": 2,
    "phase pretrain": 125,
    "phase correct": 263,
    "evaluating the": 10,
    "": 1,
}
"""What a job adds to the run's time on two quiet cores (docs/performance.md), by what its message has in it, the first
that fits: those of val run beside those of train, and the two networks are evaluated at once."""

OTHER_CORES = (0.6, 1.6)
"""How many times as long the fastest and the slowest two cores took that they were measured on."""

_JOB = re.compile(r"Job (\d+): (.+)")
_FINISHED = re.compile(r"Finished jobid: (\d+)")
_PERCENT = re.compile(r"(\d+)%\|")


def seconds_of(message: str) -> int:
    """Of the job with this message, by ``SECONDS``."""
    return next(seconds for part, seconds in SECONDS.items() if part in message)


def planned(dry_run: Iterable[str]) -> dict[str, str]:
    """Messages of the jobs that a dry run of Snakemake printed, by their number."""
    return {found[1]: found[2].strip() for line in dry_run if (found := _JOB.match(line))}


class Progress:
    """How much of ``jobs`` is done, from what Snakemake prints while it runs them, line by line."""

    def __init__(self, jobs: dict[str, str]) -> None:
        self.total = sum(map(seconds_of, jobs.values()))
        self.doing = ""
        self._running: dict[str, int] = {}
        self._finished = 0.0
        self._inside = 0.0  # share of the only job that runs, as its own bar says
        self._furthest = 0.0

    def read(self, line: str) -> None:
        """The next line."""
        if job := _JOB.match(line):
            self.doing, self._inside = job[2].strip(), 0.0
            self._running[job[1]] = seconds_of(self.doing)
        elif finished := _FINISHED.match(line):
            self._finished += self._running.pop(finished[1], 0)
            self._inside = 0.0
        elif len(self._running) == 1 and (percent := _PERCENT.search(line)):  # of several, it is not known whose it is
            self._inside = int(percent[1]) / 100

    @property
    def done(self) -> float:
        """Seconds of ``total`` that lie behind; never fewer than before."""
        inside = self._inside * sum(self._running.values()) if len(self._running) == 1 else 0
        self._furthest = max(self._furthest, min(self.total, self._finished + inside))
        return self._furthest
