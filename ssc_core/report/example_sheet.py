"""Contact sheets: one card an example, with its sentence over photo, candidates, prediction and ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ssc_core.drawing import style
from ssc_core.drawing.marks import scale
from ssc_core.drawing.style import Colour
from ssc_core.report.overlay import candidates_overlay, overlay
from ssc_core.report.sheet import Below, Beside, Block, Box, Picture, Text, grid, render, text
from ssc_core.wording import counted

_GAP, _MARGIN, _LABEL = 12, 28, 13


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


def example_sheet(
    examples: Sequence[Example], *, columns: int = 1, panel: int = 240, title: str = "", subtitle: str = ""
) -> np.ndarray:
    """Contact sheet of ``examples``, RGB uint8. panel: longer side of a picture in pixels."""
    if not examples:
        raise ValueError("a sheet needs at least one example")
    cards = [_card(example, panel) for example in examples]
    body = grid(cards, min(columns, len(examples)), _MARGIN)
    head = [
        text(title, 26, body.width, bold=True, max_lines=3),
        text(subtitle, 15, body.width, colour=style.QUIET, max_lines=6),
    ]
    parts: list[Block] = [Below(head), body] if title or subtitle else [body]
    return render(Below(parts, _MARGIN), margin=_MARGIN)


def _card(example: Example, side: int) -> Box:
    panels = Beside([Below([label, Picture(picture)], 4) for label, picture in _panels(example, side)], _GAP)
    sentence = text(f"“{example.sentence}”", 20, panels.width, bold=True, max_lines=3)
    notes = text("   ·   ".join(example.notes), _LABEL, panels.width, colour=style.QUIET)
    return Box(Below([Below([sentence, notes], 4), panels], _GAP), margin=_GAP, ground=style.PANEL)


def _panels(example: Example, side: int) -> Iterator[tuple[Block, np.ndarray]]:
    """Label and picture of all that is known."""
    yield _label("photo"), scale(example.image, side)
    if example.candidates is not None:
        label = counted(len(example.candidates), "candidate") + ("" if example.pick is None else ", pick")
        picture = candidates_overlay(example.image, example.candidates, example.pick, side=side)
        yield _label(label, style.PICK), picture
    if example.prediction is not None:
        label = "prediction" + ("" if example.prediction.any() else ": empty")
        yield _label(label, style.PREDICTION), overlay(example.image, example.prediction, side=side)
    if example.truth is not None:
        picture = overlay(example.image, example.truth, colour=style.TRUTH, side=side)
        yield _label("ground truth", style.TRUTH), picture


def _label(words: str, colour: Colour | None = None) -> Block:
    name = Text([words], _LABEL)
    return name if colour is None else Beside([Box(Text([], _LABEL), ground=colour, least=(_LABEL, _LABEL)), name], 6)
