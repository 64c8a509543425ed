"""The report's charts from collected results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ssc_core.config.methods import method_name
from ssc_core.report.collect import Candidates, Method
from ssc_core.report.svg import Axis, Line, bar_chart, histogram, line_chart, row_chart

_BINS = 20
_SMOOTHING = 40
"""A log's running mean covers one part in so many of its steps."""


def success_curves(methods: Sequence[Method], *, title: str) -> str:
    """Share of pairs that reach an IoU, over the IoU: Precision@t for every t."""
    thresholds = np.linspace(0.01, 1, 100)
    lines = []
    for method in methods:
        reached = (method.ious.to_numpy()[:, None] >= thresholds).mean(axis=0)
        dashed, colour = line_style(method, methods)
        lines.append(Line(method_name(method.name), thresholds, reached, colour=colour, dashed=dashed))
    x, y = Axis(0, 1, "IoU at least", percent=True), Axis(0, 1, "share of pairs", percent=True)
    return line_chart(lines, x, y, title=title)


def line_style(method: Method, methods: Sequence[Method]) -> tuple[bool, int]:
    """Dashed and colour: choices among candidates are dashed, networks solid, and each kind counts its own colours."""
    alike = [m.name for m in methods if m.of_candidates == method.of_candidates]
    return method.of_candidates, alike.index(method.name)


def iou_histogram(method: Method, *, title: str, colour: int = 0) -> str:
    """Pairs by IoU."""
    counts, edges = np.histogram(method.ious.to_numpy(), bins=_BINS, range=(0, 1))
    axis = Axis(0, 1, "IoU", percent=True)
    return histogram(counts.tolist(), edges.tolist(), axis, title=title, unit=f"{method.per}s", colour=colour)


def training_charts(log: pd.DataFrame, *, phase: str, colour: int) -> list[str]:
    """Loss over steps, and the validation's oIoU where it was measured."""
    steps, loss = log["step"].to_numpy(float), log["loss"].to_numpy(float)
    known = np.isfinite(loss)
    steps, loss = steps[known], loss[known]
    if not len(steps):
        return []
    x = Axis(0, max(float(steps[-1]), 1), "optimiser step")
    window = max(1, len(loss) // _SMOOTHING)
    smooth = pd.Series(loss).rolling(window, min_periods=1).mean().to_numpy()
    top = float(np.quantile(loss, 0.995)) * 1.1 or 1.0
    keep = slice(None, None, max(1, len(loss) // 600))
    lines = [
        Line("every step", steps[keep], np.minimum(loss, top)[keep], colour=colour, faint=True),
        Line(f"mean of {window} steps", steps[keep], np.minimum(smooth, top)[keep], colour=colour),
    ]
    charts = [line_chart(lines, x, Axis(0, top, "loss"), title=f"{phase}: loss")]
    measured = log.dropna(subset=["val_oIoU"])
    if len(measured) > 1:
        values = measured["val_oIoU"].to_numpy(float)
        line = Line("validation oIoU", measured["step"].to_numpy(float), values, colour=colour)
        charts.append(line_chart([line], x, Axis(0, 100, "oIoU, %"), title=f"{phase}: validation, one sentence a ref"))
    return charts


def matching_chart(matching: Mapping[str, pd.DataFrame]) -> str:
    """Share of train refs whose matched candidate is the true object, by epoch, a line a phase; "" without any."""
    tables = {phase: table for phase, table in matching.items() if len(table)}
    if not tables:
        return ""
    lines = [
        Line(phase.replace("_", " "), table["epoch"].to_numpy(float) + 1, table["accuracy"].to_numpy(float), colour=i)
        for i, (phase, table) in enumerate(tables.items())
    ]
    last = max(float(line.x[-1]) for line in lines)
    x, y = Axis(1, max(last, 2), "epoch", whole=True), Axis(0, 1, "share of train refs", percent=True)
    return line_chart(lines, x, y, title="Matched candidate is the true object")


def time_chart(jobs: pd.DataFrame) -> str:
    """What takes the time: minutes of each rule on each split, all its jobs, the longest first."""
    spent = jobs.groupby(["rule", "split"], sort=False)["seconds"].sum().sort_values(ascending=False)
    named: list[tuple[tuple[str, str], float]] = list(zip(spent.index.to_list(), spent.to_list(), strict=True))
    rows = {f"{rule} {split}".strip(): seconds / 60 for (rule, split), seconds in named if seconds >= 1}
    return row_chart(rows, title="What takes the time", unit="minutes")


def candidate_chart(candidates: Candidates) -> str:
    """Refs by their number of candidates."""
    content = candidates.content
    counts = {int(n): refs for n, refs in content.candidates.histogram.items()}
    bars = {str(n): counts.get(n, 0) for n in range(max(counts) + 1)}
    return bar_chart(bars, title=f"{content.split}: candidates a ref", label="candidates", unit="refs", colour=1)
