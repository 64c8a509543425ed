"""Coverage-guided fuzzing of one reader with atheris, which `make fuzz-guided` installs.

    python -m tests.fuzz.guided pickle -runs=100000       # options after the name are libFuzzer's

atheris watches which lines of ssc_core an input reaches and keeps inputs that reach new ones, in
build/fuzz/corpus/NAME. It stops at the first input that makes a reader do anything but take it or raise SscError, and
leaves it in build/fuzz.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ssc_core"]):
    from tests.fuzz.targets import TARGETS, read_one

BUILD = Path("build/fuzz")
MEMORY_MB = 3000
SECONDS_AN_INPUT = 10


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of the readers: {', '.join(TARGETS)}")
    name, options = sys.argv[1], sys.argv[2:]
    target = TARGETS[name]
    logging.disable(logging.CRITICAL)
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ssc-fuzz-"))
    seeds = target.seeds(folder)
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(seed)

    def read(content: bytes) -> None:
        path = folder / f"input{target.suffix}"
        path.write_bytes(content)
        read_one(target, path)

    longest = 2 * max(len(seed) for seed in seeds)
    limits = [
        f"-max_len={longest}",
        "-len_control=0",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-artifact_prefix={BUILD}/{name}-",
    ]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
