"""A study of the config: its table, the same over seeds, and a picture of what each variant does to oIoU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ssc_core.config.methods import method_name
from ssc_core.config.study import BASE
from ssc_core.drawing.style import INK, PREDICTION, QUIET, css
from ssc_core.evaluate.eval_table import StudyRows, alike, study_summary, study_table
from ssc_core.files import atomic_path
from ssc_core.report.figures import panels, save

_DRAWN = ("selected", "corrected")


def write_study(evals: list[Path], rows: StudyRows, table: Path, summary: Path, plot: Path) -> None:
    """rows: variant and seed of each of ``evals``; table, summary: CSV; plot: SVG."""
    found = study_table(evals, rows.root)
    for frame, out in ((found, table), (study_summary(found), summary)):
        with atomic_path(out) as temporary:
            frame.to_csv(temporary, index=False)
    draw_study(found, plot)


def draw_study(table: pd.DataFrame, out: Path) -> None:
    """A panel a dataset, split and method, a line per variant: oIoU of every seed with its 95 % interval, and the mean
    over seeds.

    table: ``eval_table.study_table``; out: SVG. The dotted line is the config without a change.
    """
    splits = [rows for _, rows in table.groupby(["dataset", "split"], sort=False)]
    found = [rows for split in splits for method in _DRAWN if len(rows := alike(split, method))]
    heights = [rows["variant"].nunique() for rows in found]
    height = 1.4 + 0.34 * sum(heights) + 0.9 * len(found)
    figure, axes = panels(9, height, len(found), 1, height_ratios=heights)
    for axis, rows in zip(axes, found, strict=True):
        _draw(axis, rows)
    figure.suptitle(f"Variants of the config, {' and '.join(table['world'].unique())} world")
    save(figure, out)


def _draw(axis: Axes, rows: pd.DataFrame) -> None:
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
    axis.grid(visible=False)
    one = rows.iloc[0]
    where = "photo pixels" if one["resolution"] == "native" else "480 x 480"
    axis.set_title(f"{one['dataset']} {one['split']}: {method_name(one['method'])}, once per {one['per']}, {where}")
    axis.set_xlabel("oIoU, %; lines: 95 % interval")
