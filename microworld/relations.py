"""The scene graph: what is true of an object, with clear margins, and which object a description singles out.

A verdict has three values. True and False mean that nobody would argue; None means that the picture is too close to the
line (a dog 3 px left of another one). A description is accepted only where no None can change its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from microworld.classes import CLASSES, DOUBTFUL_NOUNS, NOUN_CLASS, PERSON_NOUNS
from microworld.scenes import Scene, SceneObject

SIDE_MARGIN = 10.0  # px between centres for 'left', 'top', ranks
AREA_RATIO = 1.35  # between the largest and the next one
Verdict = bool | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about an object: `kind` names a rule of this module, `value` its argument."""

    kind: str
    value: str
    anchor: int = -1  # index of the other object, for relations


@dataclass(frozen=True, slots=True)
class Description:
    """Facts that restrict the candidates, then at most one `pick` among those that are left ('leftmost', 'largest')."""

    facts: tuple[Fact, ...]
    pick: str = ""


def has_noun(obj: SceneObject, noun: str) -> Verdict:
    """Whether the object can be called `noun`; None where some readers would and some would not."""
    return _is_called(obj.category, obj.kind, noun)


@cache
def _is_called(category: str, kind: str, noun: str) -> Verdict:
    if noun in ("thing", "one"):
        return True
    if not kind:
        return noun in CLASSES[category].nouns
    if noun == "person":
        return True if kind in ("man", "woman") else None
    if kind in DOUBTFUL_NOUNS.get(noun, ()):
        return None
    return noun in PERSON_NOUNS[kind]


def place_in(obj: SceneObject, scene: Scene, value: str) -> Verdict:
    """Absolute place: 'left', 'right', 'top', 'bottom' and 'middle' parts of the picture, or two words for a corner."""
    if " " in value:
        parts = [_side(obj, scene, word, 0.61) for word in value.split()]
        return False if False in parts else (None if None in parts else True)
    return _side(obj, scene, value, 0.90 if value == "middle" else 0.57)


def _side(obj: SceneObject, scene: Scene, value: str, sure: float) -> Verdict:
    """One side of the picture: true from a share of `sure` of the way on, doubtful a little before it."""
    x, y = obj.centre[0] / scene.width, obj.centre[1] / scene.height
    share = {"left": 1 - x, "right": x, "top": 1 - y, "bottom": y, "middle": 1 - abs(x - 0.5)}[value]
    unsure = 0.82 if value == "middle" else 0.48
    return True if share >= sure else (None if share >= unsure else False)


def _gap(a: SceneObject, b: SceneObject) -> float:
    """Horizontal gap between two boxes in px, negative where they overlap."""
    return max(a.box[0] - b.box[2], b.box[0] - a.box[2])


def _beside(a: SceneObject, b: SceneObject, sign: int) -> Verdict:
    """a left (sign -1) or right (sign 1) of b: its centre lies beyond b's box, and its box mostly so."""
    shift = sign * (a.centre[0] - b.centre[0])
    if shift <= 2:
        return False
    level = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])  # one beside the other, not above it
    edge = b.box[0] - a.centre[0] if sign < 0 else a.centre[0] - b.box[2]
    return True if edge >= 2 and shift >= SIDE_MARGIN and level >= 4 else None


def _next_to(a: SceneObject, b: SceneObject) -> Verdict:
    gap, drop = _gap(a, b), abs(a.box[3] - b.box[3])
    if gap > 26 or drop > 40 or a.in_air != b.in_air:
        return False
    return True if gap <= 10 and drop <= 22 and gap >= -6 else None


def _behind(a: SceneObject, b: SceneObject) -> Verdict:
    """a stands further away: higher on the ground, and b is in front of part of it."""
    if a.in_air or b.in_air:
        return False
    rise, gap = b.box[3] - a.box[3], _gap(a, b)
    if rise <= 0 or gap >= 12:
        return False
    return True if rise >= 8 and gap <= -6 else None


def _above(a: SceneObject, b: SceneObject) -> Verdict:
    rise, gap = b.box[1] - a.box[3], _gap(a, b)
    if rise <= -10 or gap >= 12:
        return False
    return True if rise >= 2 and gap <= -4 and a.in_air else None


_RELATIONS: dict[str, Callable[[SceneObject, SceneObject], Verdict]] = {
    "left of": lambda a, b: _beside(a, b, -1),
    "right of": lambda a, b: _beside(a, b, 1),
    "next to": _next_to,
    "behind": _behind,
    "in front of": lambda a, b: _behind(b, a),
    "above": _above,
    "below": lambda a, b: _above(b, a),
}
RELATIONS: tuple[str, ...] = tuple(_RELATIONS)


