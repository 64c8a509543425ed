"""Rule select_masks: one candidate a ref."""

from pathlib import Path

from ssc_core.select.stage import select_masks
from ssc_core.settings import CompatSettings, SelectSettings
from workflow_scripts._script import run


def main(
    refs: Path, split: str, masks: Path, scores: Path, settings: SelectSettings, compat: CompatSettings, out: Path
) -> None:
    select_masks(refs=refs, split=split, masks=masks, scores=scores, out=out, settings=settings, compat=compat)


run(main)
