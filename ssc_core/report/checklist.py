"""What a person checks after labelling, outside the pages: an overlay of every row, and the doubtful ones as CSV."""

from __future__ import annotations

import csv
import heapq
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
from PIL import Image

from ssc_core.files import atomic_path
from ssc_core.refer.images import PhotoReader
from ssc_core.report.label_rows import LabelRow, Labels
from ssc_core.report.overlay import candidates_overlay
from ssc_core.report.run import Run

LONGEST_STEM = 200
"""Bytes of a photo's name that its overlay is called after: drives take 255 for a name."""

_OVERLAY = re.compile(r".+_[0-9]+(-[0-9]+)?\.jpg", re.DOTALL)
"""What ``overlay_of`` calls files, and cameras theirs: those of ours say ``_MARK``."""
_MARK = b"overlay of ssc label"

SIDE = 640
"""Longer side of an overlay, pixels."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula, in CSV too (OWASP, "CSV Injection")."""

COLUMNS = ("ref", "image", "sentences", "class", "candidates", "score", "margin", "why", "overlay")


def draw_overlays(run: Run, rows: Iterable[LabelRow], photos: PhotoReader, out: Path) -> set[str]:
    """Write a JPEG for every row at ``out / overlay_of(row)``, but none of photos that cannot be read, where these are
    skipped; what was written, relative to ``out``."""
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    drawn = set()
    for row in rows:
        photo = photos.or_none(row.ref.file_name)
        if photo is None:
            continue
        pick = None if row.chosen < 0 else row.chosen
        picture = candidates_overlay(photo, run.candidates(row.ref.ref_id), pick, side=SIDE)
        with atomic_path(out / overlay_of(row)) as temporary:
            Image.fromarray(picture).save(temporary, format="JPEG", quality=88, comment=_MARK)
        drawn.add(overlay_of(row))
    return drawn


def remove_overlays(out: Path, kept: AbstractSet[str]) -> None:
    """Remove all overlays but those ``kept``, see ``draw_overlays``; no other file."""
    for path in (out / "overlays").glob("*.jpg"):
        if _OVERLAY.fullmatch(path.name) and f"overlays/{path.name}" not in kept and _is_ours(path):
            path.unlink()


def _is_ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return _MARK in stream.read(64)


def overlay_of(row: LabelRow) -> str:
    """Where the overlay of a row lies."""
    # no `_`: of `a.jpg` the second sentence of ref 1 is not ref 2 of `a_1.jpg`
    sentence = f"-{row.choice + 1}" if row.choice else ""
    stem = Path(row.ref.file_name).stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"overlays/{stem}_{row.ref.ref_id}{sentence}.jpg"


def write_checklist(labels: Sequence[Labels], drawn: AbstractSet[str], out: Path) -> int:
    """Write those choices of some splits that a person should look at as CSV with ``COLUMNS``, in the order in which
    ``ssc review`` asks; how many. drawn: see ``draw_overlays``."""
    count = 0
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for row in heapq.merge(*(one.rows(one.doubtful()) for one in labels), key=lambda row: row.turn):
            overlay = overlay_of(row)
            writer.writerow(_cells(row, overlay) if overlay in drawn else _cells(row.unreadable(), ""))
            count += 1
    return count


def _cells(row: LabelRow, overlay: str) -> list[object]:
    score, margin = ("" if np.isnan(value) else f"{value:.3f}" for value in (row.score, row.margin))
    texts = (row.ref.file_name, " | ".join(row.sentences), row.asked, overlay)
    photo, sentences, asked, picture = map(no_formula, texts)
    return [row.ref.ref_id, photo, sentences, asked, row.found, score, margin, "; ".join(row.why), picture]


def no_formula(text: str) -> str:
    """Text with an apostrophe before what a spreadsheet would run as a formula. Only for what nothing reads back."""
    return f"'{text}" if text.startswith(FORMULA) else text
