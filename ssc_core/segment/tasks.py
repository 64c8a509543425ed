"""What a model is asked: the images, and what their refs are after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NO_CLASS = "object"
"""What is asked for when a ref has no noun."""

LARGEST_BATCH = 16
"""Images a batch, in a split that is large enough."""


@dataclass(frozen=True, slots=True)
class RefQuery:
    """What a ref is after: ``query``, its most likely class; ``classes``, all that its nouns name, first seen first;
    ``phrases``, what it asks for in words of its own (``nouns.ask``), in place of its query.

    A ref without a noun has the query "object" and no classes.
    """

    ref_id: int
    query: str
    classes: tuple[str, ...]
    phrases: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RefQuery:
        """Of a row of the table."""
        classes = dict.fromkeys(name for sentence in row["classes"] for name in sentence)
        return cls(row["ref_id"], row["query"], tuple(classes), tuple(row.get("phrases", ())))

    @property
    def asks(self) -> tuple[str, ...]:
        """The names whose instances are its candidates."""
        return self.phrases or (self.query,)

    @property
    def names(self) -> tuple[str, ...]:
        """All that it names: classes and phrases, "object" without any."""
        return (*self.classes, *self.phrases) or (NO_CLASS,)


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image of the split and its refs. size: (height, width)."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    refs: tuple[RefQuery, ...]

    @property
    def queries(self) -> tuple[str, ...]:
        """What the refs ask for, such as their most likely classes, first seen first, no duplicates."""
        return tuple(dict.fromkeys(name for ref in self.refs for name in ref.asks))

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes and phrases of all refs, first seen first, no duplicates; "object" for a ref without any."""
        return tuple(dict.fromkeys(name for ref in self.refs for name in ref.names))


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """Images that go through a model together. window: number of the window that the batch belongs to."""

    window: int
    tasks: tuple[ImageTask, ...]
