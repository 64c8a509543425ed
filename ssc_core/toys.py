"""The small models of the micro world never pass for models that know photos, nor values for drawings, untold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ssc_core.checkout import HOME
from ssc_core.config.drawings import Kept, Place, kept_for_photos
from ssc_core.config.layers import read_config_file, read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.toys import toys_in, toys_of
from ssc_core.errors import SscError

_ALLOWED_BY = (
    "--allow-toy-models after `ssc label`, `ssc predict` and `ssc serve`, or `allow_toy_models: true` in the config"
)


def refuse_toys(toys: Mapping[str, str], what: str, allowed_by: str = _ALLOWED_BY) -> None:
    """Raise SscError where there are any: it names the settings, and the presets that have other models there.

    toys: path by key of the config. what: would get them, in words. allowed_by: what runs them all the same.
    """
    if not toys:
        return
    listed = "".join(f"\n  {key}: {path}" for key, path in toys.items())
    presets = ", ".join(_presets_without(toys)) or "none of them does"
    raise SscError(
        f"{what} would be given to small models of the micro world, which know drawings only:{listed}\n"
        f"Name models there that know photos, or take a preset that does ({presets}); `ssc fetch --config PRESET` gets "
        f"its files. To run the steps all the same, without any meaning: {allowed_by}"
    )


def check_stages(settings: Settings, stages: Iterable[str], what: str, allowed_by: str = _ALLOWED_BY) -> None:
    """Raise SscError when stages would give photos to toys and the config does not allow it."""
    if not settings.allow_toy_models:
        refuse_toys(toys_of(settings, stages), what, allowed_by)


def values_for_drawings(given: Mapping[str, Any]) -> dict[Place, Kept]:
    """Values of config.yaml by their places that photos would get with ``given`` over it, and what is published."""
    default = read_config_file(HOME / "config.yaml")
    published = read_config_file(HOME / "presets/paper.yaml")
    return kept_for_photos(read_layers([HOME / "config.yaml"], given), given, default, published)


def warnings_of_values(given: Mapping[str, Any]) -> list[str]:
    """What to tell people of ``values_for_drawings``, where there are any."""
    kept = values_for_drawings(given)
    if not kept:
        return []
    listed = "".join(
        f"\n  {'.'.join(place)}: {json.dumps(value)} ({json.dumps(other)})" for place, (value, other) in kept.items()
    )
    return [
        "note: beside models that know photos, your config leaves values of config.yaml in force that were chosen for "
        f"drawings of 160 pixels (in brackets: published):{listed}\nWhat it gives itself, these or others, is taken as "
        "meant; presets/paper.yaml has all published ones."
    ]


def _presets_without(keys: Iterable[str]) -> Iterator[str]:
    """The project's presets that have no toy at ``keys``."""
    for file in sorted((HOME / "presets").glob("*.yaml")):
        preset = load_settings(read_layers((HOME / "config.yaml", file)))
        if not set(keys) & toys_in(preset.model_dump(mode="json")).keys():
            yield f"presets/{file.name}"
