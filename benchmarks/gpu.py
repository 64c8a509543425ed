"""The GPU check and the benchmarks of the published sizes, and docs/gpu.md of what they found: ``make gpu-check``.

    python benchmarks/gpu.py                                    # all parts; at the published sizes where there is a GPU
    python benchmarks/gpu.py segment fast_select --size small   # some of them with small networks, on any machine
    python benchmarks/gpu.py --out benchmarks/gpu_found --page  # the page alone, from what is there

Each part is a process of its own, of ten minutes at most, and leaves PART.json in ``--out``, also where it is cut or
breaks. It starts in a checkout without an installation, on Python 3.11 or later with torch, torchvision, transformers,
timm, h5py, SciPy and OpenCV, and with what ``make gpu-wheels`` takes along (envs/gpu-check.txt).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gpu_page import page  # noqa: E402

RIGHT = ("segment", "select", "correct", "memory", "resume", "lease", "torchrun")
FAST = {
    "fast_segment_vit_h": "segment.py --images 64 --boxes 5 --sam vit_h --threads 16",
    "fast_segment_vit_b": "segment.py --images 64 --boxes 5 --sam vit_b --threads 16 --stages segment",
    "fast_select": "select_stage.py --model ViT-L-14-336 --photos 60 --threads 16",
    "fast_correct": "train.py --swin base --side 480 --samples 60 --published-samples 15 --steps 10",
    "fast_settings": "settings.py --leave-out compile --threads 16",
    "fast_compile": "settings.py --only compile --threads 16",
}
FAST_SMALL = {
    "fast_segment_vit_h": "segment.py --images 2 --boxes 2 --sam small --threads 1",
    "fast_segment_vit_b": "segment.py --images 2 --boxes 2 --sam small --threads 1 --stages segment",
    "fast_select": "select_stage.py --photos 2 --threads 1",
    "fast_correct": "train.py --swin micro --side 96 --samples 12 --steps 2 --threads 1",
    "fast_settings": "settings.py --leave-out compile --size small --images 2 --repeats 3 --threads 1",
    "fast_compile": "settings.py --only compile --size small --images 2 --repeats 3 --threads 1",
}
KEPT = "benchmarks/gpu_found"
"""What GPUs found at the published sizes: docs/gpu.md is made of it."""

LIMIT = 570
"""Seconds of a part: less than the ten minutes of a lent machine, so that what was found is written before they end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*RIGHT, *FAST]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--size", choices=("small", "official"), help="of the networks; default: official on a GPU")
    parser.add_argument("--out", type=Path, help=f"folder of the findings; default: {KEPT}, and of others build/gpu")
    parser.add_argument("--page", action="store_true", help="write the page, too: of what is kept docs/gpu.md")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(names):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    size = options.size or ("official" if torch.cuda.is_available() else "small")
    keep = torch.cuda.is_available() and size == "official"
    out = (options.out or ROOT / (KEPT if keep else "build/gpu")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    wrong = [
        name
        for name in options.parts or ([] if options.page and options.out and any(out.glob("*.json")) else names)
        if not (run_right if name in RIGHT else run_fast)(name, size, out)
    ]
    if options.page:
        found = {name: json.loads(file.read_text()) for name in names if (file := out / f"{name}.json").is_file()}
        target = ROOT / "docs" / "gpu.md" if out == ROOT / KEPT else out / "page.md"
        target.write_text(page(found), encoding="utf-8")
        print(target)
    if wrong:
        sys.exit(f"not right: {', '.join(wrong)}")


def run_right(name: str, size: str, out: Path) -> bool:
    """A part of ``ssc_core.gpu_check``, which writes its findings itself; where it did not end, why."""
    file = out / f"{name}.json"
    file.unlink(missing_ok=True)
    arguments = ["-m", "ssc_core.gpu_check", name, "--size", size]
    status, seconds, why = _run([*arguments, "--out", str(out)])
    result = json.loads(file.read_text()) if file.is_file() else _about(name, size, arguments, seconds)
    if not result.get("finished"):
        result.setdefault("errors", {})["its process"] = why
        _write(file, result)
    return status == 0


def run_fast(name: str, size: str, out: Path) -> bool:
    """A benchmark, and its figures with what they were measured on."""
    script, *arguments = (FAST_SMALL if size == "small" else FAST)[name].split()
    arguments = [f"benchmarks/{script}", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        status, seconds, why = _run([*arguments, "--json", str(figures)])
        result = _about(name, size, arguments, seconds)
        result["figures"] = json.loads(figures.read_text()) if figures.is_file() else None
    result["failed"] = why if status else ""
    _write(out / f"{name}.json", result)
    return status == 0


def _about(name: str, size: str, arguments: list[str], seconds: float) -> dict[str, Any]:
    from ssc_core.gpu_check.machine import device_name, versions
    from ssc_core.torch_runtime import resolve_device

    device = resolve_device("auto").type
    return {
        "part": name,
        "size": size,
        "device": device,
        "device_name": device_name(device),
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": seconds,
        "versions": versions(),
        "command": shlex.join(["python", *arguments]),
    }


def _write(file: Path, result: dict[str, Any]) -> None:
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _run(arguments: list[str]) -> tuple[int, float, str]:
    """A Python process and all that it starts, for ``LIMIT`` seconds at most: its status, its seconds, and how it ended
    with the last line that it complained with."""
    print("python", *arguments, flush=True)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    stop = partial(os.killpg, process.pid, signal.SIGKILL)
    limit = threading.Timer(LIMIT, stop)
    limit.start()
    last = ""
    try:
        for line in process.stderr or ():
            sys.stderr.write(line)
            last = line.strip() or last
    except KeyboardInterrupt:
        stop()
        raise
    finally:
        limit.cancel()
        status = process.wait()
    seconds = time.monotonic() - started
    if status < 0 and seconds >= LIMIT:
        return status, seconds, f"stopped after {LIMIT} s"
    return status, seconds, f"ended with {status}: {last[:300]}" if last else f"ended with {status}"


if __name__ == "__main__":
    main()
