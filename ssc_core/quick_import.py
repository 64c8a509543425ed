"""Importing large libraries, a little sooner."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """No search for garbage meanwhile. PyTorch and transformers make hundreds of thousands of objects that stay; to go
    through them again and again takes an eighth of the time of their import."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
