"""Figures over seeds: evaluations of the config and its variants, and their mean and spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.config.methods import method_order
from ssc_core.config.variants import SEED, label, parse
from ssc_core.evaluate.schema import Measured, ModelEval, read_eval
from ssc_core.layout import variant_of

FIGURES = ("oIoU", "mIoU", "P@0.5")

_SPLITS = ("val", "testA", "testB", "test", "train")

_KEYS = ["dataset", "world", "split", "variant", "method"]
"""What figures that differ in their seed alone share."""


def read_figures(evals: Iterable[Path]) -> pd.DataFrame:
    """A row per method of eval files; empty without any.

    Columns: ``dataset world split variant method seed oIoU low high mIoU P@0.5``, percentages with oIoU's 95 %
    interval. All are per sentence at ``evaluate.resolution``, choices among candidates too; these have no training
    and so no seed (NaN). variant: what the file's folder changes besides the seed, ``""`` for nothing.
    """
    rows = [row for path in evals for row in _rows(path)]
    columns = [*_KEYS, "seed", "oIoU", "low", "high", "mIoU", "P@0.5"]
    return pd.DataFrame(rows, columns=columns)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """``dataset world split variant method`` with ``seeds``, and mean and sample deviation (``_sd``, NaN for one).

    ``low high`` of oIoU: the mean of the intervals' ends, NaN without intervals. ``gain``: in oIoU over the config's
    own, NaN where that was not measured. By dataset as they come, then by split, variant and method.
    """
    groups = table.groupby(_KEYS, sort=False)
    columns = {"seeds": groups["seed"].nunique(), "low": groups["low"].mean(), "high": groups["high"].mean()}
    for name in FIGURES:
        columns |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    found = pd.DataFrame(columns).reset_index()
    same = ["dataset", "split", "method"]
    own = found[found["variant"] == ""].set_index(same)["oIoU"].rename("own")
    found["gain"] = found["oIoU"] - found.join(own, on=same)["own"]
    datasets = {name: i for i, name in enumerate(found["dataset"].unique())}
    order = [
        (datasets[row["dataset"]], split_order(row["split"]), row["variant"], method_order(row["method"]))
        for row in records(found)
    ]
    return found.iloc[sorted(range(len(found)), key=order.__getitem__)].reset_index(drop=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def split_order(split: str) -> tuple[int, str]:
    """Sorts val before the tests, and train last."""
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    content = read_eval(path)
    changes = parse(variant_of(path))
    changes.pop(SEED, None)
    about = {
        "dataset": content.dataset,
        "world": content.world,
        "split": content.split,
        "variant": label(changes).rstrip("/"),
    }
    if isinstance(content, ModelEval):
        yield about | {"method": content.method, "seed": content.seed} | _figures(content)
    else:
        resolution = content.settings["evaluate"]["resolution"]
        for name, choice in content.choices.items():
            yield about | {"method": name, "seed": None} | _figures(choice.per_sentence[resolution])


def _figures(found: Measured) -> dict[str, Any]:
    low, high = found.ci95.oIoU if found.ci95 else (None, None)
    return {"oIoU": found.oIoU, "low": low, "high": high, "mIoU": found.mIoU, "P@0.5": found.precision["0.5"]}
