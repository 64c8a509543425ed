"""What the workflow scripts share: typed command-line options, and errors that are for people."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from functools import partial
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from ssc_core.checkout import find_paths
from ssc_core.config.base import Section
from ssc_core.devices import VISIBLE, lease
from ssc_core.errors import SscError
from ssc_core.failures import explain
from ssc_core.signals import ends_in_order


@ends_in_order()
def run(main: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run ``main`` with its parameters as command-line options, and with GPUs of its own where it has a ``device``.

    arguments: the command line; None: the process's own.

    Errors that people can mend are printed without a traceback. A parameter's annotation says how its option is read: a
    pydantic class reads JSON, a bool True or False; a dataclass stands for its fields, an option each.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "transformers", "h5py", "PIL", "root"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    for parameter in _parameters(main):
        parser.add_argument(f"--{parameter.name.replace('_', '-')}", **_option(parameter))
    options = vars(parser.parse_args(arguments))
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi counts; else the fastest card is 0
    try:
        with lease(options.get("device", "cpu"), options.get("gpus", 1)):
            if "device" in options and VISIBLE in os.environ:
                print(f"GPUs of this job: {os.environ[VISIBLE] or 'none'}", file=sys.stderr)
            _call(main, options)
    except Exception as error:
        message = str(error) if isinstance(error, SscError) else explain(error)
        if message is None:
            raise
        print(f"\nerror: {message}", file=sys.stderr)
        sys.exit(1)


def _parameters(of: Any) -> Iterator[inspect.Parameter]:
    """What a function is called with; the fields of a dataclass in its place."""
    for parameter in inspect.signature(of, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation):
            yield from _parameters(parameter.annotation)
        else:
            yield parameter


def _call(of: Any, options: dict[str, Any]) -> Any:
    """Call a function with options by name, dataclasses made from theirs."""
    kinds = {name: one.annotation for name, one in inspect.signature(of, eval_str=True).parameters.items()}
    return of(**{name: _call(kind, options) if is_dataclass(kind) else options[name] for name, kind in kinds.items()})


def _option(parameter: inspect.Parameter) -> dict[str, Any]:
    kind, optional = parameter.annotation, parameter.default is not inspect.Parameter.empty
    if kind is bool:
        return {"type": _truth, "default": parameter.default if optional else None, "required": not optional}
    may_be_none = get_origin(kind) is UnionType  # Path | None
    if may_be_none:
        kind = get_args(kind)[0]
    if get_origin(kind) is list:
        return {"type": get_args(kind)[0], "nargs": "*" if optional else "+", "required": not optional}
    reader = kind.model_validate_json if issubclass(kind, BaseModel) else kind
    if issubclass(kind, Section):
        reader = partial(_section, kind)
    if may_be_none:
        reader = partial(_or_none, reader)
    return {"type": reader, "required": not optional, "default": parameter.default if optional else None}


def _truth(text: str) -> bool:
    """True or False, as Python writes them, in capitals or not; whatever else is no value of a bool."""
    if (word := text.lower()) not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text:.40}' is neither True nor False")
    return word == "true"


def _or_none(reader: Callable[[str], Any], text: str) -> Any:
    """What a rule has no file for is an empty text on its shell line."""
    return reader(text) if text else None


def _section(kind: type[Section], text: str) -> Section:
    """A section from the JSON that its rule got. Models of the default config are found from any folder; what the rule
    got has no absolute path, so that nothing reruns for it."""
    return kind.model_validate(find_paths(json.loads(text)))


def plain(**sections: Section) -> dict[str, Any]:
    """Settings as JSON values, by section."""
    return {name: section.model_dump(mode="json") for name, section in sections.items()}
