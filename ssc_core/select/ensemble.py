"""Scores of several scorers as one. Not of the paper.

The scales of scorers differ and have no zero, so the scores of a sentence are first made log probabilities among the
ref's K candidates, and these are added with weights w:

    combined(s, k) = sum over scorers i of  w_i * log softmax over k of score_i(s, k)

This is a logarithmic opinion pool, or product of experts (Hinton 2002, "Training products of experts"). Cosines times
100 are logits at CLIP's temperature and a chooser's scores are log probabilities, so one unit means the same for all
that say so in their ``scale``; for others, the weight says what a unit is worth. The differences between candidates are
kept: a scorer that is in doubt says little, and one that is sure says much, where z-scores and ranks make both alike.
Units stay those of a single scorer, so ``spatial_weight`` and the joint choice mean the same as with one. The scores
of a single scorer stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import log_softmax

from ssc_core.config.labelling import DEFAULT_SCORER
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore


def combined(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """float32 (S, K) from the scores of each scorer, float32 (S, K), and its weight; of a single one, its scores."""
    if len(scores) == 1 or scores[0].size == 0:
        return scores[0]
    terms = [weight * log_softmax(one.astype(np.float64), axis=1) for one, weight in zip(scores, weights, strict=True)]
    return np.sum(terms, axis=0).astype(np.float32)


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
