"""One style for every chart, drawn by matplotlib: as a file, or inline in a page and in the page's own colours."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssc_core.drawing.style import CANDIDATE, INK, QUIET, SERIES, css
from ssc_core.files import atomic_path

_PAGE_COLOURS = {
    css(INK): "var(--ink)",
    css(QUIET): "var(--quiet)",
    css(CANDIDATE): "var(--line)",
    **{css(colour): f"var(--s{i})" for i, colour in enumerate(SERIES)},
}
matplotlib.rcParams.update(
    {
        "axes.edgecolor": css(QUIET),
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.labelcolor": css(QUIET),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": css(INK),
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "grid.color": css(CANDIDATE),
        "grid.alpha": 0.5,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": css(INK),
        "text.color": css(INK),
        "xtick.color": css(QUIET),
        "ytick.color": css(QUIET),
        # ids from a salt, and no date: the same figures give the same file
        "svg.hashsalt": "ssc",
        # letters stay letters, which can be searched and read out
        "svg.fonttype": "none",
        # names of users are no formulas
        "text.parse_math": False,
    }
)
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart for a page. svg: an element without ids that another chart has."""

    title: str
    svg: str


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches and its axes, row by row. options: of ``Figure.subplots``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).ravel())


def colour(index: int) -> str:
    """Of a series, told apart with any colour vision; later ones start again."""
    return css(SERIES[index % len(SERIES)])


def percent(value: float, _place: object = None) -> str:
    """Label of a share: ``40 %``."""
    return f"{100 * value:.0f} %"


def save(figure: Figure, out: Path) -> None:
    """Write a figure, as PNG or SVG by the name's ending."""
    kind = out.suffix.removeprefix(".")
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=kind, dpi=110, metadata=_NO_METADATA if kind == "svg" else None)


def inline(figure: Figure, title: str) -> Chart:
    """A figure as part of a page: transparent, its colours those of page.css, in a dark page too."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata=_NO_METADATA)
    drawn = stream.getvalue()
    # its <style> would be the whole page's
    drawn = re.sub(r"<defs>\s*<style.*?</defs>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    prefix = "c" + sha256((title + drawn).encode()).hexdigest()[:8]
    drawn = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", drawn)
    for ours, pages in _PAGE_COLOURS.items():
        drawn = drawn.replace(ours, pages)
    return Chart(title, drawn)
