"""Which candidate is whose: from sentences to instances, image by image.

A sample is one (image, ref, sentence). Its candidates are the instances that its ref might be; refs of one image often
share them. Matching decides on a small table of soft IoUs that crosses to the CPU once per step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ssc_core.correct.draws import stream
from ssc_core.masks.pairs import best_pairs

NONE = -1
"""The choice of a sample that gets no candidate."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of a batch of B samples, every instance held once.

    masks: bool (M, H, W); rows: B arrays int64 (K_i,), the rows of ``masks`` that sample i may take. The same row
    stands for the same instance, also where two refs of an image share it. prior: what Select makes of them, B arrays
    float64 (K_i,), each of sum 1; none without.
    """

    masks: Tensor
    rows: tuple[np.ndarray, ...]
    prior: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What each of B samples is trained on.

    rows: int64 (B,), a row of ``Candidates.masks``, or NONE. times: int64 (B,), how often its loss counts: 0 without a
    candidate, else 1, or 2 with ``matching_double_count``.
    """

    rows: np.ndarray
    times: np.ndarray

    @classmethod
    def once(cls, rows: np.ndarray) -> Self:
        return cls(rows, (rows != NONE).astype(np.int64))


class _Ref(NamedTuple):
    """A ref of one image: the indices of its samples and its candidate rows."""

    samples: np.ndarray
    rows: np.ndarray


def soft_iou(foreground: Tensor, masks: Tensor) -> Tensor:
    """Soft IoU of every prediction with every mask: sum(p m) / (sum p + sum m - sum(p m)).

    foreground: float (B, H, W), probabilities; masks: bool (M, H, W). Returns float32 (B, M).
    """
    with torch.autocast(foreground.device.type, enabled=False):
        p = foreground.detach().float().flatten(1)
        m = masks.flatten(1).to(p.dtype)
        intersection = p @ m.T
        union = p.sum(1)[:, None] + m.sum(1)[None, :] - intersection
        return intersection / union.clamp(min=torch.finfo(p.dtype).tiny)


def with_prior(iou: np.ndarray, rows: Sequence[np.ndarray], prior: Sequence[np.ndarray], weight: float) -> np.ndarray:
    """What matching goes by where Select has a say (beyond the paper): soft IoU + weight * prior.

    iou: float (B, M), left as it is; rows, prior: of each sample, as ``Candidates`` has them. Returns (B, M).
    """
    fit = iou.copy()
    for line, own, shares in zip(fit, rows, prior, strict=True):
        line[own] += weight * shares
    return fit


def greedy(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    iou: np.ndarray,
    rows: Sequence[np.ndarray],
    *,
    double_count: bool = False,
) -> Assignment:
    """Constrained greedy matching: within an image, no candidate is given to two refs.

    image_ids, ref_ids: int (B,); iou: float (B, M), soft IoU with every instance; rows: candidates of each sample.

    Refs with one candidate take it, together where several have the same. Then, repeatedly, the highest soft IoU of
    all (sample, candidate) pairs whose ref and candidate are both free: all samples of that ref get that candidate.
    Refs that are left get none. Ties go to the lower ref id, then to the lower row, so the order of samples is
    nothing to the result.

    double_count: as the published code, refs with one candidate also take part in the rounds: what they hold is not
    taken before the rounds begin, and the loss of those that win one counts twice. An image whose refs all have one
    candidate has no rounds.
    """
    chosen = np.full(len(image_ids), NONE, dtype=np.int64)
    times = np.zeros(len(image_ids), dtype=np.int64)
    for refs in _refs_by_image(image_ids, ref_ids, rows):
        columns, table = _table(refs, iou, np.max)
        single = np.array([len(ref.rows) == 1 for ref in refs])
        for ref in (r for r, is_single in zip(refs, single, strict=True) if is_single):
            chosen[ref.samples], times[ref.samples] = ref.rows[0], 1
        if not double_count or single.all():
            table[:, np.isin(columns, [ref.rows[0] for ref in refs if len(ref.rows) == 1])] = -np.inf
            table[single] = -np.inf
        while np.isfinite(table).any():
            r, c = np.unravel_index(np.argmax(table), table.shape)
            chosen[refs[r].samples] = columns[c]
            times[refs[r].samples] += 1
            table[r], table[:, c] = -np.inf, -np.inf
    return Assignment(chosen, times)


