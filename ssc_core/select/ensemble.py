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
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from scipy.special import log_softmax

from ssc_core.config.labelling import DEFAULT_SCORER, SelectSettings
from ssc_core.config.stages import scores_by
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore, SelectionStore


def combined(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """float32 (S, K) from the scores of each scorer, float32 (S, K), and its weight; of a single one, its scores."""
    if len(scores) == 1 or scores[0].size == 0:
        return scores[0]
    terms = [weight * log_softmax(one.astype(np.float64), axis=1) for one, weight in zip(scores, weights, strict=True)]
    return np.sum(terms, axis=0).astype(np.float32)


def weights_of(selected: SelectionStore) -> dict[str, float]:
    """Weights above 0 by name of the scorers that a choice was made from. Raises SscError for a file with bad ones."""
    try:
        return SelectSettings(weights=selected.info.settings.get("weights", {})).scorers
    except ValidationError as error:
        raise SscError(f"{selected.path}: its weights of scorers are damaged; delete it and make it again") from error


def scores_behind(selected: Path) -> list[str]:
    """The results (``ssc_core.layout``) that a selected.h5 was made from: ``scores``, ``scores@dense``."""
    with SelectionStore(selected) as store:
        return [scores_by(name) for name in weights_of(store)]


def scorer_of(store: ScoreStore) -> str:
    """The name of the scorer that a file is of."""
    return str(store.info.settings.get("scorer", DEFAULT_SCORER))


class WeightedScores:
    """scores.h5 files of the scorers that have a weight, as one.

    stores: by name of the scorer. Raises SscError unless there is one file of each.
    """

    def __init__(self, stores: Sequence[ScoreStore], weights: Mapping[str, float]) -> None:
        by_name = {scorer_of(store): store for store in stores}
        if by_name.keys() != weights.keys() or len(stores) != len(weights):
            given = ", ".join(f"{store.path} ({name})" for name, store in by_name.items())
            raise SscError(f"scores of {', '.join(weights)} are needed, one file each, but there are {given}")
        self.stores = {name: by_name[name] for name in weights}
        self._weights = list(weights.values())

    @classmethod
    def open(cls, stack: ExitStack, paths: Sequence[Path], weights: Mapping[str, float]) -> WeightedScores:
        return cls([stack.enter_context(ScoreStore(path)) for path in paths], weights)

    @property
    def merged_masks(self) -> bool:
        """As ``ScoreStore`` has it."""
        return self._first.merged_masks

    @property
    def scale(self) -> str:
        """What the numbers are: a single scorer's own scale, or what was added."""
        if len(self.stores) == 1:
            return str(self._first.info.settings.get("scale", "of an unknown scale"))
        terms = (f"{weight:g} x {name}" for name, weight in zip(self.stores, self._weights, strict=True))
        return f"log probabilities among the candidates, {' + '.join(terms)}"

    @property
    def models(self) -> dict[str, str]:
        """Digests of all scorers' weights."""
        return {name: digest for store in self.stores.values() for name, digest in store.info.models.items()}

    def scores(self, ref_id: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """float32 (S, K) of a ref; shape: what its masks and sentences ask for, None: that of the first scorer's.

        Raises SscError for another one."""
        scores = [store.scores(ref_id) for store in self.stores.values()]
        shape = shape or scores[0].shape
        for store, one in zip(self.stores.values(), scores, strict=True):
            if one.shape != shape:
                raise SscError(
                    f"{store.path}, ref {ref_id}: {one.shape[0]} sentences and {one.shape[1]} candidates were scored, "
                    f"but it has {shape[0]} and {shape[1]}; delete the file and run the same command again"
                )
        return combined(scores, self._weights)

    def areas(self, ref_id: int) -> np.ndarray:
        """Pixels of each candidate, int64 (K,)."""
        return self._first.areas(ref_id)

    @property
    def _first(self) -> ScoreStore:
        return next(iter(self.stores.values()))
