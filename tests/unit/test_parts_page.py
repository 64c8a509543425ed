"""docs/parts.md names the parts that there are."""

from __future__ import annotations

import re
from pathlib import Path

from ssc_core.registry import REGISTRY


def test_every_part_of_the_tables_is_registered(root: Path) -> None:
    text = (root / "docs" / "parts.md").read_text()
    tables = text.split("## Cost per photo")[0]
    named = re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)
    assert len(named) > 10
    assert set(named) == set(REGISTRY)
