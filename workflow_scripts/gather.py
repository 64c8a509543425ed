"""Rule gather: one HDF5 file from its shards."""

from pathlib import Path

from ssc_core.masks.gather import gather, gather_scores
from workflow_scripts._script import run


def main(kind: str, out: Path, shards: list[Path]) -> None:
    if kind == "scores":
        gather_scores(shards, out)
    else:
        gather(shards, out)


run(main)
