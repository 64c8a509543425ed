"""Figures of ``metrics`` as parts of an eval file."""

from __future__ import annotations

from collections.abc import Iterable

from numpy.typing import ArrayLike

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate.metrics import Overlaps, bootstrap, breakdown, summarise
from ssc_core.evaluate.schema import Group, Groups, Measured


def measured(overlaps: Overlaps, image_ids: ArrayLike, settings: EvaluateSettings) -> Measured:
    """Figures with their intervals, images resampled; image_ids: one per pair."""
    intervals = None
    if settings.bootstrap_samples:
        intervals = bootstrap(overlaps, image_ids, samples=settings.bootstrap_samples, seed=settings.seed)
    return Measured.model_validate(summarise(overlaps) | {"ci95": intervals})


def groups(overlaps: Overlaps, labels: ArrayLike, order: Iterable[str] | None = None) -> Groups:
    """Figures by label, see ``metrics.breakdown``."""
    return {name: Group.model_validate(part) for name, part in breakdown(overlaps, labels, order).items()}
