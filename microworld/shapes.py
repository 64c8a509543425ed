"""One entry to all drawings: the picture of an object of a class, a colour and a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microworld import shapes_animals, shapes_things, shapes_vehicles
from microworld.shapes_pen import Colour, Pen
from microworld.shapes_people import draw_person

Drawing = Callable[[Pen, Colour, str, np.random.Generator], None]

# class -> its drawing, its width over its height, the largest tilt in degrees
_DRAWINGS: dict[str, tuple[Drawing, float, float]] = {
    "car": (shapes_vehicles.draw_car, 2.1, 3),
    "bus": (shapes_vehicles.draw_bus, 2.0, 2),
    "boat": (shapes_vehicles.draw_boat, 1.4, 6),
    "bird": (shapes_animals.draw_bird, 1.5, 10),
    "cat": (shapes_animals.draw_cat, 1.2, 5),
    "dog": (shapes_animals.draw_dog, 1.4, 5),
    "horse": (shapes_animals.draw_horse, 1.3, 4),
    "umbrella": (shapes_things.draw_umbrella, 1.1, 16),
    "sports ball": (shapes_things.draw_ball, 1.0, 40),
    "kite": (shapes_things.draw_kite, 0.8, 28),
    "cup": (shapes_things.draw_cup, 1.2, 4),
    "apple": (shapes_things.draw_apple, 1.1, 10),
    "chair": (shapes_things.draw_chair, 0.8, 3),
    "clock": (shapes_things.draw_clock, 0.9, 4),
    "vase": (shapes_things.draw_vase, 0.8, 3),
    "teddy bear": (shapes_animals.draw_teddy, 0.9, 6),
}
_PERSON_ASPECT, _PERSON_TILT = 0.9, 4.0


@dataclass(frozen=True, slots=True)
class Patch:
    """A drawn object: premultiplied `colour` float32 (h, w, 3), `alpha` float32 (h, w), its ground point (x, y)."""

    colour: np.ndarray
    alpha: np.ndarray
    ground: tuple[float, float]


def draw_object(
    name: str, kind: str, paint: Colour, look: str, height_px: float, flip: bool, rng: np.random.Generator
) -> Patch:
    """Draw one object `height_px` high; `kind` is the kind of person ('man', ...) and is unread for other classes."""
    if name == "person":
        pen = Pen(height_px, _PERSON_ASPECT, flip, rng.uniform(-_PERSON_TILT, _PERSON_TILT))
        draw_person(pen, kind, paint, look, rng)
    else:
        drawing, aspect, tilt = _DRAWINGS[name]
        pen = Pen(height_px, aspect, flip, rng.uniform(-tilt, tilt))
        drawing(pen, paint, look, rng)
    return Patch(*pen.finish())
