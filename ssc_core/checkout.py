"""Where the project's files lie, and paths of the default config, which are relative to that folder, seen from another.

From a checkout they lie beside this package; a wheel carries them inside it (``[tool.hatch]`` in pyproject.toml).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

DISTRIBUTION = "segment-select-correct"
"""What pip calls this project."""

_PACKAGE = Path(__file__).resolve().parent
_CARRIED = _PACKAGE / "_workflow"

INSTALLED = _CARRIED.is_dir()
"""Whether this runs from a wheel, and not from a checkout."""

HOME = _CARRIED if INSTALLED else _PACKAGE.parent
"""The folder of Snakefile, config.yaml, presets, profiles and small models. Paths of models in config.yaml are relative
to here when the current folder has none such."""


def find_path(text: str) -> str:
    """``text``, or the same path in ``HOME`` where only that exists; a name that is no path stays as it is."""
    here, there = Path(text), HOME / text
    try:
        return str(there) if not here.exists() and there.exists() else text
    except OSError:  # a text that is too long for a path
        return text


def find_paths(value: Any) -> Any:
    """``value`` with ``find_path`` applied to every path in it, a plug-in's ``file.py:Class`` included."""
    if isinstance(value, dict):
        return {key: find_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [find_paths(item) for item in value]
    if isinstance(value, str) and "/" in value:
        path, colon, rest = value.partition(":")
        return f"{find_path(path)}{colon}{rest}"
    return value


def install(extra: str) -> str:
    """The command that installs what an optional part needs. extra: of [project.optional-dependencies]."""
    return f"pip install '{DISTRIBUTION}[{extra}]'" if INSTALLED else f"pip install -e '{HOME}[{extra}]'"
