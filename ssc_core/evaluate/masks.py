"""Evaluate candidate masks and the choices among them: once per ref in photo pixels, and as networks are evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.evaluate import bins
from ssc_core.evaluate.figures import groups, measured
from ssc_core.evaluate.metrics import Overlaps, require_pairs
from ssc_core.evaluate.pairs import SIDE, Truth
from ssc_core.evaluate.schema import (
    CandidateStatistics,
    Choice,
    MasksEval,
    Measured,
    Resolution,
    RunMeta,
    write_eval,
)
from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.choice import DRAWN, NONE, choose_blindly
from ssc_core.masks.resize import resized_areas
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.tables import write_frame

BUILT_IN = ("random", "first", "best")
"""Choices that need no selection. ``best`` is the candidate with the highest IoU: a bound, for testing only."""

REF_COLUMNS = ("split", "image_id", "ref_id", "category")
"""What is read of a RefTable."""

_REFS_AT_ONCE = 1000
"""Refs between reading and counting: more of them would only hold more masks in memory."""


def evaluate_masks(
    *,
    refs: pd.DataFrame,
    split: str,
    masks: MaskStore,
    truth: Truth,
    selections: Mapping[str, SelectionStore],
    select: SelectSettings,
    out: Path,
    settings: EvaluateSettings,
    compat: CompatSettings,
    meta: Mapping[str, Any],
) -> MasksEval:
    """Evaluate ``random``, ``first``, ``best`` and every named selection; write ``out`` and ``candidates_path(out)``.

    A pair is a ref, as its sentences share one choice; where a selection chooses for every sentence, a pair is a
    sentence, for all choices alike. On ``train`` only the first ``settings.train_refs`` refs with ground truth are
    looked at, as published. A pair without a mask has IoU 0 and adds its object's area to the union; as published, with
    ``compat.oiou_skips_empty`` refs without candidates add nothing to oIoU, and with ``compat.merged_masks`` candidates
    are what is left of them in one picture. Refs without ground truth are left out and counted. In photo pixels masks
    are compared as run lengths.

    ``Choice.per_sentence`` has the figures that compare with a network's: every sentence counts, at 480 x 480 and in
    photo pixels, refs without candidates always included.

    refs: a RefTable of the dataset, ``REF_COLUMNS`` at least; masks: the split's masks.h5; selections: files made from
    it; select: the section that ``random`` and ``first`` are made by; meta: fields of ``schema.RunMeta``.

    Raises SscError when no ref has ground truth, or masks or a selection do not fit the refs.
    """
    run = RunMeta.model_validate(meta)
    if taken := set(BUILT_IN) & selections.keys():
        raise ValueError(f"selections named {sorted(taken)} would hide the choices of that name")
    limit = settings.train_refs if split == "train" else None
    per_sentence = any(selection.choice_per == "sentence" for selection in selections.values())
    without_truth: Counter[str] = Counter()
    candidates_of = partial(_candidates, masks, selections, merged=compat.merged_masks)
    found = _read_refs(refs[refs["split"] == split], candidates_of, truth, limit, without_truth)
    tables = [
        _table(some, _choose(some, selections, select, compat), per_sentence=per_sentence)
        for some in iter(lambda: list(islice(found, _REFS_AT_ONCE)), [])
    ]
    require_pairs(len(tables), what=f"{run.dataset} {split}")
    rows = pd.concat(tables, ignore_index=True)
    by_ref = rows.drop_duplicates("ref_id")
    skipped = rows["candidates"].to_numpy() == 0 if compat.oiou_skips_empty else np.zeros(len(rows), bool)
    names = [name.removeprefix("index_") for name in rows.columns if name.startswith("index_")]
    result = MasksEval(
        **{**dict(run), "settings": {**run.settings, "evaluate": settings.model_dump(mode="json")}},
        split=split,
        per="sentence" if per_sentence else "ref",
        n_refs=len(by_ref),
        n_pairs=len(rows),
        n_images=rows["image_id"].nunique(),
        refs_without_truth=without_truth[split],
        oiou_skips_empty=compat.oiou_skips_empty,
        empty_truths=int((by_ref["area"] == 0).sum()),
        candidates=_statistics(by_ref["candidates"]),
        choices={name: _choice(name, rows, skipped, settings) for name in names},
    )
    write_frame(candidates_path(out), rows)
    write_eval(out, result)
    return result


def candidates_path(out: Path) -> Path:
    """The rows of an eval file, one per pair: ``eval_masks_val.json`` -> ``eval_masks_val.parquet``.

    Columns: ``image_id ref_id sentence`` (index, 0 when a pair is a ref) ``sentences`` (how many the pair stands for)
    ``category candidates area object_size num_candidates``, and for each choice C ``index_C`` among the ref's
    candidates (-1 none; from ``candidates`` on, a mask that a person drew), ``intersection_C union_C iou_C`` in photo
    pixels and ``intersection_480_C union_480_C iou_480_C`` (IoU in 0..1).
    """
    return Path(out).with_suffix(".parquet")


def _candidates(store: MaskStore, selections: Mapping[str, SelectionStore], ref_id: int, *, merged: bool) -> Candidates:
    """A ref's candidates, and after them the masks that people drew, each once."""
    candidates = read_candidates(store, ref_id, merged=merged)
    for drawn in dict.fromkeys(selection.drawn(ref_id) for selection in selections.values()):
        candidates = candidates.with_drawn(drawn)
    return candidates


