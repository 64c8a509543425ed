"""Drawn animals: dog, cat, horse, bird and the teddy bear. All look to the right; the pen mirrors them."""

from __future__ import annotations

import numpy as np

from microworld.shapes_pen import Colour, Pen, shade

_EYE = (24, 22, 26)
_NOSE = (36, 28, 30)
_GLINT = (250, 250, 250)


def draw_dog(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A dog with hanging ears, standing (about 1.3 wide) or sitting."""
    dark, light = shade(colour, 0.66), shade(colour, 1.45)
    wag = rng.uniform(-0.08, 0.10)
    if look == "sitting":
        pen.stroke([(-0.28, 0.90), (-0.46, 0.82), (-0.52 - wag, 0.66)], 0.085, colour)
        pen.curve([(-0.30, 1.0), (-0.34, 0.62), (-0.10, 0.40), (0.12, 0.40), (0.20, 0.72), (0.18, 1.0)], colour)
        pen.ellipse(-0.14, 0.84, 0.17, 0.15, colour)
        pen.stroke([(0.10, 0.62), (0.13, 0.94)], 0.10, colour)
        pen.ellipse(0.17, 0.955, 0.09, 0.045, light)
        pen.ellipse(-0.05, 0.955, 0.11, 0.045, light)
        x, y = 0.10, 0.27
    else:
        pen.stroke([(-0.42, 0.50), (-0.56, 0.38), (-0.60 - wag, 0.20)], 0.085, colour)
        for leg in (-0.24, 0.28):
            pen.stroke([(leg, 0.62), (leg + 0.03, 0.93)], 0.10, dark)
        pen.curve([(-0.50, 0.42), (0.05, 0.46), (0.36, 0.34), (0.42, 0.70), (0.05, 0.76), (-0.44, 0.80)], colour)
        for leg in (-0.36, 0.20):
            pen.stroke([(leg, 0.64), (leg - 0.02, 0.94)], 0.115, colour)
            pen.ellipse(leg + 0.01, 0.955, 0.085, 0.045, light)
        x, y = 0.40, 0.28
    pen.ellipse(x, y, 0.22, 0.215, colour)
    pen.ellipse(x + 0.19, y + 0.075, 0.14, 0.10, light)
    pen.ellipse(x + 0.29, y + 0.035, 0.05, 0.04, _NOSE, outline=False)
    pen.curve([(x - 0.18, y - 0.20), (x - 0.02, y - 0.16), (x - 0.06, y + 0.22), (x - 0.24, y + 0.16)], dark)
    pen.dot(x + 0.08, y - 0.05, 0.036, _EYE)
    pen.dot(x + 0.09, y - 0.065, 0.012, _GLINT)
    pen.stroke([(x - 0.10, y + 0.215), (x + 0.08, y + 0.235)], 0.045, (120, 112, 108), outline=False)


def draw_cat(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A cat with pointed ears and whiskers, sitting or standing with its tail up."""
    dark, light = shade(colour, 0.68), shade(colour, 1.45)
    curl = rng.uniform(-0.06, 0.08)
    if look == "sitting":
        pen.stroke([(-0.20, 0.92), (-0.42, 0.94), (-0.50, 0.80), (-0.42 + curl, 0.64)], 0.08, colour)
        pen.curve([(-0.34, 1.02), (-0.28, 0.60), (-0.10, 0.36), (0.14, 0.36), (0.26, 0.64), (0.28, 1.02)], colour)
        pen.ellipse(0.02, 0.68, 0.11, 0.17, light, outline=False)
        for paw in (-0.08, 0.12):
            pen.ellipse(paw, 0.95, 0.085, 0.05, light)
        x, y = 0.02, 0.30
    else:
        pen.stroke([(-0.40, 0.56), (-0.54, 0.44), (-0.52, 0.24), (-0.60 + curl, 0.10)], 0.075, colour)
        for leg in (-0.22, 0.22):
            pen.stroke([(leg, 0.66), (leg + 0.03, 0.94)], 0.085, dark)
        pen.curve([(-0.48, 0.52), (0.0, 0.50), (0.34, 0.44), (0.36, 0.74), (0.0, 0.78), (-0.44, 0.80)], colour)
        for leg in (-0.34, 0.15):
            pen.stroke([(leg, 0.68), (leg, 0.95)], 0.095, colour)
        for i in range(3):
            pen.stroke([(-0.28 + 0.14 * i, 0.545), (-0.26 + 0.14 * i, 0.64)], 0.035, dark, outline=False)
        x, y = 0.34, 0.34
    for side in (-1, 1):
        pen.poly([(x + side * 0.06, y - 0.17), (x + side * 0.24, y - 0.32), (x + side * 0.255, y - 0.02)], colour)
        pen.poly(
            [(x + side * 0.12, y - 0.17), (x + side * 0.21, y - 0.25), (x + side * 0.215, y - 0.08)],
            (236, 158, 150),
            outline=False,
        )
    pen.ellipse(x, y, 0.265, 0.215, colour)
    pen.ellipse(x + 0.03, y + 0.09, 0.12, 0.09, light, outline=False)
    for eye in (-0.075, 0.125):
        pen.dot(x + eye, y - 0.03, 0.034, (214, 220, 120) if sum(colour) < 260 else _EYE)
        pen.dot(x + eye, y - 0.03, 0.017, _EYE)
    pen.dot(x + 0.03, y + 0.06, 0.024, (226, 120, 116))
    for side in (-1, 1):
        for droop in (0.05, 0.12):
            pen.stroke(
                [(x + 0.03 + side * 0.10, y + 0.085), (x + 0.03 + side * 0.30, y + droop)], 0.012, (90, 84, 84), False
            )


def draw_horse(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A horse with mane and tail, about 1.1 wide."""
    dark, hoof = shade(colour, 0.72), (70, 58, 54)
    mane = (72, 52, 44) if sum(colour) > 200 else (120, 112, 112)
    swing = rng.uniform(-0.05, 0.05)
    pen.curve([(-0.40, 0.40), (-0.52, 0.40), (-0.62 - swing, 0.74), (-0.50 - swing, 0.80), (-0.42, 0.55)], mane)
    for leg, step in ((-0.24, -swing), (0.26, swing)):
        pen.stroke([(leg, 0.55), (leg + step, 0.75), (leg + step, 0.93)], 0.07, dark)
        pen.ellipse(leg + step + 0.01, 0.965, 0.045, 0.035, hoof)
    pen.curve([(0.10, 0.40), (0.26, 0.10), (0.44, 0.06), (0.42, 0.36), (0.34, 0.56), (0.12, 0.60)], colour)
    pen.curve(
        [(-0.46, 0.38), (-0.20, 0.33), (0.10, 0.38), (0.38, 0.36), (0.38, 0.62), (0.05, 0.66), (-0.40, 0.66)], colour
    )
    pen.curve([(0.14, 0.36), (0.20, 0.33), (0.34, 0.34), (0.33, 0.50), (0.16, 0.52)], colour, outline=False)
    for leg, step in ((-0.36, swing), (0.16, -swing)):
        pen.stroke([(leg, 0.55), (leg + step, 0.76), (leg + step, 0.93)], 0.085, colour)
        pen.ellipse(leg + step + 0.01, 0.965, 0.052, 0.038, hoof)
    pen.curve([(0.26, 0.06), (0.42, 0.02), (0.62, 0.20), (0.66, 0.32), (0.56, 0.36), (0.34, 0.24)], colour)
    pen.ellipse(0.605, 0.285, 0.065, 0.055, shade(colour, 1.4), outline=False)
    pen.poly([(0.29, 0.08), (0.29, -0.05), (0.38, 0.05)], colour)
    pen.curve([(0.33, 0.00), (0.24, 0.02), (0.10, 0.20), (0.06, 0.40), (0.16, 0.38), (0.26, 0.20)], mane)
    pen.dot(0.43, 0.135, 0.022, _EYE)
    pen.dot(0.62, 0.27, 0.012, _NOSE)


def draw_bird(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A round bird, standing on two legs or flying with its wings up."""
    dark, light = shade(colour, 0.68), shade(colour, 1.5)
    beak = (240, 150, 48)
    if look == "flying":
        lift = rng.uniform(-0.05, 0.05)
        pen.curve([(0.10, 0.62), (-0.02, 0.10 + lift), (0.20, -0.02 + lift), (0.34, 0.55)], dark)
        pen.poly([(-0.36, 0.58), (-0.74, 0.44), (-0.70, 0.66), (-0.78, 0.80), (-0.34, 0.76)], dark)
        pen.ellipse(-0.02, 0.66, 0.44, 0.25, colour, angle=-8)
        pen.ellipse(0.06, 0.77, 0.26, 0.12, light, outline=False)
        pen.ellipse(0.40, 0.50, 0.21, 0.20, colour)
        pen.curve([(-0.20, 0.62), (-0.44, 0.08 + lift), (-0.26, -0.04 + lift), (0.02, 0.26), (0.14, 0.62)], dark)
        pen.poly([(0.58, 0.46), (0.80, 0.54), (0.57, 0.60)], beak)
        pen.dot(0.45, 0.46, 0.042, _EYE)
        pen.dot(0.46, 0.445, 0.014, _GLINT)
        return
    for leg in (-0.06, 0.10):
        pen.stroke([(leg, 0.80), (leg, 0.97), (leg + 0.09, 0.975)], 0.03, beak, outline=True)
    pen.poly([(-0.30, 0.52), (-0.66, 0.64), (-0.62, 0.80), (-0.24, 0.76)], dark)
    pen.ellipse(0.0, 0.58, 0.37, 0.30, colour, angle=-14)
    pen.ellipse(0.16, 0.65, 0.19, 0.19, light, outline=False)
    pen.ellipse(0.22, 0.26, 0.235, 0.23, colour)
    pen.curve([(0.12, 0.50), (-0.20, 0.42), (-0.46, 0.66), (-0.20, 0.76), (0.06, 0.68)], dark)
    pen.poly([(0.43, 0.20), (0.64, 0.29), (0.42, 0.36)], beak)
    pen.dot(0.29, 0.21, 0.046, _EYE)
    pen.dot(0.305, 0.195, 0.016, _GLINT)


def draw_teddy(pen: Pen, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A seated teddy bear seen from the front, with or without a bow."""
    light = shade(colour, 1.5) if sum(colour) < 640 else shade(colour, 0.88)
    sway = rng.uniform(-0.04, 0.04)
    for side in (-1, 1):
        pen.ellipse(side * 0.22, 0.10, 0.105, 0.10, colour)
        pen.ellipse(side * 0.22, 0.105, 0.055, 0.055, light, outline=False)
        pen.ellipse(side * 0.30, 0.60 + side * sway, 0.11, 0.19, colour, angle=side * -32)
    pen.ellipse(0, 0.70, 0.28, 0.27, colour)
    pen.ellipse(0, 0.72, 0.165, 0.17, light, outline=False)
    for side in (-1, 1):
        pen.ellipse(side * 0.27, 0.89, 0.15, 0.115, colour, angle=side * 16)
        pen.ellipse(side * 0.31, 0.885, 0.075, 0.07, light, outline=False)
    pen.ellipse(0, 0.29, 0.30, 0.255, colour)
    pen.ellipse(0, 0.375, 0.135, 0.10, light, outline=False)
    pen.ellipse(0, 0.335, 0.05, 0.036, _NOSE, outline=False)
    pen.stroke([(-0.05, 0.41), (0, 0.395), (0.05, 0.41)], 0.018, _NOSE, outline=False)
    for side in (-1, 1):
        pen.dot(side * 0.12, 0.255, 0.034, _EYE)
        pen.dot(side * 0.12 + 0.01, 0.245, 0.011, _GLINT)
    if look == "bow":
        for side in (-1, 1):
            pen.poly([(0, 0.535), (side * 0.17, 0.455), (side * 0.17, 0.615)], (208, 110, 124))
        pen.dot(0, 0.535, 0.04, (170, 74, 92))
