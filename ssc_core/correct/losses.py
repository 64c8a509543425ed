"""Losses of Correct: match, then segment.

A loss is a function of ``Samples``, a batch's samples and what the network says of them, and ``Options``, what the
config says of training; it returns a ``MatchedLoss``. The config names it: by a name that ``ssc_core.registry.LOSS``
lists, or by ``module:name`` or ``file.py:name``. Losses are means over an optimiser step's samples, so passes and
devices add up to the loss of the whole step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssc_core.checkers import Checker, describe
from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct import matching
from ssc_core.correct.matching import NONE, Assignment, Candidates
from ssc_core.plugins import load_function
from ssc_core.registry import LOSS


@dataclass(frozen=True, slots=True)
class PixelLoss:
    """Cross entropy with class weights (background, foreground), plus ``dice`` times a Dice term."""

    class_weights: tuple[float, float] = (0.9, 1.1)
    dice: float = 0.0


@dataclass(frozen=True, slots=True)
class StepSize:
    """Samples, and ordered pairs of samples of one image, in the whole optimiser step."""

    samples: int
    pairs: int

    @classmethod
    def of(cls, image_ids: np.ndarray) -> StepSize:
        """A step that consists of these samples alone."""
        counts = np.unique(image_ids, return_counts=True)[1]
        return cls(len(image_ids), int((counts * (counts - 1)).sum()))


@dataclass(frozen=True, slots=True)
class Options:
    """What the config says. pixel: ``class_weights`` and ``dice_weight``; prior: ``prior_weight``; temperature:
    ``confidence_temperature``; optimal: of ``assignment``; double_count: ``compat.matching_double_count``; contrast:
    ``contrastive_weight``."""

    pixel: PixelLoss = PixelLoss()
    prior: float = 0.0
    temperature: float | None = None
    optimal: bool = False
    double_count: bool = False
    contrast: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Samples:
    """B samples, of whole images.

    image_ids, ref_ids: int (B,), NumPy; logits: (B, 2, H, W), background and foreground; candidates: of each sample;
    step: the optimiser step that they are part of; epoch: from 0; teacher: gives the logits of a teacher, where there
    is one that is to decide on the matching; done: share of the training's steps before this one.
    """

    image_ids: np.ndarray
    ref_ids: np.ndarray
    logits: Tensor
    candidates: Candidates
    step: StepSize
    epoch: int = 0
    teacher: Callable[[], Tensor] | None = None
    done: float = 0.0

    @cached_property
    def soft_iou(self) -> np.ndarray:
        """Soft IoU of the predictions, or the teacher's, with all instances, (B, M): one transfer to the CPU."""
        judge = self.logits.detach() if self.teacher is None else self.teacher()
        return matching.soft_iou(_difference(judge).sigmoid(), self.candidates.masks).cpu().numpy()

    def targets(self, assignment: Assignment) -> Tensor:
        """The mask of each sample, bool (B, H, W); empty where it has none."""
        device = self.candidates.masks.device
        rows = torch.from_numpy(np.maximum(assignment.rows, 0)).to(device, non_blocking=True)
        has_one = torch.from_numpy(assignment.times > 0).to(device, non_blocking=True)
        return self.candidates.masks[rows] & has_one[:, None, None]


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


def random_ce(samples: Samples, options: Options = Options()) -> MatchedLoss:
    """Train on a random candidate per ref. See ``matching.at_random``."""
    seed = (options.seed, samples.epoch)
    return segment(samples, matching.at_random(*_ids(samples), samples.candidates.rows, seed), options)


def supervised(samples: Samples, options: Options = Options()) -> MatchedLoss:
    """Train on the ground truth: each sample's one candidate is its ref's mask. The upper bound."""
    if any(len(rows) != 1 for rows in samples.candidates.rows):
        raise ValueError("supervised training takes exactly one mask per sample")
    rows = np.array([rows[0] for rows in samples.candidates.rows], dtype=np.int64)
    return segment(samples, Assignment.once(rows), options)


def greedy_ce(samples: Samples, options: Options = Options()) -> MatchedLoss:
    """Train each ref on what constrained matching gives it. See ``matching.greedy`` and ``matching.optimal``."""
    fit = _fit(samples, options)
    table = (*_ids(samples), fit, samples.candidates.rows)
    if options.optimal:
        assignment = matching.optimal(*table)
    else:
        assignment = matching.greedy(*table, double_count=options.double_count)
    return segment(samples, assignment, options, _confidence(samples, options, assignment))


def greedy_no_constraints(samples: Samples, options: Options = Options()) -> MatchedLoss:
    """Train each sample on its own best candidate, whatever the image's other refs take."""
    fit = _fit(samples, options)
    assignment = matching.best(*_ids(samples), fit, samples.candidates.rows)
    return segment(samples, assignment, options, _confidence(samples, options, assignment))


