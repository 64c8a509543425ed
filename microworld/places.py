"""How people name a place in a picture: every form as often as the 10,834 sentences of RefCOCO's val split have it.

Counted were sentences of one noun phrase ({n}) and a place, left and right together ({s}), and so top and bottom
({e}, or {u} as upper and lower).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_BESIDE = {
    "{s} {n}": 1114, "{n} on {s}": 743, "{n} {s}": 306, "{n} on the {s}": 187, "{n} to the {s}": 27, "{n} {s} side": 25,
    "the {n} on the {s}": 24, "{n} on {s} side": 18, "{s} side {n}": 8, "{n} at {s}": 7, "{n} on the {s} side": 6,
}  # fmt: skip
_FAR = {
    "far {s} {n}": 111, "{n} far {s}": 83, "{n} on far {s}": 49, "{s} most {n}": 37, "{s}most {n}": 27,
    "{n} on the far {s}": 16, "farthest {s} {n}": 5, "{n} farthest {s}": 5, "furthest {s} {n}": 5,
}  # fmt: skip
_EDGE = {"{e} {n}": 123, "{n} {e}": 33, "{n} on {e}": 19, "{n} at {e}": 10, "{u} {n}": 4, "{n} on the {e}": 4}
_CORNER = {
    "{e} {s} {n}": 135, "{n} {e} {s}": 70, "{u} {s} {n}": 30, "{n} {u} {s}": 23, "{s} {e} {n}": 16,
    "{n} on {e} {s}": 15, "{n} {u} {s} corner": 13, "{n} {e} {s} corner": 8, "{n} {s} {e}": 8,
    "{n} in {e} {s} corner": 5, "{e} {s} corner {n}": 5, "{n} at {e} {s}": 4, "{n} at {clock} o'clock": 2,
}  # fmt: skip
_SECOND = {
    "second {n} from {s}": 53, "{n} second from {s}": 24, "second from {s} {n}": 18, "second {n} from the {s}": 13,
    "second {n} in from {s}": 3, "{n} second from the {s}": 3, "from {s} second {n}": 2,
}  # fmt: skip
_MIDDLE = {
    "middle {n}": 154, "{n} in middle": 60, "center {n}": 52, "{n} in the middle": 29, "{n} middle": 24,
    "{n} in center": 18, "{n} center": 14, "the {n} in the middle": 4, "the middle {n}": 4, "{n} in the center": 2,
}  # fmt: skip
_FRONT = {
    "front {n}": 110, "{n} in front": 73, "{n} front": 34, "closest {n}": 18, "{n} closest to us": 11,
    "{n} in the front": 8, "{n} closest": 7, "front most {n}": 6, "{n} closest to camera": 5, "nearest {n}": 4,
    "{n} in foreground": 3, "{n} in the foreground": 3,
}  # fmt: skip
_BACK = {
    "{n} in back": 59, "back {n}": 38, "{n} in background": 15, "{n} back": 14, "{n} in the back": 14,
    "background {n}": 2, "{n} in the background": 2, "farthest {n}": 2,
}  # fmt: skip
# sentences without a noun; their counts are shared out among the sides
_BARE: dict[str, dict[str, int]] = {
    "leftmost": {"left": 27, "left one": 12, "on left": 4, "far left": 3, "leftmost": 1, "one on left": 1},
    "rightmost": {"right": 27, "right one": 12, "on right": 3, "far right": 3, "rightmost": 1, "one on right": 1},
    "middle": {"middle": 15, "middle one": 3, "center": 2, "center one": 2},
    "second from left": {"second from left": 8, "second from the left": 2},
    "second from right": {"second from right": 7, "second from the right": 1},
    "top left": {"top left": 5, "top left corner": 4, "upper left corner": 1},
    "top right": {"top right": 4, "top right corner": 5, "upper right": 1},
    "bottom left": {"bottom left": 5, "bottom left corner": 4, "lower left corner": 1},
    "bottom right": {"bottom right": 4, "bottom right corner": 4, "lower right corner": 1},
}
_CLOCK = {"top left": 10, "top right": 2, "bottom right": 4, "bottom left": 8}
_UPPER = {"top": "upper", "bottom": "lower"}


def _of_corner(corner: str) -> dict[str, int]:
    edge, side = corner.split()
    filled = {"e": edge, "s": side, "u": _UPPER[edge], "clock": _CLOCK[corner]}
    return {form.format(n="{n}", **filled): count for form, count in _CORNER.items()}


FORMS: dict[str, dict[str, int]] = {
    **{f"{s}most": {form.format(n="{n}", s=s): n for form, n in (_BESIDE | _FAR).items()} for s in ("left", "right")},
    **{s: {form.format(n="{n}", s=s): n for form, n in _BESIDE.items()} for s in ("left", "right")},
    **{
        name: {form.format(n="{n}", e=e, u=_UPPER[e]): n for form, n in _EDGE.items()}
        for e in ("top", "bottom")
        for name in (e, f"{e}most")
    },
    **{corner: _of_corner(corner) for corner in _CLOCK},
    **{f"second from {s}": {form.format(n="{n}", s=s): n for form, n in _SECOND.items()} for s in ("left", "right")},
    "middle": _MIDDLE,
    "nearest": _FRONT,
    "furthest": _BACK,
}
"""By place in the picture ('top left') or pick among peers ('leftmost', 'nearest'): forms, and how often each."""

MISSPELT = 45 / 6810
"""Share of the sentences with a place in which its word is misspelt."""
SHORTENED = 0.03
"""Share in which it is abbreviated: a guess, since RefCOCO's makers spelt out what people's own tables have."""
_SHORT = {"left": "lft", "right": "rt", "bottom": "btm", "second": "2nd", "center": "ctr"}
_WORDS = ("left", "right", "bottom", "second", "center", "middle", "front", "back", "closest")


def named(place: str, phrase: str, rng: np.random.Generator) -> str:
    """A noun phrase at a place: 'left dog', 'dog in middle', 'dog at 10 o'clock'; now and then hastily written."""
    return _hasty(_NAMED[place].draw(rng).format(n=phrase), rng)


