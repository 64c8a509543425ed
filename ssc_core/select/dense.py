"""Dense scorers: how well each place of a photo goes with a sentence, pooled over each candidate.

No candidate is marked in the photo, so the network sees the photo once, whatever the number of candidates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ssc_core.masks.candidates import PIXELS_AT_ONCE
from ssc_core.select.scorers import DECIMALS


class DenseScorer(ABC):
    """The ``PairScorer`` contract for networks that compare every place of a photo with a sentence.

    A candidate's score is the mean over its mask: each cell of the network's grid counts by the share of it that the
    mask covers. An empty mask has the mean over the photo.
    """

    scale: str
    _last: np.ndarray | None = None
    _seen: Any = None

    @abstractmethod
    def _see(self, image: np.ndarray) -> Any:
        """What the network makes of a photo, RGB uint8 (H, W, 3), by itself."""

    @abstractmethod
    def _maps(self, seen: Any, sentences: Sequence[str]) -> torch.Tensor:
        """float32 (S, h, w): how well each cell of a grid over the whole photo goes with each sentence."""

    @torch.inference_mode()
    def score_pairs(self, image: np.ndarray, masks: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """As the protocol has it, rounded so that equal masks tie. The last photo is known, by its array."""
        if image is not self._last:
            self._last, self._seen = image, self._see(image)
        return np.round(pooled(self._maps(self._seen, sentences), masks).cpu().numpy(), DECIMALS)


def pooled(maps: torch.Tensor, masks: np.ndarray) -> torch.Tensor:
    """Means of maps, float32 (S, h, w), over masks, bool (K, H, W), of the same photo: float32 (S, K)."""
    size = (maps.shape[1], maps.shape[2])
    shares = []
    at_once = max(1, PIXELS_AT_ONCE // max(1, masks.shape[1] * masks.shape[2]))
    for start in range(0, len(masks), at_once):
        some = torch.from_numpy(np.ascontiguousarray(masks[start : start + at_once])).to(maps.device)
        shares.append(functional.adaptive_avg_pool2d(some.float(), size))
    weights = torch.cat(shares).flatten(1).double()
    weights[weights.sum(dim=1) == 0] = 1.0
    weights /= weights.sum(dim=1, keepdim=True)
    return (maps.flatten(1).double() @ weights.T).float()
