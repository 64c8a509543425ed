"""One ref as a picture: photo, candidates, the score of every sentence, the choice, and the truth when known."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssc_core.errors import SscError
from ssc_core.masks import MaskStore, ScoreStore, SelectionStore
from ssc_core.masks.candidates import read_candidates
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.refer.truth import TruthStore

MAX_COLUMNS = 10
"""Candidates that are drawn; of more, those with the highest means."""

_PHOTO_HEIGHT, _COLUMN, _TEXT_COLUMN, _GAP = 320, 150, 300, 12
_LINE = 19
_WRAP = 38
_INK, _PAPER, _FAINT = (32, 32, 36), (255, 255, 255), (120, 120, 128)
_CHOSEN, _TRUTH, _MARK = (22, 142, 70), (255, 205, 0), (214, 40, 110)
_HEAT = np.array([(246, 248, 250), (122, 182, 228)])
"""Cells from the lowest to the highest score of their row."""


@dataclass(frozen=True, slots=True)
class RefView:
    """What is known of a ref.

    photo: RGB uint8 (H, W, 3); masks: bool (K, H, W), its candidates; scores: (S, K) or None before they were made;
    chosen: (C,) candidate indices, one a ref or one a sentence, -1 none, or None before the choice; decisive: (C, K),
    the scores that the choice was made from; truth: bool (H, W).
    """

    title: str
    photo: np.ndarray
    sentences: tuple[str, ...]
    masks: np.ndarray
    scores: np.ndarray | None
    chosen: np.ndarray | None
    decisive: np.ndarray | None
    truth: np.ndarray | None


def read_view(
    ref_id: int,
    *,
    refs: Path,
    images: Path,
    masks: Path,
    scores: Path | None = None,
    selected: Path | None = None,
    truth: Path | None = None,
) -> RefView:
    """Gather a ref from the files of its split; those that do not exist yet may be left out. Raises SscError."""
    table = read_refs(refs)
    rows = table[table["ref_id"] == ref_id]
    if rows.empty:
        known = table["ref_id"].unique()
        raise SscError(f"{refs} has no ref {ref_id}; it has {len(known)} refs, from {known.min()} to {known.max()}")
    with MaskStore.open(masks, with_masks=True) as store:
        candidates = read_candidates(store, ref_id, merged=scores is not None and _saw_merged(scores))
    chosen, decisive = (None, None) if selected is None else _selection(ref_id, selected, candidates.rows)
    one = rows.iloc[0]
    return RefView(
        title=f"{one['dataset']} · {one['split']} · ref {ref_id} · {one['file_name']}",
        photo=open_photos(refs, images)(one["file_name"]),
        sentences=tuple(rows["sentence"]),
        masks=candidates.masks(),
        scores=None if scores is None else _scores(ref_id, scores),
        chosen=chosen,
        decisive=decisive,
        truth=None if truth is None else TruthStore(truth).mask(ref_id),
    )


def render_ref(view: RefView) -> np.ndarray:
    """Draw a ref: RGB uint8. On top the photo, the choice and the truth; below a column a candidate, a row a sentence.

    Candidates are numbered from 1. The chosen one is framed in green; the outline of the truth is yellow. A darker cell
    is a higher score.
    """
    columns = _columns_shown(view)
    summary = _summary(view)
    rows = [*view.sentences, *([] if summary is None else [summary[0]])]
    wrapped = [textwrap.wrap(text, _WRAP, max_lines=3, placeholder=" …") or ["(empty)"] for text in rows]
    panels = _panels(view)
    thumbs = [_thumbnail(view, index) for index in columns]
    head = max((thumb.height + 2 * _LINE + 8 for thumb in thumbs), default=0)
    width = max(
        sum(panel.width + _GAP for panel in panels) + _GAP, _TEXT_COLUMN + len(columns) * (_COLUMN + _GAP) + 2 * _GAP
    )
    top = 2 * _LINE + _PHOTO_HEIGHT + 4 * _GAP
    height = top + head + sum(_row_height(lines) for lines in wrapped) + _LINE + 2 * _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), view.title, _INK, _font(16))
    _paste_panels(sheet, draw, panels, _names(view))
    for place, (index, thumb) in enumerate(zip(columns, thumbs, strict=True)):
        _draw_head(sheet, draw, view, index, thumb, (_column_x(place), top))
    y = top + head
    for row, lines in enumerate(wrapped):
        _draw_row(draw, view, columns, row, lines, y)
        y += _row_height(lines)
    hidden = len(view.masks) - len(columns)
    draw.text((_GAP, y + _GAP // 2), _footer(view, hidden), _FAINT, _font(13))
    return np.asarray(sheet)


def overlay(photo: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], *, dim: float = 0.35) -> np.ndarray:
    """The photo with all but the mask dimmed, and the mask's outline in ``colour``."""
    shown = np.where(mask[..., None], photo, (photo * dim + 255 * (1 - dim) * 0.5).astype(np.uint8))
    return outline(shown, mask, colour)


