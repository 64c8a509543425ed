"""What a training run keeps on disk to go on after it was stopped: its state and its logs."""

from __future__ import annotations

import csv
import fcntl
import io
import logging
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.tensor_files import read_torch, write_torch

log = logging.getLogger(__name__)


class RunState:
    """A folder that is no output of a rule, since Snakemake deletes the outputs of stopped jobs.

    made_of: what the run is made of: digests by name, as "data" or "code". A state of another run is not used.
    """

    def __init__(self, folder: Path, made_of: Mapping[str, str]) -> None:
        self.folder = Path(folder)
        self._state, self._log, self._running = (self.folder / name for name in ("state.pt", "log.csv", "running"))
        self._made_of = dict(made_of)

    @contextmanager
    def hold(self, wait_seconds: float = 15.0) -> Iterator[None]:
        """Keep others from training here, until this context or its process ends.

        A training goes on when only the Snakemake that started it was killed, and so do jobs of a cluster; two in one
        folder would mix their logs. On a drive without locks nothing is held. Raises SscError when another one still
        trains after ``wait_seconds``, which workers of one that was killed may need to end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._running.open("a+b", buffering=0) as file:
            if self._lock(file, wait_seconds):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}".encode())
                self._remove(self.folder.glob("*.tmp"))  # what was being saved when one was killed
            try:
                yield
            finally:  # workers have the lock as well, and may live for a while
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)

    def _lock(self, file: BinaryIO, wait_seconds: float) -> bool:
        """Whether the drive knows locks; then this process has it."""
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= until:
                    break
                time.sleep(0.5)
            except OSError:
                return False
        file.seek(0)
        who = file.read(200).decode(errors="replace") or "another process"
        raise SscError(
            f"{who} still trains in {self.folder}: it outlived the Snakemake or the cluster job that started it. "
            "Let it end or stop it, then run the same command again; nothing is lost"
        )

    def load(self) -> dict[str, Any] | None:
        """The last saved state of this run; None when there is none. One that is passed over is told of."""
        if not self._state.is_file():
            return None
        try:
            state = read_torch(self._state)
        except SscError as error:
            log.warning("this training begins anew: %s", error)
            return None
        of = state.get("made_of") or {}
        other = [name for name, digest in self._made_of.items() if of.get(name) != digest]
        if other:
            log.warning(
                "this training begins anew: %s is of one with other %s. To go on with that one, stop this before it "
                "saves its own state, and put back what was changed",
                *(self._state, ", ".join(other)),
            )
            return None
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        write_torch(self._state, {"made_of": self._made_of, **state})

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
        kept = kept[kept[:, 0] <= steps]
        if len(kept):
            with atomic_path(self._matches_of(0)) as temporary:
                temporary.write_bytes(kept.tobytes())
        self._remove(path for path in self._matches() if path != self._matches_of(0) or not len(kept))

    def log_matches(self, rows: np.ndarray, process: int = 0) -> None:
        """Append int64 (N, 4): step (from 1), epoch, ref id, and which of the ref's candidates it was matched with."""
        with self._matches_of(process).open("ab") as file:
            file.write(rows.astype("<i8").tobytes())

    def matches(self) -> np.ndarray:
        """All logged matches, by step and ref."""
        width = 4 * 8
        whole = [data[: len(data) // width * width] for data in (path.read_bytes() for path in self._matches())]
        rows = np.frombuffer(b"".join(whole), dtype="<i8").reshape(-1, 4)
        return rows[np.lexsort((rows[:, 2], rows[:, 0]))]

    def _matches_of(self, process: int) -> Path:
        return self.folder / f"matches.{process}.int64"

    def _matches(self) -> list[Path]:
        return sorted(self.folder.glob("matches.*.int64"))

    def finish(self, log_csv: Path) -> None:
        """Hand the log over."""
        with atomic_path(Path(log_csv)) as temporary:
            shutil.copyfile(self._log, temporary)

    def remove(self) -> None:
        """Forget the run, once its checkpoint is written: the next run of the rule trains anew."""
        self._remove((self._state, self._log, self._running, *self._matches(), *self.folder.glob("*.tmp")))
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    @staticmethod
    def _remove(paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
