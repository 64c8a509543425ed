"""Left and right as people write them, and what a sentence becomes when its photo is mirrored."""

from __future__ import annotations

import re

LEFT = ("lft", "lf", "lef", "lefy", "laft", "eft", "lefdt", "leftmost", "leftest", "leftish", "lefthand")
RIGHT = (
    "rt", "rgt", "rigth", "righ", "rihght", "rgiht", "roght", "ruight", "rght", "rite", "rightmost", "rightest",
    "rightish", "righthand",
)  # fmt: skip
"""Other words for the two, and misspellings."""

_ADVERBS = "behind|next|beside|above|under|by|in front|there|here|now|against|after|before|on top"
ADVERB_RIGHT = rf"(?<!on )(?<!to )(?<!from )(?<!the )(?<!far )(?<!top )(?<!front )right(?= (?:{_ADVERBS})(?![\w'’]))"
"""A pattern for the word in "right behind her", which is no side."""

_OTHER = {"left": "right", "right": "left"}
_MISSPELT = {
    word: side
    for side, words in (("left", LEFT), ("right", RIGHT))
    for word in words
    if not any(known in word for known in _OTHER)
}
_ADVERB = re.compile(rf"(?<!\S){ADVERB_RIGHT}")
_SIDE = re.compile(
    rf"\b(?:{'|'.join(_MISSPELT)})\b"
    # within words, too ("bottomright", "leftmost", "picleft"), but for those that have another meaning
    r"|(?<!b)(?<!up)(?<!al)(?<!copy)(?<!f)(?<!w)right|(?<!\bc)left(?!over)"
    r"|\b(?:1[0-2]|[1-9])(?=\W{0,2}o?\W{0,2}clock\b)"  # phones and word processors write ’ for '
)


def mirrored(sentence: str) -> str:
    """The English sentence in lower case, left and right swapped, and hours of the clock that are directions.

    "right" in "right behind her" stays. What is written in a photo is not thought of: mirrored, nobody can read it.
    """
    text = sentence.lower()
    adverbs = {found.start() for found in _ADVERB.finditer(text)}
    return _SIDE.sub(lambda found: found[0] if found.start() in adverbs else _other(found[0]), text)


def _other(word: str) -> str:
    if word.isdecimal():
        return str(12 - int(word) or 12)
    return _OTHER[_MISSPELT.get(word, word)]
