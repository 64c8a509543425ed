"""Rule gather: one HDF5 file from its shards."""

from pathlib import Path

from _script import run

from ssc_core.masks.gather import gather, gather_scores


def main(kind: str, out: Path, shards: list[Path]) -> None:
    if kind == "scores":
        gather_scores(shards, out)
    else:
        gather(shards, out)


run(main)