def optimal(image_ids: np.ndarray, ref_ids: np.ndarray, iou: np.ndarray, rows: Sequence[np.ndarray]) -> Assignment:
    """As ``greedy``, but the assignment of an image with the highest sum of soft IoU (beyond the paper).

    A ref's soft IoU with a candidate is the mean of its samples: all that is said of it counts, where in the greedy
    rounds the one sentence that fits best decides.
    """
    chosen = np.full(len(image_ids), NONE, dtype=np.int64)
    for refs in _refs_by_image(image_ids, ref_ids, rows):
        columns, table = _table(refs, iou, np.mean)
        taken = [ref.rows[0] for ref in refs if len(ref.rows) == 1]
        for ref in refs:
            if len(ref.rows) == 1:
                chosen[ref.samples] = ref.rows[0]
        free = [i for i, ref in enumerate(refs) if len(ref.rows) > 1]
        open_columns = np.flatnonzero(~np.isin(columns, taken))
        for r, c in best_pairs(table[np.array(free, dtype=int)[:, None], open_columns]):
            chosen[refs[free[r]].samples] = columns[open_columns[c]]
    return Assignment.once(chosen)


def best(image_ids: np.ndarray, ref_ids: np.ndarray, iou: np.ndarray, rows: Sequence[np.ndarray]) -> Assignment:
    """Each sample its own best candidate, without constraints (``greedy_no_constraints``)."""
    return Assignment.once(np.array([own[np.argmax(iou[i, own])] for i, own in enumerate(rows)], dtype=np.int64))


def confidence(iou: np.ndarray, rows: Sequence[np.ndarray], chosen: np.ndarray, temperature: float) -> np.ndarray:
    """How clearly each sample's candidate is its own (beyond the paper): softmax(soft IoU / temperature) over its rows.

    iou: float (B, M); chosen: int (B,), a row or NONE. Returns float32 (B,): 1 for a single candidate, 1 / K where all
    K are alike, 0 for NONE.
    """
    weights = np.zeros(len(chosen), dtype=np.float32)
    for i, (own, row) in enumerate(zip(rows, chosen.tolist(), strict=True)):
        if row != NONE:
            scaled = (iou[i, own] - iou[i, row]) / temperature
            weights[i] = 1 / np.exp(np.minimum(scaled, 80)).sum()
    return weights


def at_random(
    image_ids: np.ndarray, ref_ids: np.ndarray, rows: Sequence[np.ndarray], seed: Sequence[int] = (0,)
) -> Assignment:
    """A random candidate per ref, the same for all its samples (``random_ce``).

    Refs of one image get different candidates while there are enough: random weights, then a maximum matching; refs
    that are left over draw again from all of theirs. What is drawn for an image depends on ``seed`` and its id only.
    A sample with one candidate takes it (of masks selected per sentence, samples of a ref have one each).
    """
    chosen = np.full(len(image_ids), NONE, dtype=np.int64)
    for refs in _refs_by_image(image_ids, ref_ids, rows):
        # The plan draws an image's sentences by the same seed, epoch and id.
        rng = stream(seed, image_ids[refs[0].samples[0]], kind=1)
        columns = np.unique(np.concatenate([ref.rows for ref in refs]))
        weights = np.where([np.isin(columns, ref.rows) for ref in refs], rng.random((len(refs), len(columns))), -np.inf)
        spare = [rng.choice(ref.rows) for ref in refs]
        for ref, row in zip(refs, spare, strict=True):
            chosen[ref.samples] = row
        for r, c in best_pairs(weights):
            chosen[refs[r].samples] = columns[c]
    alone = [i for i, own in enumerate(rows) if len(own) == 1]
    chosen[alone] = [rows[i][0] for i in alone]
    return Assignment.once(chosen)


def _refs_by_image(image_ids: np.ndarray, ref_ids: np.ndarray, rows: Sequence[np.ndarray]) -> Iterator[list[_Ref]]:
    """The refs of each image, by ascending ids."""
    if not len(image_ids):
        return
    order = np.lexsort((ref_ids, image_ids))
    images, refs = np.asarray(image_ids)[order], np.asarray(ref_ids)[order]
    new_image = np.flatnonzero(np.diff(images)) + 1
    for one_image in np.split(np.arange(len(order)), new_image):
        new_ref = np.flatnonzero(np.diff(refs[one_image])) + 1
        groups = np.split(order[one_image], new_ref)
        yield [_Ref(samples, np.sort(rows[samples[0]])) for samples in groups]


def _table(refs: Sequence[_Ref], iou: np.ndarray, pool: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The candidate rows of an image (C,), and the soft IoU of each ref with each, pooled over its samples (R, C).

    -inf: not its own.
    """
    columns = np.unique(np.concatenate([ref.rows for ref in refs]))
    table = np.full((len(refs), len(columns)), -np.inf)
    for line, ref in zip(table, refs, strict=True):
        line[np.searchsorted(columns, ref.rows)] = pool(iou[np.ix_(ref.samples, ref.rows)], axis=0)
    return columns, table
