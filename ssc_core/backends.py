"""How a config names a plug-in. What plug-ins are is in ``ssc_core.contracts``; they import it from here."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssc_core.contracts import Detections, Detector, ImageTextEncoder, InstanceMasks, Segmenter, checked
from ssc_core.errors import SscError
from ssc_core.registry import REGISTRY

__all__ = ["Detections", "Detector", "ImageTextEncoder", "InstanceMasks", "Segmenter", "load_backend"]


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
    constructor takes them, so that a plug-in may ignore them. What is returned is the backend behind its checker.

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
    return checked(cls(**arguments), name, protocol)


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
