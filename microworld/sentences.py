"""Referring sentences in the styles of RefCOCO, RefCOCO+ and RefCOCOg, each true and about one object alone.

A sentence is proposed together with its logical form; it is kept only if the form's referent is the object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from microworld import phrases, places
from microworld.phrases import choose
from microworld.relations import PICKS, RELATIONS, Description, Fact, candidates, holds, nouns_of, referent
from microworld.scenes import Scene, SceneObject, seeded_rng
from ssc_core.config.world import SentenceMix, WorldSettings

SENTENCES_PER_REF = 3
STYLES = ("refcoco", "refcoco+", "refcocog")
_TRIES_PER_KIND = 24  # a proposal is a draw: enough of them that the mix, not luck, decides the kinds
_MIN_LONG_WORDS = 5
# how often each way of saying a place is proposed
_PLACE_WEIGHTS: dict[str, float] = {
    "leftmost": 4.0, "rightmost": 4.0, "middle": 2.0, "second from left": 1.0, "second from right": 1.0,
    "topmost": 0.7, "bottommost": 0.7, "nearest": 1.0, "furthest": 1.0,
    "left": 1.5, "right": 1.5, "at middle": 1.0, "top": 0.4, "bottom": 0.4,
    "top left": 0.8, "top right": 0.8, "bottom left": 0.8, "bottom right": 0.8,
}  # fmt: skip
_PLACES = tuple(_PLACE_WEIGHTS)
_PLACE_STEPS = np.cumsum(np.array(list(_PLACE_WEIGHTS.values())) / sum(_PLACE_WEIGHTS.values()))
_PLACE_STEPS /= _PLACE_STEPS[-1]
_SPATIAL_PICKS = tuple(phrases.LONG_PICKS)[:9]


@dataclass(frozen=True, slots=True)
class DescribedSentence:
    """One sentence: cleaned `sent`, `raw` as somebody typed it, its `kind` in the mix and its logical form."""

    sent: str
    raw: str
    kind: str
    description: Description


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """One object of a scene and its three sentences."""

    object_index: int
    sentences: tuple[DescribedSentence, ...]


Proposal = tuple[str, Description] | None
Proposer = Callable[[SceneObject, Scene, np.random.Generator], Proposal]


def _noun(obj: SceneObject, rng: np.random.Generator) -> tuple[str, Fact]:
    """A noun of the object, mostly its own, and the fact that goes with it."""
    nouns = nouns_of(obj)
    noun = obj.noun if rng.random() < 0.6 else nouns[int(rng.integers(len(nouns)))]
    return noun, Fact("noun", noun)


def _colour(obj: SceneObject) -> Fact:
    return Fact("colour", obj.colour)


def _fits(pick: str, obj: SceneObject, scene: Scene) -> bool:
    """Whether a pick among peers also suits the picture: nobody calls a dog at the right edge 'left dog'."""
    x, y = obj.centre[0] / scene.width, obj.centre[1] / scene.height
    share = {"leftmost": x, "rightmost": 1 - x, "topmost": y, "bottommost": 1 - y}.get(pick, 0.0)
    return share <= (0.52 if pick in ("leftmost", "rightmost") else 0.62)


def _placed(obj: SceneObject, scene: Scene, rng: np.random.Generator, phrase: str, facts: tuple[Fact, ...]) -> Proposal:
    """'left dog': a noun phrase with a place in the picture or among its peers."""
    place = _PLACES[int(_PLACE_STEPS.searchsorted(rng.random(), side="right"))]  # as `rng.choice` draws, but sooner
    if place in _SPATIAL_PICKS:
        if not _fits(place, obj, scene):
            return None
        return places.named(place, phrase, rng), Description(facts, place)
    value = place.removeprefix("at ")
    if value == "middle" and sum(map(len, candidates(facts, scene))) > 2:
        return None  # of three, the middle one is the second in the row, wherever the picture's middle is
    return places.named(value, phrase, rng), Description((*facts, Fact("place", value)))


def _short_location(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    return _placed(obj, scene, rng, noun, (fact,))


def _short_colour(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    return phrases.short_colour(obj, noun, rng), Description((fact, _colour(obj)))


def _short_size(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    pick = choose(("largest", "smallest"), rng)
    return choose(phrases.SHORT_PICKS[pick], rng).format(n=noun), Description((fact,), pick)


def _short_attribute(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    if obj.look not in phrases.SHORT_LOOKS:
        return None
    return choose(phrases.SHORT_LOOKS[obj.look], rng).format(n=noun), Description((fact, Fact("look", obj.look)))


def _short_facing(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """An attribute, or the heading of what has one: 'dog facing left' (not for RefCOCO+: it takes a side)."""
    if not obj.facing or rng.random() < 0.6:
        return _short_attribute(obj, scene, rng)
    noun, fact = _noun(obj, rng)
    return phrases.facing(obj, phrases.SHORT_FACING, noun, rng), Description((fact, Fact("facing", obj.facing)))


def _short_mixed(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """Colour and place, or size and place: 'red car on the left'."""
    noun, fact = _noun(obj, rng)
    if rng.random() < 0.8:
        return _placed(obj, scene, rng, phrases.plain_colour(obj, noun), (fact, _colour(obj)))
    if obj.look not in phrases.SHORT_LOOKS:
        return None
    looks = phrases.SHORT_LOOKS[obj.look][0].format(n=noun)
    return _placed(obj, scene, rng, looks, (fact, Fact("look", obj.look)))


def _short_mixed_looks(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """Colour with size or with another attribute: 'small red car', 'striped blue cup'."""
    noun, fact = _noun(obj, rng)
    phrase = phrases.plain_colour(obj, noun)
    if rng.random() < 0.5:
        pick = choose(("largest", "smallest"), rng)
        return choose(phrases.SHORT_PICKS[pick], rng).format(n=phrase), Description((fact, _colour(obj)), pick)
    if obj.look not in phrases.SHORT_LOOKS:
        return None
    text = choose(phrases.SHORT_LOOKS[obj.look], rng).format(n=phrase)
    return text, Description((fact, _colour(obj), Fact("look", obj.look)))


def _short_noun(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    return choose(("{n}", "{n}", "the {n}"), rng).format(n=noun), Description((fact,))


def _short_bare(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    place, text = places.bare(rng)
    return text, Description((), place) if place in PICKS else Description((Fact("place", place),))


def _anchor(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> tuple[SceneObject, str] | None:
    """Another object and a phrase that singles it out: 'the chair', 'the red chair', 'the woman in blue'."""
    others = [other for other in scene.objects if other.index != obj.index]
    other = others[int(rng.integers(len(others)))]
    noun = Fact("noun", other.noun)
    if referent(Description((noun,)), scene) is other and rng.random() < 0.6:
        return other, f"the {other.noun}"
    if referent(Description((noun, _colour(other))), scene) is other:
        return other, f"the {phrases.plain_colour(other, other.noun)}"
    return None


def _short_depth(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """'closest dog', or 'front red car' where another one is red, too."""
    noun, fact = _noun(obj, rng)
    coloured = rng.random() < 0.3
    phrase = phrases.plain_colour(obj, noun) if coloured else noun
    facts: tuple[Fact, ...] = (fact, _colour(obj)) if coloured else (fact,)
    pick = choose(("nearest", "furthest"), rng)
    return choose(phrases.SHORT_PICKS[pick], rng).format(n=phrase), Description(facts, pick)


def _short_relation(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """'dog next to the red car', or 'dog behind the other dog' where there are two."""
    noun, fact = _noun(obj, rng)
    kind = choose(tuple(phrases.SHORT_RELATIONS), rng)
    anchor = _other(obj, scene, noun, kind) if rng.random() < 0.5 else _anchor(obj, scene, rng)
    if anchor is None:
        return None
    text = choose(phrases.SHORT_RELATIONS[kind], rng).format(n=noun, b=anchor[1])
    return text, Description((fact, Fact(kind, "", anchor[0].index)))


def _other(obj: SceneObject, scene: Scene, noun: str, relation: str) -> tuple[SceneObject, str] | None:
    """The one other object that `noun` fits, if the relation cannot be turned round: each is next to the other dog."""
    sure, open_ = candidates((Fact("noun", noun),), scene)
    others = [other for other in sure if other is not obj]
    if open_ or len(others) != 1 or holds(Fact(relation, "", obj.index), others[0], scene) is not False:
        return None
    return others[0], f"the other {noun}"


def _long_relation(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """'a brown dog standing to the left of a yellow umbrella'."""
    anchor = _anchor(obj, scene, rng)
    if anchor is None:
        return None
    noun, fact = _noun(obj, rng)
    relation = Fact(RELATIONS[int(rng.integers(len(RELATIONS)))], "", anchor[0].index)
    facts: tuple[Fact, ...] = (fact, relation)
    head = choose((phrases.article(noun), f"the {noun}"), rng)
    if rng.random() < 0.5:
        facts = (fact, _colour(obj), relation)
        head = choose((phrases.long_colour(obj, noun, rng), f"the {phrases.plain_colour(obj, noun)}"), rng)
    place = phrases.where(obj, scene) if not obj.in_air and rng.random() < 0.2 else ""
    related = choose(phrases.LONG_RELATIONS[relation.kind], rng).format(b=anchor[1])
    words = (head, phrases.posture(obj, rng), place, related)
    return " ".join(word for word in words if word), Description(facts)


def _long_location(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    pick = _SPATIAL_PICKS[int(rng.integers(len(_SPATIAL_PICKS)))]
    if not _fits(pick, obj, scene):
        return None
    return choose(phrases.LONG_PICKS[pick], rng).format(n=noun), Description((fact,), pick)


def _long_size(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    pick = choose(("largest", "smallest"), rng)
    return choose(phrases.LONG_PICKS[pick], rng).format(n=noun), Description((fact,), pick)


def _long_colour(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    words = [phrases.long_colour(obj, noun, rng)]
    if rng.random() < 0.6 or len(words[0].split()) < _MIN_LONG_WORDS:
        words.append(phrases.where(obj, scene))
    return " ".join(words), Description((fact, _colour(obj)))


def _long_attribute(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    noun, fact = _noun(obj, rng)
    if obj.facing and rng.random() < 0.3:
        return phrases.facing(obj, phrases.LONG_FACING, noun, rng), Description((fact, Fact("facing", obj.facing)))
    return _long_look(obj, scene, rng, noun, (fact,))


def _long_look(
    obj: SceneObject, scene: Scene, rng: np.random.Generator, phrase: str, facts: tuple[Fact, ...]
) -> Proposal:
    if obj.look not in phrases.LONG_LOOKS:
        return None
    form = choose(phrases.LONG_LOOKS[obj.look], rng)
    text = form.format(a=phrases.article(phrase), where=phrases.where(obj, scene))
    return text, Description((*facts, Fact("look", obj.look)))


def _long_mixed(obj: SceneObject, scene: Scene, rng: np.random.Generator) -> Proposal:
    """Colour with an attribute, or colour with a place among its peers."""
    noun, fact = _noun(obj, rng)
    phrase, facts = phrases.plain_colour(obj, noun), (fact, _colour(obj))
    if rng.random() < 0.5:
        return _long_look(obj, scene, rng, phrase, facts)
    pick = _SPATIAL_PICKS[int(rng.integers(len(_SPATIAL_PICKS)))]
    if not _fits(pick, obj, scene):
        return None
    return choose(phrases.LONG_PICKS[pick], rng).format(n=phrase), Description(facts, pick)


_SHORT: dict[str, Proposer] = {
    "location": _short_location, "colour": _short_colour, "size": _short_size, "attribute": _short_facing,
    "mixed": _short_mixed, "noun": _short_noun, "bare": _short_bare,
}  # fmt: skip
_PROPOSERS: dict[str, dict[str, Proposer]] = {
    "refcoco": _SHORT,
    "refcoco+": {
        "location": _short_depth, "colour": _short_colour, "size": _short_size, "attribute": _short_attribute,
        "mixed": _short_mixed_looks, "noun": _short_noun, "relation": _short_relation,
    },
    "refcocog": {
        "location": _long_location, "colour": _long_colour, "size": _long_size, "attribute": _long_attribute,
        "mixed": _long_mixed, "relation": _long_relation,
    },
}  # fmt: skip


def clean(raw: str) -> str:
    """REFER's cleaned sentence: lower case, letters, digits and single spaces."""
    return " ".join(re.sub(r"[^a-z0-9 ]", " ", raw.lower()).split())


