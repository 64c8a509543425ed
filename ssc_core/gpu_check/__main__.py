"""One part of the check, or several: ``python -m ssc_core.gpu_check segment --size official --out build/gpu``."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ssc_core.errors import SscError
from ssc_core.gpu_check.parts import PARTS, is_right, run_part, told, write
from ssc_core.torch_runtime import resolve_device


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ssc_core.gpu_check", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--size", choices=("small", "official"), default="official", help="of the networks")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder for the findings, PART.json")
    options = parser.parse_args()
    try:
        device = resolve_device(options.device).type
    except SscError as error:
        sys.exit(str(error))
    right = True
    for part in options.parts:
        keep = partial(write, folder=options.out)
        result = run_part(part, small=options.size == "small", device=device, keep=keep)
        print(f"{part}, {options.size}, {result['device_name']}, {result['seconds']:.0f} s\n{told(result)}", flush=True)
        right &= is_right(result)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
