"""Masks drawn over a photo: tinted fill, crisp outline, everything else a little quieter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssc_core.drawing import style
from ssc_core.drawing.marks import number, outline, scale, soften
from ssc_core.drawing.style import Colour
from ssc_core.report.sheet import Below, Box, Picture, render, text

_FILL = 0.42
_QUIET = 0.45
"""How far the photo outside the mask goes towards a dim grey."""


def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray | None = None,
    *,
    sentence: str | None = None,
    colour: Colour = style.PREDICTION,
    side: int | None = None,
) -> np.ndarray:
    """Photo with a mask filled, the truth outlined, and the sentence below it; RGB uint8.

    image: RGB uint8 (H, W, 3); mask, truth: bool of any size, they are brought to the photo's; side: longer side of the
    picture in pixels, the photo's own by default.
    """
    photo = scale(image, side)
    shape = photo.shape[:2]
    inside = soften(mask, shape)
    picture = _quieten(photo, inside) if mask.any() else photo.copy()
    picture = _fill(picture, inside, colour)
    if truth is not None:
        picture = outline(picture, soften(truth, shape), style.TRUTH)
    picture = outline(picture, inside, colour)
    return picture if sentence is None else _with_caption(picture, sentence)


def candidates_overlay(
    image: np.ndarray, candidates: Sequence[np.ndarray], pick: int | None, *, side: int | None = None
) -> np.ndarray:
    """Photo with all candidates outlined and numbered from 1, the picked one filled; RGB uint8. pick: index or None."""
    photo = scale(image, side)
    soft = [soften(mask, photo.shape[:2]) for mask in candidates]
    picture = photo.copy() if pick is None else _fill(_quieten(photo, soft[pick]), soft[pick], style.PICK)
    order = [i for i in range(len(soft)) if i != pick] + ([] if pick is None else [pick])
    for index in order:
        picture = outline(picture, soft[index], style.PICK if index == pick else style.CANDIDATE)
    colours = [style.PICK if index == pick else style.PAPER for index in range(len(soft))]
    return number(picture, soft, colours) if len(soft) > 1 else picture


def _quieten(photo: np.ndarray, inside: np.ndarray) -> np.ndarray:
    grey = photo.mean(axis=2, keepdims=True) * 0.75
    amount = _QUIET * (1 - inside[..., None])
    return (photo * (1 - amount) + grey * amount).round().astype(np.uint8)


def _fill(picture: np.ndarray, inside: np.ndarray, colour: Colour) -> np.ndarray:
    amount = _FILL * inside[..., None]
    return (picture * (1 - amount) + np.array(colour) * amount).round().astype(np.uint8)


def _with_caption(picture: np.ndarray, sentence: str) -> np.ndarray:
    width = picture.shape[1]
    size = max(11, round(width / 26))
    words = text(f"“{sentence}”", size, width - 2 * size, max_lines=3)
    return render(Below([Picture(picture), Box(words, margin=size // 2)]))[:, :width]
