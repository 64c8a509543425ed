"""Objects marked in a photo by outlines and numbers: for people, in reports, and for models that answer by number."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssc_core.drawing import style
from ssc_core.drawing.style import Colour

MARKS: tuple[Colour, ...] = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (170, 110, 40),
)
"""Colours that are far from each other, of marks 1 to 9."""

_HIDDEN = 1 / 3
"""A number lies on its object where it hides no more of it than this share, else beside it."""


def marked(photo: np.ndarray, masks: np.ndarray, *, side: int | None = None) -> np.ndarray:
    """The photo with each mask outlined in a colour of its own, and numbered from 1 in that colour; RGB uint8.

    photo: RGB uint8 (H, W, 3); masks: bool (K, H, W), K at most 9; side: of the picture, at most, pixels.
    An empty mask has no number.
    """
    picture = scale(photo, None if side is None else min(side, max(photo.shape[:2])))
    soft = [soften(mask, picture.shape[:2]) for mask in masks]
    colours = MARKS[: len(soft)]
    for inside, colour in zip(soft, colours, strict=True):
        picture = outline(picture, inside, colour)
    return number(picture, soft, colours)


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


def outline(picture: np.ndarray, inside: np.ndarray, colour: Colour) -> np.ndarray:
    """A coloured line with a dark rim, so that it shows on any photo. inside: coverage (H, W) in 0..1."""
    contours, _ = cv2.findContours((inside >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(2, round(max(picture.shape[:2]) / 180))
    picture = picture.copy()
    cv2.polylines(picture, contours, True, (20, 22, 26), width + 2, cv2.LINE_AA)
    cv2.polylines(picture, contours, True, colour, width, cv2.LINE_AA)
    return picture


def number(picture: np.ndarray, soft: Sequence[np.ndarray], colours: Sequence[Colour]) -> np.ndarray:
    """Masks' numbers from 1, each on a disc of its colour; RGB uint8. soft: coverage (H, W) in 0..1 of each."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    size = max(10, round(max(picture.shape[:2]) / 20))
    face = style.font(size, bold=True)
    radius = 0.8 * size
    for index, place in enumerate(number_places(soft, radius + 1)):
        if place is None:
            continue
        (x, y), colour = place, colours[index]
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=colour, outline=style.INK, width=max(1, size // 12))
        draw.text((x, y), str(index + 1), fill=style.ink_on(colour), font=face, anchor="mm")
    return np.asarray(canvas)


def number_places(soft: Sequence[np.ndarray], radius: float) -> list[tuple[float, float] | None]:
    """x, y of each mask's number, a disc of ``radius`` pixels; None for an empty mask.

    Numbers do not cover each other while there is room. One that would hide its object lies beside it, and on no other
    if that can be. soft: coverage (H, W) in 0..1 of each mask.
    """
    solid = [inside >= 0.5 for inside in soft]
    places: list[tuple[float, float] | None] = [None] * len(solid)
    if not any(mask.any() for mask in solid):
        return places
    objects = np.any(solid, axis=0)
    free = np.zeros(objects.shape, dtype=bool)
    free[_inner(free.shape[0], radius), _inner(free.shape[1], radius)] = True
    rows, columns = np.ogrid[: free.shape[0], : free.shape[1]]
    for index in sorted(range(len(solid)), key=lambda index: int(solid[index].sum())):
        if solid[index].any():
            x, y = _place(solid[index], objects, free, radius)
            places[index] = (x, y)
            free &= (columns - x) ** 2 + (rows - y) ** 2 > (2 * radius) ** 2
    return places


def _place(mask: np.ndarray, objects: np.ndarray, free: np.ndarray, radius: float) -> tuple[float, float]:
    """Where one number goes. objects: all masks together; free: where a number's middle may be, both bool (H, W)."""
    if pi * radius**2 <= _HIDDEN * mask.sum() and (inside := mask & free).any():
        return _first_highest(np.where(inside, _depth(mask), 0))
    away, clear = _depth(~mask), free & (_depth(~objects) > radius)
    for ground in (clear, free & (away > radius)):
        if ground.any():
            return _first_highest(np.where(ground, -away, -np.inf))
    return number_place(mask, radius)


def number_place(inside: np.ndarray, margin: float) -> tuple[float, float]:
    """x, y where a mask's number goes: the pixel that is farthest from the mask's edge, but ``margin`` pixels, half of
    the number's size, from the picture's border, which would cut it. inside: coverage (H, W) in 0..1.
    """
    x, y = _first_highest(_depth(inside >= 0.5))
    height, width = inside.shape
    return _within(x, margin, width), _within(y, margin, height)


def _depth(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel of a mask from what is outside it, float32 (H, W); the picture's border is no edge."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _first_highest(values: np.ndarray) -> tuple[int, int]:
    y, x = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(x), int(y)


def _inner(length: int, margin: float) -> slice:
    """Places from 0 to ``length`` that are ``margin`` from both ends, or the middle one of what is too short."""
    first, last = (round(_within(end, margin, length)) for end in (0, length - 1))
    return slice(first, last + 1)


def _within(place: int, margin: float, length: int) -> float:
    """``place``, at least ``margin`` from 0 and from the last pixel; the middle of what is too short for that."""
    return min(max(place, margin), length - 1 - margin) if length - 1 > 2 * margin else (length - 1) / 2
