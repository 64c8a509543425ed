"""What pydantic finds wrong in a config, for people: a line a mistake, with where, what, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from reprlib import Repr
from typing import Any, cast, get_args

from pydantic import BaseModel

from ssc_core.errors import did_you_mean

Place = tuple[str | int, ...]

_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "model_type": "should be a section of keys with values",
    "dict_type": "should be a section of keys with values",
    "tuple_type": "should be a list",
    "invalid_key": "keys should be texts; write it in quotes",
}
"""pydantic's message in this project's words, by its type."""

_SHOWN = Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother = 2, 80, 80


def mistakes(errors: Iterable[Mapping[str, Any]], config: Any, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One line a mistake. errors: of a ValidationError; config: what was validated by ``model``; prefix: its place."""
    lines = []
    for place, found in _told_once(errors, config):
        message = _WORDS.get(found["type"], found["msg"].removeprefix("Value error, "))
        if found["type"] == "extra_forbidden":
            message += did_you_mean(place[-1], _keys_at(place, model)).removesuffix(".")
        if not place:  # of the whole config: the message says where
            lines.append(message)
            continue
        got = "" if found["type"] == "missing" else f" (got {_SHOWN.repr(found['input'])})"
        lines.append(f"{prefix}{'.'.join(map(_plain, place))}: {message}{got}")
    return lines


def with_texts(errors: Iterable[Mapping[str, Any]], config: dict[str, Any], texts: Any) -> dict[str, Any]:
    """The config with a text in place of each wrong value but null that has one, at the same place of ``texts``."""
    changed = deepcopy(config)
    for place in {_place(e, config)[0] for e in errors}:
        text, inside = texts, cast("Any", changed)
        for step in place:
            text = _item(text, step)
        for step in place[:-1]:
            inside = _item(inside, step)
        if isinstance(text, str) and inside[place[-1]] is not None:
            inside[place[-1]] = text
    return changed


def _told_once(errors: Iterable[Mapping[str, Any]], config: Any) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """(place in the config, error) of all errors; of a union's, those of the member that the value comes closest to."""
    found = [(*_place(e, config), e) for e in errors]
    closest: dict[Place, str | int] = {}
    for _, member, _ in sorted(found, key=lambda item: -len(item[0])):
        if member:
            closest.setdefault(member[:-1], member[-1])
    for place, member, e in found:
        cut_short = e["type"] == "too_short" and any(other[: len(place)] == place != other for other, *_ in found)
        if not cut_short and (not member or closest[member[:-1]] == member[-1]):
            yield place, e


def _place(e: Mapping[str, Any], config: Any) -> tuple[Place, Place]:
    """Where a mistake is; if in a union, also the union's place with the member's name, which pydantic adds."""
    place: list[str | int] = []
    member: Place = ()
    for index, step in enumerate(e["loc"]):
        inside = _item(config, step)
        if inside is _NOTHING and not (e["type"] == "missing" and index == len(e["loc"]) - 1):
            member = (*place, step)
            continue
        place.append(step)
        config = inside
    return tuple(place), member


_NOTHING = object()


def _item(config: Any, step: str | int) -> Any:
    if isinstance(config, Mapping) and step in config:
        return config[step]
    if isinstance(config, Sequence) and not isinstance(config, str) and isinstance(step, int) and step < len(config):
        return config[step]
    return _NOTHING


def _keys_at(place: Place, model: type[BaseModel]) -> set[str]:
    """Keys that the section of a mistake may have. Names of datasets, indices and the like are stepped over."""
    models = [model]
    for step in place[:-1]:
        below = [
            inner
            for outer in models
            if step in outer.model_fields
            for inner in _models(outer.model_fields[str(step)].annotation)
        ]
        models = below or models
    return {key for found in models for key in found.model_fields}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _plain(step: str | int) -> str:
    text = str(step)
    return text if text.isprintable() and len(text) <= 80 else _SHOWN.repr(text)
