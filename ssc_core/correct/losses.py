"""Losses of Correct: match, then segment. Each docstring has its formula.

Every loss is a function of ``(image_ids, ref_ids, logits, candidates)`` for B samples:

    image_ids, ref_ids   int (B,), on the CPU
    logits               (B, 2, H, W), background and foreground
    candidates           Candidates, or one bool (K_i, H, W) per sample, K_i >= 1

and returns a ``MatchedLoss``. Those that match by soft IoU also take ``judge``, logits of a teacher that decide instead
of ``logits``, and ``temperature``, which weights samples by ``matching.confidence``. ``share`` says how large a part of
an optimiser step the samples are: losses are means over the step's samples, so passes and devices add up to the loss of
the whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssc_core.correct import matching
from ssc_core.correct.matching import Assignment, Candidates

BY_SOFT_IOU = frozenset({"greedy_ce", "greedy_no_constraints", "greedy_ce_contrastive"})
"""Losses that match by the network's own predictions."""


@dataclass(frozen=True, slots=True)
class PixelLoss:
    """Cross entropy with class weights (background, foreground), plus ``dice`` times a Dice term."""

    class_weights: tuple[float, float] = (0.9, 1.1)
    dice: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """Samples, and ordered pairs of samples of one image, in the whole optimiser step."""

    samples: int
    pairs: int

    @classmethod
    def of(cls, image_ids: np.ndarray) -> Share:
        """A step that consists of these samples alone."""
        counts = np.unique(image_ids, return_counts=True)[1]
        return cls(len(image_ids), int((counts * (counts - 1)).sum()))


class MatchedLoss(NamedTuple):
    """value: scalar, differentiable; assignment: who was trained on what; soft_iou: (B,), of each with its target."""

    value: Tensor
    assignment: Assignment
    soft_iou: Tensor


def pixel_loss(logits: Tensor, targets: Tensor, options: PixelLoss = PixelLoss()) -> Tensor:
    """Loss of each sample, float32 (B,). logits: (B, 2, H, W); targets: bool (B, H, W).

    Cross entropy: the weighted mean over a sample's pixels, divided by the sum of their weights. Of two classes only
    the difference of logits counts: -log softmax = softplus(-+difference), half the memory of a softmax. Dice:
    1 - (2 sum(p t) + 1) / (sum p + sum t + 1).
    """
    difference = _difference(logits).flatten(1)
    t = targets.flatten(1).to(difference.dtype)
    background, foreground = options.class_weights
    weights = background + (foreground - background) * t
    entropy = F.binary_cross_entropy_with_logits(difference, t, weights, reduction="none")
    loss = entropy.sum(1) / weights.sum(1)
    if options.dice:
        p = difference.sigmoid()
        loss = loss + options.dice * (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1))
    return loss


def random_ce(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    logits: Tensor,
    candidates: Candidates | Sequence[Tensor],
    *,
    options: PixelLoss = PixelLoss(),
    share: Share | None = None,
    seed: Sequence[int] = (0,),
) -> MatchedLoss:
    """Train on a random candidate per ref. See ``matching.at_random``."""
    candidates = _as_candidates(candidates)
    assignment = matching.at_random(image_ids, ref_ids, candidates.rows, seed)
    return _segment(logits, candidates, assignment, options, share or Share.of(image_ids))


def supervised(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    logits: Tensor,
    candidates: Candidates | Sequence[Tensor],
    *,
    options: PixelLoss = PixelLoss(),
    share: Share | None = None,
) -> MatchedLoss:
    """Train on the ground truth: each sample's one candidate is its ref's mask. The upper bound."""
    candidates = _as_candidates(candidates)
    if any(len(rows) != 1 for rows in candidates.rows):
        raise ValueError("supervised training takes exactly one mask per sample")
    assignment = Assignment.once(np.array([rows[0] for rows in candidates.rows], dtype=np.int64))
    return _segment(logits, candidates, assignment, options, share or Share.of(image_ids))


def greedy_ce(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    logits: Tensor,
    candidates: Candidates | Sequence[Tensor],
    *,
    options: PixelLoss = PixelLoss(),
    share: Share | None = None,
    judge: Tensor | None = None,
    temperature: float | None = None,
    optimal: bool = False,
    double_count: bool = False,
) -> MatchedLoss:
    """Train each ref on what constrained matching gives it. See ``matching.greedy`` and ``matching.optimal``."""
    candidates = _as_candidates(candidates)
    iou = _iou_table(logits if judge is None else judge, candidates)
    if optimal:
        assignment = matching.optimal(image_ids, ref_ids, iou, candidates.rows)
    else:
        assignment = matching.greedy(image_ids, ref_ids, iou, candidates.rows, double_count=double_count)
    weights = _confidence(iou, candidates, assignment, temperature)
    return _segment(logits, candidates, assignment, options, share or Share.of(image_ids), weights)


def greedy_no_constraints(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    logits: Tensor,
    candidates: Candidates | Sequence[Tensor],
    *,
    options: PixelLoss = PixelLoss(),
    share: Share | None = None,
    judge: Tensor | None = None,
    temperature: float | None = None,
) -> MatchedLoss:
    """Train each sample on its own best candidate, whatever the image's other refs take."""
    candidates = _as_candidates(candidates)
    iou = _iou_table(logits if judge is None else judge, candidates)
    assignment = matching.best(image_ids, ref_ids, iou, candidates.rows)
    weights = _confidence(iou, candidates, assignment, temperature)
    return _segment(logits, candidates, assignment, options, share or Share.of(image_ids), weights)


