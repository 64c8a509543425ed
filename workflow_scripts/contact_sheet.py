"""Rule contact_sheet: boxes, masks and candidates of some photos of a split, to look at."""

from pathlib import Path

from ssc_core.report.contact_sheet import write_contact_sheet
from workflow_scripts._script import run


def main(refs: Path, nouns: Path, masks: Path, images: Path, split: str, out: Path) -> None:
    write_contact_sheet(refs=refs, nouns=nouns, masks=masks, images=images, split=split, out=out)


run(main)
