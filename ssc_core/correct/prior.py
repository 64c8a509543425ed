"""What Select says of a ref's candidates, beside the network's own word, where matching begins (beyond the paper)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.selection import SelectionStore


class Prior:
    """Shares of a ref's candidates by the scores of selected.h5: softmax(score / temperature)."""

    def __init__(self, selected: Path, temperature: float) -> None:
        self._path, self._store, self._temperature = selected, SelectionStore(selected), temperature

    def __call__(self, ref_id: int, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """places: int64 (K,), of candidates among all of the ref's. Returns their shares, float64 (K,), which sum to 1:
        one array that all sentences share or, where Select chose for each of several, one per sentence.

        Raises SscError where the file has no scores of these candidates.
        """
        if len(places) == 1:  # may be what a person drew, of which there is no score
            return (np.ones(1),)
        scores = self._store.scores(ref_id) if ref_id in self._store else np.zeros((1, 0), np.float32)
        if scores.shape[1] <= places.max():
            raise SscError(
                f"{self._path} has {scores.shape[1]} scores for ref {ref_id}, and it has a candidate number "
                f"{places.max() + 1}: make it anew from the same masks.h5"
            )
        scaled = scores[:, places].astype(np.float64) / self._temperature
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return tuple(weights / weights.sum(axis=1, keepdims=True))
