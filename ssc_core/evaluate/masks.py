"""Evaluate candidate masks and the choices among them: once per ref in photo pixels, and as networks are evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.evaluate import bins
from ssc_core.evaluate.figures import groups, measured
from ssc_core.evaluate.measured_refs import MeasuredRef, RefReader
from ssc_core.evaluate.metrics import Overlaps, Tally, require_pairs
from ssc_core.evaluate.pairs import Truth
from ssc_core.evaluate.schema import CandidateStatistics, Choice, MasksEval, Resolution, RunMeta, write_eval
from ssc_core.masks.choice import DRAWN, NONE, choose_blindly
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.tables import read_frames, write_frames

BUILT_IN = ("random", "first", "best")
"""Choices that need no selection. ``best`` is the candidate with the highest IoU: a bound, for testing only."""

_GROUPS = ("category", "num_candidates", "object_size")
"""Columns that results are broken down by."""


def evaluate_masks(
    *,
    refs: Iterable[Ref],
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
    ``compat.oiou_skips_empty`` refs without candidates add nothing to oIoU, but for those whose mask a person drew, and
    with ``compat.merged_masks`` candidates are what is left of them in one picture. Refs without ground truth are left
    out and counted. In photo pixels masks are compared as run lengths.

    ``Choice.per_sentence`` has the figures that compare with a network's: every sentence counts, at 480 x 480 and in
    photo pixels, refs without candidates always included.

    refs: of the split, in the RefTable's order (``ref_table.refs_in_order``); masks: the split's masks.h5; selections:
    files made from it; select: the section that ``random`` and ``first`` are made by; meta: of ``schema.RunMeta``.

    Raises SscError when no ref has ground truth, or masks or a selection do not fit the refs.
    """
    run = RunMeta.model_validate(meta)
    if taken := set(BUILT_IN) & selections.keys():
        raise ValueError(f"selections named {sorted(taken)} would hide the choices of that name")
    per_sentence = any(selection.choice_per == "sentence" for selection in selections.values())
    reader = RefReader(masks, truth, list(selections.values()), merged=compat.merged_masks)
    found = reader.read(refs, limit=settings.train_refs if split == "train" else None)
    counts = _Counts()
    write_frames(
        candidates_path(out),
        map(
            counts.counted,
            (_table(some, _choose(some, selections, select, compat), per_sentence=per_sentence) for some in found),
        ),
    )
    require_pairs(counts.pairs, what=f"{run.dataset} {split}")
    names = ["random", "first", *selections, "best"]
    result = MasksEval(
        **{**dict(run), "settings": {**run.settings, "evaluate": settings.model_dump(mode="json")}},
        split=split,
        per="sentence" if per_sentence else "ref",
        n_refs=counts.refs,
        n_pairs=counts.pairs,
        n_images=len(counts.images),
        refs_without_truth=reader.without_truth,
        oiou_skips_empty=compat.oiou_skips_empty,
        empty_truths=counts.empty_truths,
        candidates=_statistics(counts.candidates),
        choices={name: _choice(name, candidates_path(out), settings, compat) for name in names},
    )
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


@dataclass(slots=True)
class _Counts:
    """What is counted of the tables that go by. candidates: refs by their number of candidates."""

    refs: int = 0
    pairs: int = 0
    empty_truths: int = 0
    images: set[int] = field(default_factory=set)
    candidates: Counter[int] = field(default_factory=Counter)

    def counted(self, rows: pd.DataFrame) -> pd.DataFrame:
        by_ref = rows[rows["sentence"] == 0]
        self.refs += len(by_ref)
        self.pairs += len(rows)
        self.empty_truths += int((by_ref["area"] == 0).sum())
        self.images.update(by_ref["image_id"].tolist())
        self.candidates.update(by_ref["candidates"].tolist())
        return rows


_Choices = dict[str, list[list[int]]]
"""By name and ref: the index of the chosen candidate for each sentence, or one for all; -1 for none."""


def _choose(
    found: list[MeasuredRef], selections: Mapping[str, SelectionStore], select: SelectSettings, compat: CompatSettings
) -> _Choices:
    def blindly(choice: Literal["random", "first"]) -> list[list[int]]:
        return [[choose_blindly(choice, ref.areas, select, compat, ref_id=ref.ref_id)] for ref in found]

    return {
        "random": blindly("random"),
        "first": blindly("first"),
        **{name: [_selected(ref, selection) for ref in found] for name, selection in selections.items()},
        "best": [[int(np.argmax(ref.native.ious[: ref.count])) if ref.count else NONE] for ref in found],
    }


