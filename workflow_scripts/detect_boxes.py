"""Rule detect_boxes: boxes for the classes of every image of a shard."""

from pathlib import Path

from ssc_core.refer.ref_table import photos_upright
from ssc_core.segment.boxes import detect_boxes
from ssc_core.settings import CompatSettings, DetectSettings
from workflow_scripts._script import run


def main(
    refs: Path,
    nouns: Path,
    images: Path,
    split: str,
    shard: int,
    shards: int,
    settings: DetectSettings,
    compat: CompatSettings,
    device: str,
    threads: int,
    out: Path,
    batch: int = 0,
) -> None:
    detect_boxes(
        refs=refs,
        nouns=nouns,
        images=images,
        split=split,
        out=out,
        settings=settings,
        compat=compat,
        device=device,
        threads=threads,
        batch_size=batch or None,
        shard=(shard, shards),
        upright=photos_upright(refs),
    )


run(main)
