"""Backends that a config names. What they are is in ``ssc_core.contracts``; they import it from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssc_core.checkers import checked
from ssc_core.contracts import (
    ConceptInstances,
    ConceptSegmenter,
    Detections,
    Detector,
    ImageTextEncoder,
    InstanceMasks,
    PairScorer,
    Segmenter,
)
from ssc_core.plugins import build, builder
from ssc_core.registry import BACKEND

__all__ = [
    "ConceptInstances",
    "ConceptSegmenter",
    "Detections",
    "Detector",
    "ImageTextEncoder",
    "InstanceMasks",
    "PairScorer",
    "Segmenter",
    "backend_class",
    "load_backend",
]


def load_backend(
    name: str,
    settings: Mapping[str, Any],
    *protocols: type,
    device: str,
    threads: int,
    batch_size: int | None = None,
) -> Any:
    """Build the backend that a config names.

    ``name`` is a key of ``REGISTRY``, ``package.module:Class`` or ``path/to/file.py:Class``. ``settings`` are passed as
    keyword arguments; ``device``, ``threads`` and, unless None, ``batch_size`` are passed too where the class's
    constructor takes them, so that a plug-in may ignore them. What is returned is the backend behind the checker of the
    first of ``protocols`` that it keeps.

    Raises SscError when the name does not resolve, the settings do not fit, or it keeps none of the protocols.
    """
    offered = {"device": device, "threads": threads, "batch_size": batch_size}
    return checked(build(BACKEND, name, settings, offered), name, *protocols)


def backend_class(name: str, settings: Mapping[str, Any]) -> Any:
    """The class that a config names, without building it. Raises SscError unless ``settings`` fit its constructor."""
    return builder(BACKEND, name, settings, ("device", "threads"))
