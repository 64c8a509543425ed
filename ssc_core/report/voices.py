"""What else speaks for or against a choice: its ref's sentences, all scorers, a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssc_core.masks import rle
from ssc_core.masks.choice import NONE, eligible
from ssc_core.masks.resize import resize_nearest
from ssc_core.masks.selection import SelectionStore
from ssc_core.report.run import Run


class Voices(NamedTuple):
    """voices: sentences that were asked, against: of these, those that would take another candidate; scorers,
    scorers_against: the same of scorers; network: IoU of a network's mask with the choice, NaN where none is known."""

    voices: int
    against: int
    scorers: int
    scorers_against: int
    network: float


def voices(run: Run, ref_id: int, choice: int, found: int, chosen: int) -> Voices:
    """Of a choice with ``found`` candidates, of which ``chosen`` is the index. Where there is nothing to choose from,
    and where a person drew the mask, only a network has something to say."""
    sentences: Sequence[int] = ()
    scorers: Sequence[int] = ()
    if found > 1 and 0 <= chosen < found:
        sentences, scorers = _sentences(run, ref_id), _scorers(run, ref_id, choice)
    return Voices(
        len(sentences), sum(one != chosen for one in sentences),
        len(scorers), sum(one != chosen for one in scorers),
        _network(run, ref_id, choice),
    )  # fmt: skip


def _sentences(run: Run, ref_id: int) -> Sequence[int]:
    """What each would take. Where each has a choice of its own, none speaks against another."""
    return () if run.per_sentence else [_pick(run, ref_id, of) for of in run.scores.scores(ref_id)]


def _scorers(run: Run, ref_id: int, choice: int) -> Sequence[int]:
    """What each would take."""
    if len(run.scorers) < 2:
        return ()
    own = [store.scores(ref_id)[run.sentences_of(choice)] for store in run.scorers if ref_id in store]
    candidates = len(run.scores.areas(ref_id))
    return [_pick(run, ref_id, of.mean(axis=0)) for of in own if of.shape[1] == candidates]


def _pick(run: Run, ref_id: int, scores: np.ndarray) -> int:
    """Index of the best of those that may be chosen, scores (K,); ``NONE`` without any."""
    allowed = eligible(run.scores.areas(ref_id), run.least_area)
    return int(np.where(allowed, scores, -np.inf).argmax()) if allowed.any() else NONE


def _network(run: Run, ref_id: int, choice: int) -> float:
    if run.network is None or run.selected.rle(ref_id, choice) is None:
        return float("nan")
    of_sentences = run.network(ref_id)[run.sentences_of(choice)]
    ious = [_iou(run.selected, ref_id, choice, size, mask) for size, mask in of_sentences if mask is not None]
    return float(np.mean(ious)) if ious else float("nan")


def _iou(selected: SelectionStore, ref_id: int, choice: int, size: rle.Size, mask: bytes) -> float:
    """Of a choice with a mask of any size: there, by nearest neighbour."""
    own = selected.rle(ref_id, choice)
    if own is None or size != selected.size(ref_id):
        own = rle.encode(resize_nearest(selected.mask(ref_id, choice), size)[None])[0]
    return float(rle.ious([own], [mask], size)[0, 0])
