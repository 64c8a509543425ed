"""The eval files of `snakemake ablations` as one tidy table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.errors import SscError
from ssc_core.evaluate.schema import MasksEval, Measured, read_eval

CHOICES = ("selected", "best")
"""Choices among candidates that a row of masks is told by."""

_ROW = re.compile(r"setting~(?P<setting>[^/]+)/value~(?P<value>[^/]+)/seed~(?P<seed>\d+)/")
_VARIED = ["setting", "value", "dataset", "split", "world", "method", "per", "resolution"]
_FIGURES = ["oIoU", "mIoU", "P@0.5"]


def ablation_table(evals: Sequence[Path]) -> pd.DataFrame:
    """A row an eval file, method and measure, in the order of ``evals``.

    Columns: ``setting value seed dataset split world method per resolution oIoU oIoU_low oIoU_high mIoU P@0.5
    candidates share_empty``; percentages; candidates: mean number a ref, share_empty: refs without, 0..1 (masks only).
    Choices are given once a ref in photo pixels, as published, and as networks are: once a sentence at 480 x 480.

    Raises SscError for a path that names no row, and for files that are no eval files.
    """
    return pd.DataFrame([row for path in evals for row in _rows(Path(path))])


def ablation_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds: the columns of ``table`` with ``seeds oIoU oIoU_sd mIoU mIoU_sd ...``."""
    groups = table.groupby(_VARIED, sort=False)
    columns: dict[str, pd.Series] = {"seeds": groups["seed"].nunique()}
    for name in _FIGURES:
        columns |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(columns).reset_index()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    named = _ROW.search(path.as_posix())
    if named is None:
        raise SscError(f"{path}: no row of the ablations; rows lie in setting~X/value~Y/seed~Z")
    content = read_eval(path)
    about = {**named.groupdict(), "seed": int(named["seed"])}
    about |= {"dataset": content.dataset, "split": content.split, "world": content.world}
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