def _typed(text: str, rng: np.random.Generator) -> str:
    """The sentence as somebody may have typed it: now and then a capital, a full stop or a second space."""
    chance = rng.random()
    if chance < 0.10:
        return text.capitalize()
    if chance < 0.20:
        return f"{text.capitalize()}."
    if chance < 0.26:
        return text.replace(" ", "  ", 1)
    return f"{text} " if chance < 0.30 else text


def object_sentences(
    obj: SceneObject, scene: Scene, style: str, mix: SentenceMix, rng: np.random.Generator, count: int
) -> tuple[DescribedSentence, ...]:
    """Up to `count` different sentences about one object; fewer where the scene does not allow them."""
    proposers = _PROPOSERS[style]
    weights = {kind: weight for kind, weight in mix.weights().items() if kind in proposers and weight > 0}
    kind, found = "", dict[str, DescribedSentence]()
    while weights and len(found) < count:
        if kind not in weights or rng.random() >= mix.again:
            kinds, shares = list(weights), np.array(list(weights.values()))
            kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        for _ in range(_TRIES_PER_KIND):
            proposal = proposers[kind](obj, scene, rng)
            if proposal is None or clean(proposal[0]) in found or referent(proposal[1], scene) is not obj:
                continue
            text, description = proposal
            found[clean(text)] = DescribedSentence(clean(text), _typed(text, rng), kind, description)
            break
        else:
            del weights[kind]
    return tuple(found.values())


