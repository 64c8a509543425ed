"""Which images and sentences an optimiser step takes: a pure function of the data, the settings and the seed.

So a run can go on after any step, on any number of devices, and sees what an undisturbed run would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssc_core.correct.draws import stream
from ssc_core.correct.items import ImageItem, Items
from ssc_core.errors import SscError

_MIRRORED = 2
"""A kind of what is drawn, as ``draws.stream`` has them."""


class Sample(NamedTuple):
    """Indices: of an image among the items, of a ref of that image, of a sentence of that ref. mirrored: the photo is,
    as for all samples of that image."""

    image: int
    ref: int
    sentence: int
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step. images: indices of the items, whole images; samples, pairs: as ``losses.StepSize``."""

    epoch: int
    images: np.ndarray
    samples: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a run. samples_per_image: int (I,). mirror: share of photos that an epoch mirrors."""

    steps: tuple[Step, ...]
    samples_per_image: np.ndarray
    all_sentences: bool
    seed: int
    mirror: float = 0.0

    def samples(self, items: Items, epoch: int, images: Sequence[int] | np.ndarray) -> list[Sample]:
        """The samples of images in an epoch: all sentences, or one of each ref at random; photos mirrored at random."""
        return [
            Sample(image, ref, sentence, turned)
            for image in images
            for turned in (self._is_mirrored(items.images[image], epoch),)
            for ref, sentence in self._sentences(items.images[image], epoch)
        ]

    def passes(self, step: Step, most_samples: int | None, processes: int) -> list[list[np.ndarray]]:
        """Split a step's images over processes and, where a pass may hold no more than ``most_samples``, over passes.

        Returns for each process its passes. All processes get the same number of passes, none of them empty. An image
        is never split, so one with more samples than allowed makes a pass of its own; and where a step has fewer images
        than so many passes of all processes need, some together have more: see ``crowded``.
        """
        counts = self.samples_per_image[step.images]
        passes = 1
        while True:
            parts = _split_evenly(counts, processes * passes)
            large = [part for part in parts if most_samples is not None and counts[part].sum() > most_samples]
            if all(len(counts[part]) == 1 for part in large) or processes * (passes + 1) > len(counts):
                break
            passes += 1
        return [[step.images[part] for part in parts[p * passes : (p + 1) * passes]] for p in range(processes)]

    def _is_mirrored(self, item: ImageItem, epoch: int) -> bool:
        return self.mirror > 0 and stream([self.seed, epoch], item.image_id, kind=_MIRRORED).random() < self.mirror

    def _sentences(self, item: ImageItem, epoch: int) -> list[tuple[int, int]]:
        counts = [len(ref.ids) for ref in item.refs]
        if self.all_sentences:
            return [(ref, sentence) for ref, count in enumerate(counts) for sentence in range(count)]
        drawn = stream([self.seed, epoch], item.image_id).integers(0, counts)
        return list(enumerate(drawn.tolist()))


def make_plan(
    items: Items,
    *,
    epochs: int,
    batch_samples: int,
    seed: int,
    all_sentences: bool = False,
    mirror: float = 0.0,
    processes: int = 1,
    skip_images: int = 0,
) -> Plan:
    """Shuffle the images of every epoch and cut them into steps.

    A step takes whole images while their samples are at most ``batch_samples`` together, since the constraints of
    matching hold over all refs of an image; only an image with more samples than that exceeds it, and a step that has
    an image for each process. What is left at the end of an epoch makes a smaller step, or joins the last one when it
    has fewer images than there are processes.

    skip_images: as the published loop (``drop_first_batch``), an epoch leaves out so many images at its beginning, its
    first loader batch, and what is left at its end. Raises SscError when that, or the number of processes, leaves no
    step.
    """
    counts = np.array([sum(len(r.ids) if all_sentences else 1 for r in image.refs) for image in items.images])
    steps = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(counts))
        groups = _cut(order[skip_images:], counts, batch_samples, processes)
        if skip_images and groups and counts[groups[-1]].sum() < batch_samples:
            groups.pop()
        if len(groups) > 1 and len(groups[-1]) < processes:
            groups[-2:] = [np.concatenate(groups[-2:])]
        if not groups or min(map(len, groups)) < processes:
            skipped = f", the first {skip_images} images of an epoch left out" if skip_images else ""
            raise SscError(
                f"{len(counts)} images with {counts.sum()} samples are too few for steps of {batch_samples} samples on "
                f"{processes} process(es){skipped}"
            )
        steps += [
            Step(epoch, images, int(counts[images].sum()), int((counts[images] * (counts[images] - 1)).sum()))
            for images in groups
        ]
    return Plan(tuple(steps), counts, all_sentences, seed, mirror)


def crowded(plan: Plan, most_samples: int | None, processes: int) -> str | None:
    """For people, where passes of several images have more than ``most_samples``; None where none has."""
    if most_samples is None or processes == 1:  # one process has as many passes as images, if need be
        return None
    passes = (part for step in plan.steps for own in plan.passes(step, most_samples, processes) for part in own)
    most = max((int(plan.samples_per_image[images].sum()) for images in passes if len(images) > 1), default=0)
    if most <= most_samples:
        return None
    return (
        f"up to {most} samples go through a device at once, and not {most_samples} (`max_samples_per_pass`): each of "
        f"{processes} processes needs an image in every pass, and some steps have too few for more passes. Should "
        "memory run out, take fewer processes (`compute.gpus`, `compute.nodes`)"
    )


def _cut(order: np.ndarray, counts: np.ndarray, most: int, images: int) -> list[np.ndarray]:
    """Rows of at least so many images, of at most so many samples where that can be."""
    groups: list[list[int]] = []
    filled = 0
    for image in order.tolist():
        if not groups or (filled + counts[image] > most and len(groups[-1]) >= images):
            groups.append([])
            filled = 0
        groups[-1].append(image)
        filled += counts[image]
    return [np.array(group) for group in groups]


def _split_evenly(counts: np.ndarray, parts: int) -> list[slice]:
    """Cut a row into ``parts`` non-empty pieces of about the same sum."""
    ends = np.cumsum(counts)
    bounds = [0]
    for part in range(1, parts):
        bound = int(np.searchsorted(ends, ends[-1] * part / parts, side="right"))
        bounds.append(min(max(bound, bounds[-1] + 1), len(counts) - (parts - part)))
    return [slice(a, b) for a, b in zip(bounds, [*bounds[1:], len(counts)], strict=True)]
