"""What the site needs besides the pages as they are read in the repository."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")
"""A link to a file of the repository that is no page."""

LIST = re.compile(r"(?m)^(?![*|#\s-])(.*\S)\n(?=\* )")
"""A list right after a paragraph: one in the repository's reader, none in Python-Markdown."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files outside the site become their text; lists get the empty line that they need."""
    return LIST.sub(r"\1\n\n", OUTSIDE.sub(r"\1", markdown))
