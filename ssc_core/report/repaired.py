"""What Correct repaired: sentences that Select got wrong and the corrected network right, counted and drawn."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from ssc_core.evaluate.schema import read_eval
from ssc_core.refer.ref_table import open_photos
from ssc_core.report.example_sheet import example_sheet
from ssc_core.report.examples import RIGHT, ExampleFiles, beside_picks, evenly, load_example
from ssc_core.report.sheet import Below, render, text, write_picture
from ssc_core.tables import read_frame


def compare(network: Path, candidates: Path) -> pd.DataFrame:
    """Sentences as the corrected network and Select answer them, from the two eval files; those without a pick are left
    out. Raises SscError when a file of sentences is missing or damaged."""
    return beside_picks(
        read_frame(network.with_suffix(".parquet"), made_by="evaluate"),
        read_frame(candidates.with_suffix(".parquet"), made_by="evaluate_masks"),
    ).dropna(subset=["select_iou"])


def repaired_line(compared: pd.DataFrame) -> str:
    """The counts of ``repairs`` in words, and what to look at where the network is worse than the picks.

    Worse is a lower mean IoU: a network whose outlines are coarse may lose more sentences than it repairs, by an IoU of
    0.5, and be better.
    """
    counts = repairs(compared)
    told = (
        f"Select picks wrong (IoU under 0.5) for {counts['wrong']} of {len(compared)} sentences. The corrected network "
        f"gets {counts['repaired']} of those right, and {counts['lost']} of the {counts['right']} others wrong."
    )
    network, picks = (100 * compared[column].mean() for column in ("iou_native", "select_iou"))
    if not network < picks:
        return told
    return (
        f"{told} Its mean IoU of {network:.1f} is below that of the picks, {picks:.1f}. Either matching has not "
        "started in this training, as its curve shows (checkpoints/curves.png; another seed, seed1/eval_val.json, or "
        "more `correct.epochs` or a `correct.prior_weight` may start it), or so many picks are right that a network "
        "does better by learning from them alone, for as long (eval_continued_val.json)."
    )


def repairs(compared: pd.DataFrame) -> dict[str, int]:
    """Counts of sentences: ``wrong`` picks and the ``repaired`` of them, ``right`` picks and the ``lost`` of them."""
    pick_right, right = compared["select_iou"] >= RIGHT, compared["iou_native"] >= RIGHT
    return {
        "wrong": int((~pick_right).sum()),
        "repaired": int((~pick_right & right).sum()),
        "right": int(pick_right.sum()),
        "lost": int((pick_right & ~right).sum()),
    }


def write_repaired_picture(
    *,
    refs: Path,
    truth: Path,
    masks: Path,
    selected: Path,
    network: Path,
    candidates: Path,
    images: Path,
    out: Path,
    count: int = 3,
    columns: int = 1,
) -> None:
    """Contact sheet of ``count`` repaired sentences of different photos, evenly spaced by IoU, best first; where
    nothing was repaired, its words alone.

    network, candidates: eval files of the corrected network and of the candidates, on the same split; images: folder of
    the photos.
    """
    compared = compare(network, candidates)
    found = compared[(compared["select_iou"] < RIGHT) & (compared["iou_native"] >= RIGHT)]
    found = found.sort_values(["iou_native", "sent_id"], ascending=[False, True]).drop_duplicates("image_id")
    with ExitStack() as stack:
        sources = ExampleFiles.open(stack, open_photos(refs, images).or_grey, truth, masks, selected)
        examples = [load_example(row, sources) for row in evenly(found, count).itertuples()]
    about, counts = read_eval(network), repairs(compared)
    title = f"Picked wrong by Select, repaired by Correct: {about.dataset} {about.split}, {about.world} world"
    subtitle = (
        f"{counts['repaired']} of {counts['wrong']} sentences with a wrong pick (IoU under 0.5) come out right from "
        f"the network; {counts['lost']} of {counts['right']} with a right pick come out wrong. "
        "Evenly spaced by IoU among the repaired, one per photo."
    )
    if examples:
        picture = example_sheet(examples, columns=columns, panel=200, title=title, subtitle=subtitle)
    else:
        picture = render(Below([text(title, 26, 860, bold=True), text(subtitle, 15, 860)], 12), margin=28)
    write_picture(out, picture)
