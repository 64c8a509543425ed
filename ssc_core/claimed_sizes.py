"""What a configuration beside weights may claim of a network: no more than the weights can hold.

A few bytes of a config.json may ask for a billion layers. Building them would take all memory before anybody looks at
the weights.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch.nn.modules import module as hooks

from ssc_core.errors import SscError
from ssc_core.tensor_checks import MAX_PICKLE, WEIGHTS_SUFFIXES

_AGAIN = 4
"""A parameter is counted when it is made and when it is loaded; one that is tied to another, which has it in the file,
twice as often."""

_PARTS = 10
"""Parameters, each counted again, and modules, of which some have none, per tensor of a file. Published ones have 3."""

_FREE_PARTS, _FREE_VALUES = 2000, 2**20
"""Of small networks: heads that are left out of the file, modules that have no weights."""

_UNKNOWN = MAX_PICKLE // 64
"""Tensors in a file that has no list of them, as those before PyTorch 1.6, at most: each has a name and a shape."""


@contextmanager
def as_large_as(weights: Path) -> Iterator[None]:
    """Within, no network is built that has many times the modules, parameters or values of ``weights``, a file or a
    folder of files that have been checked (``tensor_checks.check_weights``). Raises SscError at the first too many."""
    found = weights.rglob("*") if weights.is_dir() else [weights]
    files = [file for file in found if file.suffix.lower() in WEIGHTS_SUFFIXES]
    parts = _PARTS * sum(map(_tensors, files)) + _FREE_PARTS
    values = _AGAIN * sum(file.stat().st_size for file in files) + _FREE_VALUES  # one byte each, at least
    count = {"parts": 0, "values": 0}

    def made(_: Any, __: str, new: Any) -> None:
        count["parts"] += 1
        count["values"] += new.numel() if hasattr(new, "numel") else 0
        if count["parts"] > parts or count["values"] > values:
            raise SscError(
                f"the configuration of {weights} claims a network many times as large as its weights; get both again"
            )

    with ExitStack() as stack:
        for register in (
            hooks.register_module_parameter_registration_hook,
            hooks.register_module_module_registration_hook,
        ):
            stack.callback(register(made).remove)
        yield


def _tensors(file: Path) -> int:
    """How many tensors a file holds, at most."""
    if file.suffix.lower() == ".safetensors":
        with suppress(SafetensorError, OSError), safe_open(file, "pt") as content:
            return len(content.keys())
        return _UNKNOWN  # who reads it says what is wrong with it
    if not zipfile.is_zipfile(file):
        return _UNKNOWN
    with zipfile.ZipFile(file) as archive:
        return len(archive.infolist())
