"""Whether the code that a config names is there and takes its settings: asked before a job finds out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ssc_core.backends import (
    ConceptSegmenter,
    Detector,
    ImageTextEncoder,
    PairScorer,
    Segmenter,
    backend_class,
)
from ssc_core.checkers import lacking
from ssc_core.config.base import Backend
from ssc_core.config.settings import Settings
from ssc_core.config.stages import model_places, plugin_names
from ssc_core.errors import SscError
from ssc_core.plugins import builder, load_function
from ssc_core.registry import LAYOUT, NETWORK, NETWORK_OFFERED, Kind


@dataclass(frozen=True, slots=True)
class NamedCode:
    """What the config names at ``key``. fault: why it cannot be used, in words; empty where it can."""

    key: str
    name: str
    fault: str


def backends_of(settings: Settings, stages: Iterable[str]) -> Iterator[NamedCode]:
    """The models of stages: whether their classes are there, take these settings and do what is asked of them."""
    places = set(model_places(settings, stages))
    for key, backend, protocols in _backends(settings):
        if backend is not None and key in places:
            yield _tried(key, backend.name, partial(_check_backend, backend, protocols))


def plugins_of(settings: Settings, stages: Iterable[str]) -> Iterator[NamedCode]:
    """The functions of the user's own that stages use."""
    named = {one for stage in stages for one in plugin_names(settings, stage)}
    return _functions(settings, named)


def layouts_of(settings: Settings) -> Iterator[NamedCode]:
    """The user's own readers of datasets."""
    return _functions(
        settings, {(f"datasets.{key}.source", of.source.layout, LAYOUT) for key, of in settings.datasets.items()}
    )


def check_code(settings: Settings, stages: Iterable[str]) -> None:
    """Raise SscError when code that stages need cannot be used; it names all of it."""
    stages = tuple(stages)
    found = [*backends_of(settings, stages), *plugins_of(settings, stages)]
    if faults := [f"{one.key}: {one.fault}" for one in found if one.fault]:
        raise SscError("\n".join(faults))


def _backends(settings: Settings) -> Iterator[tuple[str, Backend | None, tuple[type, ...]]]:
    """(key, backend, protocols of which it keeps one)"""
    scorer = (PairScorer, ImageTextEncoder)
    yield "nouns.encoder", settings.nouns.encoder, (ImageTextEncoder,)
    yield "detect.backend", settings.detect.backend, (Detector,)
    yield "segment.backend", settings.segment.backend, (Segmenter if settings.detect.backend else ConceptSegmenter,)
    yield "score.backend", settings.score.backend, scorer
    yield from ((f"scorers.{name}.backend", one.backend, scorer) for name, one in settings.scorers.items())


def _check_backend(backend: Backend, protocols: tuple[type, ...]) -> None:
    cls = backend_class(backend.name, backend.settings)
    # what a class sets in its constructor alone is seen when it is built
    methods = [lacking(cls, protocol, methods_alone=True) for protocol in protocols]
    if isinstance(cls, type) and all(methods):
        raise SscError(
            f"'{backend.name}' is no {' and no '.join(protocol.__name__ for protocol in protocols)}: it lacks "
            f"{', or '.join(' and '.join(names) for names in methods)}"
        )


def _functions(settings: Settings, named: Iterable[tuple[str, str, Kind]]) -> Iterator[NamedCode]:
    for key, name, kind in sorted(named, key=lambda item: item[:2]):
        if name in kind.registered:
            continue
        if kind is NETWORK:
            yield _tried(key, name, partial(builder, NETWORK, name, settings.network.settings, NETWORK_OFFERED))
        else:
            yield _tried(key, name, partial(load_function, kind, name))


def _tried(key: str, name: str, attempt: Callable[[], Any]) -> NamedCode:
    try:
        attempt()
    except SscError as error:
        return NamedCode(key, name, str(error))
    except Exception as error:  # a plug-in may raise whatever it likes when it is imported
        return NamedCode(key, name, f"'{name}' cannot be imported: {type(error).__name__}: {error}")
    return NamedCode(key, name, "")
