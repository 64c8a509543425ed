"""Answers that were paid for, on disk: asked once, kept for good, shared by jobs that run side by side.

A folder of JSONL files, one for each process that wrote: its lines are only ever added to, so that a killed job leaves
at most half a line, and folders of several machines are joined by copying.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ssc_core.errors import SscError
from ssc_core.files import parse_json

SPENT = "requests"
"""File with a byte for every request that was ever sent with this folder: it grows in one step, whoever adds to it."""

_MOST_LINE = 2**18
_LONGEST_TOKEN, _LONGEST_NOTE = 100, 2000
"""Letters that are kept of a token, and of what else is noted: so lines stay shorter than what is read of one."""
_LEAST, _MOST = -1e4, 0.01
"""Of a log probability: servers say -inf, or -9999, for what is ruled out; and rounding may lead above 0."""


class Answers:
    """Tokens with log probabilities by key. Threads may share it.

    Raises SscError when the folder cannot be read or written, and when a line of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._file: IO[str] | None = None
        self._spent: int | None = None
        self._known: dict[str, list[tuple[str, float]]] = {}
        for path in sorted(folder.glob("*.jsonl")):
            for key, tokens in _read(path).items():
                self._known.setdefault(key, tokens)

    def get(self, key: str) -> list[tuple[str, float]] | None:
        """The answer of a key, if it is known."""
        return self._known.get(key)

    def put(self, key: str, tokens: Sequence[tuple[str, float]], about: Mapping[str, Any]) -> None:
        """Keep an answer. about: what a reader of the file may want to know, the beginning of long texts."""
        notes = {name: value[:_LONGEST_NOTE] if isinstance(value, str) else value for name, value in about.items()}
        line = json.dumps({"key": key, "tokens": tokens, **notes}, ensure_ascii=True, allow_nan=False)
        with self._lock, _disk_errors(self._folder):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / f"{uuid.uuid4().hex}.jsonl").open("x", encoding="utf-8")
            self._file.write(f"{line}\n")
            self._file.flush()
            self._known[key] = list(tokens)

    def spend(self) -> int:
        """Count a request, and say how many there were, this one included: of all processes that use the folder."""
        with self._lock, _disk_errors(self._folder):
            if self._spent is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._spent = os.open(self._folder / SPENT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(self._spent, b".")
            return os.lseek(self._spent, 0, os.SEEK_CUR)

    @property
    def spent(self) -> int:
        """Requests that were sent so far."""
        path = self._folder / SPENT
        return path.stat().st_size if path.is_file() else 0


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SscError(f"answers cannot be kept in {folder}: {error.strerror}") from error


def _read(path: Path) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_MOST_LINE), ""), start=1):
                if not line.endswith("\n") and len(line) < _MOST_LINE:
                    break  # what a killed job was writing
                where = f"{path}, line {number}"
                key, tokens = _parse(parse_json(line, where), where)
                found.setdefault(key, tokens)
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SscError(f"{path} is no text; delete it, its questions will be asked again") from error
    return found


def _parse(value: Any, where: str) -> tuple[str, list[tuple[str, float]]]:
    try:
        key, tokens = value["key"], value["tokens"]
        if not isinstance(key, str):
            raise TypeError("its key is no text")
        return key, [checked_token(token, logprob) for token, logprob in tokens]
    except (LookupError, TypeError, ValueError) as error:
        raise SscError(f"{where} is no answer; delete the line, its question will be asked again") from error


def checked_token(token: Any, logprob: Any) -> tuple[str, float]:
    """A token and its log probability, which strangers say. Raises ValueError for what is none of the two."""
    if not isinstance(token, str) or type(logprob) not in (int, float) or not logprob <= _MOST:
        raise ValueError(f"{token!r:.40} with {logprob!r:.40} is no token with a log probability")
    return token[:_LONGEST_TOKEN], float(max(_LEAST, min(logprob, 0)))
