"""The table of ``docs/select.md``, from what was measured:

python -m ssc_core.report.select_docs results/report/select.json docs/select.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ssc_core.errors import SscError
from ssc_core.files import atomic_path, read_json
from ssc_core.report.pages import render
from ssc_core.report.select_table import read_lines

_PLACE = re.compile(r"(<!-- table of results/report/select\.json: begin -->\n).*?(<!-- end -->)", re.DOTALL)


def write_table(figures: Path, page: Path) -> None:
    """Replace what lies between the two marks of ``page`` with the table of ``figures`` (select.json).

    Raises SscError when the page has no marks.
    """
    content = read_json(figures)
    block = render("select_table.md", content=content, lines=read_lines(content["lines"])).rstrip("\n") + "\n"
    text, found = _PLACE.subn(lambda place: place[1] + block + place[2], page.read_text(encoding="utf-8"))
    if not found:
        raise SscError(
            f"{page} has no place for the table: the marks '<!-- table of ...: begin -->' and '<!-- end -->'"
        )
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_table(Path(sys.argv[1]), Path(sys.argv[2]))
