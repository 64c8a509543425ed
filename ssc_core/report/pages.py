"""Pages from ``templates/``: HTML that needs no network and no other file, and Markdown.

Jinja escapes all that HTML pages are told; in Markdown, ``cell`` keeps a text in its cell of a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ssc_core.config.methods import method_name
from ssc_core.drawing.style import PICK, PREDICTION, TRUTH, css
from ssc_core.evaluate.eval_table import FIGURES
from ssc_core.evaluate.metrics import THRESHOLDS
from ssc_core.files import atomic_path
from ssc_core.report.select_table import cells
from ssc_core.wording import counted

_WORLDS = {
    "micro": "Generated micro world: drawn scenes, not photos. Its figures say that the method works end to end; they "
    "say nothing about real photos and cannot be compared with published figures.",
    "files": "Photos and sentences of your own files.",
    "toys": "Photos of your own, but small models of the micro world, which know drawings only: these figures mean "
    "nothing, they show that the steps run.",
}


def write_page(
    template: str,
    out: Path,
    *,
    title: str,
    worlds: Iterable[str],
    links: Sequence[tuple[str, str]] = (),
    **values: Any,
) -> None:
    """Write an HTML page. worlds: whose figures it shows, a notice each; links: (target, name)."""
    text = render(template, title=title, worlds=list(dict.fromkeys(worlds)), links=links, **values)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """A template with its values; in one of ``.html``, they are escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (method_name, runs, cells, cell, counted, duration, memory)
    environment.filters |= {function.__name__: function for function in filters}
    environment.tests["nan"] = math.isnan
    # pictures and page have the same colours
    colours = {"prediction": css(PREDICTION), "truth": css(TRUTH), "pick": css(PICK)}
    environment.globals |= {
        "thresholds": [str(t) for t in THRESHOLDS],
        "seed_figures": list(FIGURES),
        "colours": colours,
        "world_notes": _WORLDS,
    }
    return environment


def runs(rows: Iterable[Any], name: str) -> Iterator[tuple[Any, list[Any]]]:
    """Rows that follow each other with one value of an attribute or key, in their order."""
    rows = list(rows)
    get: Any = itemgetter(name) if rows and isinstance(rows[0], dict) else attrgetter(name)
    return ((value, list(same)) for value, same in groupby(rows, get))


def cell(text: str) -> str:
    """A text that does not end the cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")


def duration(seconds: float) -> str:
    """``44.0 s``, ``1 min 01 s`` or ``3 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def memory(megabytes: float) -> str:
    """``300 MB`` or ``1.5 GB``; 0: not measured."""
    if not megabytes:
        return "–"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
