"""The order in which the images of a split are worked on.

Numbers that come out of a network depend, in their last bits, on which images share its batch. So the batches are
planned for the whole split, and a shard takes whole batches, one after the other: the results are the same for every
number of shards, and a shard's photos are a range of ids, whose rows it reads alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ssc_core.errors import SscError
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import read_refs, refs_by_photo
from ssc_core.segment.noun_table import Nouns
from ssc_core.segment.tasks import LARGEST_BATCH, ImageTask, RefQuery, TaskBatch

BATCHES_WANTED = 64
"""A small split has smaller batches, so that shards of it are of equal size too."""

BATCHES_A_WINDOW = 16
"""Images of one size are put together within a window of this many batches; results leave a window in id order."""


class SplitPlan:
    """The photos of the split that ``nouns.parquet`` was made for, in batches by ascending id.

    split: narrows the search for its refs in ``refs``; those of ``nouns`` must all be in it. Of the split, memory holds
    the photos' ids; of the photos that are asked for, a table, of which tasks are made window by window.

    Raises SscError when the two tables do not belong together.
    """

    def __init__(self, refs: Path, nouns: Path, split: str | None = None) -> None:
        self._refs, self._split, self._path = refs, split, nouns
        self._nouns = Nouns(nouns)
        self.photos = self._nouns.photos
        self._in_batch = min(LARGEST_BATCH, max(1, len(self.photos) // BATCHES_WANTED))
        self._in_window = self._in_batch * BATCHES_A_WINDOW

    def names(self, *, likely: bool) -> tuple[str, ...]:
        """All that the split's photos are asked for, see ``Nouns.names``."""
        return self._nouns.names(likely=likely)

    def refs_of(self, photos: np.ndarray) -> Iterator[Ref]:
        """The refs of some photos, one photo's after another's. Memory holds those of some."""
        yield from (ref for _, members in refs_by_photo(self._refs, photos, self._split) for ref in members)

    def shard(self, index: int, count: int) -> Iterator[TaskBatch]:
        """The batches of a shard, index from 0: as many for each, within one. Raises SscError for one that is none."""
        if not 0 <= index < count:
            raise SscError(f"shard {index} of {count}: the index counts from 0 to {count - 1}")
        windows, rest = divmod(len(self.photos), self._in_window)
        batches = windows * BATCHES_A_WINDOW + -(-rest // self._in_batch)
        start, stop = (batches * place // count for place in (index, index + 1))
        first, last = start // BATCHES_A_WINDOW, -(-stop // BATCHES_A_WINDOW)
        skipped = first * BATCHES_A_WINDOW
        return islice(self._batches(first, last), start - skipped, stop - skipped)

    def of(self, photos: np.ndarray) -> Iterator[TaskBatch]:
        """The split's batches, reduced to some of its photos, at least one."""
        if len(photos) == 0:
            return
        ends = np.searchsorted(self.photos, [photos.min(), photos.max()])
        here = set(photos.tolist())
        for batch in self._batches(int(ends[0]) // self._in_window, int(ends[1]) // self._in_window + 1):
            if tasks := tuple(task for task in batch.tasks if task.image_id in here):
                yield TaskBatch(batch.window, tasks)

    def _batches(self, first: int, last: int) -> Iterator[TaskBatch]:
        """Batches of a range of windows, alike in size where possible."""
        tasks = self._tasks(self.photos[first * self._in_window : last * self._in_window])
        for window in range(first, last):
            alike = sorted(islice(tasks, self._in_window), key=lambda task: task.size)
            for i in range(0, len(alike), self._in_batch):
                yield TaskBatch(window, tuple(alike[i : i + self._in_batch]))

    def _tasks(self, photos: np.ndarray) -> Iterator[ImageTask]:
        """The photos' tasks; refs of a photo are in the order of ``refs``."""
        columns = ("image_id", "ref_id", "file_name", "height", "width")
        refs = read_refs(self._refs, self._split, columns, photos).drop_duplicates("ref_id")
        nouns = self._nouns.rows(photos)
        place = pd.Series(np.arange(len(nouns)), nouns["ref_id"].to_numpy()).reindex(refs["ref_id"])
        refs = refs[place.notna().to_numpy()]
        if len(refs) != len(nouns):
            raise SscError(
                f"{self._path} names refs that {self._refs} does not have; delete it and run extract_nouns again"
            )
        order = np.argsort(refs["image_id"].to_numpy(), kind="stable")
        refs, rows = refs.iloc[order], place.dropna().to_numpy(np.int64)[order]
        queries = map(RefQuery.of, _lines(nouns.take(rows)))
        counts = refs.groupby("image_id").size().to_numpy()  # in order of the ids, as the refs are
        firsts = refs.iloc[np.cumsum(counts) - counts]
        about: Any
        for about, count in zip(firsts.itertuples(), counts.tolist(), strict=True):
            yield ImageTask(about.image_id, about.file_name, (about.height, about.width), tuple(islice(queries, count)))


def _lines(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as Python objects, some at a time: these take ten times the memory of the table."""
    for batch in table.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()