@dataclass(frozen=True, slots=True)
class _Shared:
    """A ref's candidates against its truth. truth_area: pixels; intersections, unions: int64 (N,), pixels."""

    truth_area: int
    intersections: np.ndarray
    unions: np.ndarray

    @property
    def ious(self) -> np.ndarray:
        return self.intersections / np.maximum(self.unions, 1)

    def of(self, index: int) -> tuple[int, int]:
        """Intersection and union of a candidate with the truth; index -1 is the empty mask."""
        if index < 0:
            return 0, self.truth_area
        return int(self.intersections[index]), int(self.unions[index])


@dataclass(frozen=True, slots=True)
class _Ref:
    """A ref with ground truth.

    size: (height, width); found: int64 (K,), instance rows of the candidates; drawn: masks that people drew; areas:
    int64 (K,), photo pixels; native, at_480: what each of both shares with the truth in photo pixels and at 480 x 480.
    """

    ref_id: int
    image_id: int
    category: str
    sentences: int
    size: tuple[int, int]
    found: np.ndarray
    drawn: list[bytes]
    areas: np.ndarray
    native: _Shared
    at_480: _Shared

    @property
    def count(self) -> int:
        return len(self.found)


def _read_refs(
    refs: pd.DataFrame,
    candidates_of: Callable[[int], Candidates],
    truth: Truth,
    limit: int | None,
    without_truth: Counter[str],
) -> Iterator[_Ref]:
    """The refs with ground truth, the first ``limit`` of them; those passed over for having none are counted."""
    sentences = refs["ref_id"].value_counts()
    rows, found = refs.drop_duplicates("ref_id"), 0
    row: Any
    for row in tqdm(rows.itertuples(), total=len(rows), desc="evaluate masks", unit="ref", mininterval=5):
        if found == limit:
            break
        mask = truth.mask(row.ref_id)
        if mask is None:
            without_truth[row.split] += 1
        else:
            found += 1
            yield _read_ref(row, int(sentences[row.ref_id]), candidates_of(row.ref_id), mask)


def _read_ref(row: Any, sentences: int, candidates: Candidates, truth: np.ndarray) -> _Ref:
    size = candidates.size
    if size != truth.shape:
        raise SscError(
            f"{candidates.where}: the photo of ref {row.ref_id} has {size[1]} x {size[0]} pixels, its ground truth "
            f"{truth.shape[1]} x {truth.shape[0]}; were the masks made from other photos?"
        )
    areas = rle.areas(candidates.rles, size)
    native, at_480 = _shared(candidates.rles, areas, truth)
    count = int((candidates.rows != DRAWN).sum())
    return _Ref(
        ref_id=row.ref_id,
        image_id=row.image_id,
        category=row.category,
        sentences=sentences,
        size=size,
        found=candidates.rows[:count],
        drawn=candidates.rles[count:],
        areas=areas[:count],
        native=native,
        at_480=at_480,
    )


def _shared(codes: list[bytes], areas: np.ndarray, truth: np.ndarray) -> tuple[_Shared, _Shared]:
    """In photo pixels, and at 480 x 480; all from run lengths, so that no candidate is decoded."""
    size, at = truth.shape, (SIDE, SIDE)
    target = rle.encode(truth[None])[0]
    both = [rle.intersection([code, target], size) for code in codes]
    native = (rle.areas(both, size), areas, int(np.count_nonzero(truth)))
    resized = (resized_areas(both, size, at), resized_areas(codes, size, at), int(resized_areas([target], size, at)[0]))
    # nearest neighbour takes whole pixels, so sizes add up after resizing as they do before
    first, second = (_Shared(whole, found, area + whole - found) for found, area, whole in (native, resized))
    return first, second