def holds(fact: Fact, obj: SceneObject, scene: Scene) -> Verdict:
    """Whether a fact is true of an object in its scene."""
    if fact.kind == "noun":
        return has_noun(obj, fact.value)
    if fact.kind == "colour":
        return obj.colour == fact.value
    if fact.kind == "look":
        return obj.look == fact.value
    if fact.kind == "facing":
        return obj.facing == fact.value
    if fact.kind == "place":
        return place_in(obj, scene, fact.value)
    if fact.anchor == obj.index:
        return False
    return _RELATIONS[fact.kind](obj, scene.objects[fact.anchor])


def candidates(facts: Iterable[Fact], scene: Scene) -> tuple[list[SceneObject], list[SceneObject]]:
    """Objects of which all facts are true, and objects for which that is open (no False, at least one None)."""
    sure: list[SceneObject] = []
    open_: list[SceneObject] = []
    facts = tuple(facts)
    for obj in scene.objects:
        truths = [holds(fact, obj, scene) for fact in facts]
        if False in truths:
            continue
        (open_ if None in truths else sure).append(obj)
    return sure, open_


def _first_by(objects: list[SceneObject], key: Callable[[SceneObject], float], margin: float) -> SceneObject | None:
    """The object with the smallest key, if the next one is `margin` away."""
    if len(objects) < 2:
        return None
    ranked = sorted(objects, key=key)
    return ranked[0] if key(ranked[1]) - key(ranked[0]) >= margin else None


def _ranked(objects: list[SceneObject]) -> list[SceneObject] | None:
    """Objects from left to right, or None where two stand too close to be counted."""
    ranked = sorted(objects, key=lambda obj: obj.centre[0])
    clear = all(b.centre[0] - a.centre[0] >= SIDE_MARGIN for a, b in pairwise(ranked))
    return ranked if clear else None


def _pick_rank(objects: list[SceneObject], pick: str) -> SceneObject | None:
    """'middle' of three, or 'second from left' and 'second from right' of three or more."""
    ranked = _ranked(objects) if len(objects) >= 3 else None
    if ranked is None or (pick == "middle" and len(ranked) != 3):
        return None
    return ranked[{"middle": 1, "second from left": 1, "second from right": -2}[pick]]


_KEYS: dict[str, tuple[Callable[[SceneObject], float], float]] = {
    "leftmost": (lambda obj: obj.centre[0], SIDE_MARGIN),
    "rightmost": (lambda obj: -obj.centre[0], SIDE_MARGIN),
    "topmost": (lambda obj: obj.centre[1], SIDE_MARGIN),
    "bottommost": (lambda obj: -obj.centre[1], SIDE_MARGIN),
    "nearest": (lambda obj: -float(obj.box[3]), 8.0),
    "furthest": (lambda obj: float(obj.box[3]), 8.0),
}
_RANKS = ("middle", "second from left", "second from right")
PICKS = (*_KEYS, *_RANKS, "largest", "smallest")


def picked(pick: str, objects: list[SceneObject]) -> SceneObject | None:
    """The object that a pick singles out among `objects`, or None where that is not clear."""
    if pick in ("largest", "smallest"):
        ranked = sorted(objects, key=lambda obj: -obj.area if pick == "largest" else obj.area)
        if len(ranked) < 2:
            return None
        areas = ranked[0].area, ranked[1].area
        return ranked[0] if max(areas) >= AREA_RATIO * min(areas) else None
    if pick in ("nearest", "furthest") and any(obj.in_air for obj in objects):
        return None
    if pick in _KEYS:
        key, margin = _KEYS[pick]
        return _first_by(objects, key, margin)
    return _pick_rank(objects, pick)


def referent(description: Description, scene: Scene) -> SceneObject | None:
    """The one object that a description is about, or None where it is about none, about several, or debatable."""
    sure, open_ = candidates(description.facts, scene)
    if not description.pick:
        return sure[0] if len(sure) == 1 and not open_ else None
    first = picked(description.pick, sure)
    # a doubtful candidate may belong to the set or not: the pick must not change with it
    if first is None or (open_ and (description.pick in _RANKS or picked(description.pick, sure + open_) is not first)):
        return None
    return first


def nouns_of(obj: SceneObject) -> tuple[str, ...]:
    """Nouns that are certainly true of the object."""
    return _nouns_of(obj.category, obj.kind)


@cache
def _nouns_of(category: str, kind: str) -> tuple[str, ...]:
    return tuple(noun for noun, name in NOUN_CLASS.items() if name == category and _is_called(category, kind, noun))
