"""Work through batches with photos decoded, and resized where the backend can, by threads ahead of the model."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssc_core.pictures import BadImage
from ssc_core.refer.images import load_image
from ssc_core.segment.tasks import Batch, ImageTask

log = logging.getLogger(__name__)

BATCHES_AHEAD = 3
"""Decoded photos that wait for the model; what bounds the memory of a stage."""


@dataclass(slots=True)
class PhotoLoader:
    """Loads the photo of a task, and makes it ready for a backend that says how (``prepare(image)``).

    folder: what file names are relative to; upright: see ``load_image``; on_bad_image: ``skip`` makes an unreadable
    photo None, logs and counts it in ``skipped``; ``stop`` raises BadImage.
    """

    folder: Path
    on_bad_image: Literal["stop", "skip"]
    backend: Any
    upright: bool = False
    skipped: list[int] = field(default_factory=list)

    def __call__(self, task: ImageTask) -> Any | None:
        """Called from several threads at once."""
        try:
            image = load_image(Path(self.folder) / task.file_name, task.size, upright=self.upright)
        except BadImage as error:
            if self.on_bad_image == "stop":
                raise
            log.warning("photo %s is skipped, its refs get no candidates: %s", task.file_name, error)
            self.skipped.append(task.image_id)
            return None
        prepare = getattr(self.backend, "prepare", None)
        return prepare(image) if prepare else image


@contextmanager
def worker_threads(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool; what still waits in it is dropped when the stage ends early."""
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="ssc-loader")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ahead_of(
    batches: Iterable[Batch], load: Callable[[ImageTask], Any], pool: ThreadPoolExecutor
) -> Iterator[tuple[Batch, list[Any]]]:
    """Each batch with what ``load`` makes of its tasks, computed by ``pool`` while earlier batches are worked on."""
    waiting: deque[tuple[Batch, list[Future]]] = deque()
    for batch in batches:
        waiting.append((batch, [pool.submit(load, task) for task in batch.tasks]))
        if len(waiting) > BATCHES_AHEAD:
            yield _ready(*waiting.popleft())
    while waiting:
        yield _ready(*waiting.popleft())


def _ready(batch: Batch, futures: Sequence[Future]) -> tuple[Batch, list[Any]]:
    return batch, [future.result() for future in futures]
