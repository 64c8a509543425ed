"""docs/results.md: tables over seeds, and whether the order of the methods is what the method promises."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel

from ssc_core.config.study import BASE
from ssc_core.evaluate.eval_table import (
    StudyRows,
    alike,
    folder_table,
    of_first_split,
    over_seeds,
    records,
    study_table,
)
from ssc_core.evaluate.schema import read_eval
from ssc_core.files import atomic_path, read_json
from ssc_core.report.curves import write_learning
from ssc_core.report.pages import render
from ssc_core.report.published import PUBLISHED
from ssc_core.report.repaired import compare, repaired_line, write_repaired_picture

_TOLD = ("corrected", "selected")
"""What a changed value is told by: the first one that was measured."""

_BEYOND = ["oIoU", "oIoU_low", "oIoU_high", "mIoU"]

_Row = Mapping[str, Any]


class PageFiles(BaseModel):
    """What a page is made from.

    network, candidates: eval files of the split that pictures show, as refs, truth, masks and selected are of it;
    matching, curves: of its trainings; beyond: eval files of changed values; data: what each dataset is.
    """

    evals: list[Path]
    matching: list[Path]
    curves: list[Path]
    beyond: list[Path]
    refs: Path
    truth: Path
    masks: Path
    selected: Path
    network: Path
    candidates: Path
    data: list[Path]


def write_results_page(
    files: PageFiles, images: Path, rows: StudyRows, note: str, page: Path, repaired: Path, learning: Path
) -> None:
    """Write the page and its pictures, from eval files and training logs alone.

    images: folder of the photos; rows: variant and seed of ``files.beyond``; note: sentences for the head of the page.
    """
    about = read_eval(files.network)
    where = f"{about.dataset} {about.split}, {about.world} world"
    write_repaired_picture(
        refs=files.refs,
        truth=files.truth,
        masks=files.masks,
        selected=files.selected,
        network=files.network,
        candidates=files.candidates,
        images=images,
        out=repaired,
        count=6,
        columns=2,
    )
    write_learning(files.matching, files.curves, learning, where=where)
    pictures = {
        f"Picked wrong by Select, repaired by Correct ({where})": repaired,
        "The method at work: matching, and loss, a thin line per seed": learning,
    }
    text = results_page(
        over_seeds(folder_table(files.evals)),
        {caption: Path(os.path.relpath(path, page.parent)) for caption, path in pictures.items()},
        [f"{where}: {repaired_line(compare(files.network, files.candidates))}"],
        study_table(files.beyond, rows.root),
        note,
        editions_of(files.data),
    )
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def editions_of(data: Sequence[Path]) -> list[int]:
    """The editions of the micro world that datasets are of, by their data.json; photos are of none."""
    identities = [json.loads(read_json(path)["identity"]) for path in data]
    return sorted({identity["edition"] for identity in identities if "edition" in identity})


class Claim(NamedTuple):
    """What the method promises for a split, what was measured, and whether it held."""

    text: str
    measured: str
    holds: bool


@dataclass(frozen=True, slots=True)
class MethodTable:
    """What was measured on a split, for the config (``variant`` is empty) or a variant of it.

    lines: rows of ``eval_table.over_seeds`` with ``published``; published figures are of no variant.
    """

    dataset: str
    split: str
    variant: str
    world: str
    lines: Sequence[_Row]

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.split}" + (f", `{self.variant}`" if self.variant else "")

    @property
    def claims(self) -> list[Claim]:
        """Those about methods that were measured here."""
        return list(claims({line["method"]: line for line in self.lines}))

    @property
    def second_hand(self) -> bool:
        return any(line["published"] and line["published"].second_hand for line in self.lines)


def results_page(
    summary: pd.DataFrame,
    pictures: Mapping[str, Path],
    notes: Sequence[str] = (),
    beyond: pd.DataFrame | None = None,
    note: str = "",
    editions: Sequence[int] = (),
) -> str:
    """Markdown. summary: ``eval_table.over_seeds`` of all datasets; pictures: caption to path, relative to the page.

    beyond: ``study_table`` of variants that go beyond the paper; note: sentences for the head of the page; editions:
    of the micro world, those of its datasets.
    """
    page = render(
        "results.md",
        worlds=summary["world"].unique().tolist(),
        tables=list(_tables(summary)),
        notes=notes,
        note=note,
        editions=editions,
        beyond=None if beyond is None or beyond.empty else _beyond(beyond),
        pictures=pictures,
    )
    return page.rstrip("\n") + "\n"


def _tables(summary: pd.DataFrame) -> Iterator[MethodTable]:
    for (dataset, split, variant), rows in summary.groupby(["dataset", "split", "variant"], sort=False):
        lines = [
            row | {"published": None if variant else PUBLISHED.get((row["dataset"], row["split"], row["method"]))}
            for row in records(rows)
        ]
        yield MethodTable(str(dataset), str(split), str(variant), lines[0]["world"], lines)


_Holds = Callable[[float], bool]


def _above(points: float) -> _Holds:
    return lambda gain: gain > 0 and gain >= points


def _within(points: float) -> _Holds:
    return lambda gain: abs(gain) <= points


_MARGIN = 8.0
"""Points of oIoU by which constrained matching shall be above training on the picks, and above the picks."""

_ABOUT = 5.0
"""Points of oIoU within which the network pre-trained on the picks is called as good as they are; published: 2.6."""

_AGREE = 2.0
"""Points of oIoU between the best and the worst seed of Correct."""

_PROMISED: Sequence[tuple[str, str, str, _Holds]] = (
    ("Select is better than chance", "selected", "random", _above(0)),
    (f"Correct is at least {_MARGIN:.0f} points above the network pre-trained on the picks", "corrected", "pretrained",
     _above(_MARGIN)),
    (f"… and above one trained on them for as long, by at least {_MARGIN:.0f}", "corrected", "continued",
     _above(_MARGIN)),
    (f"… and above the picks themselves, by at least {_MARGIN:.0f}", "corrected", "selected", _above(_MARGIN)),
    (f"… and with Segment's outlines, as the picks have them, by at least {_MARGIN:.0f}", "corrected_choice",
     "selected", _above(_MARGIN)),
    ("The constraints matter", "corrected", "without_constraints", _above(0)),
    ("Ground truth is better still", "supervised", "corrected", _above(0)),
    (f"Training on the picks keeps their mistakes: within {_ABOUT:.0f} points", "pretrained", "selected",
     _within(_ABOUT)),
    ("… and with Segment's outlines, as the picks have them", "pretrained_choice", "selected", _within(_ABOUT)),
)  # fmt: skip
"""A claim, two methods, and what the gain in oIoU of the first over the second has to be."""


def claims(rows: Mapping[str, _Row]) -> Iterator[Claim]:
    """The method's claims. rows: by method; claims about what was not measured are left out."""
    for text, ours, theirs, holds in _PROMISED:
        if ours in rows and theirs in rows:
            own, other = rows[ours]["oIoU"], rows[theirs]["oIoU"]
            yield Claim(text, f"{own - other:+.1f} ({ours} {own:.1f}, {theirs} {other:.1f})", holds(own - other))
    if "corrected" in rows and "selected" in rows:
        low, high = rows["corrected"]["oIoU_low"], rows["selected"]["oIoU_high"]
        if pd.notna(low) and pd.notna(high):
            measured = f"from {low:.1f}, and Select's up to {high:.1f}"
            yield Claim("Correct is above Select, their intervals apart", measured, low > high)
    if "corrected" in rows and len(each := rows["corrected"]["each_seed"]) > 1:
        apart = max(each) - min(each)
        measured = f"{apart:.1f} ({', '.join(f'{one:.1f}' for one in each)})"
        yield Claim(f"Seeds of Correct agree within {_AGREE:.0f} points", measured, apart <= _AGREE)
    if "best" in rows:
        best = rows["best"]["oIoU"]
        yield Claim("Segment finds the object: best candidate at least 80", f"{best:.1f}", best >= 80)


def _beyond(table: pd.DataFrame) -> dict[str, Any]:
    """A line a changed value: of Select's masks, and of the corrected network where the value changes its training."""
    of_split = of_first_split(table[table["per"] == "sentence"])
    wanted = pd.concat([alike(of_split, method) for method in _TOLD])
    means = records(wanted.groupby(["variant", "method"], sort=False)[_BEYOND].mean().reset_index())
    figures = {(row["variant"], row["method"]): row for row in means}
    lines = []
    for variant in of_split["variant"].unique():
        measured = [method for method in _TOLD if (variant, method) in figures]
        for method in measured if variant == BASE else measured[:1]:
            line, plain = figures[variant, method], figures[BASE, method]
            gains = {f"{name}_gain": line[name] - plain[name] for name in ("oIoU", "mIoU")}
            lines.append({**line, **gains, "changed": "" if variant == BASE else variant})
    about = wanted.iloc[0]
    seeds = sorted(wanted["seed"].dropna().astype(int).unique().tolist())
    return {"dataset": about["dataset"], "split": about["split"], "seeds": seeds, "lines": lines}