def bare(rng: np.random.Generator) -> tuple[str, str]:
    """A place, and words for it without a noun: 'left', 'second from right', 'bottom left corner'."""
    place = _BARE_PLACES.draw(rng)
    return place, _hasty(_BARE_NAMED[place].draw(rng), rng)


class _Counted:
    """What can be said, and how often it is."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._said = tuple(counts)
        self._steps = np.cumsum(list(counts.values()))

    def draw(self, rng: np.random.Generator) -> str:
        return self._said[int(self._steps.searchsorted(rng.random() * self._steps[-1], side="right"))]


_NAMED = {place: _Counted(forms) for place, forms in FORMS.items()}
_BARE_NAMED = {place: _Counted(forms) for place, forms in _BARE.items()}
_BARE_PLACES = _Counted({place: sum(forms.values()) for place, forms in _BARE.items()})


def _hasty(text: str, rng: np.random.Generator) -> str:
    """The text with one word of place misspelt or abbreviated, in few cases."""
    chance, words = rng.random(), text.split()
    writing = _misspelt if chance < MISSPELT else _shortened if chance < MISSPELT + SHORTENED else None
    if writing is None:
        return text
    known = _WORDS if writing is _misspelt else tuple(_SHORT)
    at = [number for number, word in enumerate(words) if word in known]
    if not at:
        return text
    number = at[int(rng.integers(len(at)))]
    words[number] = writing(words[number], rng)
    return " ".join(words)


def _shortened(word: str, rng: np.random.Generator) -> str:
    return _SHORT[word]


def _misspelt(word: str, rng: np.random.Generator) -> str:
    """A letter within it left out, typed twice, or swapped with the next one: 'rigth', 'botom', 'frront'."""
    number = int(rng.integers(1, len(word) - 1))
    before, letter, after = word[:number], word[number], word[number + 1 :]
    return (before + after, before + letter * 2 + after, before + after[0] + letter + after[1:])[int(rng.integers(3))]