_Choices = dict[str, list[list[int]]]
"""By name and ref: the index of the chosen candidate for each sentence, or one for all; -1 for none."""


def _choose(
    found: list[_Ref], selections: Mapping[str, SelectionStore], select: SelectSettings, compat: CompatSettings
) -> _Choices:
    def blindly(choice: Literal["random", "first"]) -> list[list[int]]:
        return [[choose_blindly(choice, ref.areas, select, compat, ref_id=ref.ref_id)] for ref in found]

    return {
        "random": blindly("random"),
        "first": blindly("first"),
        **{name: [_selected(ref, selection) for ref in found] for name, selection in selections.items()},
        "best": [[int(np.argmax(ref.native.ious[: ref.count])) if ref.count else NONE] for ref in found],
    }


def _selected(ref: _Ref, selection: SelectionStore) -> list[int]:
    index_of = {row: index for index, row in enumerate(ref.found.tolist())} | {NONE: NONE}
    drawn = selection.drawn(ref.ref_id)
    if drawn is not None:
        index_of[DRAWN] = ref.count + ref.drawn.index(drawn)
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
    counts, areas = np.array([ref.count for ref in refs]), np.array([ref.native.truth_area for ref in refs])
    columns: dict[str, Any] = {
        "image_id": [ref.image_id for ref in refs],
        "ref_id": [ref.ref_id for ref in refs],
        "sentence": [sentence for _, sentence in pairs],
        "sentences": [1 if per_sentence else ref.sentences for ref in refs],
        "category": [ref.category for ref in refs],
        "candidates": counts,
        "area": areas,
        "object_size": bins.object_sizes(areas / np.array([ref.size[0] * ref.size[1] for ref in refs])),
        "num_candidates": bins.object_counts(counts),
    }
    for name, by_ref in chosen.items():
        # one choice per ref stands for all its sentences
        indices = [by_ref[i][sentence if len(by_ref[i]) > 1 else 0] for i, sentence in pairs]
        columns[f"index_{name}"] = indices
        pairs_of = list(zip(refs, indices, strict=True))
        columns |= _overlap_columns(name, [ref.native.of(index) for ref, index in pairs_of])
        columns |= _overlap_columns(f"480_{name}", [ref.at_480.of(index) for ref, index in pairs_of])
    return pd.DataFrame(columns)


def _overlap_columns(name: str, pixels: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    intersections, unions = np.array(pixels, np.int64).T
    overlaps = Overlaps(intersections, unions)
    return {f"intersection_{name}": intersections, f"union_{name}": unions, f"iou_{name}": overlaps.ious}


def _choice(name: str, rows: pd.DataFrame, skipped: np.ndarray, settings: EvaluateSettings) -> Choice:
    intersections = rows[f"intersection_{name}"].to_numpy(np.int64)
    # an empty union keeps the ref's IoU at 0 and takes it out of oIoU: just what the compat switch asks for
    overlaps = Overlaps(intersections, np.where(skipped, 0, rows[f"union_{name}"].to_numpy(np.int64)))
    return Choice(
        **dict(measured(overlaps, rows["image_id"], settings)),
        test_only=name == "best",
        per_sentence=_per_sentence(name, rows, settings),
        empty=int((rows[f"index_{name}"] < 0).sum()),
        by_category=groups(overlaps, rows["category"]),
        by_num_candidates=groups(overlaps, rows["num_candidates"], bins.OBJECT_COUNTS),
        by_object_size=groups(overlaps, rows["object_size"], bins.OBJECT_SIZES),
    )


def _per_sentence(name: str, rows: pd.DataFrame, settings: EvaluateSettings) -> dict[Resolution, Measured]:
    """A choice as networks are measured: its mask counts once for every sentence that it stands for."""

    def repeated(column: str) -> np.ndarray:
        return np.repeat(rows[column].to_numpy(), rows["sentences"].to_numpy())

    columns: dict[Resolution, str] = {"480": f"480_{name}", "native": name}
    return {
        resolution: measured(
            Overlaps(repeated(f"intersection_{column}"), repeated(f"union_{column}")), repeated("image_id"), settings
        )
        for resolution, column in columns.items()
    }


def _statistics(counts: pd.Series) -> CandidateStatistics:
    return CandidateStatistics(
        mean=float(counts.mean()),
        max=int(counts.max()),
        share_empty=float((counts == 0).mean()),
        histogram={str(n): int(refs) for n, refs in counts.value_counts().sort_index().items()},
    )
