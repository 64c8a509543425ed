"""docs/clicks.md: what reviews of a share of the refs are worth, to the labels and to a network trained on them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from pydantic import RootModel

from ssc_core.config.study import BASE
from ssc_core.drawing.style import INK, QUIET, css
from ssc_core.errors import SscError
from ssc_core.evaluate.eval_table import alike, of_first_split
from ssc_core.files import atomic_path
from ssc_core.refer.ref_table import read_refs
from ssc_core.report.figures import colour, panels, save
from ssc_core.report.pages import render
from ssc_core.report.results_page import editions_of

ORDERS = {"doubt": "by doubt", "random": "at random"}
"""The orders in which a simulated reviewer is asked, for people."""


class Reviewed(NamedTuple):
    """The share of refs that a variant of a study has reviewed, and in which order."""

    share: float
    order: str


_NOBODY = Reviewed(0.0, "")


class ReviewedVariants(RootModel[dict[str, Reviewed]]):
    """By the name of a variant, as JSON."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured of a share of the refs. oious: by order, one per seed; empty: not measured."""

    share: float
    oious: Mapping[str, pd.Series]

    @property
    def better(self) -> str:
        """Whether asking by doubt gains more than chance does, seed by seed: ``yes``, ``no``, or ``open``."""
        doubt, random = self.oious["doubt"], self.oious["random"]
        if doubt.empty or random.empty:
            return ""
        if doubt.min() > random.max():
            return "yes"
        return "no" if doubt.max() <= random.min() else "open"


@dataclass(frozen=True, slots=True)
class Panel:
    """What was measured of labels or networks. points: rows of a study table with ``share`` and ``order``, which is ""
    where nobody reviewed."""

    title: str
    points: pd.DataFrame

    @property
    def where(self) -> str:
        first = self.points.iloc[0]
        return f"{first['dataset']} {first['split']}"

    @property
    def start(self) -> pd.Series:
        """oIoU where nobody reviewed, one per seed."""
        return self.points.loc[self.points["order"] == "", "oIoU"]

    @property
    def lines(self) -> Iterator[Line]:
        """A line a share, the smallest first."""
        for share, rows in self.points[self.points["order"] != ""].groupby("share"):
            yield Line(float(str(share)), {order: rows.loc[rows["order"] == order, "oIoU"] for order in ORDERS})


def write_clicks_page(
    *,
    labels: Path,
    networks: Path,
    refs: Path,
    data: Path,
    variants: ReviewedVariants,
    note: str,
    page: Path,
    picture: Path,
) -> None:
    """labels, networks: table.csv of the studies; refs, data: refs.parquet and data.json of their dataset; note: for
    the networks' section.

    Raises SscError for a study that measured none of them, KeyError for a variant that is not in ``variants``.
    """
    measured = [
        _panel(labels, "Labels", "selected", variants.root),
        _panel(networks, "Corrected network", "corrected", variants.root),
    ]
    split = measured[0].points["split"].iloc[0]
    _draw(measured, picture)
    text = render(
        "clicks.md",
        panels=measured,
        orders=ORDERS,
        editions=editions_of([data]),
        refs=read_refs(refs, split, columns=("ref_id",))["ref_id"].nunique(),
        note=note,
        missing=_missing(*measured),
        picture=Path(os.path.relpath(picture, page.parent)).as_posix(),
    )
    with atomic_path(page) as temporary:
        temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def percentage(share: float, _place: object = None) -> str:
    """``2.5 %``: shares are round numbers, and none is called by another."""
    return f"{100 * share:g} %"


def _missing(labels: Panel, networks: Panel) -> list[str]:
    """What was measured on labels and not on networks, as ``5 % at random``."""
    found, known = (set(zip(panel.points["share"], panel.points["order"], strict=True)) for panel in (labels, networks))
    return [f"{percentage(share)} {ORDERS[order]}" for share, order in sorted(found - known)]


def _panel(table: Path, title: str, method: str, variants: Mapping[str, Reviewed]) -> Panel:
    rows = alike(of_first_split(pd.read_csv(table, dtype={"resolution": str})), method)
    if rows.empty:
        raise SscError(f"{table} has no row of the method '{method}'; does the study of reviews still measure it?")
    found = [_NOBODY if name == BASE else variants[name] for name in rows["variant"]]
    return Panel(title, rows.assign(share=[one.share for one in found], order=[one.order for one in found]))


def _draw(measured: Sequence[Panel], out: Path) -> None:
    figure, axes = panels(9, 3.8, 1, len(measured))
    for axis, panel in zip(axes, measured, strict=True):
        _draw_panel(axis, panel)
    axes[0].set_ylabel("oIoU, %")
    axes[0].legend(loc="upper left", fontsize=9)
    save(figure, out)


def _draw_panel(axis: Axes, panel: Panel) -> None:
    start = panel.start.mean()
    axis.axhline(start, color=css(QUIET), linestyle=":", linewidth=1)
    axis.annotate("nobody reviews", (1, start), xycoords=("axes fraction", "data"), ha="right", va="top", fontsize=8)
    for place, (order, name) in enumerate(ORDERS.items()):
        rows = panel.points[panel.points["order"] == order]
        axis.plot(rows["share"], rows["oIoU"], ".", color=colour(place), alpha=0.5)
        means = panel.points[panel.points["order"].isin(["", order])].groupby("share")["oIoU"].mean()
        axis.plot(means.index, means, color=colour(place), label=name)
    axis.set_xticks(sorted(panel.points["share"].unique()))
    axis.xaxis.set_major_formatter(percentage)
    axis.tick_params(axis="x", labelsize=8, labelrotation=60)
    axis.set_xlabel("refs of the train split that were reviewed", color=css(INK))
    axis.set_title(f"{panel.title}, {panel.where}")
