"""Read PyTorch files of unknown origin without running code from them."""

from __future__ import annotations

import argparse
import errno
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssc_core.errors import SscError


def read_torch(path: Path | str) -> dict[str, Any]:
    """Read a ``torch.save`` file that holds a dict of tensors and plain values; ``argparse.Namespace`` is allowed.

    Raises SscError when the file is missing, damaged, not a dict, or asks to import anything else, which is named.
    """
    path = Path(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), _MeasuredFile(path) as file:
            content = torch.load(path if file.is_zip else file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SscError(f"{path} does not exist") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # torch seeks before the beginning of a file that was cut off
            raise SscError(_damaged(path)) from error
        raise SscError(f"{path} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        raise SscError(_refusal(path, str(error))) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make the unpickler fail in any way at all
        raise SscError(_damaged(path)) from error
    if not isinstance(content, Mapping):
        raise SscError(f"{path} holds a {type(content).__name__}, not a dict of named entries")
    return dict(content)


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


def state_dict_of(path: Path | str, content: Mapping[str, Any], entry: str) -> dict[str, Tensor]:
    """The state dict under ``entry``, without the ``module.`` prefix that distributed training leaves."""
    state = content.get(entry)
    if not isinstance(state, Mapping) or not state:
        raise SscError(f"{path} has no weights under '{entry}'; it holds {', '.join(map(str, content)) or 'nothing'}")
    odd = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if odd:
        raise SscError(f"{path}: '{entry}' holds something other than named tensors: {odd[0]}")
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def _refusal(path: Path, message: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", message) or re.search(r"(?:class|type|function) ([\w.]+\.[\w.]+)", message)
    if found is None:
        return _damaged(path)
    name = found.group(1).rstrip(".")
    if name.startswith("numpy"):
        return f"{path} holds NumPy values ({name}); save them as Python numbers or tensors, then try again"
    return (
        f"{path} wants to import {name} while it is read, and was refused: a checkpoint may hold tensors, plain values "
        f"and argparse.Namespace only. If you trust its origin, save it again without {name}; else do not use it"
    )


def _damaged(path: Path) -> str:
    return f"{path} is damaged, cut off, or not a PyTorch file; download or write it again"
