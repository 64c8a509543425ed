"""Charts as inline SVG: no script, crisp at any size, colours from the page's CSS variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 26, 12, 44
SERIES = 6
"""Colours --s0 ... --s5 of the page; later series start again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve. x, y: float (N,); faint: drawn thin, without an entry in the legend."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: int = 0
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """low, high: range; label: below or above the axis; percent: ticks as 40 %; whole: ticks at whole numbers only."""

    low: float
    high: float
    label: str
    percent: bool = False
    whole: bool = False

    def ticks(self) -> list[float]:
        """Round values, about five."""
        span = self.high - self.low
        step = 10 ** np.floor(np.log10(span / 4))
        step *= next(f for f in ((1, 2, 5, 10) if self.whole else (1, 2, 2.5, 5, 10)) if span / (step * f) <= 6)
        step = max(step, 1) if self.whole else step
        first = np.ceil(self.low / step - 1e-9) * step + 0.0  # + 0.0 makes -0.0 a plain zero
        return [float(v) for v in np.arange(first, self.high + step * 1e-6, step)]

    def text(self, value: float) -> str:
        if self.percent:
            return f"{100 * value:.0f} %"
        return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:g}"


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, *, title: str) -> str:
    """Lines with a legend below them."""
    plot = _Plot(x, y)
    curves = [
        f'<polyline class="{_kind(line)}" style="stroke:var(--s{line.colour % SERIES})" '
        f'points="{" ".join(plot.point(a, b) for a, b in zip(line.x, line.y, strict=True))}">'
        f"<title>{escape(line.name)}</title></polyline>"
        for line in lines
        if len(line.x)
    ]
    return _figure(plot, curves, title, _legend([line for line in lines if not line.faint]))


def histogram(
    counts: Sequence[float], edges: Sequence[float], x: Axis, *, title: str, unit: str, colour: int = 0
) -> str:
    """Bars between ``edges`` (one more than counts)."""
    plot = _Plot(x, Axis(0, max(*counts, 1) * 1.05, unit, whole=True))
    bars = []
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        left, right = plot.x(low) + 0.75, plot.x(high) - 0.75
        top, bottom = plot.y(count), plot.y(0)
        name = f"{x.text(low)} to {x.text(high)}: {count:g} {unit}"
        bars.append(_bar(left, top, right - left, bottom - top, name, colour))
    return _figure(plot, bars, title, "")


def bar_chart(counts: dict[str, int], *, title: str, label: str, unit: str, colour: int = 0) -> str:
    """One bar a name."""
    plot = _Plot(Axis(0, max(len(counts), 1), label), Axis(0, max(*counts.values(), 1) * 1.05, unit, whole=True))
    bars, names = [], []
    every = -(-len(counts) // 14)
    for i, (name, count) in enumerate(counts.items()):
        left, right = plot.x(i + 0.12), plot.x(i + 0.88)
        bars.append(
            _bar(left, plot.y(count), right - left, plot.y(0) - plot.y(count), f"{name}: {count} {unit}", colour)
        )
        if i % every == 0:
            names.append(_text((left + right) / 2, _HEIGHT - _BOTTOM + 16, name, "middle"))
    return _figure(plot, bars + names, title, "", x_ticks=False)


def row_chart(values: dict[str, float], *, title: str, unit: str, colour: int = 0) -> str:
    """Horizontal bars with their names and values, in the order given."""
    top, step, names_width = 6, 24, 210
    height = top + step * len(values) + 4
    longest = max(*values.values(), 1e-9)
    marks = []
    for i, (name, value) in enumerate(values.items()):
        y, width = top + i * step, (_WIDTH - names_width - 70) * value / longest
        marks.append(_text(names_width - 8, y + 15, name, "end"))
        marks.append(_bar(names_width, y, width, step - 6, f"{name}: {value:.2f} {unit}", colour))
        marks.append(_text(names_width + max(width, 0.5) + 6, y + 15, f"{value:.1f}", "start"))
    picture = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(marks)}</svg>'
    unit_note = f'<span class="unit">{escape(unit)}</span>'
    return f'<figure class="chart"><figcaption>{escape(title)}{unit_note}</figcaption>{picture}</figure>'


class _Plot:
    """Data to picture coordinates."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x_axis, self.y_axis = x, y

    def x(self, value: float) -> float:
        share = (value - self.x_axis.low) / (self.x_axis.high - self.x_axis.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_axis.low) / (self.y_axis.high - self.y_axis.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def point(self, x: float, y: float) -> str:
        return f"{self.x(x):.1f},{self.y(y):.1f}"


def _figure(plot: _Plot, marks: Sequence[str], title: str, legend: str, *, x_ticks: bool = True) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in plot.y_axis.ticks():
        y = plot.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 8, y + 4.5, plot.y_axis.text(value), "end"))
    if x_ticks:
        parts += [_text(plot.x(v), bottom + 16, plot.x_axis.text(v), "middle") for v in plot.x_axis.ticks()]
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 6, plot.x_axis.label, "middle", "label"))
    drawing = "".join([*parts, *marks])
    picture = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{drawing}</svg>'
    note = f'<span class="unit">{escape(plot.y_axis.label)}</span>' if plot.y_axis.label else ""
    return f'<figure class="chart"><figcaption>{escape(title)}{note}</figcaption>{picture}{legend}</figure>'


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="{_kind(line)}" '
        f'style="stroke:var(--s{line.colour % SERIES})" d="M0 4H26"/></svg>{escape(line.name)}</li>'
        for line in lines
    )
    return f'<ul class="legend">{items}</ul>' if len(lines) > 1 else ""


def _kind(line: Line) -> str:
    return "faint" if line.faint else "curve dashed" if line.dashed else "curve"


def _bar(x: float, y: float, width: float, height: float, name: str, colour: int) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0):.1f}" rx="2" '
        f'style="fill:var(--s{colour % SERIES})"><title>{escape(name)}</title></rect>'
    )


def _text(x: float, y: float, text: str, anchor: str, name: str = "tick") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
