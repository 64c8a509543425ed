"""Evaluate candidate masks and the choices among them, in photo pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.evaluate import bins
from ssc_core.evaluate.figures import groups, measured
from ssc_core.evaluate.metrics import Overlaps, require_pairs
from ssc_core.evaluate.pairs import Truth
from ssc_core.evaluate.schema import CandidateStatistics, Choice, MasksEval, RunMeta, write_eval
from ssc_core.files import atomic_path
from ssc_core.masks import rle
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.settings import CompatSettings, EvaluateSettings

BUILT_IN = ("random", "first", "best")
"""Choices that need no selection. ``best`` is the candidate with the highest IoU: a bound, for testing only."""


def evaluate_masks(
    *,
    refs: pd.DataFrame,
    split: str,
    masks: MaskStore,
    truth: Truth,
    selections: Mapping[str, SelectionStore],
    min_area: int,
    out: Path,
    settings: EvaluateSettings,
    compat: CompatSettings,
    meta: Mapping[str, Any],
) -> MasksEval:
    """Evaluate ``random``, ``first``, ``best`` and every named selection; write ``out`` and ``candidates_path(out)``.

    A pair is a ref, as its sentences share one choice; where a selection chooses for every sentence, a pair is a
    sentence, for all choices alike. On ``train`` only the first ``settings.train_refs`` refs with ground truth are
    looked at, as published. A pair without a mask has IoU 0 and adds its object's area to the union; with
    ``compat.oiou_skips_empty`` refs without candidates add nothing to oIoU, as published. Refs without ground truth
    are left out and counted. Masks are compared as run lengths, without decoding them.

    refs: a RefTable of the dataset; masks: the split's masks.h5; selections: files made from it; min_area: pixels, as
    in Select: ``random`` and ``first`` pass over smaller candidates of a ref that has several; meta: fields of
    ``schema.RunMeta``.

    Raises SscError when no ref has ground truth, or masks or a selection do not fit the refs.
    """
    run = RunMeta.model_validate(meta)
    if taken := set(BUILT_IN) & selections.keys():
        raise ValueError(f"selections named {sorted(taken)} would hide the choices of that name")
    limit = settings.train_refs if split == "train" else None
    found, without_truth = _read_refs(refs[refs["split"] == split], masks, truth, limit)
    require_pairs(len(found), what=f"{run.dataset} {split}")

    per_sentence = any(selection.choice_per == "sentence" for selection in selections.values())
    rows = _table(found, _choose(found, selections, min_area, settings.seed), per_sentence=per_sentence)
    skipped = rows["candidates"].to_numpy() == 0 if compat.oiou_skips_empty else np.zeros(len(rows), bool)
    names = [name.removeprefix("index_") for name in rows.columns if name.startswith("index_")]
    result = MasksEval(
        **{**dict(run), "settings": {**run.settings, "evaluate": settings.model_dump(mode="json")}},
        split=split,
        per="sentence" if per_sentence else "ref",
        n_refs=len(found),
        n_pairs=len(rows),
        n_images=rows["image_id"].nunique(),
        refs_without_truth=without_truth,
        oiou_skips_empty=compat.oiou_skips_empty,
        empty_truths=sum(ref.truth_area == 0 for ref in found),
        candidates=_statistics(pd.Series([ref.count for ref in found])),
        choices={name: _choice(name, rows, skipped, settings) for name in names},
    )
    with atomic_path(candidates_path(out)) as temporary:
        rows.to_parquet(temporary, index=False)
    write_eval(out, result)
    return result


def candidates_path(out: Path) -> Path:
    """The rows of an eval file, one a pair: ``eval_masks_val.json`` -> ``eval_masks_val.parquet``.

    Columns: ``image_id ref_id sentence`` (index, 0 when a pair is a ref) ``category candidates area object_size
    num_candidates``, and for each choice C ``index_C`` among the ref's candidates (-1 none), ``intersection_C union_C
    iou_C`` (IoU in 0..1).
    """
    return Path(out).with_suffix(".parquet")


@dataclass(frozen=True, slots=True)
class _Ref:
    """A ref with ground truth.

    size: (height, width); truth_area: pixels; candidates: int64 (N,), instance rows; areas, intersections: int64 (N,),
    pixels of each candidate, and of what it shares with the truth.
    """

    ref_id: int
    image_id: int
    category: str
    sentences: int
    size: tuple[int, int]
    truth_area: int
    candidates: np.ndarray
    areas: np.ndarray
    intersections: np.ndarray

    @property
    def count(self) -> int:
        return len(self.candidates)

    @property
    def unions(self) -> np.ndarray:
        return self.areas + self.truth_area - self.intersections

    @property
    def ious(self) -> np.ndarray:
        return self.intersections / np.maximum(self.unions, 1)

    def eligible(self, min_area: int) -> list[int]:
        """Indices of the candidates that Select may choose: a lone one, or those of at least ``min_area`` pixels."""
        return [0] if self.count == 1 else np.flatnonzero(self.areas >= min_area).tolist()

    def overlap(self, index: int) -> tuple[int, int]:
        """Intersection and union of a candidate with the truth; index -1 is the empty mask."""
        if index < 0:
            return 0, self.truth_area
        return int(self.intersections[index]), int(self.unions[index])


def _read_refs(refs: pd.DataFrame, masks: MaskStore, truth: Truth, limit: int | None) -> tuple[list[_Ref], int]:
    """The refs with ground truth, the first ``limit`` of them, and how many were passed over for having none."""
    sentences = refs["ref_id"].value_counts()
    found: list[_Ref] = []
    without_truth = 0
    rows = refs.drop_duplicates("ref_id")
    row: Any
    for row in tqdm(rows.itertuples(), total=len(rows), desc="evaluate masks", unit="ref", mininterval=5):
        if len(found) == limit:
            break
        mask = truth.mask(row.ref_id)
        if mask is None:
            without_truth += 1
        else:
            found.append(_read_ref(row, int(sentences[row.ref_id]), masks, mask))
    return found, without_truth


def _read_ref(row: Any, sentences: int, masks: MaskStore, truth: np.ndarray) -> _Ref:
    size = masks.image_size(masks.image_of(row.ref_id))
    if size != truth.shape:
        raise SscError(
            f"{masks.path}: the photo of ref {row.ref_id} has {size[1]} x {size[0]} pixels, its ground truth "
            f"{truth.shape[1]} x {truth.shape[0]}; were the masks made from other photos?"
        )
    candidates = masks.candidates(row.ref_id).rows
    target = rle.encode(truth[None])[0]
    codes = masks.rles(candidates)
    return _Ref(
        ref_id=row.ref_id,
        image_id=row.image_id,
        category=row.category,
        sentences=sentences,
        size=size,
        truth_area=int(np.count_nonzero(truth)),
        candidates=candidates,
        areas=rle.areas(codes, size),
        intersections=rle.areas([rle.intersection([code, target], size) for code in codes], size),
    )


_Choices = dict[str, list[list[int]]]
"""By name and ref: the index of the chosen candidate for each sentence, or one for all; -1 for none."""


def _choose(found: list[_Ref], selections: Mapping[str, SelectionStore], min_area: int, seed: int) -> _Choices:
    return {
        "random": [[_random(ref, min_area, seed)] for ref in found],
        "first": [[next(iter(ref.eligible(min_area)), -1)] for ref in found],
        **{name: [_selected(ref, selection) for ref in found] for name, selection in selections.items()},
        "best": [[int(np.argmax(ref.ious)) if ref.count else -1] for ref in found],
    }


def _random(ref: _Ref, min_area: int, seed: int) -> int:
    """The same for a ref whatever other refs there are."""
    among = ref.eligible(min_area)
    return int(np.random.default_rng((seed, ref.ref_id)).choice(among)) if among else -1


def _selected(ref: _Ref, selection: SelectionStore) -> list[int]:
    index_of = {row: index for index, row in enumerate(ref.candidates.tolist())} | {-1: -1}
    rows = [selection.chosen(ref.ref_id, sentence) for sentence in range(selection.choices(ref.ref_id))]
    if unknown := set(rows) - index_of.keys():
        raise SscError(
            f"{selection.path} chooses mask {min(unknown)} for ref {ref.ref_id}, which is none of its candidates; "
            "was it made from other masks?"
        )
    return [index_of[row] for row in rows]


def _table(found: list[_Ref], chosen: _Choices, *, per_sentence: bool) -> pd.DataFrame:
    pairs = [(i, sentence) for i, ref in enumerate(found) for sentence in range(ref.sentences if per_sentence else 1)]
    refs = [found[i] for i, _ in pairs]
    counts = np.array([ref.count for ref in refs])
    columns: dict[str, Any] = {
        "image_id": [ref.image_id for ref in refs],
        "ref_id": [ref.ref_id for ref in refs],
        "sentence": [sentence for _, sentence in pairs],
        "category": [ref.category for ref in refs],
        "candidates": counts,
        "area": [ref.truth_area for ref in refs],
        "object_size": bins.object_sizes(np.array([ref.truth_area / (ref.size[0] * ref.size[1]) for ref in refs])),
        "num_candidates": bins.object_counts(counts),
    }
    for name, by_ref in chosen.items():
        # one choice a ref stands for all its sentences
        indices = [by_ref[i][sentence if len(by_ref[i]) > 1 else 0] for i, sentence in pairs]
        pixels = np.array([ref.overlap(index) for ref, index in zip(refs, indices, strict=True)], np.int64)
        overlaps = Overlaps(pixels[:, 0], pixels[:, 1])
        columns |= {
            f"index_{name}": indices,
            f"intersection_{name}": overlaps.intersections,
            f"union_{name}": overlaps.unions,
            f"iou_{name}": overlaps.ious,
        }
    return pd.DataFrame(columns)


def _choice(name: str, rows: pd.DataFrame, skipped: np.ndarray, settings: EvaluateSettings) -> Choice:
    intersections = rows[f"intersection_{name}"].to_numpy(np.int64)
    # an empty union keeps the ref's IoU at 0 and takes it out of oIoU: just what the compat switch asks for
    overlaps = Overlaps(intersections, np.where(skipped, 0, rows[f"union_{name}"].to_numpy(np.int64)))
    return Choice(
        **dict(measured(overlaps, rows["image_id"], settings)),
        test_only=name == "best",
        empty=int((rows[f"index_{name}"] < 0).sum()),
        by_category=groups(overlaps, rows["category"]),
        by_num_candidates=groups(overlaps, rows["num_candidates"], bins.OBJECT_COUNTS),
        by_object_size=groups(overlaps, rows["object_size"], bins.OBJECT_SIZES),
    )


def _statistics(counts: pd.Series) -> CandidateStatistics:
    return CandidateStatistics(
        mean=float(counts.mean()),
        max=int(counts.max()),
        share_empty=float((counts == 0).mean()),
        histogram={str(n): int(refs) for n, refs in counts.value_counts().sort_index().items()},
    )
