"""Painted backgrounds: a meadow, a beach, a street, snow, a lake, a room and a laid table, in pale colours.

Objects wear full colours with dark edges and backgrounds pastel ones, so that nothing drowns in its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

_FINE = 2  # backgrounds are painted at twice the size
Colour = tuple[float, ...]  # RGB, 0 to 255


@dataclass(frozen=True, slots=True)
class Scenery:
    """Where things may stand, as shares of the picture's height: ground, water (None where there is none), sky's end.

    `classes` are the classes that belong here; `unfit` the colours that this ground would swallow.
    """

    ground: tuple[float, float]
    sky_end: float
    classes: tuple[str, ...]
    unfit: tuple[str, ...] = ()
    water: tuple[float, float] | None = None


PLACES: dict[str, Scenery] = {
    "meadow": Scenery(
        (0.52, 0.97), 0.60,
        ("person", "dog", "cat", "horse", "bird", "umbrella", "sports ball", "kite", "chair", "apple"), ("green",),
    ),
    "beach": Scenery(
        (0.60, 0.97), 0.58,
        ("person", "dog", "umbrella", "sports ball", "kite", "chair", "bird", "boat"), (), (0.42, 0.53),
    ),
    "street": Scenery((0.62, 0.97), 0.45, ("person", "car", "bus", "dog", "cat", "bird", "umbrella"), ()),
    "snow": Scenery(
        (0.55, 0.97), 0.58, ("person", "dog", "cat", "horse", "bird", "car", "kite", "umbrella"), ("white",)
    ),
    "lake": Scenery(
        (0.84, 0.97), 0.55, ("boat", "bird", "person", "dog", "kite", "umbrella", "chair"), (), (0.44, 0.80)
    ),
    "room": Scenery(
        (0.66, 0.97), 0.0,
        ("person", "chair", "cat", "dog", "vase", "teddy bear", "clock", "sports ball", "umbrella"), (),
    ),
    "table": Scenery((0.50, 0.97), 0.0, ("cup", "apple", "vase", "clock", "teddy bear", "cup", "apple"), ()),
}  # fmt: skip


def _tile() -> np.ndarray:
    """Paper grain, float32 (256, 256) around 0: coarse and fine noise. Drawn once, from a fixed seed."""
    rng = np.random.default_rng(20240607)
    fine = rng.normal(0, 1, (256, 256)).astype(np.float32)
    coarse = cv2.resize(rng.normal(0, 1, (40, 40)).astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(fine, (0, 0), 0.7) * 1.4 + coarse * 1.6


_GRAIN = _tile()


class _Paper:
    """A uint8 canvas (h, w, 3) at _FINE times the size, addressed in shares of width and height."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width * _FINE, height * _FINE
        self.canvas = np.full((self.height, self.width, 3), 240, np.uint8)

    def gradient(self, start: float, end: float, top: Colour, bottom: Colour) -> None:
        """Fill the rows from `start` to `end` with a vertical gradient."""
        y0, y1 = round(start * self.height), round(end * self.height)
        share = np.linspace(0, 1, max(1, y1 - y0), dtype=np.float32)[:, None]
        rows = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share
        self.canvas[y0:y1] = rows[:, None, :]

    def _pixels(self, points: np.ndarray | list[tuple[float, float]]) -> np.ndarray:
        return np.rint(np.asarray(points) * (self.width, self.height)).astype(np.int32)

    def poly(self, points: np.ndarray | list[tuple[float, float]], colour: Colour) -> None:
        cv2.fillPoly(self.canvas, [self._pixels(points)], colour)

    def line(self, points: np.ndarray | list[tuple[float, float]], colour: Colour, thickness: int = 2) -> None:
        cv2.polylines(self.canvas, [self._pixels(points)], False, colour, thickness)

    def disc(self, x: float, y: float, radius_px: float, colour: Colour, flat: float = 1.0) -> None:
        """Ellipse of half-width `radius_px` (in picture pixels), `flat` times as high."""
        centre = (int(x * self.width), int(y * self.height))
        axes = (max(1, int(radius_px * _FINE)), max(1, int(radius_px * _FINE * flat)))
        cv2.ellipse(self.canvas, centre, axes, 0, 0, 360, colour, -1)


def _hills(paper: _Paper, y: float, swell: float, colour: Colour, rng: np.random.Generator) -> None:
    x = np.linspace(0, 1, 25)
    phase, speed = rng.uniform(0, 6.3), rng.uniform(4, 8)
    line = y + swell * np.sin(speed * x + phase) + 0.4 * swell * np.sin(2.3 * speed * x)
    paper.poly(np.concatenate([np.stack([x, line], 1), [[1, 1], [0, 1]]]), colour)


def _sky(paper: _Paper, end: float, top: Colour, bottom: Colour, rng: np.random.Generator) -> None:
    paper.gradient(0, end, top, bottom)
    paper.disc(rng.uniform(0.1, 0.9), rng.uniform(0.06, 0.18), rng.uniform(6, 9), (255, 244, 206))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, 1), rng.uniform(0.05, 0.26)
        for shift, size in ((-0.05, 5), (0.0, 8), (0.055, 6)):
            paper.disc(x + shift, y, size, (252, 252, 252), 0.62)