def _selected(ref: MeasuredRef, selection: SelectionStore) -> list[int]:
    index_of = {row: index for index, row in enumerate(ref.found.tolist())} | {NONE: NONE}
    drawn = selection.drawn(ref.ref_id)
    if drawn is not None:
        index_of[DRAWN] = ref.count + ref.drawn.index(drawn)
    rows = selection.all_chosen(ref.ref_id).tolist()
    if unknown := set(rows) - index_of.keys():
        raise SscError(
            f"{selection.path} chooses mask {min(unknown)} for ref {ref.ref_id}, which is none of its candidates; "
            "was it made from other masks?"
        )
    return [index_of[row] for row in rows]


def _table(found: list[MeasuredRef], chosen: _Choices, *, per_sentence: bool) -> pd.DataFrame:
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
        for column, shared in ((name, [ref.native for ref in refs]), (f"480_{name}", [ref.at_480 for ref in refs])):
            pixels = [one.of(index) for one, index in zip(shared, indices, strict=True)]
            overlaps = Overlaps(*np.array(pixels, np.int64).T)
            columns[f"intersection_{column}"], columns[f"union_{column}"] = overlaps.intersections, overlaps.unions
            columns[f"iou_{column}"] = overlaps.ious
    return pd.DataFrame(columns)


def _choice(name: str, table: Path, settings: EvaluateSettings, compat: CompatSettings) -> Choice:
    """The figures of a choice, from the rows that were written. ``per_sentence``: as networks are measured, its mask
    counts once for every sentence that it stands for."""
    by_ref = Tally(_GROUPS)
    of_sentences: dict[Resolution, tuple[str, Tally]] = {"480": (f"480_{name}", Tally()), "native": (name, Tally())}
    pixels = [f"{kind}_{column}" for kind in ("intersection", "union") for column, _ in of_sentences.values()]
    needed = ["image_id", "sentences", "candidates", f"index_{name}", *_GROUPS, *pixels]
    empty = 0
    for rows in read_frames(table, made_by="evaluate_masks", columns=needed):
        images, sentences = rows["image_id"].to_numpy(), rows["sentences"].to_numpy()
        for column, tally in of_sentences.values():
            tally.add(_overlaps(rows, column).repeated(sentences), images.repeat(sentences))
        own = overlaps_by_ref(rows, name, skip_empty=compat.oiou_skips_empty)
        by_ref.add(own, images, {group: rows[group] for group in _GROUPS})
        empty += int((rows[f"index_{name}"] < 0).sum())
    whole, *parts = measured([by_ref, *(tally for _, tally in of_sentences.values())], settings)
    return Choice(
        **dict(whole),
        test_only=name == "best",
        per_sentence=dict(zip(of_sentences, parts, strict=True)),
        empty=empty,
        by_category=groups(by_ref.groups["category"]),
        by_num_candidates=groups(by_ref.groups["num_candidates"], bins.OBJECT_COUNTS),
        by_object_size=groups(by_ref.groups["object_size"], bins.OBJECT_SIZES),
    )


def overlaps_by_ref(rows: pd.DataFrame, name: str, *, skip_empty: bool) -> Overlaps:
    """Of a choice, in photo pixels, one entry a row of ``candidates_path``. skip_empty: ``compat.oiou_skips_empty``."""
    own = _overlaps(rows, name)
    if not skip_empty:
        return own
    # an empty union keeps the ref's IoU at 0 and takes it out of oIoU: just what the switch asks for
    nothing = (rows["candidates"].to_numpy() == 0) & (rows[f"index_{name}"].to_numpy() < 0)
    return Overlaps(own.intersections, np.where(nothing, 0, own.unions))


def _overlaps(rows: pd.DataFrame, column: str) -> Overlaps:
    return Overlaps(rows[f"intersection_{column}"].to_numpy(), rows[f"union_{column}"].to_numpy())


def _statistics(refs: Counter[int]) -> CandidateStatistics:
    """refs: by their number of candidates."""
    return CandidateStatistics(
        mean=sum(count * of for count, of in refs.items()) / refs.total(),
        max=max(refs),
        share_empty=refs[0] / refs.total(),
        histogram={str(count): refs[count] for count in sorted(refs)},
    )
