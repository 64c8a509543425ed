"""The config as Snakemake would see it, for commands outside it: config.yaml, then the user's files over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssc_core.checkout import HOME, find_paths
from ssc_core.errors import SscError

if TYPE_CHECKING:
    from ssc_core.settings import Settings

MODELS = ("nouns", "detect", "segment", "score", "network")
"""Sections that name models."""


def read_config(files: Iterable[Path] = (), *, find_models: bool = False) -> Settings:
    """config.yaml with ``files`` merged over it in order, key by key, and validated.

    find_models: paths of models that do not exist in the current folder, but do in the checkout, are taken from there.
    Raises SscError for a file that is missing or no YAML, and for mistakes in the config.
    """
    from ssc_core.settings import load_settings

    merged: dict[str, Any] = {}
    for file in (HOME / "config.yaml", *files):
        _merge(merged, _read(Path(file)))
    if find_models:
        merged |= {name: find_paths(merged[name]) for name in MODELS if name in merged}
    return load_settings(merged)


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SscError(f"config file {file} does not exist") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SscError(f"config file {file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SscError(f"config file {file} holds no sections; see config.yaml for how one looks")
    return content


def _merge(onto: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Sections are merged, everything else is replaced, as Snakemake does with --configfile."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(onto.get(key), dict):
            _merge(onto[key], value)
        else:
            onto[key] = value
