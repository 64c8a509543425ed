"""Drawn vehicles: car and bus from the side, looking right, and a sailing boat."""

from __future__ import annotations

import numpy as np

from microworld.shapes_pen import Colour, Pen, shade

_GLASS = (188, 222, 236)
_TYRE = (44, 42, 46)


def _wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.ellipse(x, y, radius, radius, _TYRE)
    pen.ellipse(x, y, radius * 0.55, radius * 0.55, (196, 196, 200), outline=False)
    pen.dot(x, y, radius * 0.2, (110, 110, 116))


def draw_car(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A small car, about twice as wide as high; the roof's length varies."""
    back = rng.uniform(-0.82, -0.60)
    pen.curve(
        [
            (back, 0.52), (back + 0.16, 0.04), (0.22, 0.04), (0.50, 0.46), (0.98, 0.52), (1.04, 0.84),
            (-1.02, 0.86), (-1.02, 0.46),
        ],
        colour,
    )  # fmt: skip
    pen.poly([(back + 0.14, 0.44), (back + 0.28, 0.17), (-0.16, 0.17), (-0.16, 0.44)], _GLASS)
    pen.poly([(-0.06, 0.44), (-0.06, 0.17), (0.18, 0.17), (0.38, 0.44)], _GLASS)
    pen.stroke([(-0.11, 0.48), (-0.11, 0.78)], 0.02, shade(colour, 0.6), outline=False)
    pen.stroke([(-0.02, 0.56), (0.08, 0.56)], 0.035, shade(colour, 0.5), outline=False)
    pen.ellipse(0.93, 0.60, 0.07, 0.075, (255, 240, 180))
    pen.ellipse(-0.96, 0.60, 0.05, 0.07, (196, 60, 54))
    pen.stroke([(-0.98, 0.80), (1.0, 0.80)], 0.05, (150, 150, 156), outline=False)
    for x in (-0.60, 0.60):
        _wheel(pen, x, 0.80, 0.20)


def draw_bus(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A bus, nearly twice as wide as high, with a row of windows."""
    length = rng.uniform(0.86, 0.98)
    pen.curve(
        [
            (-length, 0.10),
            (-length + 0.02, 0.04),
            (length - 0.06, 0.04),
            (length, 0.14),
            (length, 0.88),
            (-length, 0.88),
        ],
        colour,
    )
    windows = 4
    left, right = -length + 0.08, length - 0.34
    step = (right - left) / windows
    for i in range(windows):
        x = left + step * i
        pen.poly([(x, 0.20), (x + step * 0.8, 0.20), (x + step * 0.8, 0.46), (x, 0.46)], _GLASS)
    pen.poly(
        [(length - 0.28, 0.20), (length - 0.04, 0.20), (length - 0.04, 0.82), (length - 0.28, 0.82)],
        shade(_GLASS, 0.92),
    )
    pen.stroke([(length - 0.16, 0.20), (length - 0.16, 0.82)], 0.02, (90, 96, 104), outline=False)
    pen.stroke([(-length + 0.05, 0.58), (length - 0.34, 0.58)], 0.05, shade(colour, 1.55), outline=False)
    pen.dot(length - 0.03, 0.80, 0.035, (255, 240, 180))
    for x in (-0.56, 0.46):
        _wheel(pen, x, 0.86, 0.14)


def draw_boat(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A sailing boat: hull and main sail in its colour, a small cream sail in front."""
    belly = rng.uniform(0.06, 0.16)
    pen.stroke([(0.02, 0.0), (0.02, 0.78)], 0.035, (122, 88, 58))
    pen.curve([(-0.03, 0.06), (-0.05, 0.06), (-0.30 - belly, 0.40), (-0.46, 0.64), (-0.03, 0.66)], colour)
    for y, reach in ((0.30, 0.20), (0.48, 0.32)):
        pen.stroke([(-0.05, y), (-reach, y + 0.02)], 0.014, shade(colour, 0.72), outline=False)
    pen.poly([(0.07, 0.10), (0.40, 0.64), (0.07, 0.64)], (250, 240, 214))
    pen.curve(
        [(-0.66, 0.74), (-0.60, 0.73), (0.0, 0.76), (0.64, 0.72), (0.72, 0.72), (0.44, 1.0), (0.36, 1.0), (-0.44, 1.0)],
        colour,
    )
    pen.stroke([(-0.52, 0.82), (0.54, 0.82)], 0.04, (250, 244, 230), outline=False)
    pen.poly([(0.02, 0.02), (0.18, -0.04), (0.02, -0.08)], shade(colour, 0.8))
