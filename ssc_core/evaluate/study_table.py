"""The eval files of a study as one tidy table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import RootModel

from ssc_core.evaluate.schema import MasksEval, Measured, read_eval

CHOICES = ("selected", "best")
"""Choices among candidates that a row of masks is told by."""

_VARIED = ["variant", "dataset", "split", "world", "method", "per", "resolution"]
_FIGURES = ["oIoU", "mIoU", "P@0.5"]


class StudyRows(RootModel[list[tuple[str, int | None]]]):
    """Variant and seed of each eval file of a study, as JSON; seed null: those that the config states."""


def study_table(evals: Sequence[Path], rows: Sequence[tuple[str, int | None]]) -> pd.DataFrame:
    """A row an eval file, method and measure, in the order of ``evals``. rows: variant and seed of each.

    Columns: ``variant seed dataset split world method per resolution oIoU oIoU_low oIoU_high mIoU P@0.5 candidates
    share_empty``; percentages; candidates: mean number per ref, share_empty: refs without, 0..1 (masks only). Choices
    are given once per ref in photo pixels, as published, and as networks are: once per sentence at 480 x 480.

    Raises SscError for files that are no eval files.
    """
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, **row}
            for path, (variant, seed) in zip(evals, rows, strict=True)
            for row in _rows(Path(path))
        ]
    )


def of_first_split(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first dataset and split of a study table: for what tells of one, and must not mix in others."""
    first = table.iloc[0]
    return table[(table["dataset"] == first["dataset"]) & (table["split"] == first["split"])]


def study_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds: the columns of ``table`` with ``seeds oIoU oIoU_sd mIoU mIoU_sd ...``."""
    groups = table.groupby(_VARIED, sort=False)
    columns: dict[str, pd.Series] = {"seeds": groups["seed"].nunique()}
    for name in _FIGURES:
        columns |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(columns).reset_index()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    content = read_eval(path)
    about = {"dataset": content.dataset, "split": content.split, "world": content.world}
    if isinstance(content, MasksEval):
        of_masks = {"candidates": content.candidates.mean, "share_empty": content.candidates.share_empty}
        for name in CHOICES:
            choice = content.choices[name]
            yield about | {"method": name, "per": content.per, "resolution": "native"} | _figures(choice) | of_masks
            at_480 = choice.per_sentence["480"]
            yield about | {"method": name, "per": "sentence", "resolution": "480"} | _figures(at_480) | of_masks
    else:
        yield (
            about | {"method": content.method, "per": "sentence", "resolution": content.resolution} | _figures(content)
        )


def _figures(found: Measured) -> dict[str, Any]:
    low, high = found.ci95.oIoU if found.ci95 else (None, None)
    return {
        "oIoU": found.oIoU,
        "oIoU_low": low,
        "oIoU_high": high,
        "mIoU": found.mIoU,
        "P@0.5": found.precision["0.5"],
    }
