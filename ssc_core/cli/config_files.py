"""The config as Snakemake would see it, for commands outside it: config.yaml, then the user's files over it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ssc_core.checkout import HOME, find_path, find_paths
from ssc_core.errors import SscError, did_you_mean

if TYPE_CHECKING:
    from ssc_core.config.settings import Settings

MODELS = ("nouns", "detect", "segment", "score", "network")
"""Sections that name models."""


_GOES_OVER = {"modern": ("paper",), "paper_compat": ("paper",)}
"""Presets that say only what they change of others."""


def preset_files(name: str) -> list[Path]:
    """The config files of a preset, in order. Raises SscError when there is none of that name."""
    folder = HOME / "presets"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise SscError(f"no preset '{name}'{did_you_mean(name, known)} There are {', '.join(known)}")
    return [folder / f"{one}.yaml" for one in (*_GOES_OVER.get(name, ()), name)]


def read_config(files: Iterable[Path] = (), *, find_models: bool = False) -> Settings:
    """config.yaml with ``files`` over it in order, and validated.

    files: those of the project are found from any folder, as presets/paper.yaml.
    find_models: the same for paths of models.
    Raises SscError for a file that is missing or no YAML, and for mistakes in the config.
    """
    from ssc_core.config.layers import read_layers
    from ssc_core.config.settings import load_settings

    merged = read_layers((HOME / "config.yaml", *(find_path(str(file)) for file in files)))
    if find_models:
        merged |= {name: find_paths(merged[name]) for name in MODELS if name in merged}
    return load_settings(merged)


def values_to_tell(files: Iterable[Path]) -> list[str]:
    """What to tell people whose ``files`` leave values for drawings to photos."""
    from ssc_core.config.layers import read_layers
    from ssc_core.toys import warnings_of_values

    return warnings_of_values(read_layers(find_path(str(file)) for file in files))
