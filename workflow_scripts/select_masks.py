"""Rule select_masks: one candidate a ref."""

from pathlib import Path

from _script import run

from ssc_core.select.stage import select_masks
from ssc_core.settings import SelectSettings


def main(refs: Path, split: str, masks: Path, scores: Path, settings: SelectSettings, out: Path) -> None:
    select_masks(refs=refs, split=split, masks=masks, scores=scores, out=out, settings=settings)


run(main)
