"""Drawn things: umbrella, ball, kite, cup, apple, chair, clock and vase."""

from __future__ import annotations

import numpy as np

from microworld.shapes_pen import CIRCLE, Colour, Pen, shade, smooth

_WOOD = (134, 98, 66)
_CREAM = (250, 242, 224)


def _contrast(colour: Colour) -> Colour:
    """Paint for a pattern: a clearly lighter or darker tone of the same hue, so that the colour's name stays true."""
    luminance = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    if luminance > 215:
        return (176, 174, 172)
    return shade(colour, 1.62) if luminance < 150 else shade(colour, 0.72)


def draw_umbrella(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """An open umbrella, about 1.05 wide, on its curved stick."""
    rise = rng.uniform(-0.03, 0.03)
    pen.stroke([(0, 0.0), (0, 0.90), (0.03, 0.97), (0.10, 0.97), (0.13, 0.90)], 0.04, _WOOD)
    turn = np.linspace(np.pi, 2 * np.pi, 17)
    arch = [(0.53 * np.cos(t), 0.52 + rise + 0.47 * np.sin(t)) for t in turn]
    hem = []
    for right in (0.53, 0.265, 0.0, -0.265):
        hem += [(right - 0.06, 0.485 + rise), (right - 0.1325, 0.465 + rise), (right - 0.205, 0.485 + rise)]
        hem += [(right - 0.265, 0.535 + rise)]
    canopy = arch + hem[:-1]
    pen.poly(canopy, colour)
    if look == "striped":
        pen.pattern(canopy, "upright", _contrast(colour), 5)
    for x in (-0.265, 0.0, 0.265):
        points = [(x * s, 0.055 + rise + (0.47) * (1 - np.sqrt(max(0.0, 1 - s * s)))) for s in (0.0, 0.5, 0.8, 1.0)]
        pen.stroke(points, 0.016, shade(colour, 0.6), outline=False)


def draw_ball(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A ball with seams, stripes or spots."""
    pen.ellipse(0, 0.5, 0.5, 0.5, colour)
    circle = CIRCLE * 0.48 + (0, 0.5)
    if look == "spotted":
        pen.pattern(circle, "spotted", _contrast(colour), 3)
    elif look == "striped":
        pen.pattern(circle, "striped", _contrast(colour), 3)
    else:
        bend = rng.uniform(-0.1, 0.1)
        seam = shade(colour, 0.6) if sum(colour) > 260 else shade(colour, 1.5)
        pen.stroke([(-0.44, 0.34), (-0.1, 0.44 + bend), (0.2, 0.4 + bend), (0.46, 0.40)], 0.03, seam, outline=False)
        pen.stroke([(-0.12, 0.04), (0.04 + bend, 0.4), (0.0, 0.7), (-0.14, 0.96)], 0.03, seam, outline=False)
    pen.ellipse(-0.2, 0.24, 0.11, 0.07, shade(colour, 1.7), angle=-32, outline=False)


def draw_kite(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A diamond kite with a tail of bows."""
    drift = rng.uniform(-0.10, 0.10)
    tail = [(0, 0.62), (0.07 + drift, 0.72), (-0.05 + drift, 0.84), (0.05 + 1.5 * drift, 0.98)]
    pen.stroke(tail, 0.022, (110, 96, 90), outline=False)
    for x, y in tail[1:]:
        for side in (-1, 1):
            pen.poly([(x, y), (x + side * 0.085, y - 0.04), (x + side * 0.085, y + 0.04)], colour)
    diamond = [(0, 0), (0.33, 0.27), (0, 0.66), (-0.33, 0.27)]
    pen.poly(diamond, colour)
    if look == "striped":
        pen.pattern(diamond, "striped", _contrast(colour), 4)
    else:
        pen.poly([(0, 0.04), (0.29, 0.27), (0, 0.27)], shade(colour, 1.35), outline=False)
        pen.poly([(0, 0.60), (-0.29, 0.27), (0, 0.27)], shade(colour, 0.78), outline=False)
    pen.stroke([(0, 0.02), (0, 0.64)], 0.018, _WOOD, outline=False)
    pen.stroke([(-0.31, 0.27), (0.31, 0.27)], 0.018, _WOOD, outline=False)


def draw_cup(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A mug with a handle; width and taper vary."""
    top, foot = rng.uniform(0.36, 0.44), rng.uniform(0.28, 0.36)
    handle = [(top - 0.04, 0.30), (top + 0.20, 0.28), (top + 0.24, 0.52), (top + 0.10, 0.70), (foot, 0.74)]
    pen.stroke(handle, 0.09, colour)
    body = [(-top, 0.12), (top, 0.12), (foot + 0.02, 0.90), (foot - 0.10, 0.99), (-foot + 0.10, 0.99), (-foot, 0.90)]
    pen.poly(body, colour)
    if look != "plain":
        pen.pattern([(-top, 0.26), (top, 0.26), (foot, 0.92), (-foot, 0.92)], look, _contrast(colour), 3)
    pen.ellipse(0, 0.12, top, 0.11, shade(colour, 1.25))
    pen.ellipse(0, 0.135, top * 0.82, 0.075, (112, 74, 50), outline=False)


def draw_apple(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """An apple with stem and leaf."""
    plump = rng.uniform(0.46, 0.54)
    pen.curve(
        [
            (0, 0.22), (0.22, 0.12), (plump, 0.24), (plump, 0.66), (0.26, 1.0), (0, 0.95), (-0.26, 1.0),
            (-plump, 0.66), (-plump, 0.24), (-0.22, 0.12),
        ],
        colour,
    )  # fmt: skip
    pen.stroke([(0, 0.24), (0.02, 0.10), (0.07, 0.0)], 0.05, (104, 72, 46), outline=False)
    pen.curve([(0.05, 0.12), (0.16, -0.02), (0.38, -0.02), (0.26, 0.14)], (92, 158, 74))
    pen.ellipse(-0.24, 0.38, 0.07, 0.13, shade(colour, 1.6), angle=24, outline=False)


def draw_chair(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A painted chair, three-quarter view, with slats in its back."""
    seat = rng.uniform(0.52, 0.58)
    dark = shade(colour, 0.72)
    for x in (-0.18, 0.34):
        pen.stroke([(x, seat), (x, 0.88)], 0.065, dark)
    pen.stroke([(-0.27, 0.02), (-0.30, 0.97)], 0.085, colour)
    pen.stroke([(0.17, 0.02), (0.20, 0.97)], 0.085, colour)
    for y in (0.07, 0.21, 0.35):
        pen.poly([(-0.25, y), (0.15, y), (0.15, y + 0.085), (-0.25, y + 0.085)], colour)
    pen.poly([(-0.32, seat), (0.24, seat), (0.40, seat - 0.11), (-0.20, seat - 0.11)], shade(colour, 1.18))
    pen.poly([(-0.32, seat), (0.24, seat), (0.24, seat + 0.075), (-0.32, seat + 0.075)], colour)


def draw_clock(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A table clock with a coloured case, round with two bells or square."""
    for side in (-1, 1):
        pen.stroke([(side * 0.24, 0.86), (side * 0.32, 0.97)], 0.075, shade(colour, 0.7))
    if look == "round":
        for side in (-1, 1):
            pen.ellipse(side * 0.25, 0.11, 0.15, 0.10, shade(colour, 1.15), angle=side * 30)
        pen.ellipse(0, 0.53, 0.43, 0.43, colour)
    else:
        pen.poly([(-0.42, 0.12), (0.42, 0.12), (0.42, 0.93), (-0.42, 0.93)], colour)
    pen.ellipse(0, 0.53, 0.28, 0.28, _CREAM)
    for tick in range(12):
        angle = tick * np.pi / 6
        pen.dot(0.23 * np.cos(angle), 0.53 + 0.23 * np.sin(angle), 0.016, (96, 84, 80))
    hour, minute = rng.uniform(0, 2 * np.pi, 2)
    pen.stroke([(0, 0.53), (0.12 * np.cos(hour), 0.53 + 0.12 * np.sin(hour))], 0.045, (48, 42, 46), outline=False)
    pen.stroke([(0, 0.53), (0.2 * np.cos(minute), 0.53 + 0.2 * np.sin(minute))], 0.03, (48, 42, 46), outline=False)


def draw_vase(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A curved vase, plain, striped, or with three flowers (then the vase itself is lower)."""
    flowers = look == "flowers"
    top, belly = (0.42 if flowers else 0.08), rng.uniform(0.28, 0.34)
    deep = 1.0 - top
    if flowers:
        petals = [(236, 128, 142), (252, 222, 120), (240, 240, 240), (206, 150, 214), (250, 168, 110)]
        for i, x in enumerate((-0.20, 0.20, 0.0)):
            y = 0.22 if x else 0.10
            pen.stroke([(x * 0.3, top + 0.06), (x, y)], 0.03, (84, 142, 72), outline=True)
            pen.ellipse(x * 0.75 + 0.05, y + 0.17, 0.075, 0.03, (98, 160, 84), angle=-35, outline=False)
            paint = petals[int(rng.integers(len(petals)))]
            for turn in np.arange(5) * 2 * np.pi / 5 + i:
                pen.ellipse(x + 0.068 * np.cos(turn), y + 0.068 * np.sin(turn), 0.058, 0.058, paint)
            pen.dot(x, y, 0.045, (246, 196, 70))
    body = [
        (-0.15, top), (0.15, top), (0.15, top), (0.10, top + 0.18 * deep), (belly, top + 0.42 * deep),
        (belly * 0.95, top + 0.72 * deep), (0.17, 1.0), (0.17, 1.0), (-0.17, 1.0), (-0.17, 1.0),
        (-belly * 0.95, top + 0.72 * deep), (-belly, top + 0.42 * deep), (-0.10, top + 0.18 * deep), (-0.15, top),
    ]  # fmt: skip
    outline = smooth(body)
    pen.poly(outline, colour)
    if look == "striped":
        pen.pattern(outline, "striped", _contrast(colour), 5)
    else:
        pen.stroke(
            [(-belly * 0.72, top + 0.45 * deep), (belly * 0.72, top + 0.45 * deep)], 0.035, _contrast(colour), False
        )
    pen.ellipse(0, top + 0.015, 0.16, 0.04, shade(colour, 0.6))
    pen.ellipse(-belly * 0.55, top + 0.55 * deep, 0.03, 0.09, shade(colour, 1.6), angle=10, outline=False)
