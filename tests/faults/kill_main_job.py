"""Kill the main job with SIGKILL at random moments, resume it with the same command, and compare the results.

    python tests/faults/kill_main_job.py --kills 20

The main job of presets/tiny.yaml runs twice in a copy of this repository: once in peace, and once with its whole
process group killed again and again. Both must end with the same bytes. It takes minutes and is no part of `make test`;
tests/integration/test_main_job.py kills once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("results/refcoco/eval_val.json", "results/refcoco/eval_masks_val.json")
NOT_RESULTS = {"logs", "benchmarks", "state"}
TIMINGS = {"timing", "seconds", "images_per_second", "created", "duration"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs before the job is left in peace")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default, removed in the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssc-kill-") as temporary:
        folder = options.folder or Path(temporary)
        repository = copy_repository(folder / "repository")
        configs = ("presets/tiny.yaml", "every_step.yaml")
        command = ["snakemake", "--cores", str(options.cores), "--configfile", *configs, "--", *TARGETS]
        calm_seconds = run_in_peace(repository, command)
        calm = digests(repository / "results")
        shutil.rmtree(repository / "results")
        shutil.rmtree(repository / ".snakemake")

        kills, runs = disturbed(repository, command, options.kills, calm_seconds, random.Random(options.seed))
        different = differences(calm, digests(repository / "results"))
        left_over = sorted(str(p) for p in (repository / "results").rglob("*") if p.parent.name == "state")
        print(f"{kills} kills in {runs} runs; {len(calm)} files compared, {len(different)} differ: {different}")
        print(f"the job in peace took {calm_seconds:.0f} s; states left over: {left_over}")
        sys.exit(bool(different or left_over or kills < options.kills))


def copy_repository(folder: Path) -> Path:
    """The files of this repository that git knows or would know, and a config that saves training at every step."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "every_step.yaml").write_text("compute:\n  save_minutes: 0\n  threads: 1\n  shards: 2\n")
    return folder


def run_in_peace(repository: Path, command: list[str]) -> float:
    """Seconds that the job took."""
    started = time.monotonic()
    with (repository / "calm.log").open("w") as log:
        subprocess.run(command, cwd=repository, env=environment(), stdout=log, stderr=subprocess.STDOUT, check=True)
    return time.monotonic() - started


def disturbed(
    repository: Path, command: list[str], kills: int, calm_seconds: float, rng: random.Random
) -> tuple[int, int]:
    """Run the command until it ends by itself, after ``kills`` SIGKILLs; returns kills and runs.

    Every run is killed at a random moment between its start and the time that a few jobs take. A job that ends before
    all kills are dealt starts over from nothing.
    """
    killed = runs = 0
    log_file = repository / "killed.log"
    while True:
        with log_file.open("a") as log:
            process = subprocess.Popen(
                command, cwd=repository, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            runs += 1
            try:
                code = process.wait(rng.uniform(0.03, 0.35) * calm_seconds if killed < kills else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
                print(f"kill {killed}: {progress(repository)}", flush=True)
                continue
        if code:
            sys.exit(f"run {runs} failed by itself after {killed} kills:\n{log_file.read_text()[-4000:]}")
        if killed >= kills:
            return killed, runs
        print(f"the job ended after {killed} kills: starting over", flush=True)
        shutil.rmtree(repository / "results")


def progress(repository: Path) -> str:
    """What there is so far."""
    results = repository / "results"
    whole = sum(1 for p in results.rglob("*") if p.suffix in (".h5", ".parquet", ".pt"))
    return f"{whole} results, {sum(1 for _ in results.rglob('*.tmp'))} unfinished"


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def digests(results: Path) -> dict[str, str]:
    """Name -> SHA-256 of every result; JSON without what was measured by a clock."""
    found = {}
    for path in sorted(p for p in results.rglob("*") if p.is_file()):
        name = path.relative_to(results).as_posix()
        if NOT_RESULTS & set(name.split("/")) or name.endswith(".tmp"):
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(without_timings(json.loads(content)), sort_keys=True).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_timings(v) for key, v in value.items() if key not in TIMINGS}
    if isinstance(value, list):
        return [without_timings(v) for v in value]
    return value


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


if __name__ == "__main__":
    main()
