"""docs/clicks.md: what reviews of a share of the refs are worth, to the labels and to a network trained on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from pydantic import RootModel

from ssc_core.config.study import BASE
from ssc_core.drawing.style import INK, QUIET, css
from ssc_core.evaluate.study_table import of_first_split
from ssc_core.files import atomic_path
from ssc_core.refer.ref_table import read_refs
from ssc_core.report.figures import colour, panels, percent, save
from ssc_core.report.pages import render

ORDERS = {"doubt": "by doubt", "random": "at random"}
"""The orders in which a simulated reviewer is asked, for people."""

_FIGURES = ["oIoU", "mIoU", "P@0.5"]


class Reviewed(NamedTuple):
    """The share of refs that a variant of a study has reviewed, and in which order."""

    share: float
    order: str


class ReviewedVariants(RootModel[dict[str, Reviewed]]):
    """By the name of a variant, as JSON."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What was measured of labels or networks. points: ``share order seed oIoU mIoU P@0.5``, order "" where nobody
    reviewed."""

    title: str
    dataset: str
    split: str
    points: pd.DataFrame

    @property
    def lines(self) -> list[Line]:
        """A line a share, the smallest first."""
        start = self._of(0.0, "")
        return [
            Line(float(share), start, *(self._of(share, order) for order in ORDERS))
            for share in sorted(self.points["share"].unique())
            if share > 0
        ]

    @property
    def start(self) -> pd.DataFrame:
        """Where nobody reviewed, a row a seed."""
        return self._of(0.0, "")

    def _of(self, share: float, order: str) -> pd.DataFrame:
        return self.points[(self.points["share"] == share) & (self.points["order"] == order)]


@dataclass(frozen=True, slots=True)
class Line:
    """A share: what was measured before any review, by doubt and at random, a row a seed; no rows: not measured."""

    share: float
    start: pd.DataFrame
    doubt: pd.DataFrame
    random: pd.DataFrame

    def gain(self, order: str) -> float:
        """Points of oIoU over nobody's review, mean over seeds; NaN where it was not measured."""
        rows = {"doubt": self.doubt, "random": self.random}[order]
        return float(rows["oIoU"].mean() - self.start["oIoU"].mean())

    @property
    def better(self) -> str:
        """Whether asking by doubt gains more than chance does, seed by seed: ``yes``, ``no``, or ``open``."""
        doubt, random = self.doubt["oIoU"], self.random["oIoU"]
        if doubt.empty or random.empty:
            return ""
        if doubt.min() > random.max():
            return "yes"
        return "no" if doubt.max() <= random.min() else "open"


def write_clicks_page(
    labels: Path, networks: Path, refs: Path, variants: ReviewedVariants, note: str, page: Path, picture: Path
) -> None:
    """labels, networks: table.csv of the studies; refs: refs.parquet of their dataset; note: for the networks' section.

    Raises KeyError for a variant of the tables that is not in ``variants``.
    """
    measured = [
        _panel(labels, "Labels", "selected", "native", variants.root),
        _panel(networks, "Corrected network", "corrected", "480", variants.root),
    ]
    refs_of_train = read_refs(refs, measured[0].split, columns=("ref_id",))["ref_id"].nunique()
    _draw(measured, picture)
    text = render(
        "clicks.md",
        panels=measured,
        orders=ORDERS,
        figures=_FIGURES,
        refs=refs_of_train,
        note=note,
        missing=_missing(*measured),
        picture=Path(os.path.relpath(picture, page.parent)).as_posix(),
    )
    with atomic_path(page) as temporary:
        temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _missing(labels: Panel, networks: Panel) -> list[str]:
    """What was measured on labels and not on networks, as ``5 % at random``."""
    found, known = (set(zip(panel.points["share"], panel.points["order"], strict=True)) for panel in (labels, networks))
    return [f"{percent(share)} {ORDERS[order]}" for share, order in sorted(found - known)]


def _panel(table: Path, title: str, method: str, resolution: str, variants: dict[str, Reviewed]) -> Panel:
    read = pd.read_csv(table, dtype={"resolution": str})
    rows = of_first_split(read[(read["method"] == method) & (read["resolution"] == resolution)])
    nobody = Reviewed(0.0, "")
    found = [nobody if name == BASE else variants[name] for name in rows["variant"]]
    points = rows.assign(share=[one.share for one in found], order=[one.order for one in found])
    first = rows.iloc[0]
    kept = ["share", "order", "seed", "oIoU_low", "oIoU_high", *_FIGURES]
    return Panel(title, first["dataset"], first["split"], points[kept].reset_index(drop=True))


def _draw(measured: Sequence[Panel], out: Path) -> None:
    figure, axes = panels(9, 3.8, 1, len(measured))
    for axis, panel in zip(axes, measured, strict=True):
        _draw_panel(axis, panel)
    axes[0].set_ylabel("oIoU, %")
    axes[0].legend(loc="upper left", fontsize=9)
    save(figure, out)


def _draw_panel(axis: Axes, panel: Panel) -> None:
    start = panel.start["oIoU"].mean()
    axis.axhline(start, color=css(QUIET), linestyle=":", linewidth=1)
    axis.annotate("nobody reviews", (1, start), xycoords=("axes fraction", "data"), ha="right", va="top", fontsize=8)
    for place, (order, name) in enumerate(ORDERS.items()):
        rows = panel.points[panel.points["order"] == order]
        axis.plot(rows["share"], rows["oIoU"], ".", color=colour(place), alpha=0.5)
        means = pd.concat([panel.start, rows]).groupby("share")["oIoU"].mean()
        axis.plot(means.index, means, color=colour(place), label=name)
    axis.set_xticks(sorted(panel.points["share"].unique()))
    axis.xaxis.set_major_formatter(percent)
    axis.tick_params(axis="x", labelsize=8, labelrotation=60)
    axis.set_xlabel("refs of the train split that were reviewed", color=css(INK))
    axis.set_title(f"{panel.title}, {panel.dataset} {panel.split}")
