"""Photos as a backend takes them: decoded, and resized where it can do that in a thread ahead of the model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssc_core.pictures import BadImage
from ssc_core.refer.images import load_image
from ssc_core.segment.tasks import ImageTask

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
