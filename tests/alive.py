"""How many objects of some kinds are in memory: what a stage keeps at once, whatever it takes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting_alive(*kinds: type) -> Iterator[Callable[[], int]]:
    """Yields what counts the objects made since. Those that other tests left behind are frozen: neither seen nor
    walked through, and there may be millions."""
    gc.freeze()
    try:
        yield lambda: sum(isinstance(one, kinds) for one in gc.get_objects())
    finally:
        gc.unfreeze()
