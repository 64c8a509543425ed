"""Colours and type of every picture and of the HTML report."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

Colour = tuple[int, int, int]

PREDICTION: Colour = (47, 125, 246)
TRUTH: Colour = (18, 184, 134)
PICK: Colour = (245, 149, 0)
CANDIDATE: Colour = (190, 197, 208)
INK: Colour = (28, 32, 40)
QUIET: Colour = (108, 117, 130)
PAPER: Colour = (255, 255, 255)
PANEL: Colour = (243, 245, 248)
"""Blue is what a model says, green what is true, orange what Select picked: told apart with any colour vision."""

SERIES: tuple[Colour, ...] = (
    PREDICTION,
    (224, 134, 0),
    (15, 157, 114),
    (194, 52, 143),
    (122, 91, 224),
    (123, 132, 149),
)
"""Of the lines of a chart. page.css has them as --s0 ... --s5, and lighter ones for a dark page."""


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the letters of most alphabets."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def css(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def ink_on(colour: Colour) -> Colour:
    """Dark letters on light colours, light ones on dark colours (luma of ITU-R BT.601)."""
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else PAPER