def greedy_ce_contrastive(
    image_ids: np.ndarray,
    ref_ids: np.ndarray,
    logits: Tensor,
    candidates: Candidates | Sequence[Tensor],
    *,
    alpha: float = 0.01,
    options: PixelLoss = PixelLoss(),
    share: Share | None = None,
    **matched_by: Any,
) -> MatchedLoss:
    """``greedy_ce`` plus ``alpha`` times ``contrast`` over the samples of an image. matched_by: as of ``greedy_ce``."""
    candidates = _as_candidates(candidates)
    share = share or Share.of(image_ids)
    matched = greedy_ce(image_ids, ref_ids, logits, candidates, options=options, share=share, **matched_by)
    targets = _targets(candidates, matched.assignment)
    value = matched.value + alpha * contrast(image_ids, ref_ids, logits, targets).sum() / max(share.pairs, 1)
    return matched._replace(value=value)


def contrast(image_ids: np.ndarray, ref_ids: np.ndarray, logits: Tensor, targets: Tensor) -> Tensor:
    """Term of every ordered pair of samples, float32 (B, B); 0 on the diagonal and across images.

    With KL(i, j) = sum over both classes and pixels of p_j (log p_j - log p_i), divided by 2: samples of one ref are
    pulled together by KL / (H W); samples of different refs are pushed apart by min(1, 1 / (0.1 KL)), KL over the
    pixels of either target only. targets: bool (B, H, W), empty for samples without a candidate.

    All pairs at once, by matrix products: with union = t_i + t_j - t_i t_j, a sum over its pixels is one of products of
    what belongs to i and what belongs to j.
    """
    with torch.autocast(logits.device.type, enabled=False):
        difference = _difference(logits).flatten(1)
        log_p = torch.cat([F.logsigmoid(-difference), F.logsigmoid(difference)], dim=1)  # (B, 2 H W)
        p = log_p.exp()
        t = targets.flatten(1).to(p.dtype).repeat(1, 2)
        negative_entropy = p * log_p

        everywhere = negative_entropy.sum(1)[None, :] - log_p @ p.T
        in_i = t @ negative_entropy.T - (t * log_p) @ p.T
        in_j = (t * negative_entropy).sum(1)[None, :] - log_p @ (t * p).T
        in_both = t @ (t * negative_entropy).T - (t * log_p) @ (t * p).T
        in_either = in_i + in_j - in_both

        pull = everywhere / 2 / difference.shape[1]
        push = 1 / (0.1 * in_either / 2).clamp(min=1)
        images, refs = (torch.as_tensor(np.asarray(ids), device=p.device) for ids in (image_ids, ref_ids))
        terms = torch.where(refs[:, None] == refs[None, :], pull, push)
        pairs = (images[:, None] == images[None, :]).fill_diagonal_(False)
        return torch.where(pairs, terms, 0)


def _difference(logits: Tensor) -> Tensor:
    """Foreground minus background logit, float32 (B, H, W)."""
    return logits[:, 1].float() - logits[:, 0].float()


def _iou_table(logits: Tensor, candidates: Candidates) -> np.ndarray:
    """Soft IoU of all samples and instances, (B, M): the one transfer to the CPU."""
    return matching.soft_iou(_difference(logits.detach()).sigmoid(), candidates.masks).cpu().numpy()


def _confidence(
    iou: np.ndarray, candidates: Candidates, assignment: Assignment, temperature: float | None
) -> np.ndarray | None:
    if temperature is None:
        return None
    return matching.confidence(iou, candidates.rows, assignment.rows, temperature)


def _targets(candidates: Candidates, assignment: Assignment) -> Tensor:
    """The mask of each sample, bool (B, H, W); empty where it has none."""
    device = candidates.masks.device
    rows = torch.from_numpy(np.maximum(assignment.rows, 0)).to(device, non_blocking=True)
    has_one = torch.from_numpy(assignment.times > 0).to(device, non_blocking=True)
    return candidates.masks[rows] & has_one[:, None, None]


def _segment(
    logits: Tensor,
    candidates: Candidates,
    assignment: Assignment,
    options: PixelLoss,
    share: Share,
    weights: np.ndarray | None = None,
) -> MatchedLoss:
    targets = _targets(candidates, assignment)
    counted = assignment.times if weights is None else assignment.times * weights
    times = torch.from_numpy(counted).to(logits.device, torch.float32, non_blocking=True)
    value = (times * pixel_loss(logits, targets, options)).sum() / share.samples
    with torch.no_grad():
        p, t = _difference(logits).sigmoid().flatten(1), targets.flatten(1)
        intersection = (p * t).sum(1)
        iou = intersection / (p.sum(1) + t.sum(1) - intersection).clamp(min=1e-6)
    return MatchedLoss(value, assignment, iou)


def _as_candidates(candidates: Candidates | Sequence[Tensor]) -> Candidates:
    return candidates if isinstance(candidates, Candidates) else Candidates.from_lists(candidates)
