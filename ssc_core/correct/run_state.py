"""What a training run keeps on disk to go on after it was stopped: its state, its best weights and its logs."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.tensor_files import read_torch, write_torch


class RunState:
    """A folder that is no output of a rule, since Snakemake deletes the outputs of stopped jobs.

    fingerprint: what the run is made of; a state of another run is not used.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = Path(folder)
        self._state, self._best, self._log = (self._folder / n for n in ("state.pt", "best.pt", "log.csv"))
        self._running = self._folder / "running"
        self._held: int | None = None
        self._fingerprint = fingerprint

    def hold(self, wait_seconds: float = 15.0) -> None:
        """Keep other processes from training here until this one ends or ``remove`` is called.

        A training goes on when only the Snakemake that started it was killed, and so do jobs of a cluster; two in one
        folder would mix their logs. On a drive without locks nothing is held. Raises SscError when another one still
        trains after ``wait_seconds``, which workers of one that was killed may need to end.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._running, os.O_RDWR | os.O_CREAT, 0o644)
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise self._still_trains(descriptor) from None
                time.sleep(0.5)
            except OSError:
                os.close(descriptor)
                return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        self._held = descriptor

    def _still_trains(self, descriptor: int) -> SscError:
        who = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
        os.close(descriptor)
        return SscError(
            f"{who} still trains in {self._folder}: it outlived the Snakemake or the cluster job that started it. "
            "Let it end or stop it, then run the same command again; nothing is lost"
        )

    def load(self) -> dict[str, Any] | None:
        """The last saved state of this run, None when there is none, or one of another run."""
        if not self._state.is_file():
            return None
        try:
            state = read_torch(self._state)
        except SscError:
            return None
        return state if state.get("fingerprint") == self._fingerprint else None

    def save(self, state: Mapping[str, Any]) -> None:
        write_torch(self._state, {"fingerprint": self._fingerprint, **state})

    def save_best(self, weights: Mapping[str, Any]) -> None:
        write_torch(self._best, weights)

    def load_best(self) -> dict[str, Any]:
        return read_torch(self._best)

    def start_log(self, columns: Sequence[str], steps: int) -> None:
        """Keep the log's rows up to step ``steps``, their first column; write the header where there is none.

        Not so many rows: a training that goes on from a published checkpoint has logged none of that one's steps."""
        kept = []
        if steps and self._log.is_file():
            with self._log.open(newline="", encoding="utf-8") as file:
                whole = [row for row in csv.reader(file) if len(row) == len(columns) and row[0].isdecimal()]
                kept = [row for row in whole if int(row[0]) <= steps]
        with atomic_path(self._log) as temporary:
            temporary.write_text(_lines([columns, *kept]), encoding="utf-8")

    def log(self, row: Sequence[object]) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(_lines([row]))

    def start_matches(self, steps: int) -> None:
        """Keep what all processes logged of the first ``steps`` steps. For one process, before any logs."""
        kept = self.matches()
        for path in self._matches():
            path.unlink()
        if steps:
            self.log_matches(kept[kept[:, 0] <= steps])

    def log_matches(self, rows: np.ndarray, process: int = 0) -> None:
        """Append int64 (N, 4): step (from 1), epoch, ref id, and which of the ref's candidates it was matched with."""
        with (self._folder / f"matches.{process}.int64").open("ab") as file:
            file.write(rows.astype("<i8").tobytes())

    def matches(self) -> np.ndarray:
        """All logged matches, by step and ref."""
        width = 4 * 8
        whole = [data[: len(data) // width * width] for data in (path.read_bytes() for path in self._matches())]
        rows = np.frombuffer(b"".join(whole), dtype="<i8").reshape(-1, 4)
        return rows[np.lexsort((rows[:, 2], rows[:, 0]))]

    def _matches(self) -> list[Path]:
        return sorted(self._folder.glob("matches.*.int64"))

    def finish(self, log_csv: Path) -> None:
        """Hand the log over."""
        with atomic_path(Path(log_csv)) as temporary:
            shutil.copyfile(self._log, temporary)

    def remove(self) -> None:
        """Forget the run, once its checkpoint is written: the next run of the rule trains anew."""
        for path in (self._state, self._best, self._log, self._running, *self._matches()):
            path.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
