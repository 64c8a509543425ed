"""Pictures of docs/results.md: what Correct repaired, and the method at work, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.report.examples import Sources, load_example
from ssc_core.report.gallery import gallery
from ssc_core.report.sheet import write_picture
from ssc_core.report.style import PICK, PREDICTION, QUIET, css

matplotlib.use("Agg")

RIGHT = 0.5
"""A mask counts as right from this IoU on."""


def compare_picks(rows: pd.DataFrame, picked: pd.DataFrame) -> pd.DataFrame:
    """Sentences of a network's evaluation with ``select_iou``, the IoU of Select's pick for their ref.

    rows: ``evaluate.pairs.measure_pairs``; picked: ``evaluate.masks.candidates_path``. Both in photo pixels.
    """
    picks = picked[picked["sentence"] == 0].set_index("ref_id")["iou_selected"]
    return rows.assign(select_iou=rows["ref_id"].map(picks)).dropna(subset=["select_iou"])


def repairs(compared: pd.DataFrame) -> dict[str, int]:
    """Counts of sentences: ``wrong`` picks and the ``repaired`` of them, ``right`` picks and the ``lost`` of them."""
    pick_right, right = compared["select_iou"] >= RIGHT, compared["iou_native"] >= RIGHT
    return {
        "wrong": int((~pick_right).sum()),
        "repaired": int((~pick_right & right).sum()),
        "right": int(pick_right.sum()),
        "lost": int((pick_right & ~right).sum()),
    }


def write_repaired_picture(compared: pd.DataFrame, sources: Sources, out: Path, *, where: str, count: int = 6) -> None:
    """Contact sheet of ``count`` repaired sentences of different photos, evenly spaced by IoU, best first.

    Raises SscError when nothing was repaired.
    """
    counts = repairs(compared)
    found = compared[(compared["select_iou"] < RIGHT) & (compared["iou_native"] >= RIGHT)]
    found = found.sort_values(["iou_native", "sent_id"], ascending=[False, True]).drop_duplicates("image_id")
    if found.empty:
        raise SscError(f"{where}: Correct repaired no wrong pick, so there is nothing to show")
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    picture = gallery(
        [load_example(row, sources) for row in found.iloc[places].itertuples()],
        columns=2,
        panel=200,
        title=f"Picked wrong by Select, repaired by Correct: {where}",
        subtitle=f"{counts['repaired']} of {counts['wrong']} sentences with a wrong pick (IoU under 0.5) come out "
        f"right from the network; {counts['lost']} of {counts['right']} with a right pick come out wrong. "
        "Evenly spaced by IoU among the repaired, one a photo.",
    )
    write_picture(out, picture)


def write_curves(
    matching: Mapping[str, Sequence[pd.DataFrame]],
    losses: Mapping[str, Sequence[pd.DataFrame]],
    out: Path,
    *,
    where: str,
) -> None:
    """Two panels as SVG: share of refs matched to their object by epoch, and the loss by step; a thin line a seed.

    matching, losses: by phase, a table a seed: ``epoch accuracy`` and ``step loss``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (phase, tables) in zip((PREDICTION, PICK, QUIET), matching.items(), strict=False):
        for table in tables:
            left.plot(table["epoch"] + 1, 100 * table["accuracy"], color=css(colour), linewidth=0.7, alpha=0.5)
        mean = pd.concat(tables).groupby("epoch")["accuracy"].mean()
        left.plot(mean.index + 1, 100 * mean, color=css(colour), linewidth=2.2, label=phase.replace("_", " "))
    left.set(xlabel="epoch", ylabel="%", title="Train refs whose matched candidate is their object", ylim=(0, 100))
    left.legend(frameon=False, loc="lower right")
    for colour, (phase, tables) in zip((PREDICTION, PICK, QUIET), losses.items(), strict=False):
        for i, table in enumerate(tables):
            smooth = table["loss"].rolling(max(1, len(table) // 40), min_periods=1).mean()
            name = phase.replace("_", " ") if i == 0 else None
            right.plot(table["step"], smooth, color=css(colour), linewidth=1, alpha=0.8, label=name)
    right.set(xlabel="optimiser step", title="Loss, running mean")
    right.legend(frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(where)
    # ids from a salt and no date: the same figures give the same file
    with atomic_path(out) as temporary, matplotlib.rc_context({"svg.hashsalt": "ssc"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
