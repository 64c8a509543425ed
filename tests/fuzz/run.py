"""Fuzz the readers: ``python -m tests.fuzz.run --inputs 200000``. Exit code 1 when anything but SscError came out.

Every input is made from a number, so a finding can be made again: ``--target NAME --only NUMBER``. Inputs are read in
child processes with little memory to spare, so that a crash of a C library or a hunger for memory is a finding too.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.hostile import HOSTILE
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, read_one

SECONDS_AN_INPUT = 4
"""Of CPU time. Tests, which must not fail on a slow machine, give more."""
MEMORY = 1 << 30
"""Bytes that reading a file of a few kilobytes may add to the process."""
CHUNK = 1000
BIGGEST_SEED = 10_000
"""Bytes of a hostile file that is damaged, too: bigger ones take a second each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="inputs in all, shared out among the targets")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only these; may be repeated")
    parser.add_argument("--first", type=int, help="number of the first input; those below 0 are files of hostile.py")
    parser.add_argument("--only", type=int, help="read one input, with its traceback")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for inputs that were findings")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    logging.disable(logging.CRITICAL)
    if options.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(_read(names[0], options.only, Path(folder), _seeds(names[0], Path(folder))))
        return 0
    shares = {name: TARGETS[name].share for name in names}
    findings = total = 0
    for name in names:
        started = time.monotonic()
        count = -(-options.inputs * shares[name] // sum(shares.values()))
        total += count
        hostile = len(_hostile(name)) if options.first is None else 0
        total += hostile
        counts, problems, memory = fuzz(
            name, options.first or -hostile, count + hostile, options.keep, SECONDS_AN_INPUT
        )
        findings += len(problems)
        speed = sum(counts.values()) / (time.monotonic() - started)
        print(
            f"{name:16} {sum(counts.values()):7} inputs  {counts['taken']:6} taken  {counts['refused']:6} refused  "
            f"{len(problems):3} findings  {speed:6.0f}/s  +{memory >> 20} MiB",
            flush=True,
        )
        for problem in problems[:5]:
            print(f"    {problem}", flush=True)
    print(f"{total} inputs, {findings} findings")
    return 1 if findings else 0


def fuzz(name: str, first: int, count: int, keep: Path, seconds: int) -> tuple[Counter[str], list[str], int]:
    """Read ``count`` inputs of a target, each in ``seconds`` of CPU time.

    Returns counts by outcome, a line a finding, and the most memory added.
    """
    counts: Counter[str] = Counter()
    problems: list[str] = []
    memory = 0
    context = multiprocessing.get_context("fork")
    start = first
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as text:
        folder = Path(text)
        seeds = _seeds(name, folder)
        while start < first + count:
            stop = min(start + CHUNK, first + count)
            current = context.Value("q", start)
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=_chunk, args=(name, start, stop, folder, seeds, current, sender, seconds))
            child.start()
            sender.close()
            try:
                result: dict[str, Any] = receiver.recv()
            except EOFError:
                result = {"counts": {}, "problems": [], "memory": 0}
            child.join()
            counts.update(result["counts"])
            memory = max(memory, result["memory"])
            failed = list(result["problems"])
            if child.exitcode != 0:
                number = current.value
                failed.append((number, f"the process died ({_death(child.exitcode, seconds)})"))
                counts.update({"died": 1})
                stop = number + 1
            for number, what in failed:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{number}").write_bytes(_input(name, number, seeds))
                problems.append(f"--target {name} --only {number}: {what}")
            start = stop
    return counts, problems, memory


def _chunk(
    name: str, start: int, stop: int, folder: Path, seeds: list[bytes], current: Any, sender: Any, seconds: int
) -> None:
    """In a child: read inputs start to stop, and send what came of them."""
    faulthandler.enable()
    sys.settrace(None)  # a measurement of coverage would count against the time of an input
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + MEMORY, address_space + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    counts: Counter[str] = Counter()
    problems = []
    own = folder / str(os.getpid())
    own.mkdir()
    for number in range(start, stop):
        current.value = number
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            counts[_read(name, number, own, seeds)] += 1
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            problems.append(
                (number, f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})")
            )
            counts["finding"] += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    shutil.rmtree(own, ignore_errors=True)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
    sender.send({"counts": dict(counts), "problems": problems, "memory": added})


def _read(name: str, number: int, folder: Path, seeds: list[bytes]) -> str:
    target = TARGETS[name]
    path = folder / f"input{target.suffix}"
    path.write_bytes(_input(name, number, seeds))
    return read_one(target, path)


def _input(name: str, number: int, seeds: list[bytes]) -> bytes:
    """Input of a number: a damaged seed; below 0, a hostile file as it is."""
    hostile = _hostile(name)
    if number < 0:
        return hostile[number]
    return mutated(TARGETS[name].kind, [*seeds, *(file for file in hostile if len(file) <= BIGGEST_SEED)], number)


@cache
def _hostile(name: str) -> list[bytes]:
    return HOSTILE[name]() if name in HOSTILE else []


def _seeds(name: str, folder: Path) -> list[bytes]:
    seeds = TARGETS[name].seeds(folder)
    for number, seed in enumerate(seeds):
        path = folder / f"seed{number}{TARGETS[name].suffix}"
        path.write_bytes(seed)
        if name not in _NEVER_TAKEN:
            assert read_one(TARGETS[name], path) == "taken", f"{name}: a good file is refused"
    return seeds


_NEVER_TAKEN = {"checkpoint", "pickle"}
"""Seeds that are too small to be real: refused, but only at the end."""


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _death(code: int | None, seconds: int) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    if -code == signal.SIGPROF:
        return f"over {seconds} s"
    return signal.Signals(-code).name


if __name__ == "__main__":
    sys.exit(main())
