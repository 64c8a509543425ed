"""Contact sheets: one card an example, with its sentence over photo, candidates, prediction and ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ssc_core.files import atomic_path
from ssc_core.report import style
from ssc_core.report.overlay import candidates_overlay, overlay, scale, wrap
from ssc_core.report.style import Colour

_GAP = 12
_MARGIN = 28
_HEADING, _LABEL, _TITLE = 20, 13, 26
_LINE = 1.35


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence and what is known about it.

    image: RGB uint8 (H, W, 3); prediction, truth: bool masks of any size, or None; candidates: bool masks; pick: the
    index that Select chose, None for none; notes: short facts shown under the sentence.
    """

    image: np.ndarray
    sentence: str
    prediction: np.ndarray | None = None
    truth: np.ndarray | None = None
    candidates: Sequence[np.ndarray] | None = None
    pick: int | None = None
    notes: Sequence[str] = ()
    prediction_label: str = "prediction"


@dataclass(frozen=True, slots=True)
class _Panel:
    label: str
    colour: Colour | None
    picture: np.ndarray


def gallery(
    examples: Sequence[Example], *, columns: int = 1, panel: int = 240, title: str = "", subtitle: str = ""
) -> np.ndarray:
    """Contact sheet of ``examples``, RGB uint8. panel: longer side of a picture in pixels."""
    if not examples:
        raise ValueError("a gallery needs at least one example")
    columns = min(columns, len(examples))
    cards = [_card(example, panel) for example in examples]
    width = max(card.width for card in cards)
    rows = [cards[start : start + columns] for start in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]

    head = _head(title, subtitle, columns * width + (columns - 1) * _MARGIN)
    top = _MARGIN + (head.height + _MARGIN if head else 0)
    size = (
        columns * width + (columns + 1) * _MARGIN,
        top + sum(heights) + _MARGIN * len(heights),
    )
    sheet = Image.new("RGB", size, style.PAPER)
    if head:
        sheet.paste(head, (_MARGIN, _MARGIN))
    draw = ImageDraw.Draw(sheet)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for i, card in enumerate(row):
            x = _MARGIN + i * (width + _MARGIN)
            draw.rectangle((x, y, x + width - 1, y + height - 1), fill=style.PANEL)
            sheet.paste(card, (x, y))
        y += height + _MARGIN
    return np.asarray(sheet)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write RGB uint8 as PNG, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True)


def _card(example: Example, side: int) -> Image.Image:
    panels = _panels(example, side)
    widths = [max(p.picture.shape[1], _label_width(p)) for p in panels]
    width = sum(widths) + _GAP * (len(panels) + 1)
    heading = wrap(f"“{example.sentence}”", style.font(_HEADING, bold=True), width - 2 * _GAP)
    notes = "   ·   ".join(example.notes)
    head = round(_GAP + _HEADING * _LINE * len(heading) + (_LABEL * _LINE + 4 if notes else 0) + _GAP)
    label = round(_LABEL * _LINE) + 4
    height = head + label + max(p.picture.shape[0] for p in panels) + _GAP

    card = Image.new("RGB", (width, height), style.PANEL)
    draw = ImageDraw.Draw(card)
    y: float = _GAP
    for line in heading:
        draw.text((_GAP, y), line, fill=style.INK, font=style.font(_HEADING, bold=True))
        y += _HEADING * _LINE
    if notes:
        (line,) = wrap(notes, style.font(_LABEL), width - 2 * _GAP, max_lines=1)
        draw.text((_GAP, y + 4), line, fill=style.QUIET, font=style.font(_LABEL))
    x = _GAP
    for panel, panel_width in zip(panels, widths, strict=True):
        _draw_label(draw, x, head, panel)
        card.paste(Image.fromarray(panel.picture), (x, head + label))
        x += panel_width + _GAP
    return card


def _panels(example: Example, side: int) -> list[_Panel]:
    panels = [_Panel("photo", None, scale(example.image, side))]
    if example.candidates is not None:
        n = len(example.candidates)
        label = f"{n} candidate{'' if n == 1 else 's'}" + ("" if example.pick is None else ", pick")
        picture = candidates_overlay(example.image, example.candidates, example.pick, side=side)
        panels.append(_Panel(label, style.PICK, picture))
    if example.prediction is not None:
        label = example.prediction_label + ("" if example.prediction.any() else ": empty")
        panels.append(_Panel(label, style.PREDICTION, overlay(example.image, example.prediction, side=side)))
    if example.truth is not None:
        picture = overlay(example.image, example.truth, colour=style.TRUTH, side=side)
        panels.append(_Panel("ground truth", style.TRUTH, picture))
    return panels


def _label_width(panel: _Panel) -> int:
    return round(style.font(_LABEL).getlength(panel.label)) + (_LABEL + 6 if panel.colour else 0)


def _draw_label(draw: ImageDraw.ImageDraw, x: int, y: int, panel: _Panel) -> None:
    if panel.colour:
        draw.rounded_rectangle((x, y + 1, x + _LABEL, y + 1 + _LABEL), radius=3, fill=panel.colour)
        x += _LABEL + 6
    draw.text((x, y), panel.label, fill=style.INK, font=style.font(_LABEL))


def _head(title: str, subtitle: str, width: int) -> Image.Image | None:
    lines = [(line, _TITLE, True, style.INK) for line in wrap(title, style.font(_TITLE, bold=True), width) if line]
    lines += [(line, 15, False, style.QUIET) for line in wrap(subtitle, style.font(15), width, max_lines=6) if line]
    if not lines:
        return None
    head = Image.new("RGB", (width, round(sum(size * _LINE for _, size, _, _ in lines))), style.PAPER)
    draw = ImageDraw.Draw(head)
    y = 0.0
    for line, size, bold, colour in lines:
        draw.text((0, y), line, fill=colour, font=style.font(size, bold=bold))
        y += size * _LINE
    return head
