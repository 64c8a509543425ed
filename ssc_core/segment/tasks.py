"""The images of a split with what is asked of each, and the order in which they are worked on.

Numbers that come out of a network depend, in their last bits, on which images share its batch. So the batches are
planned for the whole split, and a shard takes whole batches: the results are the same for every number of shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssc_core.errors import SscError
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.segment.noun_table import NO_CLASS, read_nouns

LARGEST_BATCH = 16
"""Images a batch, in a split that is large enough."""

BATCHES_WANTED = 64
"""A small split has smaller batches, so that shards of it are of equal size too."""

BATCHES_A_WINDOW = 16
"""Images of one size are put together within a window of this many batches; results leave a window in id order."""


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

    @property
    def asks(self) -> tuple[str, ...]:
        """The names whose instances are its candidates."""
        return self.phrases or (self.query,)


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
        return tuple(dict.fromkeys(name for ref in self.refs for name in (*ref.classes, *ref.phrases) or (NO_CLASS,)))


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """Images that go through a model together. window: number of the window that the batch belongs to."""

    window: int
    tasks: tuple[ImageTask, ...]


def image_tasks(refs: Path, nouns: Path, split: str | None = None) -> list[ImageTask]:
    """The images of the split that ``nouns.parquet`` was made for, in ascending order of their ids.

    split: narrows the search for its refs; the refs of ``nouns`` must all be in it.

    Raises SscError when the two tables do not belong together.
    """
    wanted = {row["ref_id"]: row for row in read_nouns(nouns).to_dict("records")}
    frame = read_refs(refs, split)
    by_image = refs_by_image(frame[frame["ref_id"].isin(wanted.keys())])
    if sum(map(len, by_image.values())) != len(wanted):
        raise SscError(f"{nouns} names refs that {refs} does not have; delete it and run extract_nouns again")
    tasks = []
    for image_id, members in sorted(by_image.items()):
        queries = tuple(_ref_query(wanted[ref.ref_id]) for ref in members)
        first = members[0]
        tasks.append(ImageTask(image_id, first.file_name, (first.height, first.width), queries))
    return tasks


def plan_batches(tasks: Sequence[ImageTask]) -> list[TaskBatch]:
    """Batches of a split's images, alike in size where possible; the same for every number of shards."""
    count = min(LARGEST_BATCH, max(1, len(tasks) // BATCHES_WANTED))
    in_window = count * BATCHES_A_WINDOW
    batches = []
    for window, start in enumerate(range(0, len(tasks), in_window)):
        alike = sorted(tasks[start : start + in_window], key=lambda task: task.size)
        batches += [TaskBatch(window, tuple(alike[i : i + count])) for i in range(0, len(alike), count)]
    return batches


def shard_of(batches: Sequence[TaskBatch], shard: tuple[int, int]) -> list[TaskBatch]:
    """The batches of shard ``(index, count)``, index from 0. Raises SscError for an index that is no shard."""
    index, count = shard
    if not 0 <= index < count:
        raise SscError(f"shard {index} of {count}: the index counts from 0 to {count - 1}")
    return list(batches[index::count])


def _ref_query(row: dict) -> RefQuery:
    classes: Iterable[str] = (name for sentence in row["classes"] for name in sentence)
    return RefQuery(row["ref_id"], row["query"], tuple(dict.fromkeys(classes)), tuple(row.get("phrases", ())))
