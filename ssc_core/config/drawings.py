"""Values of config.yaml that were chosen for drawings, where they stay in force beside models that know photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ssc_core.config.toys import toys_in

_CHOSEN_FOR = {
    "detect": ("detect",),
    "score": ("score", "select"),
    "network": ("network", "pretrain", "correct", "supervised"),
}
"""Sections with such values, by the section whose models they go with."""

Place = tuple[str, ...]


class Kept(NamedTuple):
    """A value of config.yaml, and the published one of that place."""

    value: Any
    published: Any


def kept_for_photos(
    config: Mapping[str, Any], given: Mapping[str, Any], default: Mapping[str, Any], published: Mapping[str, Any]
) -> dict[Place, Kept]:
    """What ``config`` has from ``default`` alone and other than ``published``, by its place.

    config: ``given``, the user's own, over ``default``, config.yaml. published: a config that names every value.
    Nothing of a section whose models are those of the micro world: photos are refused there.
    """
    found: dict[Place, Kept] = {}
    for models, sections in _CHOSEN_FOR.items():
        if toys_in(config.get(models)):
            continue
        for place, value in (leaf for name in sections for leaf in _leaves(default, published, (name,))):
            kept = not _has(given, place) and _has(config, place) and _at(config, place) == value
            if kept and not toys_in(value) and _at(published, place) != value:
                found[place] = Kept(value, _at(published, place))
    return found


def _leaves(default: Mapping[str, Any], published: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Any]]:
    """The values of ``default`` from a place on; a section whole where ``published`` has one value, as of a Swin."""
    value = _at(default, place)
    if isinstance(value, Mapping) and value and isinstance(_at(published, place), Mapping):
        for key in value:
            yield from _leaves(default, published, (*place, str(key)))
    else:
        yield place, value


def _has(config: Any, place: Place) -> bool:
    """Whether a config says something there: the value, or another one in place of the section that it would be in."""
    for key in place:
        if not isinstance(config, Mapping):
            return True
        if key not in config:
            return False
        config = config[key]
    return True


def _at(config: Any, place: Place) -> Any:
    """The value there, or None."""
    for key in place:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
