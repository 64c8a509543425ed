"""Pickles of plain values only.

A pickle is a program. Published annotations are pickles from unknown hosts, so only the instructions that build
containers, text and numbers are carried out; everything that could import or call is refused before it happens.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from ssc_core.errors import SscError
from ssc_core.pickle_check import BrokenPickleError, RefusedPickleError, check_pickle

MAX_BYTES = 512 * 2**20
"""The biggest published file, refs of RefCOCO, has about 40 MB."""


class _PlainUnpickler(pickle.Unpickler):
    """A second lock: ``check_pickle`` has refused all of this before."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise RefusedPickleError(f"import '{module}.{name}'")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise RefusedPickleError("load an outside object")


def load_plain_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a Python 2 or 3 pickle of dicts, lists, tuples, text, bytes, numbers, booleans and None.

    Python 2's byte strings become text: UTF-8 where the whole file allows it, else Latin-1.
    Raises SscError when the file is missing, truncated, too big, or tries to import or call anything, to nest values
    deeper or make more of them than ``pickle_check`` allows, or to use anything but texts and numbers as keys.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise SscError(f"{path} has {size} bytes, over the limit of {max_bytes}: is it an annotation file?")
        content = path.read_bytes()
        check_pickle(content, calls=False)
        try:
            return _load(content, "utf-8")
        except UnicodeDecodeError:
            return _load(content, "latin1")
    except SscError:
        raise
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error
    except RefusedPickleError as error:
        raise SscError(
            f"{path} is refused: it tries to {error}, and an annotation file holds plain values only. "
            "Do not open it with pickle; get it again from a source that you trust"
        ) from error
    except BrokenPickleError as error:
        raise SscError(f"{path} is no complete pickle ({error}); is it truncated? Download it again") from error
    # A damaged program can fail in any way; whatever it was, the file is what must be replaced.
    except Exception as error:
        raise SscError(
            f"{path} is no complete pickle ({type(error).__name__}: {error}); is it truncated? Download it again"
        ) from error


def _load(content: bytes, encoding: str) -> Any:
    return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()
