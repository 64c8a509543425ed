"""What a sentence says of its object's place and size, as people write it: "2nd from rt", "closest bowl", "10 o'clock".

A small grammar in tables, applied in order to the sentence's words in one spelling: first goes what looks like a place
of the object and is none ("left hand", "facing left", "white top", "next to the left guy"), then ranks ("second from
left") are read, then single words. What is in doubt is not read: a wrong reading costs a choice, a missing one nothing.
Every pattern looks at a bounded number of words, so that reading takes time linear in the sentence's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ssc_core.refer.sides import ADVERB_RIGHT, LEFT, RIGHT

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
CARDINALS = ("one", "two", "three", "four", "five", "six")
_NUMBERS = {word: n for words in (ORDINALS, CARDINALS, "123456") for n, word in enumerate(words, start=1)}


@dataclass(frozen=True, slots=True)
class Place:
    """what: a key of ``spatial.MEASURES``, or "clock"; number: the rank from that end, 1 for the first, or the hour."""

    what: str
    number: int | None = None


_SPELLINGS: dict[str, str] = {
    "left": " ".join(LEFT),
    "right": " ".join(RIGHT),
    "top": "upper uppermost topmost highest",
    "bottom": "btm botom bootom botto bottome botton botttom bittom bottommost lower lowest lowermost",
    "middle": "midle midlle middel mid center centre central centered ctr cntr",
    "front": "frnt frotn frony foreground frontmost foremost forefront",
    "back": "bck bacl bsck",
    "background": "backmost rear",
    "closest": "cloest nearest neares closer nearer",
    "farthest": "ffarthest furthest",
    "behind": "behidn",
    "from": "frm",
    "first": "1st",
    "second": "2nd secnd secon seconf seond",
    "third": "3rd thrid",
    "fourth": "4th",
    "fifth": "5th",
    "sixth": "6th",
    "large": "largest biggest larger bigger big huge",
    "small": "smallest littlest smaller little tiny tiniest",
    "tall": "tallest taller",
    "shortest": "shorter",
    "under": "below beneath underneath",
    "picture": "photo photograph image pic pict screen frame shot page view",
    "with": "w wearing holding has having",
    "facing": "faces looking looks turned turning pointing pointed going heading headed moving walking running leaning "
    "bending swinging driving",
    "oclock": "o'clock clock",
}
_SPELLED = {other: word for word, others in _SPELLINGS.items() for other in others.split()}
_ENDS_OF = "left|right|top|bottom|middle|center|upper|lower|front|back"
_GLUE = re.compile(rf"^({_ENDS_OF}|far|on|in|1[0-2]|[1-9])({_ENDS_OF}|side|guy|most|o'?clock)$")
STOP = " . "
"""Stands for what is said of another object; no pattern reaches over it."""

_SETS = {
    "SIDE": "left|right",
    "EDGE": "left|right|top|bottom",
    "END": "left|right|top|bottom|front|back",
    "DIR": "left|right|top|bottom|middle|front|back(?:ground)?",
    "ORD": "|".join(ORDINALS),
    "CARD": "[1-6]|two|three|four|five|six",
    "SIZE": "large|small|tall|shortest|short",
    "THE": "the|a|an|this|that|his|her|their|its|your|my|our",
    "US": "us|me|you|camera|viewer|viewers|photographer",
    "ALL": "others?|everyone|everybody|everything|all|rest",
    "ROW": "rows?|columns?|shelf|shelves|floor|level|story|layer|base|baseman|half",
    "FRAME": "pictures?|sides?|edges?|corners?|line|row|group|pack",
    "COLOUR": "white|black|red|blue|green|yellow|pink|purple|orange|brown|grey|gray|tan|beige|dark|light|striped|stripe"
    "|plaid|tank|tube|halter|crop|checkered|floral|polka|dot|silver|gold|teal|maroon|navy",
    "PREP": "of|to|from|on|in|at|by|with|and|or|but|is|are|who|that|which|near|next|behind|under|above|over|between"
    "|for|facing|not",
    "BODY": "hands?(?! (?:side|corner|picture))|arms?|legs?|foot|feet|shoulder|eyes?|ears?|thumb|finger|forearm"
    "|elbow|wrist|hip|knee|sleeve|fist|shoes?|breast|cheek",
    "PART": "legs?|wheels?|tires?|paws?|foot|feet|door|pocket|teeth|parts?|ends?|desk|cover|yard|hoof",
    "PERSON": "guy|man|lady|girl|boy|kid|person|woman|one|dude|child",
}
"""Sets of words that patterns name in angle brackets."""


def _compiled(pattern: str) -> re.Pattern[str]:
    filled = re.sub(r"<(\w+)>", lambda name: f"(?:{_SETS[name[1]]})", pattern.replace("(?P<", "(?P\0"))
    return re.compile(rf"(?<!\S)(?:{filled})(?!\S)".replace("\0", "<"))


_RELATION = (
    r"(?:(?:to|on|at|in) )?(?:the )?(?:(?:top |bottom )?<DIR>|in front|in back) of(?! (?:the |this |that )?<FRAME>\b)"
    r"|next to|beside|near|(?:closest|close) to|(?:farthest|far|away) from|by|behind|on top of|above|over|under|between"
    r"|against|than"
)
_OF_IT = r"(?:<THE>|<DIR>|<ORD>|<SIZE>|<COLOUR>|one|other|two|three|most|far|closest|farthest|very)"
_NO_NOUN = r"(?:<PREP>|<DIR>|<ORD>|<SIZE>|sides?|edges?|corners?|\.)"

_REWRITTEN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (_compiled(pattern), put)
    for pattern, put in (
        (r"not .*", ""),
        (r"(\d+) o oclock", r"\1 oclock"),
        # no place, or that of a part, or where something looks
        (ADVERB_RIGHT, ""),
        (r"(left|right) to (?:left|right)", r"\1"),
        (r"facing(?: (?:to|toward|towards|at|off|out|away|directly|slightly))?(?: <THE>)? <DIR>", "facing"),
        (r"back(?= (?:to|toward|towards|turned|facing|is|against)\b)", ""),
        (r"(?:his|her|their|its) (?:left|right|front|back)", ""),
        (r"<SIDE> <BODY>|(?:front|back) <PART>|middle finger|top hat|table top", ""),
        (r"<COLOUR> (?:top|bottom)(?! (?:<DIR>|row|corner|shelf|one|of)\b)", ""),
        (r"(chair|couch|sofa|bench|seat|bed) back(?! (?:<SIDE>|row)(?!\S))", r"\1"),
        (r"with(?: \S+){0,4} on (?:the )?(?:top|bottom|front|back)", "with"),
        (r"(?:<ORD>|<CARD>) (?:\S+ )?from (?:the )?middle", ""),
        (r"<ORD> <ROW>|<ORD> to last|<ORD> last", ""),
        # relations to all others, or to who looks: those are places
        (r"in behind", "back"),
        (r"(?:in )?(?:behind|back of)(?=$| (?:the )?<ALL>\b)", "back"),
        (r"in front of(?= (?:the )?<ALL>\b)", "front"),
        (r"above(?=$| (?:the )?<ALL>\b)", "top"),
        (r"under(?=$| (?:the )?<ALL>\b)", "bottom"),
        (r"(?:closest|close|near)(?: to)?(?: the)? <US>", "front"),
        (r"(?:farthest|far|away)(?: away)? from(?: the)? <US>", "back"),
        # the far end of a direction is that direction; what a place is a part of, or the middle of, is around it
        (r"(?:very|far|farthest)(?: (?:very|far|to|on|the)){0,3}(?= <DIR>(?!\S))", ""),
        (r"(?:closest|close) to(?: the)?(?= <DIR>(?:$| (?:<PREP>|<FRAME>)\b))", ""),
        (r"(?:at (?:the )?(top|bottom)|(?<!on )(middle)) of", r"\1\2"),
        # what is said of another object, up to its noun
        (rf"(?:{_RELATION})(?:(?: {_OF_IT}){{1,5}}(?= (?!{_NO_NOUN}(?!\S))\S))?", STOP),
        (
            r"(?:with|in|of|on|to|under|about|eat)(?: (?:<THE>|<COLOUR>|two)){0,3} <SIZE>|<SIZE> (?:bit|hat|hair|ears)",
            STOP,
        ),
        (r"\. (?!<US>(?!\S))\S+ (?:in|at|on)(?: the)? middle", STOP),
    )
)
"""Patterns, and what stands in their place, in order."""

_WORDS_BETWEEN = r"(?: (?!(?:<DIR>|<PREP>|\.)(?!\S))\S+)"
_THE_END = r"(?: (?:the|very|far|a)){0,3} (?P<end>%s)"
_RANKS: tuple[re.Pattern[str], ...] = tuple(
    _compiled(pattern)
    for pattern in (
        rf"(?P<nth><ORD>|<CARD>){_WORDS_BETWEEN}{{0,3}}?(?: (?:in|over|up|down))? from{_THE_END % '<END>'}",
        rf"(?P<nth><ORD>){_WORDS_BETWEEN}{{0,3}}? (?:to|on|in|at){_THE_END % '<EDGE>'}(?! (?:<ROW>|picture)(?!\S))",
        r"from(?: the)? (?P<end><EDGE>) (?P<nth><ORD>)",
        rf"(?P<nth><ORD>){_WORDS_BETWEEN}{{0,2}} (?P<end><SIDE>)(?! (?:<ROW>|<BODY>)(?!\S))",
        r"(?<!top )(?<!bottom )(?P<end><SIDE>) (?P<nth><ORD>)",
        r"(?P<nth><ORD>)(?: one)? (?P<end>down|up)",
    )
)
"""A number from an end: "third guy from the left", "second on right", "from left second", "girl second left"."""
_CLOCK = _compiled(r"(?P<hour>1[0-2]|[1-9]) ?oclock")
_ENDS = {"down": "top", "up": "bottom"}

_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (_compiled(pattern), what)
    for pattern, what in (
        ("left", "left"),
        ("right", "right"),
        ("top", "top"),
        ("bottom", "bottom"),
        ("middle", "middle"),
        ("front|closest|close(?= <PERSON>)", "front"),
        ("back(?:ground)?", "back"),
        ("large", "large"),
        ("small", "small"),
        ("tall", "tall"),
        ("shortest|short(?= <PERSON>)", "short"),
    )
)
_FAR = _compiled("far|farthest")


def read_places(sentence: str) -> tuple[Place, ...]:
    """The places and sizes that a sentence gives its object, each once; empty for none."""
    return tuple(dict.fromkeys(_places(_rewritten(" ".join(_words(sentence))))))


def _places(text: str) -> Iterator[Place]:
    for rank in _RANKS:
        for match in rank.finditer(text):
            yield Place(_ENDS.get(match["end"], match["end"]), _NUMBERS[match["nth"]])
        text = rank.sub(STOP, text)
    yield from (Place("clock", int(match["hour"])) for match in _CLOCK.finditer(text))
    found = [what for word, what in _WORDS if word.search(text)]
    if not {"left", "right", "back"}.intersection(found) and _FAR.search(text):
        found.append("back")  # "far" beside a side is how far on that side
    yield from map(Place, found)


def _words(sentence: str) -> Iterator[str]:
    """Words in one spelling; those that are written together ("bottomright") apart."""
    for word in re.findall(r"[a-z0-9']+", sentence.lower().replace("’", "'")):
        for part in _GLUE.sub(r"\1 \2", word.strip("'")).split():
            yield _SPELLED.get(part, part)


def _rewritten(text: str) -> str:
    for pattern, put in _REWRITTEN:
        text = " ".join(pattern.sub(put, text).split())
    return text
