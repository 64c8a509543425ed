"""Evaluate a mask per sentence against the ground truth, at 480 x 480 and in photo pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate import bins
from ssc_core.evaluate.figures import groups, measured
from ssc_core.evaluate.metrics import Overlaps, Sums, Tally, ref_weights, require_pairs, summarise
from ssc_core.evaluate.pairs import LoadOrSkip, MaskOf, Passed, Predict, Truth, measure_pairs, measure_stored
from ssc_core.evaluate.schema import Figures, ModelEval, Resolution, RunMeta, Timing, write_eval
from ssc_core.tables import write_frames

RESOLUTIONS: tuple[Resolution, ...] = ("480", "native")
_GROUPS = ("category", "sentence_length", "num_candidates", "object_size")
"""Columns that results are broken down by."""


def evaluate_model(
    *,
    refs: pd.DataFrame,
    split: str,
    images: LoadOrSkip,
    truth: Truth,
    predict: Predict,
    out: Path,
    settings: EvaluateSettings,
    meta: Mapping[str, Any],
) -> ModelEval:
    """Evaluate ``predict`` on a split; write ``out`` (JSON) and its rows (``sentences_path(out)``) beside it.

    A pair is a sentence and its object. At 480 the predicted margins (see ``masks.resize.masks_at``) are brought to
    480 x 480, and the truth by nearest neighbour, as published (the published network works at 480, so that only the
    truth is resized); at native the margins are brought to the photo's size and the truth stays as it is. Refs without
    ground truth are left out and counted.

    refs: a RefTable of the whole dataset, all splits; meta: fields of ``schema.RunMeta``.

    Raises SscError when no ref of the split has ground truth, or a photo cannot be read.
    """
    passed, table = Passed(), _of_split(refs, split)
    parts = measure_pairs(refs=table, images=images, truth=truth, predict=predict, passed=passed)
    return _write(parts, passed, split=split, out=out, settings=settings, meta=meta)


def evaluate_stored(
    *,
    refs: pd.DataFrame,
    split: str,
    truth: Truth,
    mask_of: MaskOf,
    out: Path,
    settings: EvaluateSettings,
    meta: Mapping[str, Any],
) -> ModelEval:
    """``evaluate_model`` for masks that were made before: by ``sent_id``, in photo pixels."""
    passed, table = Passed(), _of_split(refs, split)
    parts = measure_stored(refs=table, truth=truth, mask_of=mask_of, passed=passed)
    return _write(parts, passed, split=split, out=out, settings=settings, meta=meta)


def _of_split(refs: pd.DataFrame, split: str) -> pd.DataFrame:
    table = refs.assign(same_class=bins.same_class_refs(refs))  # of all splits
    return table[table["split"] == split]


@dataclass(slots=True)
class _Figures:
    """What figures are made of, and what is counted, of the rows that go by. headline: a resolution."""

    headline: Resolution
    tallies: dict[Resolution, Tally] = field(init=False)
    by_ref: Sums = field(default_factory=Sums)
    refs: int = 0
    sentences: int = 0
    empty_predictions: int = 0
    empty_unions: int = 0

    def __post_init__(self) -> None:
        self.tallies = {name: Tally(_GROUPS if name == self.headline else ()) for name in RESOLUTIONS}

    def counted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """rows: whole photos, so all sentences of a ref."""
        for name, tally in self.tallies.items():
            labels = {group: rows[group] for group in tally.groups}
            tally.add(_overlaps(rows, name), rows["image_id"], labels)
        overlaps = _overlaps(rows, self.headline)
        self.by_ref.add(overlaps, np.zeros(len(rows), np.int64), ref_weights(rows["ref_id"]))
        self.refs += rows["ref_id"].nunique()
        self.sentences += len(rows)
        self.empty_predictions += int((rows["area"] == 0).sum())
        self.empty_unions += int((overlaps.unions == 0).sum())
        return rows


def _write(
    parts: Iterator[pd.DataFrame],
    passed: Passed,
    *,
    split: str,
    out: Path,
    settings: EvaluateSettings,
    meta: Mapping[str, Any],
) -> ModelEval:
    started, run, figures = time.perf_counter(), RunMeta.model_validate(meta), _Figures(settings.resolution)
    write_frames(sentences_path(out), map(figures.counted, parts))
    require_pairs(figures.sentences, what=f"{run.dataset} {split}")
    headline = figures.tallies[settings.resolution]
    by_resolution = dict(zip(RESOLUTIONS, measured(list(figures.tallies.values()), settings), strict=True))
    total = time.perf_counter() - started
    result = ModelEval(
        **{**dict(run), "settings": {**run.settings, "evaluate": settings.model_dump(mode="json")}},
        **dict(by_resolution[settings.resolution]),
        split=split,
        n_refs=figures.refs,
        n_sentences=figures.sentences,
        n_images=len(headline.images),
        refs_without_truth=passed.without_truth,
        unreadable_photos=passed.skipped,
        resolution=settings.resolution,
        by_resolution=by_resolution,
        per_ref=Figures(**summarise(figures.by_ref)),
        empty_predictions=figures.empty_predictions,
        empty_unions=figures.empty_unions,
        by_category=groups(headline.groups["category"]),
        by_sentence_length=groups(headline.groups["sentence_length"], bins.SENTENCE_LENGTHS),
        by_num_candidates=groups(headline.groups["num_candidates"], bins.OBJECT_COUNTS),
        by_object_size=groups(headline.groups["object_size"], bins.OBJECT_SIZES),
        timing=Timing(total_s=total, model_s=passed.model_s, model_share=min(1.0, passed.model_s / total)),
    )
    write_eval(out, result)
    return result


def sentences_path(out: Path) -> Path:
    """The rows (see ``pairs.measure_pairs``) of an eval file: ``eval_val.json`` -> ``eval_val.parquet``."""
    return Path(out).with_suffix(".parquet")


def _overlaps(rows: pd.DataFrame, resolution: str) -> Overlaps:
    return Overlaps(
        rows[f"intersection_{resolution}"].to_numpy(np.int64), rows[f"union_{resolution}"].to_numpy(np.int64)
    )
