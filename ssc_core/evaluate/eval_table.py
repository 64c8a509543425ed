"""Eval files as one tidy table, and its means over seeds: for the report, pages of results and studies alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import RootModel

from ssc_core.config.methods import method_order
from ssc_core.config.variants import SEED, in_words, parse
from ssc_core.evaluate.schema import MasksEval, Measured, ModelEval, Resolution, read_eval
from ssc_core.layout import variant_of

FIGURES = ("oIoU", "mIoU", "P@0.5")

_MEASURED = ["oIoU", "oIoU_low", "oIoU_high", "mIoU", "P@0.5"]
_OF_FOLDERS = ["dataset", "world", "split", "variant", "method"]
_OF_STUDIES = ["variant", "dataset", "split", "world", "method", "per", "resolution"]
"""What figures that differ in their seed alone share."""

_TOLD = ("selected", "best")
"""Choices among candidates that a study tells of."""

_SPLITS = ("val", "testA", "testB", "test", "train")


class StudyRows(RootModel[list[tuple[str, int | None]]]):
    """Variant and seed of each eval file of a study, as JSON; seed null: those that the config states."""


def folder_table(evals: Iterable[Path]) -> pd.DataFrame:
    """A row per method of eval files that lie in folders of results; empty without any.

    Columns: ``dataset world split variant method seed oIoU oIoU_low oIoU_high mIoU P@0.5``, percentages with oIoU's
    interval. All are per sentence at ``evaluate.resolution``, choices among candidates too; these have no training and
    so no seed (NaN). variant: what the file's folder changes besides the seed, in words, ``""`` for nothing.
    """
    rows = [{**row, "variant": _variant(path)} for path in evals for row in _rows(path) if row["as_networks"]]
    return _table(rows, [*_OF_FOLDERS, "seed", *_MEASURED])


def study_table(evals: Iterable[Path], rows: Sequence[tuple[str, int | None]]) -> pd.DataFrame:
    """A row an eval file, method and measure, in the order of ``evals``. rows: variant and seed of each.

    Columns: ``variant seed dataset split world method per resolution oIoU oIoU_low oIoU_high mIoU P@0.5 candidates
    share_empty``; percentages; candidates: mean number per ref, share_empty: refs without, 0..1 (masks only). Choices
    are given as published, once per ref in photo pixels, and as networks are: per sentence at ``evaluate.resolution``.

    Raises SscError for files that are no eval files.
    """
    found = [
        {**row, "variant": variant, "seed": row["seed"] if seed is None else seed}
        for path, (variant, seed) in zip(evals, rows, strict=True)
        for row in _rows(path)
        if row["method"] in _TOLD or "candidates" not in row
    ]
    about = ["variant", "seed", *_OF_STUDIES[1:]]
    return _table(found, [*about, *_MEASURED, "candidates", "share_empty"])


def of_first_split(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first dataset and split of a study table: for what tells of one, and must not mix in others."""
    return table.merge(table[["dataset", "split"]].head(1))


def alike(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """A method's rows of a study table in one measure: the first that most variants have, which is the published one
    unless some variant lacks it."""
    measures = [rows for _, rows in table[table["method"] == method].groupby(["per", "resolution"], sort=False)]
    return max(measures, key=lambda rows: rows["variant"].nunique(), default=table.head(0))


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """A ``folder_table`` without its seeds: ``seeds``, how many there were, ``each_seed``, the oIoU of each, and mean
    and sample deviation (``_sd``, NaN for one).

    ``oIoU_low oIoU_high``: the mean of the intervals' ends, NaN without intervals. ``gain``: in oIoU over the config's
    own, NaN where that was not measured. By dataset as they come, then by split, variant and method.
    """
    found = _means(table, _OF_FOLDERS)
    found["each_seed"] = [
        rows.sort_values("seed")["oIoU"].tolist() for _, rows in table.groupby(_OF_FOLDERS, sort=False)
    ]
    same = ["dataset", "split", "method"]
    own = found[found["variant"] == ""].set_index(same)["oIoU"].rename("own")
    found["gain"] = found["oIoU"] - found.join(own, on=same)["own"]
    datasets = found["dataset"].unique().tolist()
    lines = sorted(
        records(found),
        key=lambda line: (
            datasets.index(line["dataset"]),
            split_order(line["split"]),
            line["variant"],
            method_order(line["method"]),
        ),
    )
    return pd.DataFrame(lines, columns=found.columns)


def study_summary(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a ``study_table`` with ``seeds oIoU oIoU_sd mIoU mIoU_sd ...``, as in ``over_seeds``."""
    return _means(table, _OF_STUDIES).drop(columns=["oIoU_low", "oIoU_high"])


def networks_resolution(choices: MasksEval) -> Resolution:
    """Where networks are told beside choices among candidates: ``evaluate.resolution``."""
    told: Resolution = choices.settings.get("evaluate", {}).get("resolution", "480")
    return told


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def split_order(split: str) -> tuple[int, str]:
    """Sorts val before the tests, and train last."""
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """A row per method and measure of an eval file; ``as_networks``: per sentence at ``evaluate.resolution``."""
    content = read_eval(path)
    about: dict[str, Any] = {"dataset": content.dataset, "split": content.split, "world": content.world}
    if isinstance(content, ModelEval):
        about |= {"method": content.method, "seed": content.seed}
        yield about | _measured("sentence", content.resolution, content, as_networks=True)
        return
    about |= {"seed": None, "candidates": content.candidates.mean, "share_empty": content.candidates.share_empty}
    resolution = networks_resolution(content)
    for name, choice in content.choices.items():
        if (content.per, content.resolution) != ("sentence", resolution):
            yield about | {"method": name} | _measured(content.per, content.resolution, choice, as_networks=False)
        as_networks = choice.per_sentence[resolution]
        yield about | {"method": name} | _measured("sentence", resolution, as_networks, as_networks=True)


def _measured(per: str, resolution: str, found: Measured, *, as_networks: bool) -> dict[str, Any]:
    low, high = found.ci95.oIoU if found.ci95 else (None, None)
    figures = {"oIoU": found.oIoU, "mIoU": found.mIoU, "P@0.5": found.precision["0.5"]}
    measure = {"per": per, "resolution": resolution, "as_networks": as_networks}
    return measure | figures | {"oIoU_low": low, "oIoU_high": high}


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(_MEASURED, float))


def _means(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    groups = table.groupby(keys, sort=False)
    columns: dict[str, pd.Series] = {"seeds": groups["seed"].nunique()}
    columns |= {name: groups[name].mean() for name in ("oIoU_low", "oIoU_high")}
    for name in FIGURES:
        columns |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(columns).reset_index()


def _variant(path: Path) -> str:
    """What the folder of an eval file changes besides the seed, in words."""
    changes = parse(variant_of(path))
    changes.pop(SEED, None)
    return in_words(changes)
