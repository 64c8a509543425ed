"""The small models of the micro world, which know drawings only: where a config names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssc_core.config.labelling import DEFAULT_SCORER
from ssc_core.config.settings import Settings
from ssc_core.config.stages import model_places, value_of

_TOYS = ("resources", "micro")
"""Their folder, from the project's. They are told by it wherever the project lies."""

ON_PHOTOS = "toys"
"""What figures of photos say of their world when such a model had a part in them."""


def label_stages(settings: Settings) -> tuple[str, ...]:
    """The stages whose models make labels: those of Segment, and one for each scorer that has a weight."""
    scoring = ("score_candidates" if n == DEFAULT_SCORER else f"score_candidates@{n}" for n in settings.select.scorers)
    return ("extract_nouns", "detect_boxes", "segment_boxes", *scoring)


def toys_in(value: Any, key: str = "") -> dict[str, str]:
    """Path by key of every model of the micro world that config values name, however deep they lie."""
    if isinstance(value, str):
        parts = Path(value).parts
        named = any(parts[i : i + len(_TOYS)] == _TOYS for i in range(len(parts)))
        return {key: value} if named else {}
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    return {k: v for name, item in items for k, v in toys_in(item, f"{key}.{name}" if key else str(name)).items()}


def toys_behind(sections: Mapping[str, Any]) -> dict[str, str]:
    """``toys_in`` of sections of a config that led to a result, but for what none of its stages read."""
    nouns = sections.get("nouns", {})
    unread = {} if nouns.get("project", True) else {"nouns": {**nouns, "encoder": None}}
    return toys_in({**sections, **unread})


def toys_of(settings: Settings, stages: Iterable[str]) -> dict[str, str]:
    """Path by key of the config of the toys that stages use."""
    found: dict[str, str] = {}
    for place in model_places(settings, stages):
        found |= toys_in(value_of(settings, place), place)
    return found
