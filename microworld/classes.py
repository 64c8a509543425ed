"""What lives in the world: classes with their COCO ids, their nouns, their colours and the looks they can have."""

from __future__ import annotations

from dataclasses import dataclass

# RGB. Eight names whose jittered paints do not meet: neither orange (between red, yellow and brown) nor pink is here.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 44),
    "yellow": (246, 205, 52),
    "green": (58, 152, 66),
    "blue": (48, 100, 206),
    "purple": (146, 72, 176),
    "brown": (136, 88, 52),
    "black": (46, 46, 54),
    "white": (243, 241, 235),
}
BRIGHT = ("red", "yellow", "green", "blue", "purple", "black", "white")
ALL = tuple(COLOURS)


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """One class; `height` is its usual height in pixels in a 160 px picture, `looks` are what may be drawn of it."""

    category_id: int
    name: str
    nouns: tuple[str, ...]  # natural nouns, the first the usual one; persons have theirs in PERSON_NOUNS
    colours: tuple[str, ...]
    height: float
    looks: tuple[str, ...] = ("plain",)
    has_facing: bool = False  # a side view whose heading left or right can be seen


_CLASSES = (
    ObjectClass(1, "person", ("person",), ALL, 66, ("plain", "plain", "hat", "waving"), False),
    ObjectClass(
        3, "car", ("car",), ("red", "yellow", "green", "blue", "purple", "black", "white"), 29, has_facing=True
    ),
    ObjectClass(6, "bus", ("bus",), ("red", "yellow", "green", "blue", "purple", "white"), 42, has_facing=True),
    ObjectClass(9, "boat", ("boat", "sailboat"), ("red", "yellow", "green", "blue", "purple", "brown", "white"), 54),
    ObjectClass(16, "bird", ("bird",), (*BRIGHT, "brown"), 30, ("standing", "flying"), True),
    ObjectClass(17, "cat", ("cat", "kitty"), ("brown", "black", "white", "yellow"), 38, ("sitting", "standing"), True),
    ObjectClass(18, "dog", ("dog",), ("brown", "black", "white", "yellow"), 39, ("standing", "sitting"), True),
    ObjectClass(19, "horse", ("horse", "pony"), ("brown", "black", "white"), 56, has_facing=True),
    ObjectClass(28, "umbrella", ("umbrella",), BRIGHT, 48, ("plain", "striped")),
    ObjectClass(37, "sports ball", ("ball",), BRIGHT, 24, ("plain", "striped", "spotted")),
    ObjectClass(38, "kite", ("kite",), BRIGHT, 48, ("plain", "striped")),
    ObjectClass(47, "cup", ("cup", "mug"), (*BRIGHT, "brown"), 30, ("plain", "striped", "spotted")),
    ObjectClass(53, "apple", ("apple",), ("red", "green", "yellow"), 26),
    ObjectClass(62, "chair", ("chair",), ALL, 48),
    ObjectClass(85, "clock", ("clock",), ALL, 36, ("round", "square")),
    ObjectClass(86, "vase", ("vase",), (*BRIGHT, "brown"), 44, ("plain", "flowers", "striped")),
    ObjectClass(
        88, "teddy bear", ("teddy bear", "teddy"), ("brown", "white", "yellow", "purple", "blue"), 42, ("plain", "bow")
    ),
)
CLASSES: dict[str, ObjectClass] = {c.name: c for c in _CLASSES}
CATEGORY_IDS: dict[str, int] = {c.name: c.category_id for c in _CLASSES}
CATEGORY_NAMES: tuple[str, ...] = tuple(CLASSES)  # in COCO id order

PERSON_KINDS = ("man", "woman", "boy", "girl")
# Words for each kind of person. A word that could be taken for another kind is listed in DOUBTFUL_NOUNS.
PERSON_NOUNS: dict[str, tuple[str, ...]] = {
    "man": ("man", "guy", "person"),
    "woman": ("woman", "lady", "person"),
    "boy": ("boy", "kid", "child"),
    "girl": ("girl", "kid", "child"),
}
# word -> kinds for which a reader might or might not accept the word: such an object is never a clear "no"
DOUBTFUL_NOUNS: dict[str, tuple[str, ...]] = {
    "guy": ("boy",),
    "lady": ("girl",),
    "girl": ("woman",),
    "boy": ("man",),
}
# The nouns that a reader of this world meets, with the class each one names
NOUN_CLASS: dict[str, str] = {noun: c.name for c in _CLASSES for noun in c.nouns} | {
    noun: "person" for nouns in PERSON_NOUNS.values() for noun in nouns
}
