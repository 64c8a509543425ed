"""Ways to select, side by side: their table as files, and the report's section with the choices worth a look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.config.variants import Changes
from ssc_core.errors import SscError
from ssc_core.evaluate.masks import candidates_path
from ssc_core.evaluate.schema import MasksEval, read_eval
from ssc_core.files import atomic_path, write_json
from ssc_core.layout import DatasetFolder
from ssc_core.provenance import file_sha256
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import PhotoShelf
from ssc_core.report.examples import RIGHT
from ssc_core.report.select_cards import Stores, choice_gallery, own_choices, tagged_choices
from ssc_core.report.select_table import OWN, compared, csv_table
from ssc_core.select.ensemble import scores_behind
from ssc_core.tables import read_frame

CARDS_A_TAG = 24


def write_select_table(*, evaluation: Path, variants: str, figures: Path, table: Path) -> None:
    """Write the table as JSON (``figures``) and CSV.

    evaluation: an eval file of choices among masks, its rows beside it; variants: what each changes, as JSON.

    Raises SscError when a file is missing or damaged, or the evaluation is of something else.
    """
    content, rows = _read(evaluation)
    lines = compared(content, rows, json.loads(variants))
    with atomic_path(table) as temporary:
        temporary.write_text(csv_table(lines), encoding="utf-8")
    write_json(figures, {**_facts(content), "lines": [asdict(line) for line in lines]})


def select_view(
    folder: DatasetFolder, split: str, variants: Mapping[str, Changes], photos: PhotoShelf
) -> dict[str, Any]:
    """What templates/select.html shows of a split whose ways to select were evaluated.

    variants: what each changes. ``gallery`` is None where the pipeline has other choices by now than were evaluated.

    Raises SscError as ``write_select_table``.
    """
    evaluation, selected = (folder(name, split=split) for name in ("selections", "selected"))
    content, rows = _read(evaluation)
    view = {
        "where": f"{content.dataset} {content.split}",
        "lines": compared(content, rows, variants),
        "content": content,
        "cards_a_tag": CARDS_A_TAG,
        "gallery": None,
    }
    if not selected.is_file() or file_sha256(selected) != content.data.get(OWN):
        return view
    masks, *scores = (folder(name, split=split) for name in ("masks", *scores_behind(selected)))
    if not all(path.is_file() for path in (masks, *scores)):
        return view
    with ExitStack() as stack:
        truth = TruthStore(folder("truth"))
        stores = Stores.open(
            stack, read_refs(folder("refs"), content.split), truth, masks=masks, scores=scores, selected=selected
        )
        choices = own_choices(rows, stores, content.settings["select"]["min_area"])
        shown = tagged_choices(choices, CARDS_A_TAG)
        gallery = choice_gallery(shown, stores, photos, f"{content.dataset}-{split}-choice")
    misses, fits = choices["iou"] < RIGHT, choices["iou_best"] >= RIGHT
    return view | {
        "gallery": gallery,
        "n_choices": len(choices),
        "n_missed": int((misses & fits).sum()),
        "n_hopeless": int((~fits).sum()),
    }


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
