"""Which choices a person should look at first: signs of doubt, each from files of its own, and one way to rank by them.

A sign is a number by ref, the larger the more doubtful. Signs have no common scale, so each becomes a place among the
split's refs, from 0 to 1, equal ones in the middle of their places; several signs are the mean of these places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ssc_core.masks import rle
from ssc_core.masks.choice import NONE, eligible
from ssc_core.masks.resize import resize_nearest
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.report.label_rows import DOUBTFUL, LabelRow, Run
from ssc_core.select.ensemble import scorer_of

SAME = 0.5
"""IoU below which two masks are of different objects."""


MasksOf = Callable[[int], Sequence[tuple[rle.Size, bytes]]]
"""A ref's masks by a network, one per sentence where it has one: (height, width) and COCO compressed RLE."""


@dataclass(frozen=True, slots=True)
class Sign:
    """amount: by ref; a ref of which it knows nothing is absent, and takes the lowest place. words: by ref, for those
    that have something to say."""

    amount: Mapping[int, float]
    words: Mapping[int, str]


TOGETHER = ("margin", "scorers", "network")
"""Signs that count together. Sentences that disagree do so where the margin is small, and alone find fewer wrong
choices than it does: they would only blur it (measured: docs/review.md)."""


def signs_of(
    run: Run, rows: Sequence[LabelRow], scorers: Sequence[ScoreStore] = (), network: MasksOf | None = None
) -> dict[str, Sign]:
    """The signs that can be read from what there is, by name.

    rows: ``label_rows`` of ``run``, one per ref. scorers: of all files of scores, with a weight or not; network: masks
    of a trained network.
    """
    found = {"margin": _margins(rows), "sentences": _sentences(run, rows)}
    if len(scorers) > 1:
        found["scorers"] = _scorers(run, rows, scorers)
    if network is not None:
        found["network"] = _network(run, rows, network)
    return found


def by(signs: Mapping[str, Sign], order: str) -> dict[str, Sign]:
    """The signs that an order goes by: those that count ``TOGETHER`` for "doubt", none for "table", else the one that
    it names."""
    names = {"doubt": TOGETHER, "table": ()}.get(order, (order,))
    return {name: sign for name, sign in signs.items() if name in names}


def places(rows: Sequence[LabelRow], signs: Mapping[str, Sign]) -> dict[int, float]:
    """How doubtful each ref is among those of ``rows``, by ref, in 0..1: the mean of its places by each sign."""
    ids = [row.ref.ref_id for row in rows]
    by_sign = [_places([sign.amount.get(ref_id, -np.inf) for ref_id in ids]) for sign in signs.values()]
    return (
        dict(zip(ids, np.mean(by_sign, axis=0).tolist(), strict=True)) if by_sign and ids else dict.fromkeys(ids, 0.0)
    )


def _places(amounts: Sequence[float]) -> np.ndarray:
    return (rankdata(amounts) - 0.5) / len(amounts)


def _margins(rows: Sequence[LabelRow]) -> Sign:
    known = {row.ref.ref_id: row.margin for row in rows if not np.isnan(row.margin)}
    limit = float(np.quantile(list(known.values()), DOUBTFUL)) if known else -1.0
    words = {ref: f"two candidates score alike ({margin:.2f})" for ref, margin in known.items() if margin <= limit}
    return Sign({ref: -margin for ref, margin in known.items()}, words)


def _sentences(run: Run, rows: Sequence[LabelRow]) -> Sign:
    def picks(row: LabelRow) -> list[int]:
        areas = run.scores.areas(row.ref.ref_id)
        return [_pick(of, areas, run.least_area) for of in run.scores.scores(row.ref.ref_id)]

    return _against(rows, picks, "{} of its {} sentences would take another")


def _scorers(run: Run, rows: Sequence[LabelRow], stores: Sequence[ScoreStore]) -> Sign:
    def picks(row: LabelRow) -> list[int]:
        ref, areas = row.ref.ref_id, run.scores.areas(row.ref.ref_id)
        own = [store.scores(ref) for store in stores if ref in known[scorer_of(store)]]
        return [_pick(of.mean(axis=0), areas, run.least_area) for of in own if of.shape[1] == len(areas)]

    known = {scorer_of(store): set(store.ref_ids.tolist()) for store in stores}
    return _against(rows, picks, "{} of {} scorers would take another")


def _pick(scores: np.ndarray, areas: np.ndarray, least_area: int) -> int:
    """Index of the best of those that may be chosen, scores (K,); ``NONE`` without any."""
    allowed = eligible(areas, least_area)
    return int(np.where(allowed, scores, -np.inf).argmax()) if allowed.any() else NONE


def _against(rows: Sequence[LabelRow], picks: Callable[[LabelRow], list[int]], words: str) -> Sign:
    """The share of some voices that would choose otherwise."""
    amount: dict[int, float] = {}
    said: dict[int, str] = {}
    for row in rows:
        own = picks(row)
        if row.found > 1 and row.chosen != NONE and len(own) > 1:
            others = sum(pick != row.chosen for pick in own)
            amount[row.ref.ref_id] = others / len(own)
            if others:
                said[row.ref.ref_id] = words.format(others, len(own))
    return Sign(amount, said)


def _network(run: Run, rows: Sequence[LabelRow], network: MasksOf) -> Sign:
    amount: dict[int, float] = {}
    said: dict[int, str] = {}
    for row in rows:
        ref_id = row.ref.ref_id
        masks = network(ref_id) if run.selected.rle(ref_id, row.choice) is not None else []
        if masks:
            iou = float(np.mean([_iou(run.selected, row, size, mask) for size, mask in masks]))
            amount[ref_id] = 1 - iou
            if iou < SAME:
                said[ref_id] = f"the network means something else (IoU {100 * iou:.0f} %)"
    return Sign(amount, said)


def _iou(selected: SelectionStore, row: LabelRow, size: rle.Size, mask: bytes) -> float:
    """Of a choice with a mask of any size: there, by nearest neighbour."""
    own = selected.rle(row.ref.ref_id, row.choice)
    if own is None or size != selected.size(row.ref.ref_id):
        own = rle.encode(resize_nearest(selected.mask(row.ref.ref_id, row.choice), size)[None])[0]
    return float(rle.ious([own], [mask], size)[0, 0])


def chosen_by(network: SelectionStore) -> MasksOf:
    """What a network chose among the candidates (``chosen_METHOD.h5``)."""
    known = set(network.ref_ids.tolist())

    def masks(ref_id: int) -> list[tuple[rle.Size, bytes]]:
        own = [network.rle(ref_id, one) for one in range(network.choices(ref_id))] if ref_id in known else []
        return [(network.size(ref_id), mask) for mask in own if mask is not None]

    return masks


def predicted_in(rows: pd.DataFrame) -> MasksOf:
    """A network's own masks, of the rows of its evaluation (``evaluate.pairs``)."""
    by_ref: dict[int, list[tuple[rle.Size, bytes]]] = {}
    columns = (rows[name].tolist() for name in ("ref_id", "rle_height", "rle_width", "rle"))
    for ref_id, height, width, mask in zip(*columns, strict=True):
        by_ref.setdefault(ref_id, []).append(((height, width), mask.encode("ascii")))
    return lambda ref_id: by_ref.get(ref_id, [])
