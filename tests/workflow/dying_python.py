"""A warm python (``python -m tests.workflow.dying_python WORDS SOCKET``) for shell lines of rules, in which open_clip's
names stand for small networks and jobs die.

Where the job's folder holds ``died/``, a job of the first of two shards kills itself as it is about to write its second
image or ref, once. So whatever names the config gives, every stage dies in its middle and is to go on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationMixin  # noqa: F401

import ssc_core.doctor
import ssc_core.masks.gather
import ssc_core.refer.index
import ssc_core.segment.boxes
import ssc_core.segment.masks
import ssc_core.segment.nouns
import ssc_core.select.score_stage
import ssc_core.select.stage  # noqa: F401
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.plugins import _named
from ssc_core.registry import BACKEND, REGISTRY
from tests.unit.select.tiny_open_clip import TAGS, small
from tests.warm_python import serve


def prepare(words: Path) -> None:
    torch.set_num_threads(1)
    for name in REGISTRY.keys() - {"grounding_dino_original"}:
        _named(BACKEND, name)
    for name in TAGS:
        for mapping, key, value in small(name, words):
            mapping[key] = value
    MaskStoreWriter.append_image = _dies_at_its_second_call(MaskStoreWriter.append_image)
    ScoreStoreWriter.append_ref = _dies_at_its_second_call(ScoreStoreWriter.append_ref)


def _dies_at_its_second_call(method: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(None)
        out = next((one for one in sys.argv if one.startswith("--out=")), "")
        mark = Path("died") / out.removeprefix("--out=").replace("/", "_")
        if len(calls) == 2 and ".0-of-2" in out and mark.parent.is_dir() and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments, **options)

    return call


if __name__ == "__main__":
    words, address = sys.argv[1:]
    prepare(Path(words))
    serve(address)
