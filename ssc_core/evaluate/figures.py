"""Figures of ``metrics`` as parts of an eval file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate.metrics import Sums, Tally, bootstrap, breakdown, summarise
from ssc_core.evaluate.schema import Group, Groups, Measured


def measured(tallies: Sequence[Tally], settings: EvaluateSettings) -> list[Measured]:
    """Figures with their intervals, images resampled, of tallies over the same images."""
    intervals: Sequence[dict | None] = [None] * len(tallies)
    if settings.bootstrap_samples:
        images = [tally.images for tally in tallies]
        intervals = bootstrap(images, samples=settings.bootstrap_samples, seed=settings.seed)
    return [
        Measured.model_validate(summarise(tally.whole) | {"ci95": ends})
        for tally, ends in zip(tallies, intervals, strict=True)
    ]


def groups(sums: Sums, order: Iterable[str] | None = None) -> Groups:
    """Figures by label, see ``metrics.breakdown``."""
    return {name: Group.model_validate(part) for name, part in breakdown(sums, order).items()}
