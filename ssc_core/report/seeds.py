"""Figures over seeds: every evaluation below a dataset's folder, and its mean and spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.config.variants import SEED, parse
from ssc_core.evaluate.schema import Measured, ModelEval, read_eval
from ssc_core.layout import DatasetFolder

FIGURES = ("oIoU", "mIoU", "P@0.5")


def seed_table(folder: DatasetFolder) -> pd.DataFrame:
    """A row an evaluation of a dataset's folder, of its variants that change the seed alone too; empty without any.

    Columns: ``dataset world split method seed n oIoU low high mIoU P@0.5``, percentages with oIoU's 95 %
    interval. All are per sentence at the network's resolution, choices among candidates too; these have no training
    and so no seed (NaN).
    """
    seeded = [variant for variant in folder.variants() if set(parse(variant.variant)) == {SEED}]
    return read_figures(path for one in (folder, *seeded) for path in one.eval_files())


def read_figures(evals: Iterable[Path]) -> pd.DataFrame:
    """As ``seed_table``, of the eval files named."""
    rows = [row for path in evals for row in _rows(path)]
    columns = ["dataset", "world", "split", "method", "seed", "n", "oIoU", "low", "high", "mIoU", "P@0.5"]
    return pd.DataFrame(rows, columns=columns)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """``dataset world split method`` with ``seeds``, and mean and sample deviation (``_sd``, NaN for one) of figures.

    ``low high`` of oIoU: the mean of the intervals' ends, NaN without intervals.
    """
    groups = table.groupby(["dataset", "world", "split", "method"], sort=False)
    columns = {"seeds": groups["seed"].nunique(), "low": groups["low"].mean(), "high": groups["high"].mean()}
    for name in FIGURES:
        columns |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(columns).reset_index()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    content = read_eval(path)
    about = {"dataset": content.dataset, "world": content.world, "split": content.split}
    if isinstance(content, ModelEval):
        yield about | {"method": content.method, "seed": content.seed, "n": content.n_sentences} | _figures(content)
    else:
        for name, choice in content.choices.items():
            yield about | {"method": name, "seed": None, "n": content.n_pairs} | _figures(choice.per_sentence["480"])


def _figures(found: Measured) -> dict[str, Any]:
    low, high = found.ci95.oIoU if found.ci95 else (None, None)
    return {"oIoU": found.oIoU, "low": low, "high": high, "mIoU": found.mIoU, "P@0.5": found.precision["0.5"]}
