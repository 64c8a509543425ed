"""Files of the stages, written at once; the stages write them as they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.segment.noun_table import Nouns, NounWriter


def write_nouns(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    with NounWriter(path, with_phrases=any("phrases" in row for row in rows)) as writer:
        writer.write(rows)


def read_nouns(path: Path) -> pd.DataFrame:
    """All rows; nouns and classes are lists of lists of str."""
    nouns = Nouns(path)
    return pd.DataFrame(nouns.rows(nouns.photos).to_pylist())