def greedy_ce_contrastive(samples: Samples, options: Options = Options()) -> MatchedLoss:
    """``greedy_ce`` plus ``options.contrast`` times ``contrast`` over the samples of an image."""
    matched = greedy_ce(samples, options)
    terms = contrast(*_ids(samples), samples.logits, samples.targets(matched.assignment))
    return matched._replace(value=matched.value + options.contrast * terms.sum() / max(samples.step.pairs, 1))


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


def _ids(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    return samples.image_ids, samples.ref_ids


def _fit(samples: Samples, options: Options) -> np.ndarray:
    """What matching goes by, (B, M): soft IoU and, the less the longer the network has learned, what Select says."""
    weight = options.prior * (1 - samples.done)
    if weight == 0:
        return samples.soft_iou
    return matching.with_prior(samples.soft_iou, samples.candidates.rows, samples.candidates.prior, weight)


def _confidence(samples: Samples, options: Options, assignment: Assignment) -> np.ndarray | None:
    """By soft IoU alone: a sure pick of Select says nothing of how clearly the network tells candidates apart."""
    if options.temperature is None:
        return None
    return matching.confidence(samples.soft_iou, samples.candidates.rows, assignment.rows, options.temperature)


def segment(
    samples: Samples, assignment: Assignment, options: Options = Options(), weights: np.ndarray | None = None
) -> MatchedLoss:
    """The pixel loss of each sample with what it is assigned. weights: float (B,), how much each counts, besides
    ``assignment.times``; None: 1."""
    targets = samples.targets(assignment)
    counted = assignment.times if weights is None else assignment.times * weights
    times = torch.from_numpy(counted).to(samples.logits.device, torch.float32, non_blocking=True)
    value = (times * pixel_loss(samples.logits, targets, options.pixel)).sum() / samples.step.samples
    with torch.no_grad():
        p, t = _difference(samples.logits).sigmoid().flatten(1), targets.flatten(1)
        intersection = (p * t).sum(1)
        iou = intersection / (p.sum(1) + t.sum(1) - intersection).clamp(min=1e-6)
    return MatchedLoss(value, assignment, iou)


def load_loss(name: str) -> CheckedLoss:
    """The loss that a config names, behind its checker. Raises SscError when the name does not resolve."""
    return CheckedLoss(load_function(LOSS, name), name)


class CheckedLoss(Checker):
    """A loss: what it returns is of the right kinds and shapes, or SscError says what is not."""

    kind = "loss"
    page = "docs/extending.md"

    def __call__(self, samples: Samples, options: Options) -> MatchedLoss:
        """As the module's docstring has it."""
        found = self._backend(samples, options)
        if not isinstance(found, MatchedLoss):
            self._fail("", f"{describe(found)}, not ssc_core.correct.losses.MatchedLoss")
        count = len(samples.ref_ids)
        if not (isinstance(found.value, Tensor) and found.value.shape == () and found.value.requires_grad):
            self._fail("", f"{_shape(found.value)} as value, not a scalar tensor that depends on the logits")
        if not (isinstance(found.soft_iou, Tensor) and found.soft_iou.shape == (count,)):
            self._fail("", f"{_shape(found.soft_iou)} as soft_iou, not a tensor ({count},)")
        for name, tensor in (("value", found.value), ("soft_iou", found.soft_iou)):
            if tensor.device != samples.logits.device:
                self._fail("", f"a {name} on {tensor.device}; the logits are on {samples.logits.device}")
        if not isinstance(found.assignment, Assignment):
            self._fail("", f"{describe(found.assignment)} as assignment, not ssc_core.correct.matching.Assignment")
        rows = self._array("", "assignment.rows", found.assignment.rows, "integer", (count,))
        times = self._array("", "assignment.times", found.assignment.times, "integer", (count,))
        own = zip(rows.tolist(), samples.candidates.rows, strict=True)
        if any(row != NONE and row not in candidates for row, candidates in own) or (times[rows == NONE] != 0).any():
            self._fail("", "assignment.rows that are no candidates of their samples (nor -1, times 0, for none)")
        return found


def _shape(value: object) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else describe(value)


def chosen_loss(settings: TrainSettings, compat: CompatSettings) -> Callable[..., MatchedLoss]:
    """The loss that the settings name, with the options that they give."""
    options = Options(
        pixel=PixelLoss(settings.class_weights, settings.dice_weight),
        prior=settings.prior_weight,
        temperature=settings.confidence_temperature,
        optimal=settings.assignment == "optimal",
        double_count=compat.matching_double_count,
        contrast=settings.contrastive_weight,
        seed=settings.seed,
    )
    return partial(load_loss(settings.loss), options=options)
