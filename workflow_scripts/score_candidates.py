"""Rule score_candidates: every candidate of a shard against every sentence of its ref."""

from pathlib import Path

from ssc_core.select.scoring import score_candidates
from ssc_core.settings import CompatSettings, ScoreSettings
from workflow_scripts._script import run


def main(
    refs: Path,
    split: str,
    masks: Path,
    images: Path,
    settings: ScoreSettings,
    compat: CompatSettings,
    device: str,
    threads: int,
    out: Path,
    batch: int = 0,
) -> None:
    score_candidates(
        refs=refs,
        split=split,
        masks=masks,
        images=images,
        out=out,
        settings=settings,
        compat=compat,
        device=device,
        threads=threads,
        batch_size=batch or None,
    )


run(main)
