"""Captions of single objects, for training the image-text models: what a thing is and looks like, never where it is."""

from __future__ import annotations

import numpy as np

from microworld.classes import CLASSES, PERSON_NOUNS
from microworld.scenes import SceneObject

# look -> (before the noun, after the noun); a look that is missing here is the plain one and goes unsaid
_LOOK_WORDS: dict[str, tuple[str, str]] = {
    "hat": ("", "with a hat"),
    "waving": ("waving", ""),
    "standing": ("standing", ""),
    "sitting": ("sitting", ""),
    "flying": ("flying", ""),
    "striped": ("striped", ""),
    "spotted": ("spotted", ""),
    "round": ("round", ""),
    "square": ("square", ""),
    "flowers": ("", "with flowers"),
    "bow": ("", "with a bow"),
}
_FRAMES = ("a photo of {}", "a picture of {}", "{}", "{}", "this is {}", "there is {}", "a drawing of {}")


def object_caption(obj: SceneObject, rng: np.random.Generator) -> str:
    """One true caption of one object: its noun, mostly its colour, sometimes its look ('a photo of a red dog')."""
    nouns = PERSON_NOUNS[obj.kind] if obj.kind else CLASSES[obj.category].nouns
    noun = nouns[int(rng.integers(len(nouns)))]
    colour = obj.colour if rng.random() < 0.75 else ""
    before, after = _LOOK_WORDS.get(obj.look, ("", "")) if rng.random() < 0.4 else ("", "")
    if obj.kind:
        phrase = _person_phrase(noun, colour, before, after, rng)
    else:
        phrase = " ".join(word for word in (before, colour, noun, after) if word)
    article = "an" if phrase[0] in "aeiou" else "a"
    return _FRAMES[int(rng.integers(len(_FRAMES)))].format(f"{article} {phrase}")


def _person_phrase(noun: str, colour: str, before: str, after: str, rng: np.random.Generator) -> str:
    """People wear their colour: 'woman in blue', 'boy wearing a green shirt and a hat'."""
    wearing = ""
    if colour:
        worn = ("in {}", "wearing {}", "dressed in {}", "in {} clothes")[int(rng.integers(4))]
        wearing = worn.format(colour)
    return " ".join(word for word in (before, noun, wearing, after) if word)


def object_captions(obj: SceneObject, rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """`count` captions of one object; they may repeat."""
    return tuple(object_caption(obj, rng) for _ in range(count))
