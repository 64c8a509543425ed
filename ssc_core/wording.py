"""Numbers with their nouns, in what people read."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2 rows``, ``0 rows``. plural: where it is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