def _wanted(scene: Scene, settings: WorldSettings, who: str, rng: np.random.Generator) -> list[SceneObject]:
    """Objects that may become refs, in random order: all that have a peer of their class, some of the others."""
    counts = {obj.category: sum(o.category == obj.category for o in scene.objects) for obj in scene.objects}
    wanted = []
    for i in rng.permutation(len(scene.objects)):
        obj = scene.objects[int(i)]
        lone = counts[obj.category] == 1
        asked = who == "any" or (obj.category == "person") == (who == "people")
        if asked and (not lone or rng.random() < settings.share_lone_refs):
            wanted.append(obj)
    return wanted


def describe(scene: Scene, style: str, settings: WorldSettings, who: str = "any") -> tuple[DescribedObject, ...]:
    """Refs of a scene with three sentences each, at most `settings.max_refs`, maybe none.

    `who` limits them to 'people' or to 'things'. The same scene, style and settings give the same refs.
    """
    return tuple(islice(_described(scene, style, settings, who), settings.max_refs))


def is_describable(scene: Scene, style: str, settings: WorldSettings, who: str = "any") -> bool:
    """Whether `describe` finds a ref: it looks for the first alone."""
    return next(_described(scene, style, settings, who), None) is not None


def _described(scene: Scene, style: str, settings: WorldSettings, who: str) -> Iterator[DescribedObject]:
    mix = settings.mix(style)
    rng = seeded_rng(scene.seed, f"sentences/{style}/{who}")
    for obj in _wanted(scene, settings, who, rng):
        sentences = object_sentences(obj, scene, style, mix, rng, SENTENCES_PER_REF)
        if len(sentences) == SENTENCES_PER_REF:
            yield DescribedObject(obj.index, sentences)
