"""Files of the stages, written at once; the stages write them as they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssc_core.segment.noun_table import NounWriter


def write_nouns(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    with NounWriter(path, with_phrases=any("phrases" in row for row in rows)) as writer:
        writer.write(rows)
