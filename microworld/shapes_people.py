"""Drawn people: man, woman, boy and girl, in clothes of one colour, with a hat or a waving arm."""

from __future__ import annotations

import numpy as np

from microworld.shapes_pen import Colour, Pen, shade

_SKINS = ((250, 214, 184), (236, 188, 150), (198, 142, 104), (142, 94, 66))
_HAIRS = ((62, 44, 36), (112, 74, 44), (38, 34, 38), (196, 150, 84), (168, 84, 48))
_TROUSERS = ((112, 108, 108), (150, 132, 108), (88, 86, 92))  # of no named colour: the clothes' colour is the shirt's
_STRAW = (226, 200, 150)
_EYE = (30, 26, 30)


def draw_person(pen: Pen, kind: str, colour: Colour, look: str, rng: np.random.Generator) -> None:
    """A person of height 1; `look` is 'plain', 'hat' or 'waving'."""
    child = kind in ("boy", "girl")
    skin = _SKINS[rng.integers(len(_SKINS))]
    hair = _HAIRS[rng.integers(len(_HAIRS))]
    head = 0.185 if child else 0.135
    neck = 2 * head + 0.045
    hip = 0.72 if child else 0.62
    wide = (0.15 if child else 0.135) * (1.0 if kind in ("man", "boy") else 0.88)
    if kind in ("woman", "girl"):
        _long_hair(pen, kind, head, hair, rng)
    _legs(pen, kind, hip, wide, skin, rng)
    _clothes(pen, kind, colour, neck, hip, wide)
    _arms(pen, colour, skin, neck, hip, wide, look == "waving", rng)
    _head(pen, kind, head, skin, hair)
    if look == "hat":
        y = 0.8 * head + 0.035
        pen.ellipse(0, y, head * 1.45, head * 0.26, _STRAW)
        pen.curve(
            [(-head * 0.85, y), (-head * 0.8, y - head * 0.95), (head * 0.8, y - head * 0.95), (head * 0.85, y)], _STRAW
        )
        pen.stroke([(-head * 0.72, y - 0.02), (head * 0.72, y - 0.02)], 0.03, (84, 62, 50), outline=False)


def _legs(pen: Pen, kind: str, hip: float, wide: float, skin: Colour, rng: np.random.Generator) -> None:
    stride = rng.uniform(0.0, 0.09)
    trousers = _TROUSERS[rng.integers(len(_TROUSERS))]
    for side, step in ((-1, -stride), (1, stride)):
        x, foot = side * wide * 0.5, side * wide * 0.55 + step
        cover = {"man": 0.96, "boy": hip + 0.14}.get(kind, 0.0)
        pen.stroke([(x, hip - 0.02), (foot, 0.955)], 0.075, skin if kind != "man" else trousers)
        if kind == "boy":
            share = (cover - hip) / (0.955 - hip)
            pen.stroke([(x, hip - 0.03), (x + (foot - x) * share, cover)], 0.11, trousers)
        pen.ellipse(foot + 0.015, 0.968, 0.058, 0.03, (74, 58, 52))


def _clothes(pen: Pen, kind: str, colour: Colour, neck: float, hip: float, wide: float) -> None:
    if kind in ("man", "boy"):
        pen.curve(
            [
                (-wide * 0.7, neck - 0.03),
                (wide * 0.7, neck - 0.03),
                (wide * 1.25, neck + 0.06),
                (wide * 1.12, hip + 0.05),
                (-wide * 1.12, hip + 0.05),
                (-wide * 1.25, neck + 0.06),
            ],
            colour,
        )
        pen.stroke([(0, neck + 0.05), (0, hip - 0.01)], 0.012, shade(colour, 0.7), outline=False)
        return
    hem = 0.80 if kind == "woman" else 0.86
    waist = neck + 0.55 * (hip - neck)
    pen.poly(
        [
            (-wide * 0.75, neck - 0.01),
            (wide * 0.75, neck - 0.01),
            (wide * 1.05, neck + 0.05),
            (wide * 0.8, waist),
            (wide * 1.9, hem),
            (wide * 0.7, hem + 0.02),
            (-wide * 0.7, hem + 0.02),
            (-wide * 1.9, hem),
            (-wide * 0.8, waist),
            (-wide * 1.05, neck + 0.05),
        ],
        colour,
    )
    pen.stroke([(-wide * 0.75, waist), (wide * 0.75, waist)], 0.03, shade(colour, 0.62), outline=False)


def _arms(
    pen: Pen, colour: Colour, skin: Colour, neck: float, hip: float, wide: float, waving: bool, rng: np.random.Generator
) -> None:
    reach = 0.9 * (hip - neck) + 0.06
    for side in (-1, 1):
        raised = waving and side == 1
        angle = np.deg2rad(rng.uniform(-52, -34) if raised else rng.uniform(52, 76))
        shoulder = (side * wide * 0.98, neck + 0.05)
        hand = (shoulder[0] + side * np.cos(angle) * reach, shoulder[1] + np.sin(angle) * reach)
        elbow = (0.45 * shoulder[0] + 0.55 * hand[0] + side * 0.012, 0.45 * shoulder[1] + 0.55 * hand[1])
        pen.stroke([elbow, hand], 0.058, skin)
        pen.stroke([shoulder, elbow], 0.075, colour)
        pen.dot(*hand, 0.036, skin)


def _long_hair(pen: Pen, kind: str, head: float, hair: Colour, rng: np.random.Generator) -> None:
    if kind == "girl":  # two bunches
        for side in (-1, 1):
            pen.ellipse(side * head * 1.25, head * 1.25, head * 0.36, head * 0.6, hair, angle=side * -18)
        return
    fall = rng.uniform(2.3, 2.9) * head
    pen.curve(
        [(-head, 0.25 * head), (0, -0.1 * head), (head, 0.25 * head), (head * 1.35, fall), (-head * 1.35, fall)], hair
    )


def _head(pen: Pen, kind: str, head: float, skin: Colour, hair: Colour) -> None:
    y = head + 0.03
    pen.stroke([(0, y), (0, 2 * head + 0.06)], 0.06, skin)
    pen.ellipse(0, y, head * 0.94, head, skin)
    fringe = 0.35 if kind in ("man", "boy") else 0.15
    pen.curve(
        [
            (-head * 1.12, y + head * (0.1 if fringe > 0.2 else 0.45)),
            (-head * 1.0, y - head * 0.95),
            (0, y - head * 1.3),
            (head * 1.0, y - head * 0.95),
            (head * 1.12, y + head * (0.1 if fringe > 0.2 else 0.45)),
            (head * 0.7, y - head * 0.45),
            (-head * 0.1, y - head * fringe),
            (-head * 0.75, y - head * 0.35),
        ],
        hair,
    )
    for side in (-1, 1):
        pen.dot(side * head * 0.38, y + head * 0.12, 0.017, _EYE)
        pen.dot(side * head * 0.62, y + head * 0.42, head * 0.15, (238, 150, 130))
    pen.stroke(
        [(-head * 0.25, y + head * 0.5), (0, y + head * 0.6), (head * 0.25, y + head * 0.5)],
        0.016,
        (150, 62, 58),
        False,
    )
