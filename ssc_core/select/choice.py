"""One candidate of a ref from its scores: the published rule, and the choices that it is compared with."""

from __future__ import annotations

import numpy as np

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.masks.choice import NONE, choose_blindly, eligible


def choose(
    scores: np.ndarray, areas: np.ndarray, settings: SelectSettings, compat: CompatSettings, *, ref_id: int
) -> int:
    """Index of the chosen candidate, or ``NONE``.

    scores: (S, K), cosine times 100 of every sentence and candidate; areas: (K,), pixels. ``score`` takes the highest
    mean over the sentences of the ``eligible`` candidates, and of equal ones the last, as published. ``random`` and
    ``first``: see ``choose_blindly``.

    Raises SscError when it is made from scores of which one is not finite.
    """
    if settings.choice != "score":
        return choose_blindly(settings.choice, areas, settings, compat, ref_id=ref_id)
    among = np.flatnonzero(eligible(areas, settings.min_area))
    require_finite(scores, ref_id)
    return int(among[_last_argmax(mean_scores(scores)[among])]) if len(among) else NONE


def require_finite(scores: np.ndarray, ref_id: int) -> None:
    """Raise SscError where a score is NaN or infinite: it would win or lose by how numbers are compared."""
    if not np.isfinite(scores).all():
        raise SscError(
            f"ref {ref_id} has scores that are not finite (NaN or infinite), so nothing can be chosen by them"
        )


def mean_scores(scores: np.ndarray) -> np.ndarray:
    """float64 (K,): mean over the S sentences; zeros where a ref has none."""
    if len(scores) == 0:
        return np.zeros(scores.shape[1])
    return scores.mean(axis=0, dtype=np.float64)


def _last_argmax(values: np.ndarray) -> int:
    return len(values) - 1 - int(np.argmax(values[::-1]))
