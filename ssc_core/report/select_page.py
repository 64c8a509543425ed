"""``results/report/select.html``: ways to select side by side, and the choices that are worth a look."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.config.labelling import SelectSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.masks import candidates_path
from ssc_core.evaluate.schema import MasksEval, read_eval
from ssc_core.files import atomic_path, write_json
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import PhotoShelf
from ssc_core.report.html import whole_page
from ssc_core.report.select_cards import Stores, choice_gallery, own_choices, tagged
from ssc_core.report.select_table import OWN, compared, csv_table, html_table
from ssc_core.tables import read_frame

CARDS_A_TAG = 24


def write_select_page(
    *,
    refs: Path,
    truth: Path,
    masks: Path,
    scores: Path,
    selected: Path,
    evaluation: Path,
    images: Path,
    variants: str,
    select: SelectSettings,
    page: Path,
    figures: Path,
    table: Path,
) -> None:
    """Write the page, and its table as JSON (``figures``) and CSV (``table``).

    evaluation: eval file of the split's masks with the choice ``selected``, made from ``selected``, and a choice a
    variant, its rows beside it; variants: what each changes, as JSON; images: folder of the photos; select: settings
    of ``selected``.

    Raises SscError when a file is missing or damaged, or the evaluation is of something else.
    """
    content, rows = _read(evaluation)
    lines = compared(content, rows, json.loads(variants))
    where = f"{content.dataset} {content.split}"
    caption = f"{where}: percentages with 95 % intervals; gains over the pipeline's own choice, in percentage points"
    with ExitStack() as stack:
        stores = Stores.open(
            stack, read_refs(refs, content.split), TruthStore(truth), masks=masks, scores=scores, selected=selected
        )
        photos = PhotoShelf(open_photos(refs, images).or_grey, "photo")
        choices = own_choices(rows, stores, select.min_area)
        gallery = choice_gallery(list(tagged(choices, CARDS_A_TAG)), stores, photos, "choice")
    sections = (
        f"<section><h2>{escape(where)}</h2>"
        f"<h3>Ways to select</h3>{html_table(lines, caption)}{_notes(content)}</section>"
        f"<section><h3>Choices worth a look</h3>{_gallery_note(choices, content)}{photos.defs()}{gallery}</section>"
    )
    with atomic_path(page) as temporary:
        temporary.write_text(whole_page(sections, title="Ways to select", worlds=[content.world]), encoding="utf-8")
    with atomic_path(table) as temporary:
        temporary.write_text(csv_table(lines), encoding="utf-8")
    write_json(figures, {**_facts(content), "lines": [asdict(line) for line in lines]})


def _read(evaluation: Path) -> tuple[MasksEval, pd.DataFrame]:
    content = read_eval(evaluation)
    if not isinstance(content, MasksEval) or OWN not in content.choices:
        raise SscError(f"{evaluation} holds no choices of Select; run evaluate_selections again")
    return content, read_frame(candidates_path(evaluation), made_by="evaluate_selections")


def _facts(content: MasksEval) -> dict[str, Any]:
    """What the figures are of."""
    return {
        "dataset": content.dataset,
        "split": content.split,
        "world": content.world,
        "per": content.per,
        "n_pairs": content.n_pairs,
        "n_refs": content.n_refs,
        "n_images": content.n_images,
        "candidates": content.candidates.model_dump(mode="json"),
        "code": content.code,
    }


def _notes(content: MasksEval) -> str:
    pairs = (
        f"Measured on {content.n_pairs} sentences of {content.n_refs} refs, all lines alike, in photo pixels: a choice "
        "for a whole ref counts once for each of its sentences."
        if content.per == "sentence"
        else f"Measured on {content.n_refs} refs in photo pixels: all sentences of a ref share one choice."
    )
    found = content.candidates
    notes = [
        pairs,
        "oIoU: intersections over unions, each summed over all pairs. mIoU: mean IoU. Intervals: photos resampled; the "
        "interval of a gain is that of the difference on the same photos, so a gain whose interval leaves out 0 is one "
        "that other photos would show too.",
        f"Candidates a ref: {found.mean:.2f} on average, {found.max} at most; {100 * found.share_empty:.1f} % of refs "
        "have none.",
    ]
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>'


def _gallery_note(choices: pd.DataFrame, content: MasksEval) -> str:
    missed = int(((choices["iou"] < 0.5) & (choices["iou_best"] >= 0.5)).sum())
    hopeless = int((choices["iou_best"] < 0.5).sum())
    what = "sentences" if len(choices) > content.n_refs else "refs"
    return (
        f'<p class="quiet">The pipeline\'s own choice. Of {len(choices)} {what}, {missed} have a candidate that fits '
        "(IoU of at least 0.5) and got another: those Select can win. "
        f"{hopeless} have none: those only Segment can. The {CARDS_A_TAG} clearest of each kind are shown.</p>"
    )
