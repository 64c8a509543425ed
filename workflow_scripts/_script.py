"""What the workflow scripts share: typed command-line options, and errors that are for people."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from ssc_core.checkout import find_paths
from ssc_core.config.base import Section
from ssc_core.config.toys import ON_PHOTOS, toys_in
from ssc_core.devices import VISIBLE, lease
from ssc_core.errors import SscError
from ssc_core.failures import explain
from ssc_core.files import read_json
from ssc_core.provenance import file_sha256, versions


def run(main: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run ``main`` with its parameters as command-line options, and with GPUs of its own where it has a ``device``.

    arguments: the command line; None: the process's own.

    Errors that people can mend are printed without a traceback. A parameter's annotation says how its option is read: a
    pydantic class reads JSON, a bool True or False.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "transformers", "h5py", "PIL", "root"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    for name, parameter in inspect.signature(main, eval_str=True).parameters.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **_option(parameter))
    options = vars(parser.parse_args(arguments))
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi counts; else the fastest card is 0
    try:
        with lease(options.get("device", "cpu"), options.get("gpus", 1)):
            if "device" in options and VISIBLE in os.environ:
                print(f"GPUs of this job: {os.environ[VISIBLE] or 'none'}", file=sys.stderr)
            main(**options)
    except Exception as error:
        message = str(error) if isinstance(error, SscError) else explain(error)
        if message is None:
            raise
        print(f"\nerror: {message}", file=sys.stderr)
        sys.exit(1)


def _option(parameter: inspect.Parameter) -> dict[str, Any]:
    kind, optional = parameter.annotation, parameter.default is not inspect.Parameter.empty
    if kind is bool:
        return {"type": "True".__eq__, "default": parameter.default if optional else None, "required": not optional}
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


def _or_none(reader: Callable[[str], Any], text: str) -> Any:
    """What a rule has no file for is an empty text on its shell line."""
    return reader(text) if text else None


def _section(kind: type[Section], text: str) -> Section:
    """A section from the JSON that its rule got. Models of the default config are found from any folder; what the rule
    got has no absolute path, so that nothing reruns for it."""
    return kind.model_validate(find_paths(json.loads(text)))


def run_meta(
    *,
    data: Path,
    inputs: dict[str, Path],
    method: str,
    model: dict[str, str],
    code: str,
    settings: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """What every eval JSON says of its origin, as ``ssc_core.evaluate.schema.RunMeta`` has it."""
    stamp = read_json(data)
    toys = stamp["world"] == "files" and toys_in(settings)
    return {
        "dataset": stamp["dataset"],
        "world": ON_PHOTOS if toys else stamp["world"],
        "method": method,
        "model": model,
        "settings": settings,
        "code": code,
        "data": {name: file_sha256(path) for name, path in inputs.items()},
        "versions": versions(),
        **more,
    }


def plain(**sections: Section) -> dict[str, Any]:
    """Settings as JSON values, by section."""
    return {name: section.model_dump(mode="json") for name, section in sections.items()}