def outline(photo: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The photo with the mask's outline, as thick as is well seen when the photo is shown about 300 px high."""
    thickness = max(1, round(max(photo.shape[:2]) / 160))
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(photo).copy(), contours, -1, colour, thickness)


def mask_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union, 0 where both are empty."""
    union = (mask | truth).sum()
    return float((mask & truth).sum() / union) if union else 0.0


def _saw_merged(scores: Path) -> bool:
    with ScoreStore(scores) as store:
        return store.merged_masks


def _scores(ref_id: int, path: Path) -> np.ndarray:
    with ScoreStore(path) as store:
        return store.scores(ref_id)


def _selection(ref_id: int, path: Path, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(chosen, decisive) of a view."""
    with SelectionStore(path) as store:
        rows = [store.chosen(ref_id, choice) for choice in range(store.choices(ref_id))]
        decisive = store.scores(ref_id)
    if unknown := [row for row in rows if row >= 0 and row not in candidates]:
        raise SscError(f"{path}, ref {ref_id}: {unknown[0]} is no candidate of it; was it made from other masks?")
    return np.array([-1 if row < 0 else int(np.flatnonzero(candidates == row)[-1]) for row in rows]), decisive


def _columns_shown(view: RefView) -> list[int]:
    count = len(view.masks)
    if count <= MAX_COLUMNS or view.scores is None:
        return list(range(min(count, MAX_COLUMNS)))
    best = np.argsort(-view.scores.mean(axis=0), kind="stable").tolist()
    must = [] if view.chosen is None else [int(index) for index in np.unique(view.chosen) if index >= 0]
    return sorted(list(dict.fromkeys([*must[:MAX_COLUMNS], *best]))[:MAX_COLUMNS])


def _summary(view: RefView) -> tuple[str, np.ndarray] | None:
    """Name and values (K,) of the last row: what a choice for all sentences is made from."""
    if view.scores is None or view.scores.size == 0:
        return None
    mean = view.scores.mean(axis=0)
    if view.decisive is not None and len(view.decisive) == 1 and not np.allclose(view.decisive[0], mean, atol=0.01):
        return "mean, and words of place", view.decisive[0]
    return ("mean", mean) if len(view.scores) > 1 else None


def _panels(view: RefView) -> list[Image.Image]:
    pictures = [view.photo]
    if view.chosen is not None:
        pictures.append(overlay(view.photo, _chosen_mask(view), _CHOSEN))
    if view.truth is not None:
        pictures.append(overlay(view.photo, view.truth, _TRUTH))
    return [_fit(picture, height=_PHOTO_HEIGHT) for picture in pictures]


def _chosen_mask(view: RefView) -> np.ndarray:
    """bool (H, W): all chosen candidates together; empty where none is."""
    assert view.chosen is not None
    taken = np.unique(view.chosen[view.chosen >= 0])
    return view.masks[taken].any(axis=0) if len(taken) else np.zeros(view.photo.shape[:2], dtype=bool)


def _names(view: RefView) -> list[str]:
    names = ["photo"]
    if view.chosen is not None:
        taken = sorted({int(index) for index in view.chosen})
        picks = ", ".join("none" if index < 0 else f"candidate {index + 1}" for index in taken)
        quality = ""
        if view.truth is not None and len(view.chosen) == 1:
            quality = f" · IoU {mask_iou(_chosen_mask(view), view.truth):.2f}"
        names.append(f"chosen: {picks}{quality}" + (" (by sentence)" if len(view.chosen) > 1 else ""))
    if view.truth is not None:
        names.append("truth")
    return names


