"""Masks drawn over a photo: tinted fill, crisp outline, everything else a little quieter."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssc_core.report import style
from ssc_core.report.sheet import Below, Box, Picture, render, text
from ssc_core.report.style import Colour

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
        picture = _outline(picture, soften(truth, shape), style.TRUTH)
    picture = _outline(picture, inside, colour)
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
        picture = _outline(picture, soft[index], style.PICK if index == pick else style.CANDIDATE)
    return _number(picture, soft, pick) if len(soft) > 1 else picture


def scale(image: np.ndarray, side: int | None) -> np.ndarray:
    """RGB uint8 with ``side`` pixels on its longer side, or unchanged."""
    height, width = image.shape[:2]
    if side is None or side == max(height, width):
        return image
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)


def soften(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Coverage float32 in 0..1 at ``shape``, with the stairs of an enlarged mask rounded off."""
    factor = max(new / old for new, old in zip(shape, mask.shape, strict=True))
    coverage = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    if factor > 1:
        coverage = cv2.GaussianBlur(coverage, (0, 0), 0.45 * factor)
        coverage = np.clip((coverage - 0.5) * factor + 0.5, 0, 1)
    return coverage


def _quieten(photo: np.ndarray, inside: np.ndarray) -> np.ndarray:
    grey = photo.mean(axis=2, keepdims=True) * 0.75
    amount = _QUIET * (1 - inside[..., None])
    return (photo * (1 - amount) + grey * amount).round().astype(np.uint8)


def _fill(picture: np.ndarray, inside: np.ndarray, colour: Colour) -> np.ndarray:
    amount = _FILL * inside[..., None]
    return (picture * (1 - amount) + np.array(colour) * amount).round().astype(np.uint8)


def _outline(picture: np.ndarray, inside: np.ndarray, colour: Colour) -> np.ndarray:
    """A coloured line with a dark rim, so that it shows on any photo."""
    contours, _ = cv2.findContours((inside >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(2, round(max(picture.shape[:2]) / 180))
    picture = np.ascontiguousarray(picture)
    cv2.polylines(picture, contours, True, (20, 22, 26), width + 2, cv2.LINE_AA)
    cv2.polylines(picture, contours, True, colour, width, cv2.LINE_AA)
    return picture


def _number(picture: np.ndarray, soft: Sequence[np.ndarray], pick: int | None) -> np.ndarray:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    size = max(10, round(max(picture.shape[:2]) / 20))
    face = style.font(size, bold=True)
    for index, inside in enumerate(soft):
        if inside.max() < 0.5:
            continue
        radius = 0.8 * size
        x, y = number_place(inside, radius + 1)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(
            box, fill=style.PICK if index == pick else style.PAPER, outline=style.INK, width=max(1, size // 12)
        )
        draw.text((x, y), str(index + 1), fill=style.INK, font=face, anchor="mm")
    return np.asarray(canvas)


def number_place(inside: np.ndarray, margin: float) -> tuple[float, float]:
    """x, y where a mask's number goes: the pixel that is farthest from the mask's edge, but ``margin`` pixels, half of
    the number's size, from the picture's border, which would cut it. inside: coverage (H, W) in 0..1.
    """
    depth = cv2.distanceTransform((inside >= 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    height, width = depth.shape
    return _within(int(x), margin, width), _within(int(y), margin, height)


def _within(place: int, margin: float, length: int) -> float:
    """``place``, at least ``margin`` from 0 and from the last pixel; the middle of what is too short for that."""
    return min(max(place, margin), length - 1 - margin) if length - 1 > 2 * margin else (length - 1) / 2


def _with_caption(picture: np.ndarray, sentence: str) -> np.ndarray:
    width = picture.shape[1]
    size = max(11, round(width / 26))
    words = text(f"“{sentence}”", size, width - 2 * size, max_lines=3)
    return render(Below([Picture(picture), Box(words, margin=size // 2)]))[:, :width]
