"""Curves of trainings: loss, soft IoU and learning rate over steps, matching accuracy over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ssc_core.config.methods import PHASES
from ssc_core.drawing.style import CANDIDATE, css
from ssc_core.errors import SscError
from ssc_core.report.figures import Chart, colour, inline, panels, percent, save

_SMOOTHING = 40
"""A running mean covers one part in so many of a log's steps."""

_POINTS = 600
"""A line has about so many."""


def draw_curves(curves: list[Path], matching: list[Path], out: Path) -> None:
    """Draw training logs (CSV of ``trainer.LOG_COLUMNS``), one phase after the other, into a PNG.

    matching: CSV files of ``matching_accuracy``, drawn where there are any. Raises SscError for a log without steps.
    """
    figure, axes = panels(12, 7, 2, 2)
    loss, soft_iou, rate, accuracy = axes
    done = 0
    for path in curves:
        log = pd.read_csv(path)
        if log.empty:
            raise SscError(f"{path} has no steps to draw; was it written by a finished training?")
        for axis, column in ((loss, "loss"), (soft_iou, "soft_iou"), (rate, "lr")):
            draw_steps(
                axis, log, column, colour=_colour(_phase(path)), label=_title(path), start=done, raw=axis is not rate
            )
            if done:
                axis.axvline(done, color=css(CANDIDATE), linewidth=1, linestyle=":")
        done += int(log["step"].iloc[-1])
    for axis, title in ((loss, "loss"), (soft_iou, "soft IoU with the matched mask"), (rate, "learning rate")):
        axis.set(title=title, xlabel="optimiser step")
    soft_iou.set_ylim(0, 1)
    loss.legend()
    for path in matching:
        draw_matching(accuracy, [pd.read_csv(path)], colour=_colour(_phase(path)), label=_title(path), with_choice=True)
    accuracy.set(title="matched with the true object (dashed: refs with a choice)", visible=bool(matching))
    if len(matching) > 1:
        accuracy.legend(loc="lower right")
    save(figure, out)


def write_learning(matching: Sequence[Path], curves: Sequence[Path], out: Path, *, where: str) -> None:
    """Two panels as SVG: share of refs matched to their object by epoch, and the loss by step; a thin line per seed.

    matching, curves: as in ``draw_curves``, of several seeds.
    """
    figure, (left, right) = panels(10, 4, 1, 2)
    for phase, tables in _by_phase(matching).items():
        draw_matching(left, tables, colour=_colour(phase), label=_readable(phase))
    for phase, tables in _by_phase(curves).items():
        for seed, table in enumerate(tables):
            draw_steps(
                right, table, "loss", colour=_colour(phase), label=_readable(phase) if seed == 0 else "", raw=False
            )
    left.set_title("Train refs whose matched candidate is their object")
    right.set(title="Loss, running mean", xlabel="optimiser step")
    left.legend(loc="lower right")
    right.legend()
    figure.suptitle(where)
    save(figure, out)


def training_charts(log: pd.DataFrame, phase: str) -> list[Chart]:
    """Loss over steps, and the validation's oIoU where it was measured."""
    if not np.isfinite(log["loss"]).any():
        return []
    figure, (axis,) = panels(6, 3.4)
    draw_steps(axis, log, "loss", colour=_colour(phase))
    axis.set(xlabel="optimiser step", ylabel="loss")
    charts = [inline(figure, f"{phase}: loss")]
    measured = log.dropna(subset=["val_oIoU"])
    if len(measured) > 1:
        figure, (axis,) = panels(6, 3.4)
        axis.plot(measured["step"], measured["val_oIoU"], color=_colour(phase), marker="o", markersize=3)
        axis.set(xlabel="optimiser step", ylabel="oIoU, %", ylim=(0, 100))
        charts.append(inline(figure, f"{phase}: validation, one sentence a ref"))
    return charts


def matching_chart(matching: Mapping[str, pd.DataFrame]) -> list[Chart]:
    """Share of train refs whose matched candidate is the true object, by epoch, a line per phase; none without any."""
    tables = {phase: table for phase, table in matching.items() if len(table)}
    if not tables:
        return []
    figure, (axis,) = panels(6, 3.4)
    for phase, table in tables.items():
        draw_matching(axis, [table], colour=_colour(phase), label=_readable(phase))
    axis.set_ylabel("share of train refs")
    if len(tables) > 1:
        axis.legend(loc="lower right")
    return [inline(figure, "Matched candidate is the true object")]


def draw_steps(
    axis: Axes, log: pd.DataFrame, column: str, *, colour: str, label: str = "", start: int = 0, raw: bool = True
) -> None:
    """A column of a training log over its steps, counted on from ``start``: the running mean, and each step if ``raw``.

    The axis reaches from 0 to what all but the highest steps reach.
    """
    values = log[column]
    x = log["step"] + start
    keep = slice(None, None, max(1, len(log) // _POINTS))
    if raw:
        axis.plot(x[keep], values[keep], color=colour, alpha=0.25, linewidth=0.8)
    if column != "lr":
        values = values.rolling(max(1, len(values) // _SMOOTHING), min_periods=1).mean()
    axis.plot(x[keep], values[keep], color=colour, linewidth=1.8, label=label)
    before = 0 if axis.get_autoscaley_on() else axis.get_ylim()[1]
    axis.set_ylim(0, max(before, 1.1 * float(np.nanquantile(log[column], 0.995))) or 1)


def draw_matching(
    axis: Axes, tables: Sequence[pd.DataFrame], *, colour: str, label: str, with_choice: bool = False
) -> None:
    """Accuracy of the matching over epochs: the mean of tables, one per seed, each of which is a thin line."""
    if len(tables) > 1:
        for table in tables:
            axis.plot(table["epoch"] + 1, table["accuracy"], color=colour, linewidth=0.7, alpha=0.5)
    mean = pd.concat(tables).groupby("epoch").mean(numeric_only=True)
    epochs, last = mean.index + 1, float(mean["accuracy"].iloc[-1])
    axis.plot(epochs, mean["accuracy"], color=colour, marker="o", markersize=3, label=label)
    if with_choice:
        axis.plot(epochs, mean["accuracy_with_choice"], color=colour, linewidth=1.2, linestyle="--")
    axis.annotate(percent(last), (epochs[-1], last), (4, 2), textcoords="offset points", color=colour, fontsize=9)
    axis.set(xlabel="epoch", ylim=(0, 1.05))
    axis.margins(x=0.1)
    axis.yaxis.set_major_formatter(percent)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _phase(path: Path) -> str:
    """The phase that a log or a table of matching is of, from its file's name."""
    return path.name.split(".")[0]


def _by_phase(paths: Sequence[Path]) -> dict[str, list[pd.DataFrame]]:
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        tables.setdefault(_phase(path), []).append(pd.read_csv(path))
    return tables


def _title(path: Path) -> str:
    """What a phase is trained on."""
    phase = _phase(path)
    return PHASES[phase].title if phase in PHASES else phase


def _colour(phase: str) -> str:
    """One for each phase, the same in all charts."""
    return colour(list(PHASES).index(phase) if phase in PHASES else -1)


def _readable(phase: str) -> str:
    return phase.replace("_", " ")
