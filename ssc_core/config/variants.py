"""A config with some values changed, as a folder name and back: the one way in which anything is varied.

A variant is a folder below a dataset's, named after what it changes: ``results/refcoco/select.choice=first/``, or
``results/refcoco/seed7/`` for all trainings with another seed, or both, joined by ``+``. A result lies in the folder
of those changes that reach it (``Variants.folder``), so that variants share with each other and with the config itself
whatever their changes do not reach. Imports nothing heavy: the Snakefile uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import yaml
from pydantic import ValidationError

from ssc_core.config.layers import kept_beside
from ssc_core.config.methods import DERIVED
from ssc_core.config.mistakes import mistakes
from ssc_core.config.settings import Settings
from ssc_core.config.stages import STAGES, depends_on, made_by, made_from, stage_named
from ssc_core.errors import SscError

SEED = "seed"
"""The change of all seeds of training at once, and of a random choice or a random order of reviews."""

_ITEM = r"(?:seed\d+|[a-z_]+(?:\.[\w-]+)+=[^/+]+)"
PATTERN = rf"(?:{_ITEM}(?:\+{_ITEM})*/)?"
"""What the wildcard ``variant`` may be: empty for the config itself."""

_READ = frozenset(
    key.partition(".")[0]
    for stage in STAGES.values()
    for key in (*stage.sections, *stage.models, *stage.plugins, *(("compat",) if stage.compat else ()))
)
"""Sections of the config that some stage reads: of the others, nothing can be varied."""

_KEPT = "[],._-"
_LONGEST = 200
_WHOLE = 2**53

Changes = Mapping[str, Any]
"""Values by ``section.key``, or by ``seed``."""


class Variants:
    """Variants of one config."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._changed = cache(lambda folder: change(settings, parse(folder)))
        self._named = cache(lambda folder: label(_as_held(self._changed(folder), parse(folder))))
        self._reached = cache(self._find_folder)

    def settings_of(self, folder: str) -> Settings:
        """The settings of a variant's folder; of ``""``: the config's own. Raises SscError for a bad one."""
        _check_spelling(folder, self._named(folder))
        return self._changed(folder)

    def led_to(self, result: str, folder: str = "") -> dict[str, Any]:
        """All of the config that a result of a variant depends on, by section or ``compat.switch``: eval files say it.

        Raises SscError for a bad folder."""
        settings = self.settings_of(folder)
        sections = {name for one in made_from(settings, result) for name in stage_named(made_by(one)).sections}
        found = depends_on(settings, result)
        kept = {name: value for name, value in found.items() if name in sections or name.startswith("compat.")}
        # who answered nothing is none of the stages, and is said all the same: no word of one is taken for any
        return {"reviewer": {"share": 0.0}, **kept}

    def folder(self, result: str, variant: str = "", changes: Changes | None = None) -> str:
        """Where a result lies: ``""`` where nothing of a variant reaches it, else as ``a.b=1+seed7/``.

        variant: a folder; changes: on top of what it names.
        """
        self.settings_of(variant)
        return self._reached(result, self._named(label({**parse(variant), **(changes or {})})))

    def _find_folder(self, result: str, folder: str) -> str:
        changes = parse(folder)
        all_of_it = depends_on(self._changed(folder), result)
        if all_of_it == depends_on(self.settings, result):
            return ""
        kept = dict(changes)
        for name in changes:
            without = {other: value for other, value in kept.items() if other != name}
            if self._without(without, result) == all_of_it:
                kept = without
        return label(kept)

    def _without(self, changes: Changes, result: str) -> dict[str, Any] | None:
        """What a result depends on with some changes left out; None where they make no config without the others."""
        try:
            return depends_on(self._changed(label(changes)), result)
        except SscError:
            return None


def change(settings: Settings, changes: Changes) -> Settings:
    """The settings with some values changed, as a config file would: another name of a backend or network starts from
    empty settings. Raises SscError for a key that does not exist or that no result is made by, and for a value that it
    cannot have."""
    values = _values(settings)
    for name, value in sorted(changes.items(), key=lambda item: not item[0].endswith(".name")):  # before its settings
        if name != SEED:
            _put(values, name, value)
    if SEED in changes:  # last, since it depends on the others which seeds there are
        for key in _seed_keys(values):
            _put(values, key, changes[SEED])
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        said = ", ".join(f"{name}={_text(value)}" for name, value in changes.items())
        why = "; ".join(mistakes(error.errors(), values, Settings))
        raise SscError(f"the config cannot be varied by {said}: {why}") from error


