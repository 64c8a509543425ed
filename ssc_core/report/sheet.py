"""Layout of every sheet of pictures: texts, pictures and boxes, side by side or one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw
from PIL.ImageFont import FreeTypeFont

from ssc_core.drawing import style
from ssc_core.drawing.style import Colour
from ssc_core.files import atomic_path

LINE = 1.35
"""Height of a line of text, in sizes of its letters."""


class Block(Protocol):
    """Something of ``width`` x ``height`` pixels that can be painted with its upper left corner at x, y."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def paint(self, sheet: Image.Image, x: int, y: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Text:
    """Lines of text; see ``text``."""

    lines: Sequence[str]
    size: int
    bold: bool = False
    colour: Colour = style.INK

    @property
    def width(self) -> int:
        face = style.font(self.size, bold=self.bold)
        return ceil(max((face.getlength(line) for line in self.lines), default=0))

    @property
    def height(self) -> int:
        return round(self.size * LINE * len(self.lines))

    def paint(self, sheet: Image.Image, x: int, y: int) -> None:
        draw, face = ImageDraw.Draw(sheet), style.font(self.size, bold=self.bold)
        for i, line in enumerate(self.lines):
            draw.text((x, y + round(i * self.size * LINE)), line, fill=self.colour, font=face)


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: RGB uint8 (H, W, 3)."""

    pixels: np.ndarray

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    def paint(self, sheet: Image.Image, x: int, y: int) -> None:
        sheet.paste(Image.fromarray(self.pixels), (x, y))


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks side by side, their upper edges in line."""

    blocks: Sequence[Block]
    gap: int = 0

    @property
    def width(self) -> int:
        return sum(block.width for block in self.blocks) + self.gap * max(0, len(self.blocks) - 1)

    @property
    def height(self) -> int:
        return max((block.height for block in self.blocks), default=0)

    def paint(self, sheet: Image.Image, x: int, y: int) -> None:
        for block in self.blocks:
            block.paint(sheet, x, y)
            x += block.width + self.gap


@dataclass(frozen=True, slots=True)
class Below:
    """Blocks one below the other, their left edges in line."""

    blocks: Sequence[Block]
    gap: int = 0

    @property
    def width(self) -> int:
        return max((block.width for block in self.blocks), default=0)

    @property
    def height(self) -> int:
        return sum(block.height for block in self.blocks) + self.gap * max(0, len(self.blocks) - 1)

    def paint(self, sheet: Image.Image, x: int, y: int) -> None:
        for block in self.blocks:
            block.paint(sheet, x, y)
            y += block.height + self.gap


@dataclass(frozen=True, slots=True)
class Box:
    """A block with a margin, on a ground and in a frame if asked for, of at least ``least`` (width, height) pixels."""

    block: Block
    margin: int = 0
    ground: Colour | None = None
    frame: Colour | None = None
    least: tuple[int, int] = (0, 0)

    @property
    def width(self) -> int:
        return max(self.block.width + 2 * self.margin, self.least[0])

    @property
    def height(self) -> int:
        return max(self.block.height + 2 * self.margin, self.least[1])

    def paint(self, sheet: Image.Image, x: int, y: int) -> None:
        if self.ground or self.frame:
            corners = (x, y, x + self.width - 1, y + self.height - 1)
            ImageDraw.Draw(sheet).rectangle(corners, fill=self.ground, outline=self.frame, width=3)
        self.block.paint(sheet, x + self.margin, y + self.margin)


def grid(boxes: Sequence[Box], columns: int, gap: int) -> Below:
    """Boxes in rows, all as wide as the widest, and those of a row as high as its highest."""
    width = max(box.width for box in boxes)
    rows = [boxes[start : start + columns] for start in range(0, len(boxes), columns)]
    sized = [[replace(box, least=(width, max(one.height for one in row))) for box in row] for row in rows]
    return Below([Beside(row, gap) for row in sized], gap)


def text(
    words: str, size: int, width: float, *, bold: bool = False, colour: Colour = style.INK, max_lines: int = 1
) -> Text:
    """Words in lines that fit ``width`` pixels; no line without words."""
    lines = wrap(words, style.font(size, bold=bold), width, max_lines) if words else []
    return Text(lines, size, bold, colour)


def render(block: Block, margin: int = 0) -> np.ndarray:
    """RGB uint8 of a block on paper."""
    sheet = Image.new("RGB", (block.width + 2 * margin, block.height + 2 * margin), style.PAPER)
    block.paint(sheet, margin, margin)
    return np.asarray(sheet)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write RGB uint8 as PNG, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True)


def wrap(text: str, face: FreeTypeFont, width: float, max_lines: int = 3) -> list[str]:
    """Lines of words that fit ``width`` pixels; what goes beyond ``max_lines`` is cut with an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and face.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], f"{lines[max_lines - 1]} …"]
    return [_shorten(line, face, width) for line in lines]


def _shorten(line: str, face: FreeTypeFont, width: float) -> str:
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def keep_end(name: str, face: FreeTypeFont, width: float) -> str:
    """A file's name in ``width`` pixels; of one that is too long the end, which tells it from others."""
    if face.getlength(name) <= width:
        return name
    while name and face.getlength(f"…{name}") > width:
        name = name[1:]
    return f"…{name}"
