"""``results/report/select.html``: ways to select side by side, and the choices that are worth a look."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
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
from ssc_core.report.examples import RIGHT
from ssc_core.report.pages import write_page
from ssc_core.report.select_cards import Stores, choice_gallery, own_choices, tagged_choices
from ssc_core.report.select_table import OWN, compared, csv_table
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
    with ExitStack() as stack:
        stores = Stores.open(
            stack, read_refs(refs, content.split), TruthStore(truth), masks=masks, scores=scores, selected=selected
        )
        photos = PhotoShelf(open_photos(refs, images).or_grey, "photo")
        choices = own_choices(rows, stores, select.min_area)
        gallery = choice_gallery(tagged_choices(choices, CARDS_A_TAG), stores, photos, "choice")
    misses, fits = choices["iou"] < RIGHT, choices["iou_best"] >= RIGHT
    write_page(
        "select.html",
        page,
        title="Ways to select",
        worlds=[content.world],
        where=f"{content.dataset} {content.split}",
        lines=lines,
        per=content.per,
        n_pairs=content.n_pairs,
        n_refs=content.n_refs,
        candidates=content.candidates,
        n_choices=len(choices),
        n_missed=int((misses & fits).sum()),
        n_hopeless=int((~fits).sum()),
        cards_a_tag=CARDS_A_TAG,
        photos=photos,
        gallery=gallery,
    )
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
