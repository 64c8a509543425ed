"""The words: for every fact and pick the ways to say it, short as in RefCOCO or in whole phrases as in RefCOCOg."""

from __future__ import annotations

import numpy as np

from microworld.scenes import Scene, SceneObject

# {n} is the noun with what was already said of it ('red car'); depth as RefCOCO+ says it, RefCOCO's places: `places`
SHORT_PICKS: dict[str, tuple[str, ...]] = {
    "nearest": ("front {n}", "{n} in front", "closest {n}", "{n} closest to us", "{n} in the foreground"),
    "furthest": ("back {n}", "{n} in back", "{n} in the back", "{n} in the background", "{n} farthest away"),
    "largest": ("biggest {n}", "largest {n}", "big {n}", "large {n}"),
    "smallest": ("smallest {n}", "small {n}", "little {n}", "tiny {n}"),
}
SHORT_LOOKS: dict[str, tuple[str, ...]] = {
    "hat": ("{n} with hat", "{n} in hat", "{n} wearing a hat", "{n} with the straw hat"),
    "waving": ("{n} waving", "waving {n}", "{n} with arm up", "{n} with raised hand"),
    "sitting": ("sitting {n}", "{n} sitting down", "{n} that is sitting"),
    "standing": ("standing {n}", "{n} standing up", "{n} that is standing"),
    "flying": ("flying {n}", "{n} that is flying", "{n} in flight"),
    "striped": ("striped {n}", "{n} with stripes", "stripy {n}"),
    "spotted": ("spotted {n}", "{n} with spots", "{n} with dots"),
    "round": ("round {n}", "{n} that is round"),
    "square": ("square {n}", "{n} that is square"),
    "flowers": ("{n} with flowers", "{n} with the flowers"),
    "bow": ("{n} with bow", "{n} with the bow", "{n} wearing a bow"),
}
SHORT_FACING: tuple[str, ...] = ("{n} facing {value}", "{n} looking {value}")  # the second for animals only
LONG_PICKS: dict[str, tuple[str, ...]] = {
    "leftmost": (
        "the {n} on the left side of the picture",
        "the {n} that is furthest to the left",
        "the leftmost {n} in the picture",
    ),
    "rightmost": (
        "the {n} on the right side of the picture",
        "the {n} that is furthest to the right",
        "the rightmost {n} in the picture",
    ),
    "topmost": ("the {n} that is highest in the picture", "the uppermost {n} in the picture"),
    "bottommost": ("the {n} that is lowest in the picture", "the lowest {n} in the picture"),
    "nearest": (
        "the {n} that is closest to the camera",
        "the {n} nearest to the viewer",
        "the {n} in the foreground of the picture",
    ),
    "furthest": (
        "the {n} that is farthest from the camera",
        "the {n} in the background of the picture",
        "the {n} furthest away from us",
    ),
    "middle": (
        "the {n} in the middle of the three",
        "the {n} that is between the other two",
        "the middle {n} of the group",
    ),
    "second from left": ("the second {n} from the left", "the {n} that is second from the left"),
    "second from right": ("the second {n} from the right", "the {n} that is second from the right"),
    "largest": ("the largest {n} in the picture", "the {n} that is the biggest", "the biggest {n} of all"),
    "smallest": ("the smallest {n} in the picture", "the {n} that is the smallest", "the littlest {n} of all"),
}
LONG_LOOKS: dict[str, tuple[str, ...]] = {
    "hat": ("{a} wearing a straw hat", "{a} with a hat on the head", "{a} who is wearing a hat"),
    "waving": ("{a} who is waving", "{a} waving with one arm up", "{a} with one hand in the air"),
    "sitting": ("{a} that is sitting down", "{a} sitting {where}", "{a} sitting and looking around"),
    "standing": ("{a} that is standing up", "{a} standing {where}", "{a} standing on its legs"),
    "flying": ("{a} that is flying", "{a} flying in the air", "{a} with its wings spread"),
    "striped": ("{a} with stripes on it", "{a} that has stripes", "{a} with a striped pattern"),
    "spotted": ("{a} with spots on it", "{a} that has spots", "{a} with a pattern of dots"),
    "round": ("{a} that is round", "{a} with a round case"),
    "square": ("{a} that is square", "{a} with a square case"),
    "flowers": ("{a} with flowers in it", "{a} that has flowers in it", "{a} filled with flowers"),
    "bow": ("{a} with a bow around the neck", "{a} that is wearing a bow"),
}
LONG_FACING: tuple[str, ...] = ("{a} that is facing to the {value}", "{a} that is looking to the {value}")
LONG_RELATIONS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of {b}", "on the left side of {b}", "left of {b}"),
    "right of": ("to the right of {b}", "on the right side of {b}", "right of {b}"),
    "next to": ("next to {b}", "beside {b}", "right next to {b}"),
    "behind": ("behind {b}", "partly behind {b}", "just behind {b}"),
    "in front of": ("in front of {b}", "just in front of {b}"),
    "above": ("above {b}", "in the air over {b}"),
    "below": ("below {b}", "underneath {b}"),
}
# what RefCOCO+ says of an object and another one: absolute places are forbidden there, and so are sides of a thing
SHORT_RELATIONS: dict[str, tuple[str, ...]] = {
    "next to": ("{n} next to {b}", "{n} beside {b}"),
    "behind": ("{n} behind {b}", "{n} in back of {b}"),
    "in front of": ("{n} in front of {b}", "{n} just in front of {b}"),
    "above": ("{n} above {b}", "{n} over {b}"),
    "below": ("{n} below {b}", "{n} underneath {b}"),
}
# what can be said of where a thing stands, by background; true of everything that is not in the air
_WHERE: dict[str, str] = {
    "meadow": "on the grass",
    "beach": "on the beach",
    "street": "on the street",
    "snow": "in the snow",
    "lake": "by the lake",
    "room": "in the room",
    "table": "on the table",
}
_DOING: dict[str, str] = {
    "person": "standing",
    "horse": "standing",
    "car": "parked",
    "bus": "parked",
    "boat": "floating",
    "kite": "flying",
}
_FURRY = ("dog", "cat", "horse", "teddy bear")


