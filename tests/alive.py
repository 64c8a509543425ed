"""How many objects of some kinds are in memory: what a stage keeps at once, whatever it takes."""

from __future__ import annotations

import gc


class Alive:
    """Counts objects that were made since this one was; those that other tests left behind do not count."""

    def __init__(self, *kinds: type) -> None:
        self._kinds = kinds
        self._before = self._all()  # kept, so that no new object gets the identity of one of them

    def count(self) -> int:
        before = {id(one) for one in self._before}
        return sum(id(one) not in before for one in self._all())

    def _all(self) -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, self._kinds)]