def label(changes: Changes) -> str:
    """The folder of changes, with its slash; ``""`` for none. Equal changes have one name, whatever their order."""
    items = [f"{name}{_text(value)}" if name == SEED else f"{name}={_text(value)}" for name, value in changes.items()]
    name = "+".join(sorted(items))
    if len(name) > _LONGEST:
        raise SscError(f"'{name}' is too long for a folder; put some of it into a config file of its own")
    return f"{name}/" if name else ""


def parse(folder: str) -> dict[str, Any]:
    """Changes of a folder's name.

    Raises SscError when it is none, and for a second spelling of one: what is in it would be made twice.
    """
    if not re.fullmatch(PATTERN, folder):
        raise SscError(f"'{folder}' names no change; write section.key=value, such as select.choice=first, or seed7")
    changes: dict[str, Any] = {}
    for item in filter(None, folder.rstrip("/").split("+")):
        name, equals, value = item.partition("=")
        if equals:
            changes[name] = _value(unquote(value))
        else:
            changes[SEED] = int(name.removeprefix(SEED))
    _check_spelling(folder, label(changes))
    return changes


def _check_spelling(folder: str, one: str) -> None:
    if folder.rstrip("/") != one.rstrip("/"):
        raise SscError(
            f"'{folder.rstrip('/')}' is written '{one.rstrip('/')}': a variant has one name, and one folder. (Several "
            "changes are joined by +, as select.choice=first+seed7.)"
        )


def plain(value: Any) -> str:
    """A value in words: ``crop``, ``reverse_blur + crop``, ``true``."""
    if isinstance(value, list | tuple):
        return " + ".join(map(plain, value))
    return value if isinstance(value, str) else json.dumps(value)


def in_words(changes: Changes) -> str:
    """Changes for people: ``select.assignment = joint, select.spatial_weight = 20``."""
    return ", ".join(f"{key} = {plain(value)}" for key, value in changes.items())


def _as_held(changed: Settings, changes: Changes) -> dict[str, Any]:
    """Changes with the values that the settings with them hold: of a number that is written as text, the number."""
    values = _values(changed)
    return {name: value if name == SEED else _held(values, name, value) for name, value in changes.items()}


def _held(values: dict[str, Any], key: str, given: Any) -> Any:
    """The value at a key. ``given`` stays where it drops the key (null), and where it is short for a whole section."""
    found: Any = values
    for name in key.split("."):
        if not isinstance(found, dict) or name not in found:
            return given
        found = found[name]
    return given if isinstance(found, dict) and not isinstance(given, dict) else found


def _values(settings: Settings) -> dict[str, Any]:
    """All settings as JSON values; of phases that follow another one, what differs from it."""
    values = settings.model_dump(mode="json")
    return values | {name: getattr(settings, name).model_dump(mode="json", exclude_unset=True) for name in DERIVED}


def _value(text: str) -> Any:
    """Raises SscError for what is no value of a config."""
    with suppress(ValueError):
        return json.loads(text)
    try:
        value = yaml.safe_load(text)  # [reverse_blur,crop] and bare words, which are no JSON
        json.dumps(value)  # YAML also has dates, and lists that hold themselves
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise SscError(
            f"'{text:.80}' is no value; write it as in a config, such as first, 0.5 or [crop,rectangle]"
        ) from error
    return value


def _text(value: Any) -> str:
    """A value as part of a path that YAML reads again."""
    return quote(_flow(value), safe=_KEPT)


def _flow(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_flow, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value) and _value(value) == value:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        value = int(value)  # 20.0 is 20
    return json.dumps(value, sort_keys=True)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    if not parents:
        raise SscError(f"'{key}' is a whole section; write section.key, such as select.choice")
    if parents[0] in values.keys() - _READ:
        raise SscError(
            f"'{key}' is the same in all variants: results do not depend on it, or it says which data they are of; put "
            "it into a config file (other data with another folder, as `results: elsewhere`)"
        )
    section: Any = values
    for name in parents:
        section = section.get(name)
        if not isinstance(section, dict):
            raise SscError(f"the config has no '{key}' to vary; write section.key, such as select.choice")
    for outdated in section.keys() - kept_beside(section, {last: value}).keys():
        section[outdated] = {}
    section[last] = value


def _seed_keys(values: dict[str, Any]) -> list[str]:
    """Where seeds of trainings are; of a random choice too, where one is made."""
    keys = ["pretrain.seed", "correct.seed", *(f"{name}.seed" for name in DERIVED if "seed" in values[name])]
    keys += ["select.seed"] if values["select"]["choice"] == "random" else []
    reviewer = values["reviewer"]
    return [*keys, "reviewer.seed"] if reviewer["share"] and reviewer["order"] == "random" else keys