def choose(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the options, evenly."""
    return options[int(rng.integers(len(options)))]


def article(phrase: str) -> str:
    """'a' or 'an' before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def garment(obj: SceneObject) -> str:
    """What the person wears in its colour."""
    return "dress" if obj.kind in ("woman", "girl") else "shirt"


def where(obj: SceneObject, scene: Scene) -> str:
    """The surroundings as a phrase: 'on the grass'; boats are on the water."""
    if obj.in_air:
        return "in the air"
    return "on the water" if obj.category == "boat" else _WHERE[scene.background]


def posture(obj: SceneObject, rng: np.random.Generator) -> str:
    """What the object is doing there, with or without a relative clause: 'standing', 'that is parked'."""
    doing = _DOING.get(obj.category)
    if obj.look in ("sitting", "standing", "flying"):
        doing = obj.look
    pronoun = "who" if obj.category == "person" else choose(("that", "which"), rng)
    if doing is None:
        return choose(("", f"{pronoun} is", "placed"), rng)
    return choose((doing, doing, f"{pronoun} is {doing}"), rng)


def facing(obj: SceneObject, forms: tuple[str, ...], noun: str, rng: np.random.Generator) -> str:
    """Its heading in words; `forms` is SHORT_FACING or LONG_FACING. Vehicles face a side, but they do not look."""
    usable = forms[:1] if obj.category in ("car", "bus") else forms
    return choose(usable, rng).format(n=noun, a=article(noun), value=obj.facing)


def short_colour(obj: SceneObject, noun: str, rng: np.random.Generator) -> str:
    """'red car', 'woman in blue'."""
    if obj.kind:
        forms = ("{n} in {c}", "{n} in {c}", "{n} wearing {c}", "{n} in {c} {g}", "{n} with {c} {g}")
        return choose(forms, rng).format(n=noun, c=obj.colour, g=garment(obj))
    return choose(("{c} {n}", "{c} {n}", "{c} {n}", "the {c} {n}", "{n} that is {c}"), rng).format(n=noun, c=obj.colour)


def long_colour(obj: SceneObject, noun: str, rng: np.random.Generator) -> str:
    """'a woman in a blue dress', 'a dog with brown fur'; `noun` may carry an adjective already."""
    if obj.kind:
        forms: tuple[str, ...] = (
            "{a} in a {c} {g}",
            "{a} wearing a {c} {g}",
            "{a} who is wearing a {c} {g}",
            "{a} dressed in {c} clothes",
        )
    else:
        forms = ("{ac}", "{ac}", "{a} that is {c}", "{a} which is {c} in color")
    if obj.category in _FURRY:
        forms += ("{a} with {c} fur",)
    if obj.category == "bird":
        forms += ("{a} with {c} feathers",)
    coloured = article(f"{obj.colour} {noun}")
    return choose(forms, rng).format(a=article(noun), ac=coloured, c=obj.colour, g=garment(obj))


def plain_colour(obj: SceneObject, noun: str) -> str:
    """The colour at its shortest: 'red car', 'woman in blue'. For anchors and for what is said besides."""
    return f"{noun} in {obj.colour}" if obj.kind else f"{obj.colour} {noun}"
