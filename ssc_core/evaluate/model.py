"""Evaluate a mask per sentence against the ground truth, at 480 x 480 and in photo pixels."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate import bins
from ssc_core.evaluate.figures import groups, measured
from ssc_core.evaluate.metrics import Overlaps, ref_weights, require_pairs, summarise
from ssc_core.evaluate.pairs import LoadOrSkip, MaskOf, Pairs, Predict, Truth, measure_pairs, measure_stored
from ssc_core.evaluate.schema import Figures, ModelEval, Resolution, RunMeta, Timing, write_eval
from ssc_core.tables import write_frame

RESOLUTIONS: tuple[Resolution, ...] = ("480", "native")


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

    A pair is a sentence and its object. At 480 the predicted mask and the truth are each brought to 480 x 480 by
    nearest neighbour, as published (the published network works at 480, so that only the truth is resized); at native
    the predicted mask is brought to the photo's size and the truth stays as it is. Refs without ground truth are left
    out and counted.

    refs: a RefTable of the whole dataset, all splits; meta: fields of ``schema.RunMeta``.

    Raises SscError when no ref of the split has ground truth, or a photo cannot be read.
    """
    started = time.perf_counter()
    table = bins.with_same_class(refs)
    pairs = measure_pairs(refs=table[table["split"] == split], images=images, truth=truth, predict=predict)
    return _write(pairs, started, split=split, out=out, settings=settings, meta=meta)


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
    started = time.perf_counter()
    table = bins.with_same_class(refs)
    pairs = measure_stored(refs=table[table["split"] == split], truth=truth, mask_of=mask_of)
    return _write(pairs, started, split=split, out=out, settings=settings, meta=meta)


def _write(
    pairs: Pairs, started: float, *, split: str, out: Path, settings: EvaluateSettings, meta: Mapping[str, Any]
) -> ModelEval:
    run, rows = RunMeta.model_validate(meta), pairs.rows
    require_pairs(len(rows), what=f"{run.dataset} {split}")

    by_resolution = {name: measured(_overlaps(rows, name), rows["image_id"], settings) for name in RESOLUTIONS}
    overlaps = _overlaps(rows, settings.resolution)
    total = time.perf_counter() - started
    result = ModelEval(
        **{**dict(run), "settings": {**run.settings, "evaluate": settings.model_dump(mode="json")}},
        **dict(by_resolution[settings.resolution]),
        split=split,
        n_refs=rows["ref_id"].nunique(),
        n_sentences=len(rows),
        n_images=rows["image_id"].nunique(),
        refs_without_truth=pairs.without_truth,
        unreadable_photos=pairs.skipped,
        resolution=settings.resolution,
        by_resolution=by_resolution,
        per_ref=Figures(**summarise(overlaps, ref_weights(rows["ref_id"]))),
        empty_predictions=int((rows["area"] == 0).sum()),
        empty_unions=int((overlaps.unions == 0).sum()),
        by_category=groups(overlaps, rows["category"]),
        by_sentence_length=groups(overlaps, rows["sentence_length"], bins.SENTENCE_LENGTHS),
        by_num_candidates=groups(overlaps, rows["num_candidates"], bins.OBJECT_COUNTS),
        by_object_size=groups(overlaps, rows["object_size"], bins.OBJECT_SIZES),
        timing=Timing(total_s=total, model_s=pairs.model_s, model_share=min(1.0, pairs.model_s / total)),
    )
    write_frame(sentences_path(out), rows)
    write_eval(out, result)
    return result


def sentences_path(out: Path) -> Path:
    """The rows (see ``pairs.measure_pairs``) of an eval file: ``eval_val.json`` -> ``eval_val.parquet``."""
    return Path(out).with_suffix(".parquet")


def _overlaps(rows: pd.DataFrame, resolution: str) -> Overlaps:
    return Overlaps(
        rows[f"intersection_{resolution}"].to_numpy(np.int64), rows[f"union_{resolution}"].to_numpy(np.int64)
    )
