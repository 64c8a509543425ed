"""Config files, read with bounds and laid over each other: config.yaml, the user's files in order, ``--config``.

Snakemake could merge them, too, but keeps the settings of a backend when a file names another one, and of a key that a
file has twice the later value, in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ssc_core.errors import SscError

MOST_CHARACTERS = 100_000
"""Of a config with all aliases (``*name``) written out, which may grow without a bound. config.yaml has 8,000."""

DEEPEST = 60
"""Lists and sections inside each other; a section of YAML counts as two."""


def read_layers(files: Iterable[Path | str], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The config that ``files`` and then ``overrides`` (``--config key=value``) make, later ones over earlier ones.

    Sections are merged key by key, everything else is replaced. What depends on another key starts anew when that key
    changes: the ``settings`` of a backend with its ``name``, the keys of a ``source`` with its ``layout``.
    Raises SscError for a file that is missing, too large or no YAML.
    """
    merged: dict[str, Any] = {}
    for layer in (*map(read_config_file, files), overrides or {}):
        lay_over(merged, layer)
    return merged


def plain_values(value: Any) -> Any:
    """``--config`` with what is in its sections as it would be in a file, where Snakemake leaves numbers, null, true
    and false as texts. It does not tell what had quotes, either: see ``load_settings``."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_values(item) for item in value]
    return _plain_value(value) if isinstance(value, str) and value else value


def _plain_value(text: str) -> Any:
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    if tag.rpartition(":")[2] not in ("null", "bool", "int", "float"):
        return text
    try:
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except yaml.YAMLError:
        return text


def read_config_file(file: Path | str) -> dict[str, Any]:
    """One config file, YAML or JSON. Raises SscError, with the line where it can be told."""
    try:
        with Path(file).open(encoding="utf-8") as stream:
            text = stream.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise SscError(f"config file {file} has more than {MOST_CHARACTERS:,} characters; is it a config?")
        content = _parse(text, f"config file {file}")
    except FileNotFoundError as error:
        raise SscError(f"config file {file} does not exist") from error
    except OSError as error:
        raise SscError(f"config file {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SscError(f"config file {file} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise SscError(f"config file {file} has lists or sections too deep inside each other") from error
    if not isinstance(content, dict):
        raise SscError(f"config file {file} holds no sections; see config.yaml for how one looks")
    return content


def check_size(config: Any, what: str) -> None:
    """Refuse what takes forever to write out, and texts and numbers that no file can hold.

    config: values, or YAML nodes, whose aliases are not written out yet. what: its name in messages. Raises SscError.
    """
    left: list[tuple[Any, tuple[Any, ...]]] = [(config, ())]
    size = 0
    while left:
        value, place = left.pop()
        if isinstance(value, yaml.Node):
            value = value.value
        if isinstance(value, str | int):
            _check_plain(value, place, what)
        if len(place) > DEEPEST:
            raise SscError(f"{what} has lists or sections too deep inside each other")
        if not isinstance(value, str | Mapping | list | tuple):
            continue
        size += len(value)
        if size > MOST_CHARACTERS:
            raise SscError(f"{what} is too long: more than {MOST_CHARACTERS:,} characters with its aliases written out")
        if isinstance(value, Mapping):
            left += [part for key, item in value.items() for part in ((key, place), (item, (*place, key)))]
        elif not isinstance(value, str):
            left += [(item, (*place, index)) for index, item in enumerate(value)]


def _check_plain(value: str | int, place: tuple[Any, ...], what: str) -> None:
    where = f"{what}: {'.'.join(map(str, place))}" if place else what
    if isinstance(value, int):
        if value.bit_length() > 63:
            raise SscError(f"{where} is a number of more than 64 bits")
    elif "\0" in value or value.encode(errors="replace").decode() != value:
        raise SscError(f"{where} is a text with a zero byte or a broken character: {value[:40]!a}")


def _parse(text: str, what: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_pair_twice)  # as Snakemake does: YAML knows no tabs
    except ValueError:
        pass
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        check_size(node, what)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice; the YAML reader says which, and where")
    return dict(pairs)


class _Loader(yaml.SafeLoader):
    """Names the line of a value that Python cannot hold, and of a key that is there twice. Takes 1e-4 for a number."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and name != "<<" and lines.setdefault(name, line) != line:
                raise yaml.composer.ComposerError(
                    None,
                    None,
                    f"the key '{name[:40]}' is there twice, in lines {lines[name]} and {line}",
                    key.start_mark,
                )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # an int of more than 4300 digits, a date in month 13
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


class _Dumper(yaml.SafeDumper):
    """Puts quotes around a text that ``_Loader`` would take for a number."""


_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def config_text(config: Mapping[str, Any]) -> str:
    """A config as ``read_config_file`` reads it."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def lay_over(onto: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Change ``onto`` to what it and then ``more`` make, as ``read_layers`` says."""
    for key, value in more.items():
        if not isinstance(value, Mapping):
            onto[key] = value
            continue
        old = onto.get(key)
        # always into a dict of its own: two places of a file may share one by an alias
        onto[key] = merged = kept_beside(old, value) if isinstance(old, Mapping) else {}
        lay_over(merged, value)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> bool:
    """Whether a key has another value; a dataset, scorer or study may be called so, whose value is a section."""
    return key in new and not isinstance(new[key], Mapping) and old.get(key) != new[key]


def kept_beside(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What still means something of ``old``: nothing where ``new`` names another layout of a source, and no settings
    where it names another backend or network."""
    if _changes(old, new, "layout"):
        return {}
    another = _changes(old, new, "name")
    return {key: value for key, value in old.items() if not (another and key == "settings")}
