"""Rule extract_nouns: nouns and object classes of every ref's sentences."""

from pathlib import Path

from ssc_core.segment.nouns import extract_nouns
from ssc_core.settings import NounSettings
from workflow_scripts._script import run


def main(refs: Path, split: str, settings: NounSettings, device: str, threads: int, out: Path) -> None:
    extract_nouns(refs=refs, split=split, out=out, settings=settings, device=device, threads=threads)


run(main)