def _paste_panels(sheet: Image.Image, draw: ImageDraw.ImageDraw, panels: list[Image.Image], names: list[str]) -> None:
    x = _GAP
    for panel, name in zip(panels, names, strict=True):
        draw.text((x, _LINE + 2 * _GAP - 2), name, _FAINT, _font(13))
        sheet.paste(panel, (x, 2 * _LINE + 2 * _GAP))
        x += panel.width + _GAP


def _thumbnail(view: RefView, index: int) -> Image.Image:
    shown = overlay(view.photo, view.masks[index], _MARK)
    if view.truth is not None:
        shown = outline(shown, view.truth, _TRUTH)
    return _fit(shown, width=_COLUMN)


def _draw_head(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, view: RefView, index: int, thumb: Image.Image, at: tuple[int, int]
) -> None:
    x, y = at
    chosen = view.chosen is not None and index in view.chosen
    quality = "" if view.truth is None else f" · IoU {mask_iou(view.masks[index], view.truth):.2f}"
    draw.text((x, y), f"candidate {index + 1}" + (" ✓" if chosen else ""), _CHOSEN if chosen else _INK, _font(14))
    draw.text((x, y + _LINE), f"{int(view.masks[index].sum())} px{quality}", _FAINT, _font(12))
    sheet.paste(thumb, (x, y + 2 * _LINE))
    if chosen:
        draw.rectangle(
            (x - 3, y + 2 * _LINE - 3, x + thumb.width + 2, y + 2 * _LINE + thumb.height + 2), None, _CHOSEN, 3
        )


def _draw_row(draw: ImageDraw.ImageDraw, view: RefView, columns: list[int], row: int, lines: list[str], y: int) -> None:
    is_summary = row == len(view.sentences)
    for number, line in enumerate(lines):
        draw.text((_GAP, y + 5 + number * _LINE), line, _FAINT if is_summary else _INK, _font(14))
    if view.scores is None or view.scores.shape[1] == 0:
        return
    summary = _summary(view)
    values = summary[1] if is_summary and summary is not None else view.scores[row]
    low, spread = values.min(), max(float(np.ptp(values)), 1e-6)
    for place, index in enumerate(columns):
        x = _column_x(place)
        cell = (x, y + 1, x + _COLUMN, y + _row_height(lines) - 2)
        share = (values[index] - low) / spread
        draw.rectangle(cell, tuple(np.round(_HEAT[0] + share * (_HEAT[1] - _HEAT[0])).astype(int).tolist()))
        if _is_choice(view, index, row, has_summary=summary is not None):
            draw.rectangle(cell, None, _CHOSEN, 3)
        draw.text((x + 8, y + 5), f"{values[index]:.2f}", _INK, _font(14))


def _is_choice(view: RefView, index: int, row: int, *, has_summary: bool) -> bool:
    """Whether this cell is where a choice was made: the summary's row, or with a choice a sentence that sentence's."""
    if view.chosen is None or len(view.chosen) == 0:
        return False
    if len(view.chosen) > 1:
        return row < len(view.chosen) and bool(view.chosen[row] == index)
    deciding_row = len(view.sentences) if has_summary else 0
    return row == deciding_row and bool(view.chosen[0] == index)


def _footer(view: RefView, hidden: int) -> str:
    notes = []
    if len(view.masks) == 0:
        notes.append("This ref has no candidates: its mask is empty.")
    elif view.scores is None:
        notes.append("No scores yet.")
    else:
        notes.append("Scores: cosine of photo and sentence times 100.")
    if hidden > 0:
        notes.append(f"{hidden} more candidates are not shown.")
    if view.truth is None:
        notes.append("No ground truth.")
    return "  ".join(notes)


def _row_height(lines: list[str]) -> int:
    return len(lines) * _LINE + 10


def _column_x(place: int) -> int:
    return _TEXT_COLUMN + _GAP + place * (_COLUMN + _GAP)


def _fit(picture: np.ndarray, *, width: int | None = None, height: int | None = None) -> Image.Image:
    """Scale to a width or a height; a panorama or a tower is kept within three times the other side."""
    scale = width / picture.shape[1] if width else (height or 1) / picture.shape[0]
    limit = 3 * (width or height or 1) / max(picture.shape[:2])
    scale = min(scale, limit)
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib brings DejaVu, which knows far more scripts than Pillow's own font
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