def _tree(paper: _Paper, x: float, y: float, size: float, leaf: Colour, fir: bool) -> None:
    """A pale far tree of `size` picture heights, standing at (x, y)."""
    wide = size * paper.height / paper.width
    paper.line([(x, y), (x, y - 0.4 * size)], (172, 146, 122), 5)
    if fir:
        for step in (0.15, 0.40, 0.62):
            reach = wide * (0.42 - 0.42 * step)
            paper.poly([(x - reach, y - step * size), (x + reach, y - step * size), (x, y - (step + 0.4) * size)], leaf)
    else:
        radius = 0.28 * size * paper.height / _FINE
        paper.disc(x, y - 0.62 * size, radius, leaf, 1.05)
        paper.disc(x - 0.2 * wide, y - 0.5 * size, radius * 0.7, leaf)
        paper.disc(x + 0.2 * wide, y - 0.5 * size, radius * 0.7, leaf)


def _meadow(paper: _Paper, rng: np.random.Generator) -> None:
    _sky(paper, 0.5, (176, 214, 240), (232, 240, 236), rng)
    _hills(paper, 0.38, 0.04, (190, 214, 196), rng)
    for _ in range(int(rng.integers(1, 4))):
        _tree(paper, rng.uniform(0, 1), 0.46, rng.uniform(0.14, 0.24), (164, 200, 158), False)
    paper.gradient(0.45, 1.0, (206, 226, 166), (178, 208, 138))
    xs, ys = rng.uniform(0, 1, 46), rng.uniform(0.47, 1.0, 46)
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if i % 4 == 0:
            paper.disc(x, y, 1.3, ((250, 226, 232), (255, 250, 214), (250, 250, 250))[i % 3])
        else:
            paper.line([(x - 0.008, y - 0.014), (x, y), (x + 0.008, y - 0.016)], (154, 190, 118), 2)


def _beach(paper: _Paper, rng: np.random.Generator) -> None:
    _sky(paper, 0.36, (184, 220, 244), (246, 238, 222), rng)
    paper.gradient(0.36, 0.61, (150, 200, 216), (190, 228, 228))
    for _ in range(9):
        x, y = rng.uniform(-0.05, 1), rng.uniform(0.38, 0.54)
        paper.line([(x, y), (x + 0.04, y - 0.006), (x + 0.09, y)], (222, 242, 242), 2)
    _hills(paper, 0.57, 0.012, (244, 250, 248), rng)
    paper.gradient(0.60, 1.0, (246, 232, 200), (234, 214, 174))
    for x, y in zip(rng.uniform(0, 1, 26), rng.uniform(0.62, 1, 26), strict=True):
        paper.disc(x, y, rng.uniform(0.6, 1.5), (222, 200, 160), 0.6)


def _street(paper: _Paper, rng: np.random.Generator) -> None:
    paper.gradient(0, 0.57, (206, 220, 236), (248, 236, 220))
    walls = [(236, 214, 200), (214, 224, 214), (238, 226, 196), (220, 212, 228), (206, 218, 230)]
    x = rng.uniform(-0.1, 0.0)
    while x < 1:
        wide, roof = rng.uniform(0.2, 0.32), rng.uniform(0.08, 0.2)
        wall = walls[int(rng.integers(len(walls)))]
        paper.poly([(x, 0.56), (x, roof), (x + wide, roof), (x + wide, 0.56)], wall)
        paper.poly([(x - 0.01, roof), (x + wide / 2, roof - 0.08), (x + wide + 0.01, roof)], (206, 176, 164))
        for row in (roof + 0.05, roof + 0.19):
            for share in (0.2, 0.62):
                left = x + share * wide
                frame = [(left, row), (left + 0.055, row), (left + 0.055, row + 0.09), (left, row + 0.09)]
                paper.poly(frame, (244, 244, 226))
                paper.line([*frame, frame[0]], (196, 178, 166), 1)
        x += wide
    paper.gradient(0.54, 0.62, (222, 216, 206), (212, 206, 198))
    paper.gradient(0.62, 1.0, (188, 188, 194), (174, 174, 182))
    paper.line([(0, 0.622), (1, 0.622)], (160, 156, 156), 2)
    shift = rng.uniform(0, 0.2)
    for i in range(-1, 6):
        left = shift + 0.2 * i
        paper.poly([(left, 0.80), (left + 0.1, 0.80), (left + 0.095, 0.82), (left - 0.005, 0.82)], (232, 230, 222))


def _snow(paper: _Paper, rng: np.random.Generator) -> None:
    paper.gradient(0, 0.55, (178, 198, 226), (226, 224, 238))
    _hills(paper, 0.40, 0.05, (206, 214, 232), rng)
    for _ in range(int(rng.integers(3, 7))):
        _tree(paper, rng.uniform(0, 1), 0.50, rng.uniform(0.16, 0.30), (150, 184, 176), True)
    _hills(paper, 0.49, 0.012, (226, 232, 242), rng)
    paper.gradient(0.53, 1.0, (226, 232, 242), (206, 216, 234))
    for x, y in zip(rng.uniform(0, 1, 50), rng.uniform(0, 1, 50), strict=True):
        paper.disc(x, y, rng.uniform(0.6, 1.2), (248, 250, 252))


