"""The micro world's detector, which stops for good in the middle of a shard, to be killed there."""

from __future__ import annotations

import time
from pathlib import Path

from ssc_core.segment.grounding_dino import GroundingDino


class HaltingDetector(GroundingDino):
    """While the file ``halt`` is there, image ``after`` is the last one that gets boxes; then ``halt`` is emptied."""

    def __init__(self, model: str, halt: str, after: int, **settings) -> None:
        super().__init__(model, **settings)
        self._halt, self._left = Path(halt), after

    def detect(self, images, prompts):
        found = super().detect(images, prompts)
        self._left -= len(images)
        if self._left <= 0 and self._halt.exists():
            self._halt.write_text("")
            time.sleep(600)
        return found
