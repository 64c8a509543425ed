"""Pickles of plain values only.

A pickle is a program. Published annotations are pickles from unknown hosts, so only the instructions that build
containers, text and numbers are carried out; everything that could import or call is refused before it happens.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from ssc_core.errors import SscError

MAX_BYTES = 512 * 2**20
"""The biggest published file, refs of RefCOCO, has about 40 MB."""


class _ForbiddenError(Exception):
    """The pickle asks for more than plain values."""


# The C unpickler reserves memory for any memo index that a file names (4 bytes ask for 64 GiB); this one uses a dict.
class _PlainUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> NoReturn:
        # It would be filled with zeros to the length that the file claims, before a byte is read.
        raise _ForbiddenError("make an array of bytes")

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _ForbiddenError(f"import '{module}.{name}'")

    def persistent_load(self, pid: Any) -> NoReturn:
        # Not its repr: a pickle of a few bytes can name an object whose text fills the memory.
        raise _ForbiddenError("load an outside object")

    def get_extension(self, code: int) -> NoReturn:
        raise _ForbiddenError(f"load the registered object number {code}")


def load_plain_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a Python 2 or 3 pickle of dicts, lists, tuples, text, bytes, numbers, booleans and None.

    Python 2's byte strings become text: UTF-8 where the whole file allows it, else Latin-1.
    Raises SscError when the file is missing, truncated, too big, or tries to import or call anything.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise SscError(f"{path} has {size} bytes, over the limit of {max_bytes}: is it an annotation file?")
        content = path.read_bytes()
        try:
            return _load(content, "utf-8")
        except UnicodeDecodeError:
            return _load(content, "latin1")
    except SscError:
        raise
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error
    except _ForbiddenError as error:
        raise SscError(
            f"{path} is refused: it tries to {error}, and an annotation file holds plain values only. "
            "Do not open it with pickle; get it again from a source that you trust"
        ) from error
    # A damaged program can fail in any way; whatever it was, the file is what must be replaced.
    except Exception as error:
        raise SscError(
            f"{path} is no complete pickle ({type(error).__name__}: {error}); is it truncated? Download it again"
        ) from error


def _load(content: bytes, encoding: str) -> Any:
    # From memory and not from the file: there, a length that the pickle only claims would be reserved before reading.
    return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()
