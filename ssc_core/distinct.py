"""Things that come several times, and are worked on once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def distinct(items: Sequence[Item]) -> tuple[list[Item], list[int]]:
    """The different objects among the items, in order of their first place, and of each item which of them it is.

    Objects differ where ``is`` says so: arrays are not compared.
    """
    places: dict[int, int] = {}
    of_each = [places.setdefault(id(item), len(places)) for item in items]
    return [items[of_each.index(place)] for place in range(len(places))], of_each