def _lake(paper: _Paper, rng: np.random.Generator) -> None:
    _sky(paper, 0.42, (190, 212, 240), (250, 232, 218), rng)
    _hills(paper, 0.30, 0.05, (196, 206, 220), rng)
    _hills(paper, 0.36, 0.02, (184, 210, 184), rng)
    paper.gradient(0.40, 0.87, (172, 210, 224), (146, 192, 214))
    for _ in range(22):
        x, y = rng.uniform(-0.05, 1), rng.uniform(0.42, 0.82)
        paper.line([(x, y), (x + 0.03, y - 0.005), (x + 0.07, y)], (204, 230, 236), 2)
    _hills(paper, 0.83, 0.012, (214, 206, 166), rng)
    paper.gradient(0.86, 1.0, (208, 214, 160), (190, 204, 144))


def _room(paper: _Paper, rng: np.random.Generator) -> None:
    walls = [(240, 226, 206), (222, 230, 222), (226, 222, 236), (242, 220, 212)]
    wall = walls[int(rng.integers(len(walls)))]
    paper.gradient(0, 0.62, wall, tuple(0.96 * c for c in wall))
    stripe = tuple(0.965 * c for c in wall)
    for x in np.arange(rng.uniform(0, 0.1), 1, 0.1):
        paper.poly([(x, 0), (x + 0.04, 0), (x + 0.04, 0.6), (x, 0.6)], stripe)
    x, wide = rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.3)
    paper.poly([(x, 0.08), (x + wide, 0.08), (x + wide, 0.42), (x, 0.42)], (250, 246, 238))
    left, right = x + 0.02, x + wide - 0.02
    paper.poly([(left, 0.105), (right, 0.105), (right, 0.395), (left, 0.395)], (196, 222, 238))
    paper.line([(x + wide / 2, 0.1), (x + wide / 2, 0.4)], (250, 246, 238), 4)
    paper.line([(x, 0.25), (x + wide, 0.25)], (250, 246, 238), 4)
    paper.gradient(0.60, 0.635, (250, 246, 240), (226, 216, 206))
    paper.gradient(0.635, 1.0, (222, 196, 168), (208, 180, 150))
    for y in (0.70, 0.78, 0.88):
        paper.line([(0, y), (1, y)], (196, 166, 138), 1)
    if rng.random() < 0.6:
        rug = ((216, 200, 214), (198, 212, 214), (226, 208, 188))[int(rng.integers(3))]
        paper.disc(rng.uniform(0.3, 0.7), 0.84, 56, tuple(0.93 * c for c in rug), 0.26)
        paper.disc(rng.uniform(0.3, 0.7), 0.84, 46, rug, 0.24)


def _table(paper: _Paper, rng: np.random.Generator) -> None:
    walls = [(232, 226, 212), (216, 228, 232), (240, 222, 206), (222, 232, 216)]
    wall = walls[int(rng.integers(len(walls)))]
    paper.gradient(0, 0.42, wall, tuple(0.94 * c for c in wall))
    for x in np.arange(rng.uniform(0, 0.12), 1, 0.12):
        for y in (0.08, 0.20, 0.32):
            paper.disc(x, y, 1.6, tuple(0.9 * c for c in wall))
    cloth = ((236, 220, 214), (214, 224, 236), (226, 232, 212), (238, 228, 206))[int(rng.integers(4))]
    paper.gradient(0.40, 1.0, cloth, tuple(0.95 * c for c in cloth))
    check = tuple(0.93 * c for c in cloth)
    vanish = rng.uniform(0.35, 0.65)
    for i in range(-8, 9, 2):
        near, far, reach = vanish + 0.16 * i, vanish + 0.09 * i, 0.16
        paper.poly([(far, 0.40), (far + 0.09, 0.40), (near + reach, 1), (near, 1)], check)
    paper.line([(0, 0.402), (1, 0.402)], tuple(0.78 * c for c in cloth), 3)


_PAINTERS: dict[str, Callable[[_Paper, np.random.Generator], None]] = {
    "meadow": _meadow, "beach": _beach, "street": _street, "snow": _snow, "lake": _lake, "room": _room, "table": _table,
}  # fmt: skip


def paint_background(name: str, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """One background, float32 RGB (height, width, 3) in 0..255, mirrored half of the time, with paper grain."""
    paper = _Paper(width, height)
    _PAINTERS[name](paper, rng)
    small = cv2.resize(paper.canvas, (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        small = small[:, ::-1]
    dy, dx = (int(v) for v in rng.integers(0, (256 - min(height, 255), 256 - min(width, 255))))
    grain = _GRAIN[dy : dy + height, dx : dx + width] if height <= 256 and width <= 256 else np.float32(0)
    tint = rng.uniform(0.97, 1.03, 3).astype(np.float32)
    return np.clip(small.astype(np.float32) * tint + np.broadcast_to(grain, (height, width))[..., None], 0, 255)
