"""A picture of a training: loss, soft IoU and learning rate over its steps, matching accuracy over its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from ssc_core.config.methods import PHASES
from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.report.style import CANDIDATE, INK, PICK, PREDICTION, QUIET, TRUTH, css

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

COLOURS = [css(colour) for colour in (PICK, PREDICTION, TRUTH, QUIET)]
_SMOOTHING = 40
"""A running mean covers one part in so many of a phase's steps."""


@dataclass(frozen=True, slots=True)
class _Phase:
    """name: of its file; x: steps, float (N,), counted on from the phase before; log: (N, columns)."""

    name: str
    x: np.ndarray
    log: pd.DataFrame
    colour: str

    @property
    def label(self) -> str:
        return PHASES[self.name].title if self.name in PHASES else self.name


def draw_curves(curves: list[Path], matching: list[Path], out: Path) -> None:
    """Draw training logs (CSV of ``trainer.LOG_COLUMNS``), one phase after the other, into a PNG.

    matching: CSV files of ``evaluate.matching``, drawn where there are any. Raises SscError for a log without steps.
    """
    phases = _phases(curves)
    figure, axes = plt.subplots(2, 2, figsize=(12, 7), constrained_layout=True)
    loss, soft_iou, rate, accuracy = axes.ravel()
    _draw(loss, phases, "loss", "loss of a step")
    _draw(soft_iou, phases, "soft_iou", "soft IoU with the matched mask")
    soft_iou.set_ylim(0, 1)
    _draw(rate, phases, "lr", "learning rate", smooth=False)
    if matching:
        _draw_accuracy(accuracy, matching)
    else:
        accuracy.set_visible(False)
    loss.legend(frameon=False, labelcolor=css(INK))
    for axis in (loss, soft_iou, rate):
        axis.set_xlabel("optimiser step")
        for phase in phases[1:]:
            axis.axvline(phase.x[0], color=css(CANDIDATE), linewidth=1, linestyle=":")
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def _phases(curves: Sequence[Path]) -> list[_Phase]:
    phases, done = [], 0
    for path, colour in zip(curves, COLOURS, strict=False):
        log = pd.read_csv(path)
        if log.empty:
            raise SscError(f"{path} has no steps to draw; was it written by a finished training?")
        phases.append(_Phase(Path(path).stem, log["step"].to_numpy(float) + done, log, colour))
        done += int(log["step"].iloc[-1])
    return phases


def _draw(axis: Axes, phases: Sequence[_Phase], column: str, title: str, *, smooth: bool = True) -> None:
    highest = 0.0
    for phase in phases:
        values = phase.log[column]
        if smooth:
            axis.plot(phase.x, values, color=phase.colour, alpha=0.25, linewidth=0.8)
            values = values.rolling(max(1, len(values) // _SMOOTHING), min_periods=1).mean()
        axis.plot(phase.x, values, color=phase.colour, linewidth=1.8, label=phase.label)
        highest = max(highest, float(np.nanquantile(phase.log[column], 0.995)))
    axis.set_title(title, loc="left", color=css(INK), fontsize=11)
    axis.set_ylim(0, 1.1 * highest or 1)
    _style(axis)


def _draw_accuracy(axis: Axes, matching: Sequence[Path]) -> None:
    highest = 0
    for path, colour in zip(matching, [COLOURS[1], COLOURS[0], *COLOURS[2:]], strict=False):
        table = pd.read_csv(path)
        phase = Path(path).name.split(".")[0]
        label = PHASES[phase].title if phase in PHASES else phase
        epochs = table["epoch"].to_numpy() + 1
        highest = max(highest, int(epochs[-1]))
        axis.plot(epochs, table["accuracy"], color=colour, linewidth=1.8, marker="o", markersize=3, label=label)
        axis.plot(epochs, table["accuracy_with_choice"], color=colour, linewidth=1.2, linestyle="--")
        axis.annotate(f"{table['accuracy'].iloc[-1]:.0%}", (epochs[-1], table["accuracy"].iloc[-1]), (4, 2),
                      textcoords="offset points", color=colour, fontsize=9)  # fmt: skip
    axis.set_title("matched with the true object (dashed: refs with a choice)", loc="left", color=css(INK), fontsize=11)
    axis.set_xlabel("epoch")
    axis.set_ylim(0, 1.05)
    axis.set_xlim(0.5, highest + max(1.0, 0.08 * highest))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(matching) > 1:
        axis.legend(frameon=False, labelcolor=css(INK), loc="lower right")
    _style(axis)


def _style(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(css(CANDIDATE))
    axis.tick_params(colors=css(QUIET))
    axis.xaxis.label.set_color(css(QUIET))
    axis.grid(axis="y", color=css(CANDIDATE), alpha=0.4, linewidth=0.6)
