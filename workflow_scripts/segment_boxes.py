"""Rule segment_boxes: a mask for every box of a shard, and the candidates of every ref."""

from pathlib import Path

from ssc_core.refer.ref_table import photos_upright
from ssc_core.segment.masks import segment_boxes
from ssc_core.settings import CompatSettings, SegmentSettings
from workflow_scripts._script import run


def main(
    refs: Path,
    nouns: Path,
    boxes: Path,
    images: Path,
    settings: SegmentSettings,
    compat: CompatSettings,
    device: str,
    threads: int,
    out: Path,
    batch: int = 0,
) -> None:
    segment_boxes(
        refs=refs,
        nouns=nouns,
        boxes=boxes,
        images=images,
        out=out,
        settings=settings,
        compat=compat,
        device=device,
        threads=threads,
        batch_size=batch or None,
        upright=photos_upright(refs),
    )


run(main)
