"""Where this repository lies, and paths of the default config, which are relative to it, seen from another folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
"""The checkout. config.yaml lies here, and paths of models in it are relative to here when the current folder has none
such."""


def find_path(text: str) -> str:
    """``text``, or the same path in the checkout where only that exists; a name that is no path stays as it is."""
    here, there = Path(text), HOME / text
    return str(there) if not here.exists() and there.exists() else text


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
