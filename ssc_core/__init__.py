"""Segment, Select, Correct: referring image segmentation without mask labels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ssc_core.version import __version__

if TYPE_CHECKING:
    from ssc_core.api import Labeler, Network, load_config

__all__ = ["Labeler", "Network", "__version__", "load_config"]


def __getattr__(name: str) -> Any:
    """The names of ``ssc_core.api``, imported when they are first asked for: they bring torch."""
    if name in __all__:
        return getattr(importlib.import_module("ssc_core.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
