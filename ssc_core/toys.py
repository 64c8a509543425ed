"""The small models of the micro world never pass for models that know photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ssc_core.checkout import HOME
from ssc_core.config.layers import read_layers
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


def _presets_without(keys: Iterable[str]) -> Iterator[str]:
    """The project's presets that have no toy at ``keys``."""
    for file in sorted((HOME / "presets").glob("*.yaml")):
        preset = load_settings(read_layers((HOME / "config.yaml", file)))
        if not set(keys) & toys_in(preset.model_dump(mode="json")).keys():
            yield f"presets/{file.name}"
