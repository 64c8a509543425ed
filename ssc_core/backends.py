"""The plug-in contract: what a detector, a segmenter and an image-text encoder are, and how a config names one.

All images are RGB ``uint8 (H, W, 3)`` arrays; boxes are ``x0, y0, x1, y1`` in absolute pixels.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ssc_core.errors import SscError
from ssc_core.registry import REGISTRY


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found in one image.

    boxes_xyxy: float32 (N, 4); scores: float32 (N,); labels: int64 (N,), index into that image's prompt.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, slots=True)
class InstanceMasks:
    """One mask a box. masks: bool (N, H, W); scores: float32 (N,), the predicted IoU."""

    masks: np.ndarray
    scores: np.ndarray


@runtime_checkable
class Detector(Protocol):
    """Open-vocabulary detector."""

    def detect(self, images: Sequence[np.ndarray], prompts: Sequence[Sequence[str]]) -> list[Detections]:
        """One prompt (a list of class names) an image; one ``Detections`` an image, in order."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Box-prompted segmenter."""

    def segment(self, images: Sequence[np.ndarray], boxes_xyxy: Sequence[np.ndarray]) -> list[InstanceMasks]:
        """Boxes float32 (N, 4) an image, N may be 0; one ``InstanceMasks`` an image, in order."""
        ...


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Image and text towers with a shared space."""

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, D), unit norm."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (M, D), unit norm."""
        ...


def load_backend(
    name: str,
    settings: Mapping[str, Any],
    protocol: type,
    *,
    device: str,
    threads: int,
    batch_size: int | None = None,
) -> Any:
    """Build the backend that a config names.

    ``name`` is a key of ``REGISTRY``, ``package.module:Class`` or ``path/to/file.py:Class``. ``settings`` are passed as
    keyword arguments; ``device``, ``threads`` and, unless None, ``batch_size`` are passed too where the class's
    constructor takes them, so that a plug-in may ignore them.

    Raises SscError when the name does not resolve, the settings do not fit, or a method of ``protocol`` is missing.
    """
    target = REGISTRY.get(name, name)
    place, _, class_name = target.rpartition(":")
    if not place:
        raise SscError(
            f"unknown backend '{name}': use one of {', '.join(sorted(REGISTRY))}, "
            "'package.module:Class' or 'file.py:Class'"
        )
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place, name)
    if not hasattr(module, class_name):
        raise SscError(f"backend '{name}': {place} has no class '{class_name}'")
    cls = getattr(module, class_name)
    accepted = inspect.signature(cls).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    unknown = [key for key in settings if key not in accepted]
    if unknown and not takes_any:
        drop = ", ".join(f"{key}: null" for key in unknown)
        raise SscError(
            f"backend '{name}' has no setting {', '.join(unknown)}; it takes {', '.join(accepted) or 'none'}. "
            f"A key that config.yaml sets for another backend is dropped with `settings: {{{drop}}}`"
        )
    arguments = dict(settings)
    for key, value in {"device": device, "threads": threads, "batch_size": batch_size}.items():
        if key in accepted and key not in arguments and value is not None:
            arguments[key] = value
    backend = cls(**arguments)
    if not isinstance(backend, protocol):
        methods = [m for m in vars(protocol) if not m.startswith("_")]
        raise SscError(f"backend '{name}' is no {protocol.__name__}: it needs the methods {', '.join(methods)}")
    return backend


def _import_module(place: str, name: str) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise SscError(f"backend '{name}': cannot import '{error.name}'; is it installed, or misspelt?") from error


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise SscError(f"backend file {path} does not exist (paths are relative to the folder that snakemake runs in)")
    module_name = f"ssc_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise SscError(f"backend file {path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
