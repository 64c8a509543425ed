"""From a name of the config to the class or function that it stands for, of any kind of plug-in."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Collection, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ssc_core.errors import SscError, did_you_mean
from ssc_core.quick_import import without_collector
from ssc_core.registry import Kind, place_of


def build(kind: Kind, name: str, settings: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    """Call what a config names, a class or a function, with its settings, and with what it takes of ``offered`` (unless
    None) besides. Raises SscError as ``builder`` does."""
    given = {key: value for key, value in offered.items() if value is not None and key not in settings}
    found = builder(kind, name, settings, given)
    taken = inspect.signature(found).parameters
    return found(**settings, **{key: value for key, value in given.items() if key in taken})


def builder(kind: Kind, name: str, settings: Mapping[str, Any], offered: Collection[str]) -> Any:
    """The class or function that a config names, without calling it.

    Raises SscError when the name does not resolve, and unless it takes ``settings``, of the types that it is annotated
    with, and no more than these and ``offered``.
    """
    found = _named(kind, name)
    accepted = inspect.signature(found).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    if not takes_any and (unknown := [key for key in settings if key not in accepted]):
        raise SscError(
            f"{kind.word} '{name}' has no setting {', '.join(unknown)}{did_you_mean(unknown[0], accepted)} "
            f"It takes {', '.join(accepted) or 'none'}"
        )
    needed = [
        key for key, p in accepted.items() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if missing := [key for key in needed if key not in settings and key not in offered]:
        raise SscError(f"{kind.word} '{name}' needs the setting {', '.join(missing)}: put it into its `settings`")
    for key, value in settings.items():
        if key in accepted and (fault := _wrong_type(found, accepted[key], value)):
            raise SscError(f"{kind.word} '{name}': the setting {key} is {value!r:.60}; {fault}")
    return found


def _wrong_type(found: Any, argument: inspect.Parameter, value: Any) -> str:
    """What is wrong with a value of a config file by the annotation of an argument; nothing for a good one, and where
    the annotation is of a kind that YAML has no values of. (YAML takes 1e-4 for a text, and 0,35, too.)"""
    if value is None and argument.default is None:
        return ""
    try:
        hints = get_type_hints(found.__init__ if inspect.isclass(found) else found)
        expected = TypeAdapter(hints[argument.name])
        text = json.dumps(value)
    except Exception:  # a type that only type checkers import, of a library, none at all
        return ""
    try:
        expected.validate_json(text, strict=True)  # a number is no text then, and a path is one
    except ValidationError as error:
        return error.errors()[0]["msg"].replace("Input should", "it should")
    return ""


def load_function(kind: Kind, name: str) -> Any:
    """The function that a config names: of a module or file, by name, or an object of a class of that name, which is
    built without arguments. Raises SscError when the name does not resolve, or what it names cannot be called."""
    found = _named(kind, name)
    if inspect.isclass(found):
        needed = [key for key, p in inspect.signature(found).parameters.items() if p.default is p.empty and p.kind < 2]
        if needed:
            raise SscError(f"{kind.word} '{name}' is built without arguments, but needs {', '.join(needed)}")
        found = found()
        if not callable(found):
            raise SscError(f"{kind.word} '{name}': an object of {type(found).__name__} cannot be called")
    return found


def _named(kind: Kind, name: str) -> Any:
    place, member = place_of(kind, name)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # `ssc` finds what lies in the current folder, and what that imports, as `python -m` does
    with without_collector():
        module = _import_file(Path(place), kind) if place.endswith(".py") else _import_module(place, name, kind)
    found = getattr(module, member, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise SscError(
            f"{kind.word} '{name}': {place} has no {kind.member.lower()} '{member}'{did_you_mean(member, known)}"
        )
    return found


def _import_module(place: str, name: str, kind: Kind) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise SscError(f"{kind.word} '{name}': cannot import '{error.name}'; is it installed, or misspelt?") from error
    except (ImportError, SyntaxError) as error:
        raise SscError(f"{kind.word} '{name}' cannot be imported: {error}") from error


class _Uncached(SourceFileLoader):
    """Compiles what the file holds now. Python knows its compiled files by size and second: an edit of the same length,
    within a second of the last import, would run the code before it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(path: Path, kind: Kind) -> Any:
    module_name = f"ssc_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_Uncached(module_name, str(path)))
    if spec is None or spec.loader is None:
        raise SscError(f"{kind.word} file {path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise SscError(f"{kind.word} file {path} cannot be imported: {error}") from error
    return module
