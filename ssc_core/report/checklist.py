"""What a person checks after labelling, outside the pages: an overlay of every row, and the doubtful ones as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssc_core.files import atomic_path
from ssc_core.refer.images import PhotoReader
from ssc_core.report.label_rows import LabelRow, Run
from ssc_core.report.overlay import candidates_overlay

LONGEST_STEM = 200
"""Bytes of a photo's name that its overlay is called after: drives take 255 for a name."""

SIDE = 640
"""Longer side of an overlay, pixels."""

UNREADABLE = "The photo cannot be read"

COLUMNS = ("ref", "image", "sentences", "class", "candidates", "score", "margin", "why", "overlay")

Key = tuple[int, int]
"""Ref and choice, as ``LabelRow.key``."""


def draw_overlays(run: Run, rows: Sequence[LabelRow], photos: PhotoReader, out: Path) -> dict[Key, str]:
    """Write a JPEG for every row below ``out / "overlays"``; their paths, relative to ``out``.

    A photo that cannot be read, where these are skipped, has none.
    """
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    drawn = {}
    for row in rows:
        photo = photos.or_none(row.ref.file_name)
        if photo is None:
            continue
        pick = None if row.chosen < 0 else row.chosen
        picture = candidates_overlay(photo, run.candidates(row.ref.ref_id), pick, side=SIDE)
        sentence = f"_{row.choice + 1}" if row.choice else ""
        stem = Path(row.ref.file_name).stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        drawn[row.key] = f"overlays/{stem}_{row.ref.ref_id}{sentence}.jpg"
        with atomic_path(out / drawn[row.key]) as temporary:
            Image.fromarray(picture).save(temporary, format="JPEG", quality=88)
    return drawn


def write_checklist(rows: Sequence[LabelRow], overlays: Mapping[Key, str], out: Path) -> int:
    """Write those rows that a person should look at as CSV with ``COLUMNS``, the most doubtful first; how many."""
    doubtful = sorted((row for row in rows if row.to_check), key=lambda row: row.doubt)
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row, overlays.get(row.key, "")) for row in doubtful)
    return len(doubtful)


def _cells(row: LabelRow, overlay: str) -> list[object]:
    score, margin = ("" if np.isnan(value) else f"{value:.3f}" for value in (row.score, row.margin))
    why = row.why if overlay else UNREADABLE
    sentences = " | ".join(row.sentences)
    return [row.ref.ref_id, row.ref.file_name, sentences, row.asked, row.found, score, margin, why, overlay]
