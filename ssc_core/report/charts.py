"""The report's charts of evaluations, candidates and jobs. Those of trainings are in ``report.curves``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ssc_core.config.methods import method_name
from ssc_core.report.collect import EvaluatedMasks, ResultLine
from ssc_core.report.figures import Chart, colour, inline, panels

_BINS = 20


def success_curves(methods: Sequence[ResultLine], title: str) -> Chart:
    """Share of pairs that reach an IoU, over the IoU: Precision@t for every t."""
    legend_rows = -(-len(methods) // 2)
    figure, (axis,) = panels(6, 3.4 + 0.2 * legend_rows)
    thresholds = np.linspace(0.01, 1, 100)
    for method in methods:
        reached = (method.ious.to_numpy()[:, None] >= thresholds).mean(axis=0)
        line = "--" if method.of_candidates else "-"
        axis.plot(thresholds, reached, line, color=method_colour(method, methods), label=method_name(method.name))
    axis.set(xlabel="IoU at least", ylabel="share of pairs", xlim=(0, 1), ylim=(0, 1.02))
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return inline(figure, title)


def method_colour(method: ResultLine, methods: Sequence[ResultLine]) -> str:
    """Choices among candidates are dashed, networks solid, and each kind counts its own colours."""
    return colour([m.name for m in methods if m.of_candidates == method.of_candidates].index(method.name))


def iou_histogram(method: ResultLine, title: str, colour: str) -> Chart:
    """Pairs by IoU."""
    figure, (axis,) = panels(6, 3.4)
    axis.hist(method.ious, bins=_BINS, range=(0, 1), color=colour, rwidth=0.9)
    axis.set(xlabel="IoU", ylabel=f"{method.per}s", xlim=(0, 1))
    axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    return inline(figure, title)


def candidate_chart(masks: EvaluatedMasks) -> Chart:
    """Refs by their number of candidates."""
    counts = {int(n): refs for n, refs in masks.content.candidates.histogram.items()}
    figure, (axis,) = panels(6, 3.4)
    axis.bar(list(counts), list(counts.values()), color=colour(1))
    axis.set(xlabel="candidates", ylabel="refs", xlim=(-0.6, max(counts) + 0.6))
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(MaxNLocator(integer=True))
    return inline(figure, f"{masks.content.split}: candidates per ref")


def time_chart(jobs: pd.DataFrame) -> Chart:
    """What takes the time: minutes of each rule on each split, all its jobs, the longest first."""
    spent = jobs.groupby(["rule", "split"], sort=False)["seconds"].sum().sort_values() / 60
    spent = spent[spent >= 1 / 60]
    figure, (axis,) = panels(6, 0.8 + 0.3 * len(spent))
    names = [f"{rule} {split}".strip() for rule, split in spent.index.to_list()]
    bars = axis.barh(names, spent.to_list(), color=colour(0))
    axis.bar_label(bars, fmt="%.1f", padding=4)
    axis.set(xlabel="minutes")
    axis.grid(visible=False)
    return inline(figure, "What takes the time")
