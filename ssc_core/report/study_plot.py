"""The picture of a study: what each variant does to oIoU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

from ssc_core.config.methods import method_name
from ssc_core.config.studies import BASE
from ssc_core.files import atomic_path
from ssc_core.report.style import INK, PREDICTION, QUIET, css

matplotlib.use("Agg")

_PANELS = (("selected", "native"), ("corrected", "480"))
"""Method and resolution of each panel: the choice as published, once a ref in photo pixels, and the network."""


def write_study_plot(table: pd.DataFrame, out: Path) -> None:
    """A panel a method, a line a variant: oIoU of every seed with its 95 % interval, and the mean over seeds.

    table: ``evaluate.study_table.study_table``; out: SVG. The dotted line is the config without a change.
    """
    from matplotlib.figure import Figure

    panels = [_panel(table, method, resolution) for method, resolution in _PANELS]
    panels = [rows for rows in panels if len(rows)]
    heights = [rows["variant"].nunique() for rows in panels]
    figure = Figure(figsize=(9, 1.4 + 0.34 * sum(heights) + 0.9 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axis, rows in zip(axes, panels, strict=True):
        _draw(axis, rows)
    first = table.iloc[0]
    figure.suptitle(f"Variants of the config: {first['dataset']} {first['split']}, {first['world']} world")
    # ids from a salt and no date: the same figures give the same file
    with atomic_path(out) as temporary, matplotlib.rc_context({"svg.hashsalt": "ssc"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _panel(table: pd.DataFrame, method: str, resolution: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["resolution"] == resolution)]


def _draw(axis: matplotlib.axes.Axes, rows: pd.DataFrame) -> None:
    places = {name: -i for i, name in enumerate(rows["variant"].unique())}
    row: Any
    for row in rows.itertuples():
        if pd.notna(row.oIoU_low):
            axis.plot([row.oIoU_low, row.oIoU_high], [places[row.variant]] * 2, color=css(QUIET), linewidth=1.2)
        axis.plot(row.oIoU, places[row.variant], "o", color=css(PREDICTION), markersize=4)
    for name, mean in rows.groupby("variant", sort=False)["oIoU"].mean().items():
        axis.plot(mean, places[name], "|", color=css(INK), markersize=12, markeredgewidth=2)
        axis.annotate(f"{mean:.1f}", (mean, places[name]), xytext=(6, 3), textcoords="offset points", fontsize=8)
    base = rows.loc[rows["variant"] == BASE, "oIoU"].mean()
    axis.axvline(base, color=css(QUIET), linestyle=":", linewidth=1)
    axis.set_yticks(list(places.values()), list(places))
    axis.set_ylim(-len(places) + 0.5, 0.6)
    axis.spines[["top", "right"]].set_visible(False)
    one = rows.iloc[0]
    where = "photo pixels" if one["resolution"] == "native" else "480 x 480"
    axis.set_title(f"{method_name(one['method'])}, once a {one['per']}, {where}", loc="left", fontsize=10)
    axis.set_xlabel("oIoU, %; lines: 95 % interval")
