"""Read PyTorch and safetensors files of unknown origin without running code from them, and write PyTorch files."""

from __future__ import annotations

import argparse
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.tensor_checks import check_weights, damaged, refused_import, seal


def read_torch(path: Path | str) -> dict[str, Any]:
    """Read a ``torch.save`` file that holds a dict of tensors and plain values; ``argparse.Namespace`` is allowed.

    The file is checked before (``tensor_checks.check_weights``). Tensors of the present format stay in the file until
    they are used: what nobody looks at, such as an optimizer, takes no memory.

    Raises SscError when the file is missing, damaged, not a dict, or asks to import anything else, which is named.
    """
    path = Path(path)
    if path.is_dir():
        raise SscError(f"{path} cannot be read: it is a folder")
    check_weights(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), _MeasuredFile(path) as file:
            source: dict[str, Any] = {"f": path, "mmap": True} if file.is_zip else {"f": file}
            content = torch.load(**source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)|(?:class|type|function) ([\w.]+\.[\w.]+)", str(error))
        name = "" if found is None else (found.group(1) or found.group(2)).rstrip(".")
        raise SscError(refused_import(path, name) if name else damaged(path, _first_line(error))) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make the unpickler fail in any way at all
        raise SscError(damaged(path, _first_line(error))) from error
    if not isinstance(content, Mapping):
        raise SscError(f"{path} holds a {type(content).__name__}, not a dict of named entries")
    return dict(content)


def read_safetensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises SscError when it is missing, damaged or against its digest."""
    path = Path(path)
    check_weights(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise SscError(
            f"{path} cannot be read as safetensors ({_first_line(error)}); is the download complete?"
        ) from error
    return named_tensors(path, tensors)


def write_torch(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write a ``torch.save`` file, whole or not at all, sealed with its SHA-256; the same content, the same bytes."""
    # Through a file object: given a path, torch.save writes the name of the temporary file into the archive.
    with atomic_path(Path(path)) as temporary:
        with temporary.open("wb") as file:
            torch.save(dict(content), file)
        seal(temporary)


def state_dict_of(path: Path | str, content: Mapping[str, Any], entry: str) -> dict[str, Tensor]:
    """The state dict under ``entry``, without the ``module.`` prefix that distributed training leaves."""
    state = content.get(entry)
    if not isinstance(state, Mapping) or not state:
        shown = [str(key) for key in content]
        more = f" and {len(shown) - 3} more entries" if len(shown) > 3 else ""
        raise SscError(f"{path} has no weights under '{entry}'; it holds {', '.join(shown[:3]) or 'nothing'}{more}")
    return named_tensors(path, state, entry)


def named_tensors(path: Path | str, state: Mapping[Any, Any], entry: str = "") -> dict[str, Tensor]:
    """``state``, which must be tensors by name, without a ``module.`` prefix that all have.

    Raises SscError for anything else among them, for a tensor that claims more values than the file holds of it, and
    for values that are not finite.
    """
    where = f"{path}: '{entry}'" if entry else str(path)
    odd = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if odd:
        raise SscError(f"{where} holds something other than named tensors: {odd[0]}")
    for key, value in state.items():
        if value.layout != torch.strided or value.nbytes > value.untyped_storage().nbytes():
            raise SscError(f"{where}: '{key}' claims {tuple(value.shape)} values and does not hold them")
        if not _is_finite(value):
            raise SscError(f"{where}: '{key}' has values that are not finite; the file is damaged, get it again")
    if state and all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def _is_finite(values: Tensor) -> bool:
    if not (values.is_floating_point() or values.is_complex()) or values.numel() == 0:
        return True
    if values.is_complex():
        values = torch.view_as_real(values)
    if values.element_size() < 2:
        values = values.float()
    return all(torch.isfinite(end) for end in torch.aminmax(values))  # NaN is the smallest and the largest


class _MeasuredFile(io.BufferedReader):
    """A file that is never asked for more than it has left.

    In files of before PyTorch 1.6 the lengths of texts are as the file claims them, up to 4 GiB, and reading reserves
    that much before it finds that the file has a few bytes. (Zip files have their pickle inside, read as a whole.)
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size
        self.is_zip = self.peek(4)[:4] == b"PK\x03\x04"

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
