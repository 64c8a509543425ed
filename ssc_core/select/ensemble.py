"""Scores of several scorers as one. Not of the paper.

The scales of scorers differ (cosines times 100, log probabilities, logits), so the scores of a sentence are normalised
among its K candidates before they are added, with weights w:

    combined(s, k) = sum over scorers i of  w_i * (score_i(s, k) - mean_i(s)) / deviation_i

mean_i(s) is over the candidates, deviation_i the root mean square of what is left over the ref's S sentences and K
candidates. It is one for all sentences of a ref, so that a sentence that tells candidates apart counts for more than
one that does not. A scorer that gives all candidates the same says nothing: its term is 0. The scores of a single
scorer stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ssc_core.config.labelling import DEFAULT_SCORER
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore


def combined(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """float32 (S, K) from the scores of each scorer, (S, K), and its weight."""
    if len(scores) == 1:
        return scores[0]
    terms = [weight * normalised(one) for one, weight in zip(scores, weights, strict=True)]
    return np.sum(terms, axis=0).astype(np.float32)


def normalised(scores: np.ndarray) -> np.ndarray:
    """float64 (S, K): a ref's scores around 0 for every sentence, with a root mean square of 1 over all of them."""
    if scores.size == 0:
        return scores.astype(np.float64)
    centred = scores - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = np.sqrt(np.mean(centred**2))
    return centred / deviation if deviation > 0 else centred


class WeightedScores:
    """scores.h5 files of the scorers that have a weight, as one.

    Raises SscError unless there is one file of each.
    """

    def __init__(self, stores: Sequence[ScoreStore], weights: Mapping[str, float]) -> None:
        by_name = {str(store.info.settings.get("scorer", DEFAULT_SCORER)): store for store in stores}
        if by_name.keys() != weights.keys() or len(stores) != len(weights):
            given = ", ".join(f"{store.path} ({name})" for name, store in by_name.items())
            raise SscError(f"scores of {', '.join(weights)} are needed, one file each, but there are {given}")
        self._stores = {name: by_name[name] for name in weights}
        self._weights = list(weights.values())

    @property
    def models(self) -> dict[str, str]:
        """Digests of all scorers' weights."""
        return {name: digest for store in self._stores.values() for name, digest in store.info.models.items()}

    def __call__(self, ref_id: int, shape: tuple[int, int]) -> np.ndarray:
        """float32 (S, K) of a ref; shape: what its masks and sentences ask for. Raises SscError for another one."""
        scores = [store.scores(ref_id) for store in self._stores.values()]
        for store, one in zip(self._stores.values(), scores, strict=True):
            if one.shape != shape:
                raise SscError(
                    f"{store.path}, ref {ref_id}: {one.shape[0]} sentences and {one.shape[1]} candidates were scored, "
                    f"but it has {shape[0]} and {shape[1]}; delete the file and run the same command again"
                )
        return combined(scores, self._weights)

    def areas(self, ref_id: int) -> np.ndarray:
        """Pixels of each candidate, int64 (K,)."""
        return next(iter(self._stores.values())).areas(ref_id)
